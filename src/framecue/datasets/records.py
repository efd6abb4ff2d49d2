"""Labelled videos from any accepted source, checked: files there, labelled, no footage in two parts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from framecue.config import DataConfig, DataFormat
from framecue.datasets.faults import DataFaultError
from framecue.datasets.formats import Source, find_source, read_source
from framecue.datasets.naming import find_class, shorten
from framecue.datasets.presence import real_paths
from framecue.errors import DatasetError
from framecue.files import backslash_hint
from framecue.types import Record, Skipped

Missing = Literal["error", "skip"]
TESTED_ON_VALIDATION: tuple[DataFormat, ...] = ("kinetics", "something")
"""Sets whose test labels are not public: figures are of their validation part, which therefore chooses nothing."""


def load_data(data: DataConfig, *, missing: Missing | None = None) -> tuple[list[Record], list[Skipped]]:
    """`load_records` for the data section of a run config; held-out classes are kept.

    The val part of TESTED_ON_VALIDATION is given as test.
    """
    records, skipped = load_records(
        data.source,
        format=data.format,
        annotations=data.annotations,
        labels=data.labels,
        split=data.split,
        classes=data.classes,
        missing=missing or data.missing,
    )
    source = find_source(data.source, format=data.format, annotations=data.annotations, labels=data.labels)
    if source.format in TESTED_ON_VALIDATION:
        records = with_validation_as_test(records)
    return records, skipped


def load_records(
    source: str | Path,
    *,
    format: DataFormat = "auto",
    annotations: str | Path | None = None,
    labels: str | Path | None = None,
    split: int = 1,
    classes: Sequence[str] | None = None,
    missing: Missing = "error",
) -> tuple[list[Record], list[Skipped]]:
    """Labelled videos of a source, checked: files there, one spelling per class, no video in two parts.

    Args:
        source: folder with a folder per class (with or without train, val, test above them), a .csv or .jsonl manifest,
            a folder with metadata.csv or metadata.jsonl, or with `annotations` the folder of videos.
        annotations: folder of official files, or one such file; not needed where `source` is one, beside its videos.
        labels: class names of number lists.
        split: which official split.
        classes: keep these alone; videos of others are neither checked nor listed as missing.
        missing: "skip" lists videos that are not there instead of raising.

    Returns:
        Records in the order of the source, and what was left out: missing videos, class folders without videos, and one
        entry for each part that has no labels.

    Raises:
        DatasetError: the source cannot be used; the message names the file and, where there is one, the line.
    """
    place = find_source(source, format=format, annotations=annotations, labels=labels, split=split)
    records, skipped = read_source(place)
    records, unlabelled = leave_out_unlabelled(records, place)
    if classes is not None:
        records = keep_classes(records, classes)
    there = real_paths(record.path for record in records)
    present, absent = _present(records, there, place, missing)
    for fault in _undecided(present):
        raise fault
    different, repeated = once_each(present, there)
    return different, skipped + unlabelled + absent + repeated


def once_each(records: Iterable[Record], file_of: Mapping[Path, str]) -> tuple[list[Record], list[Skipped]]:
    """The records without repetitions: what is said twice of one file, with one label and in one part, counts once.

    Args:
        file_of: of each path what tells its file from others: the path behind all links, or the hash of its content.

    Returns:
        The records, those of one file by one path so that they stay together; and the repetitions.

    Raises:
        DatasetError: one file is in two parts, or has two labels.
    """
    kept: list[Record] = []
    repeated: list[Skipped] = []
    by_file: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        earlier = by_file[file_of.get(record.path, str(record.path))]
        faults = [(other, fault) for other in earlier if (fault := _pair_fault(record, other)) is not None]
        for _, fault in faults:
            if fault.kind != "twice":
                raise fault
        if faults:
            other, _ = faults[0]
            repeated.append(Skipped(record.path, f"the same video as {other.path} ({other.origin}), which counts once"))
            continue
        earlier.append(record)
        kept.append(record if record.path == earlier[0].path else replace(record, path=earlier[0].path))
    return kept, repeated


def leave_out_unlabelled(records: Sequence[Record], source: Source) -> tuple[list[Record], list[Skipped]]:
    """The labelled records, and one note for each part with videos that have no label, as official test parts have.

    Raises:
        DatasetError: nothing has a label.
    """
    counts = Counter(record.split for record in records if record.label is None)
    if not counts:
        return list(records), []
    place = source.annotations or source.path
    if counts.total() == len(records):
        raise DatasetError(f"{place}: none of the {len(records)} videos has a label. Add a part that has labels.")
    notes = [
        Skipped(place, f"{count} videos of the {part or 'undivided'} part have no label; that part cannot be measured")
        for part, count in counts.items()
    ]
    return [record for record in records if record.label is not None], notes


def with_validation_as_test(records: Sequence[Record]) -> list[Record]:
    """The records with their val part as test, where no labelled test part is among them."""
    if any(record.split == "test" for record in records):
        return [*records]
    return [replace(record, split="test") if record.split == "val" else record for record in records]


def keep_classes(records: Iterable[Record], classes: Sequence[str]) -> list[Record]:
    """The records of these classes, whose names may be spelled with underscores or in other case.

    Raises:
        DatasetError: a class is not in the records; the nearest is named.
    """
    records = list(records)
    known = {record.label for record in records if record.label is not None}
    kept = {find_class(name, known, asked_by="data.classes") for name in classes}
    return [record for record in records if record.label in kept]


def require_trainable(records: Sequence[Record]) -> None:
    """Refuse a training part from which nothing can be learned.

    Raises:
        DatasetError: no records, or one class only.
    """
    labels = sorted({record.label for record in records if record.label is not None})
    if not labels:
        raise DatasetError("No videos to train on. Give videos in the train part, or a source without parts.")
    if len(labels) == 1:
        raise DatasetError(
            f"Training needs at least two classes, found '{labels[0]}' alone ({records[0].origin}). "
            "Add videos of another class."
        )


def part_faults(records: Sequence[Record], real: dict[Path, str]) -> Iterator[DataFaultError]:
    """Records listed twice, footage in two parts, and records without a part where others have one.

    Args:
        real: of each path that is there, the file behind any links.
    """
    yield from _undecided(records)
    by_file: dict[str, list[Record]] = {}
    for record in records:
        earlier = by_file.setdefault(real.get(record.path, str(record.path)), [])
        yield from filter(None, (_pair_fault(record, other) for other in earlier))
        earlier.append(record)


def _undecided(records: Sequence[Record]) -> Iterator[DataFaultError]:
    undecided = [record for record in records if record.split is None]
    for record in undecided if len(undecided) < len(records) else ():
        yield DataFaultError(
            "line", f"{record.origin}: no split given where other entries have one. Write train, val or test."
        )


def _pair_fault(record: Record, other: Record) -> DataFaultError | None:
    same_times = (record.start_seconds, record.end_seconds) == (other.start_seconds, other.end_seconds)
    if record.split != other.split and _overlap(record, other):
        return DataFaultError(
            "leak",
            f"{record.origin}: {_both(record, other)} is in {record.split} and in {other.split} ({other.origin}). "
            "Keep each video in one part, or results will be too good.",
        )
    if not same_times or record.split != other.split:
        return None
    if record.label != other.label:
        return DataFaultError(
            "labels",
            f"{record.origin}: {_both(record, other)} is labelled '{record.label}' here and '{other.label}' there "
            f"({other.origin}). Recognition takes one label for each video: choose one, or train localization, which "
            "takes both as overlapping segments.",
        )
    return DataFaultError(
        "twice",
        f"{record.origin}: {_both(record, other)} is listed twice ({other.origin}). Remove one of the entries.",
    )


def _both(record: Record, other: Record) -> str:
    """The file, and the other name where the entries have two for it."""
    return str(record.path) if record.path == other.path else f"{record.path}, the same video as {other.path},"


def _overlap(first: Record, second: Record) -> bool:
    def bounds(record: Record) -> tuple[float, float]:
        end_seconds = float("inf") if record.end_seconds is None else record.end_seconds
        return record.start_seconds or 0.0, end_seconds

    (start, end), (other_start, other_end) = bounds(first), bounds(second)
    return start < other_end and other_start < end


def _present(
    records: Sequence[Record], there: dict[Path, str], source: Source, missing: Missing
) -> tuple[list[Record], list[Skipped]]:
    absent = [record for record in records if record.path not in there]
    if not absent:
        return list(records), []
    first = shorten([f"{record.path} ({record.origin})" for record in absent], 3)
    first += next(filter(None, (backslash_hint(record.path) for record in absent)), "")
    if len(absent) == len(records):
        raise DatasetError(
            f"None of the {len(records)} videos listed is there: {first}. Check that {source.path} is the right one."
        )
    if missing == "error":
        raise DatasetError(
            f"{len(absent)} of the {len(records)} videos listed are missing: {first}. "
            "Fix the paths, or set data.missing=skip to go on without them."
        )
    skipped = {
        record.path: Skipped(record.path, f"file not found ({record.origin}){backslash_hint(record.path)}")
        for record in absent
    }
    return [record for record in records if record.path in there], list(skipped.values())
