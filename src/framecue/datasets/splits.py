"""Seeded, order-independent ways to part data: validation and test parts of all tasks, held-out classes.

Draws are made by hashing the seed with a name that does not depend on where the data lies, so that the same videos give
the same parts on any machine, in any order, and adding a video moves few others.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from framecue.datasets.naming import find_class
from framecue.errors import DatasetError
from framecue.metrics.intervals import FEW_ITEMS
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
    staying: Collection[Path] = (),
) -> Partition:
    """Train, val and test parts; a missing val part is split from train, never from test.

    Records without a part count as train. Those of `staying` files are never drawn.
    """
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in sorted(records, key=_order):
        parts[record.split or "train"].append(record)
    if not parts["val"]:
        parts["train"], parts["val"] = split_validation(
            parts["train"], val_fraction, seed, group=group, staying=staying
        )
    return Partition(**parts)


def split_validation(
    records: Iterable[Record],
    fraction: float,
    seed: int,
    *,
    group: Callable[[Record], str] = source_group,
    staying: Collection[Path] = (),
) -> tuple[list[Record], list[Record]]:
    """Part off `fraction` of the records for validation, in whole groups, the classes in proportion.

    Args:
        fraction: in [0, 1); 0 gives an empty second part.
        group: key of records that must stay together.
        staying: files that are not drawn, nor what must stay together with them.

    Returns:
        The rest and the part, each sorted by path and start; their sizes are those of `draw_part`.

    Raises:
        ValueError: `fraction` is outside [0, 1).
    """
    ordered = sorted(records, key=_order)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for record in ordered:
        groups[group(record)][record.label or ""] += 1
    held = {group(record) for record in ordered if record.path in staying}
    units = [Unit(name, counts, frozenset(counts), stays=name in held) for name, counts in groups.items()]
    chosen = draw_part(units, fraction, seed=seed, purpose="val")
    rest = [record for record in ordered if group(record) not in chosen]
    return rest, [record for record in ordered if group(record) in chosen]


@dataclass(frozen=True)
class Unit:
    """What goes into a part as a whole: a file with all that is said of its times, or all files cut from one source.

    Attributes:
        name: its own, and the same wherever the data lies.
        sizes: how much of each stratum it holds; a part holds about the same share of every stratum.
        labels: of each of them, some other unit must be left in the rest.
        stays: it is never drawn.
    """

    name: str
    sizes: Mapping[str, int]
    labels: frozenset[str] = frozenset()
    stays: bool = False


def draw_part(units: Sequence[Unit], fraction: float, *, seed: int, purpose: str, least_left: int = 1) -> set[str]:
    """Names of the units that make up a part: the one way in which all tasks draw validation and test parts.

    The part aims at round(fraction * size of all), at least 1, shared among the strata in proportion (largest
    remainders). In an order by hash of seed, purpose and name, each unit is taken that brings the whole nearer to its
    aim: first those that bring their strata nearer to theirs, then any. The size is met exactly
    where units are of size 1, and within half of the largest unit elsewhere, unless units had to stay: the last one
    with a label always does, and so do `least_left` of all.

    Draws for two purposes are independent of each other, and a unit added later moves few others.

    Args:
        fraction: in [0, 1); 0 draws nothing.
        purpose: "val" or "test".
        least_left: how many units are left in the rest, at least.

    Raises:
        ValueError: `fraction` is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction must be in [0, 1), got {fraction}.")
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit.sizes)
    if not fraction or len(units) < 2:
        return set()
    lacking = max(1, math.floor(fraction * total.total() + 0.5))
    lacking_of = _apportioned(total, lacking, seed, purpose)
    left = Counter(label for unit in units for label in unit.labels)
    order = sorted(units, key=lambda unit: (_draw(seed, purpose, unit.name), unit.name))
    chosen: set[str] = set()
    for by_stratum in (True, False):
        for unit in order:
            size = sum(unit.sizes.values())
            # How much farther from their aims the strata would be with this unit.
            farther = sum(abs(lacking_of[key] - part) - abs(lacking_of[key]) for key, part in unit.sizes.items())
            is_wanted = abs(lacking - size) < abs(lacking) and (farther < 0 or not by_stratum)
            may_go = (
                not unit.stays
                and len(chosen) + least_left < len(units)
                and all(left[label] > 1 for label in unit.labels)
            )
            if is_wanted and may_go and unit.name not in chosen:
                chosen.add(unit.name)
                lacking_of.subtract(unit.sizes)
                lacking -= size
                left.subtract(unit.labels)
    return chosen


def _apportioned(total: Mapping[str, int], aim: int, seed: int, purpose: str) -> Counter[str]:
    """`aim` shared among strata in proportion to their sizes, the rest by largest remainders, ties by the draw."""
    whole = sum(total.values())
    shares = {key: divmod(aim * size, whole) for key, size in total.items()}
    rest = aim - sum(number for number, _ in shares.values())
    by_remainder = sorted(shares, key=lambda key: (-shares[key][1], _draw(seed, f"{purpose} share", key)))
    return Counter({key: number for key, (number, _) in shares.items()}) + Counter(by_remainder[:rest])


LEAST_VAL, LEAST_TEST = 10, FEW_ITEMS
"""Parts with fewer videos are too small for their purpose: of 10, one video is 10 points of what chooses the weights;
of 30, the 95 % interval of an accuracy of one half is 34 points wide (Wilson)."""


def small_part_notes(*, val: int, test: int) -> list[str]:
    """A line for each part that holds something, but less than its purpose needs."""
    purposes = (
        ("val", val, LEAST_VAL, "to choose weights by"),
        ("test", test, LEAST_TEST, "for figures to rest on"),
    )
    return [
        f"The {part} part holds {number} {'video' if number == 1 else 'videos'}, too few {purpose} (at least {least}): "
        f"one video is {100 / number:.0f} points. Add videos to it."
        for part, number, least, purpose in purposes
        if 0 < number < least
    ]


def drawn_note(source: str | Path, counts: Mapping[str, int], *, seed: int, whole: str | None) -> str:
    """One line that says which parts were drawn, with their sizes.

    Args:
        counts: videos of each part that was drawn, and of what is left of the part `whole`.
        whole: the part that was parted; None where the source has no parts.
    """
    what = "no video is in a part" if whole is None else "there is no part for validation"
    parts = ", ".join(f"{part} {counts[part]:,}" for part in ("train", "val", "test") if counts.get(part))
    return f"{source}: {what}: {sum(counts.values()):,} videos were parted by seed {seed} into {parts}."


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


def _draw(seed: int, purpose: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{purpose}:{name}".encode("utf-8", "surrogateescape")).digest()
