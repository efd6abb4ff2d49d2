"""Seeded, order-independent ways to part records: validation from train, held-out classes.

Draws are made by hashing the seed with a name that does not depend on where the data lies, so that the same videos give
the same parts on any machine, in any order, and adding a video moves few others.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from framecue.datasets.naming import find_class
from framecue.errors import DatasetError
from framecue.types import Record

_UCF_NAME = re.compile(r"(?P<group>v_[A-Za-z]+_g\d{2})_c\d{2}")
_HMDB_NAME = re.compile(r"(?P<group>.+)_[fhlu]_(cm|nm)_np\d+_(ba|fr|le|ri)_(bad|goo|med)_\d+")


@dataclass(frozen=True)
class Partition:
    """Records by what they may be used for: `train` to fit, `val` to choose, `test` to report."""

    train: list[Record]
    val: list[Record]
    test: list[Record]


def ucf_group(path: str | Path) -> str | None:
    """ "v_PushUps_g01" for v_PushUps_g01_c02.avi: clips of one group are cut from one source. None for other names."""
    match = _UCF_NAME.fullmatch(Path(path).stem)
    return match and match["group"]


def hmdb_group(path: str | Path) -> str | None:
    """The name of an HMDB-51 clip without its tags and number, which is its source and class. None for other names."""
    match = _HMDB_NAME.fullmatch(Path(path).stem)
    return match and match["group"]


def source_group(record: Record) -> str:
    """What must not be torn apart: the UCF-101 or HMDB-51 source where the name tells it, else the file."""
    return ucf_group(record.path) or hmdb_group(record.path) or _portable_name(record.path)


def partition(
    records: Iterable[Record],
    *,
    val_fraction: float,
    seed: int,
    group: Callable[[Record], str] = source_group,
) -> Partition:
    """Train, val and test parts; a missing val part is split from train, never from test.

    Records without a part count as train.
    """
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in sorted(records, key=_order):
        parts[record.split or "train"].append(record)
    if not parts["val"]:
        parts["train"], parts["val"] = split_validation(parts["train"], val_fraction, seed, group=group)
    return Partition(**parts)


def split_validation(
    records: Iterable[Record],
    fraction: float,
    seed: int,
    *,
    group: Callable[[Record], str] = source_group,
) -> tuple[list[Record], list[Record]]:
    """Part off about `fraction` of each class, in whole groups.

    Each class aims at round(fraction * count), at least one. In a seeded order, each group is taken that brings its
    classes nearer to their aims; then a class that got nothing takes its smallest group. A class always keeps a record
    in the rest, so one of a single record or group gives nothing.

    Args:
        fraction: in [0, 1); 0 gives an empty second part.
        group: key of records that must stay together.

    Returns:
        The rest and the part, each sorted by path and start.

    Raises:
        ValueError: `fraction` is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction must be in [0, 1), got {fraction}.")
    ordered = sorted(records, key=_order)
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in ordered:
        groups[group(record)].append(record)
    in_train = Counter(record.label for record in ordered)
    aim = {label: max(1, math.floor(fraction * count + 0.5)) if fraction else 0 for label, count in in_train.items()}
    taken: Counter[str | None] = Counter()
    chosen: set[str] = set()
    drawn = sorted(groups, key=lambda name: (_draw(seed, name), name))
    for smallest_first in (False, True):
        for name in sorted(drawn, key=lambda name: len(groups[name])) if smallest_first else drawn:
            counts = Counter(record.label for record in groups[name])
            nearer = sum(abs(aim[c] - taken[c] - n) - abs(aim[c] - taken[c]) for c, n in counts.items()) < 0
            wanted = any(aim[c] > 0 and taken[c] == 0 for c in counts) if smallest_first else nearer
            if wanted and name not in chosen and all(in_train[c] > n for c, n in counts.items()):
                chosen.add(name)
                taken += counts
                in_train -= counts
    rest = [record for record in ordered if group(record) not in chosen]
    return rest, [record for record in ordered if group(record) in chosen]


def held_out_classes(records: Sequence[Record], names: Iterable[str]) -> tuple[list[Record], list[Record]]:
    """Records of all other classes, and those of `names`, each in the order given.

    Raises:
        DatasetError: a name is not a class of the records (the nearest is named), or no class is left.
    """
    labels = {record.label for record in records if record.label is not None}
    novel = {find_class(name, labels, asked_by="data.held_out") for name in names}
    if labels and novel == labels:
        raise DatasetError(
            f"data.held_out names all {len(labels)} classes, so that none is left to train on. Name fewer."
        )
    return [record for record in records if record.label not in novel], [r for r in records if r.label in novel]


def _order(record: Record) -> tuple[str, float, float, str]:
    return str(record.path), record.start_seconds or 0.0, record.end_seconds or math.inf, record.label or ""


def _portable_name(path: Path) -> str:
    """Folder and file, without what lies above, so that moving a data set does not change its draws."""
    return "/".join(path.parts[-2:])


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
