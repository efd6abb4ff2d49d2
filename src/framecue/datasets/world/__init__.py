"""The built-in world: colored shapes that move, grow, turn and fade, with names and captions in plain English.

It exists so that the demo, the docs and the tests run offline and mean something. `write_world` makes real MP4 files,
`write_untrimmed` longer ones with several actions and background between; `ORDER_PAIRS` names the classes that only the
order of frames tells apart, and `order_blind_ceiling` the accuracy that a model blind to order cannot exceed.
"""

from framecue.datasets.world.captions import random_caption
from framecue.datasets.world.motions import (
    NOVEL_CLASSES,
    ORDER_PAIRS,
    SEEN_CLASSES,
    order_blind_ceiling,
    order_pairs,
)
from framecue.datasets.world.retrieval import write_caption_list
from framecue.datasets.world.stills import Still, random_still
from framecue.datasets.world.untrimmed import (
    UNTRIMMED_SEEN_CLASSES,
    render_untrimmed,
    write_long_untrimmed,
    write_untrimmed,
)
from framecue.datasets.world.videos import Clip, render_clip, write_world

__all__ = [
    "NOVEL_CLASSES",
    "ORDER_PAIRS",
    "SEEN_CLASSES",
    "UNTRIMMED_SEEN_CLASSES",
    "Clip",
    "Still",
    "order_blind_ceiling",
    "order_pairs",
    "random_caption",
    "random_still",
    "render_clip",
    "render_untrimmed",
    "write_caption_list",
    "write_long_untrimmed",
    "write_untrimmed",
    "write_world",
]
