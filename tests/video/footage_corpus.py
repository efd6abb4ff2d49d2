"""All videos of the corpus."""

from footage import Footage
from footage_clock import CLOCK, STREAM
from footage_color import COLOR
from footage_damage import DAMAGE
from footage_shape import ASPECT, SIZE

CORPUS: list[Footage] = [*CLOCK, *STREAM, *COLOR, *ASPECT, *SIZE, *DAMAGE]
