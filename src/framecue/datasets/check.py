"""`framecue data check`: everything that is wrong with a data source, gathered before hours are spent on it.

Unlike `load_records` it does not stop at the first fault. What it cannot see: damage behind a video's first frame, and,
without stored features, one recording in two encodings.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from framecue.config import DataConfig
from framecue.datasets.files_check import FileFacts, find_copies, inspect_files
from framecue.datasets.findings import KINDS, DataReport, Problem
from framecue.datasets.formats import Source, find_source, read_source
from framecue.datasets.naming import NAME_NUMBERS, class_key, find_class, name_notes
from framecue.datasets.near_copies import NearCopy, find_near_copies
from framecue.datasets.part_times import TOLERANCE_SECONDS, TimedPart
from framecue.datasets.presence import NearNames, real_paths
from framecue.datasets.records import part_faults
from framecue.datasets.splits import hmdb_group, ucf_group
from framecue.errors import DatasetError
from framecue.features.store import FeatureStore
from framecue.files import backslash_hint
from framecue.types import Record

Counts = Mapping[str, Mapping[str, int]]

FEW_VIDEOS = 5
"""A class with fewer training videos than this is noted: the fewest that the paper trains on."""
_KINETICS_NAME = re.compile(r"(?P<group>.{11})_\d{6}_\d{6}")


def check_data(
    config: DataConfig,
    *,
    quick: bool = False,
    store: FeatureStore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Reads a source as a run would, opens every video, and reports all faults instead of raising the first.

    Args:
        quick: only look whether the files are there.
        store: features of the videos, in which near copies are looked for; None = they are not.
        progress: called with the videos opened and their number.

    Raises:
        DatasetError: the source cannot be read at all.
        StoreError: the store cannot be read.
    """
    source = find_source(
        config.source,
        format=config.format,
        annotations=config.annotations,
        labels=config.labels,
        split=config.split,
    )
    problems: list[Problem] = []
    records = _read(source, problems)
    records = _keep(records, config.classes, problems)
    labelled = [record for record in records if record.label is not None]
    names = sorted({record.label or "" for record in labelled})
    problems += [Problem("name", note) for note in name_notes(names, NAME_NUMBERS)]
    problems += _unlabelled(records, source)
    real = real_paths(record.path for record in labelled)
    problems += _missing(labelled, real)
    present = [record for record in labelled if record.path in real]
    problems += [Problem.of(fault) for fault in part_faults(present, real)]
    problems += _torn_recordings(present)
    usable = present
    if not quick:
        facts = inspect_files(list(dict.fromkeys(record.path for record in present)), progress)
        problems += _file_problems(present, facts) + _copies(present, real, facts)
        usable = [record for record in present if facts[record.path].is_usable]
    near = [] if store is None else _near_copies(usable, store, problems)
    counts = count(labelled), count(usable)
    problems += _class_problems(*counts, held_out=config.held_out)
    order = list(KINDS)
    problems.sort(key=lambda problem: order.index(problem.kind))
    return DataReport(source.path, source.format, source.annotations, quick, *counts, problems, near)


