"""The world's captions as one list for text-video retrieval: which videos, in which part, about what."""

import json
from collections.abc import Sequence
from pathlib import Path

from framecue.datasets.world.motions import NOVEL_CLASSES, SEEN_CLASSES, order_pairs
from framecue.files import write_text

ORDER, OTHER, UNSEEN = "order and direction", "other motions", "motions never trained on"
"""Groups of captions: of motions that only the order of frames tells apart, of the others, of held-out ones."""


def write_caption_list(
    path: Path,
    world_dir: Path,
    *,
    seen: Sequence[str] = SEEN_CLASSES,
    held_out: Sequence[str] = NOVEL_CLASSES,
) -> int:
    """Write the videos of a world (`write_world`) as `{"video", "caption", "split", "group"}` lines.

    Training and validation have the seen motions alone, the test has all: its gallery is as large as it can be.

    Returns:
        Number of videos.
    """
    ordered = {name for pair in order_pairs(seen) for name in pair}
    lines = []
    for text in (world_dir / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(text)
        label, split = entry["label"], entry["path"].split("/")[0]
        if label in held_out:
            group = UNSEEN
        elif label in seen:
            group = ORDER if label in ordered else OTHER
        else:
            continue
        if group != UNSEEN or split == "test":
            video = (world_dir / entry["path"]).relative_to(path.parent).as_posix()
            lines.append({"video": video, "caption": entry["caption"], "split": split, "group": group})
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)
