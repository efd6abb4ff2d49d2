"""Seeded draws and parts that protocols share.

A draw ranks names by a hash of seed, trial and name, so that it depends neither on where the data lies nor on the order
of the records, and a larger draw contains the smaller one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from framecue.datasets.naming import ClassNames, class_key, shorten
from framecue.datasets.splits import Partition, source_group, split_validation
from framecue.datasets.trials import label_of, normal_name, portable_names, video_id
from framecue.errors import DatasetError, UsageError
from framecue.types import Record


def by_label(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of each class, classes sorted."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[label_of(record)].append(record)
    return {label: groups[label] for label in sorted(groups)}


def rank(seed: int, trial: str, name: str) -> bytes:
    """Where `name` comes in the draw of a trial; the lowest are drawn."""
    return hashlib.sha256(f"{seed}:{trial}:{name}".encode("utf-8", "surrogateescape")).digest()


def ranked_classes(labels: Iterable[str], seed: int, trial: str) -> list[str]:
    """Classes in the order of a draw."""
    return sorted(labels, key=lambda label: (rank(seed, trial, class_key(label)), label))


class VideoDraw:
    """Ranks videos of one set of records."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._names = {record: normal_name(name) for record, name in portable_names(records).items()}

    def ranked(self, records: Iterable[Record], seed: int, trial: str) -> list[Record]:
        """Records in the order of a draw."""
        return sorted(records, key=lambda record: (rank(seed, trial, self._names[record]), str(record.path)))

    def in_order(self, records: Iterable[Record]) -> list[Record]:
        """Records by class and name, the order of lists."""
        return sorted(records, key=lambda record: (record.label or "", self._names[record], str(record.path)))

    def few(self, records: Iterable[Record], shots: int, seed: int, trial: str) -> list[Record]:
        """`shots` videos of each class."""
        groups = by_label(records)
        return self.in_order(r for group in groups.values() for r in self.ranked(group, seed, trial)[:shots])

    def validation(
        self, candidates: Iterable[Record], train: Sequence[Record], shots: int, seed: int, trial: str
    ) -> list[Record]:
        """At most `shots` videos of each class outside `train`, those cut from other sources than `train`'s first."""
        used, sources = {video_id(record) for record in train}, {source_group(record) for record in train}
        free = by_label(record for record in candidates if video_id(record) not in used)
        chosen: list[Record] = []
        for group in free.values():
            order = self.ranked(group, seed, f"{trial} validation")
            chosen += sorted(order, key=lambda record: source_group(record) in sources)[:shots]
        return self.in_order(chosen)


def check_records(records: Iterable[Record]) -> list[Record]:
    """The records, sorted so that their order does not matter.

    Raises:
        DatasetError: one has no label or comes twice, or two labels differ only in case, spaces or punctuation.
    """
    names = ClassNames()
    seen: dict[tuple[str, float | None, float | None], Record] = {}
    origins: dict[str, str] = {}
    for record in records:
        label = label_of(record)
        if label not in origins:
            origins[label] = record.origin or str(record.path)
            names.add(label, origins[label])
        other = seen.setdefault(video_id(record), record)
        if other is not record:
            raise DatasetError(f"{record.origin}: {record.path} is listed twice ({other.origin}). Remove one entry.")
    if not seen:
        raise DatasetError("No videos to draw from. Give records of a data source.")
    return sorted(seen.values(), key=lambda record: (str(record.path), record.start_seconds or 0.0))


def parts_of(records: Iterable[Record], *, trained: bool = True, tested: bool = True) -> Partition:
    """Checked records by part; without a test part the val part is tested, as in Kinetics, and chooses nothing.

    Records without a part count as train.

    Raises:
        DatasetError: as `check_records`; no train or test part although it is to be `trained` on or `tested`.
    """
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in check_records(records):
        parts[record.split or "train"].append(record)
    if not parts["test"]:
        parts["test"], parts["val"] = parts["val"], []
    if trained and not parts["train"]:
        raise DatasetError("The data has no training videos. Give a train part.")
    if tested and not parts["test"]:
        raise DatasetError("The data has no test part to measure on. Give one: a test folder, or a split column.")
    return Partition(**parts)


def with_validation(train: Sequence[Record], val: Sequence[Record], fraction: float, seed: int) -> Partition:
    """Train and val; where there is no val, a part of train by the trial's seed."""
    if val:
        return Partition([*train], [*val], [])
    rest, part = split_validation(train, fraction, seed)
    return Partition(rest, part, [])


def of_classes(records: Iterable[Record], labels: Iterable[str]) -> list[Record]:
    """Records of these classes."""
    kept = set(labels)
    return [record for record in records if record.label in kept]


def require_videos(groups: Mapping[str, Sequence[Record]], needed: int, why: str) -> None:
    """Refuse classes with fewer videos than a draw needs.

    Raises:
        DatasetError: naming the classes and what they have.
    """
    short = [f"'{label}' has {len(group)}" for label, group in groups.items() if len(group) < needed]
    if short:
        raise DatasetError(f"{why} needs {needed} videos of each class, {shorten(short, 3)}. Ask for fewer shots.")


def require_positive(**options: int) -> None:
    """Refuse counts below one.

    Raises:
        UsageError: naming the option.
    """
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, found {value}.")


def check_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds of the trials.

    Raises:
        UsageError: there are none, or one comes twice, which would make the spread too small.
    """
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds must be different numbers, at least one, found {list(seeds)}.")
    return seeds