def count(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Number of records by part ("all" for none) and class, both in a fixed order."""
    counts = Counter((record.split or "all", record.label or "") for record in records)
    parts = sorted({part for part, _ in counts}, key=("train", "val", "test", "all").index)
    return {part: {name: counts[part, name] for p, name in sorted(counts) if p == part} for part in parts}


def _read(source: Source, problems: list[Problem]) -> list[Record]:
    try:
        records, skipped = read_source(source, report=lambda error: problems.append(Problem.of(error)))
    except DatasetError as error:
        if not problems:
            raise
        problems.append(Problem.of(error))  # nothing is left, for the reasons gathered before
        return []
    for item in skipped:
        problems.append(Problem("picture" if item.passed_over else "folder", f"{item.path}: {item.reason}"))
    return records


def _keep(records: list[Record], classes: Sequence[str] | None, problems: list[Problem]) -> list[Record]:
    if classes is None:
        return records
    known, kept = {record.label for record in records if record.label is not None}, set()
    for name in classes:
        try:
            kept.add(find_class(name, known, asked_by="data.classes"))
        except DatasetError as error:
            problems.append(Problem("class", str(error)))
    return [record for record in records if record.label in kept]


def _unlabelled(records: Sequence[Record], source: Source) -> Iterator[Problem]:
    for part, number in Counter(record.split for record in records if record.label is None).items():
        yield Problem(
            "unlabelled",
            f"{source.annotations or source.path}: {number} videos of the {part or 'undivided'} part have no label and "
            "are left out.",
        )


def _missing(records: Sequence[Record], real: Mapping[Path, str]) -> Iterator[Problem]:
    names = NearNames()
    for record in records:
        if record.path not in real:
            near = names.find(record.path)
            hint = f", but {near} is; use one spelling" if near else backslash_hint(record.path)
            yield Problem("missing", f"{record.origin}: {record.path} is not there{hint}.")


def _torn_recordings(records: Sequence[Record]) -> Iterator[Problem]:
    """Clips whose names tell that they were cut from one recording, in two parts; official splits have none."""
    first: dict[str, Record] = {}
    told: set[tuple[str, str | None]] = set()
    for record in records:
        group = _recording(record.path)
        if group is None:
            continue
        other = first.setdefault(group, record)
        if other.split != record.split and other.path != record.path and (group, record.split) not in told:
            told.add((group, record.split))
            yield Problem(
                "source",
                f"{record.origin}: {record.path.name} in {record.split} and {other.path.name} in {other.split} "
                f"({other.origin}) are cut from one recording; results will be too good.",
            )


def _recording(path: Path) -> str | None:
    kinetics = _KINETICS_NAME.fullmatch(path.stem)
    return ucf_group(path) or hmdb_group(path) or (kinetics and kinetics["group"])


def _file_problems(records: Sequence[Record], facts: Mapping[Path, FileFacts]) -> list[Problem]:
    found = []
    told: set[Path] = set()
    for record in records:
        fact = facts[record.path]
        if not fact.is_usable:
            if record.path not in told:
                told.add(record.path)
                kind = "unreadable" if fact.fault and fact.size_bytes else "empty"
                found.append(Problem(kind, f"{_where(record)}{record.path}: {fact.reason}"))
            continue
        start, end, duration = record.start_seconds or 0.0, record.end_seconds, fact.duration_seconds
        if start >= duration or (end is not None and end > duration + TOLERANCE_SECONDS):
            part = TimedPart(record.origin, start, end, duration, record.path)
            found.append(Problem("times", f"{part.told()} ({record.path})."))
    return found


def _where(record: Record) -> str:
    """ "file:line: " for listed videos; nothing for those of class folders, whose paths tell."""
    return f"{record.origin}: " if ":" in record.origin.rpartition("/")[2] else ""


def _copies(records: Sequence[Record], real: Mapping[Path, str], facts: Mapping[Path, FileFacts]) -> list[Problem]:
    """Equal contents under two names: in two parts, with two labels, or merely twice."""
    by_path = defaultdict(list)
    for record in records:
        by_path[real[record.path]].append(record)
    sizes = {real[path]: fact.size_bytes for path, fact in facts.items() if fact.size_bytes}
    found = []
    for group in find_copies(sizes):
        first, *others = (record for path in group for record in by_path[path])
        for other in others:
            if real[other.path] == real[first.path]:
                continue
            if other.split != first.split:
                kind, what = "leak", f"which is in {first.split}; this is in {other.split}"
            elif other.label != first.label:
                kind, what = "labels", f"which is labelled '{first.label}'; this is labelled '{other.label}'"
            else:
                kind, what = "copy", "in the same part and class"
            found.append(Problem(kind, f"{_where(other)}{other.path} is a copy of {first.path}, {what}."))
    return found


def _near_copies(records: Sequence[Record], store: FeatureStore, problems: list[Problem]) -> list[NearCopy]:
    known = store.resolve(dict.fromkeys(record.path for record in records))
    stored = [record for record in records if record.path in known]
    if absent := len({record.path for record in records} - set(known)):
        problems.append(
            Problem(
                "unstored",
                f"{absent} {'video has' if absent == 1 else 'videos have'} no features in {store.path} and "
                f"{'was' if absent == 1 else 'were'} not compared; extract them with: "
                f"framecue extract SOURCE --store {store.path}",
            )
        )
    found = find_near_copies(stored, [known[record.path] for record in stored], store.get_many)
    for near in found:
        first, second = (
            f"{record.path} ({record.split or 'in no part'}, '{record.label}')" for record in (near.first, near.second)
        )
        problems.append(Problem("near", f"{near.similarity:.2f} {first} and {second}"))
    return found


def _class_problems(listed: Counts, usable: Counts, *, held_out: Sequence[str]) -> Iterator[Problem]:
    novel = {class_key(name) for name in held_out}
    train = usable.get("train", usable.get("all", {}))
    has_train = "train" in listed or "all" in listed
    for name in sorted({name for part in listed.values() for name in part}):
        number = sum(part.get(name, 0) for part in listed.values())
        if not any(part.get(name) for part in usable.values()):
            yield Problem("gone", f"class '{name}': none of its {number} listed videos can be used.")
            continue
        if class_key(name) in novel or not has_train:
            continue
        if not train.get(name):
            parts = " and ".join(part for part, classes in usable.items() if classes.get(name))
            yield Problem(
                "untrained",
                f"class '{name}': videos in {parts}, none in train. Add some, or name it in data.held_out as novel.",
            )
            continue
        for part in listed:
            if not usable.get(part, {}).get(name):
                yield Problem("absent", f"class '{name}': no usable video in {part}.")
        if train[name] < FEW_VIDEOS:
            yield Problem("few", f"class '{name}': {train[name]} to train on.")
