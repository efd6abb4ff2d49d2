"""Labelled videos from any accepted source: a folder per class, CSV, JSONL, HMDB-51 and UCF-101."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from framecue.config import DataConfig
from framecue.datasets.manifests import read_csv, read_jsonl
from framecue.datasets.naming import ClassNames, find_class, part_name, shorten
from framecue.datasets.official import looks_like, read_hmdb51, read_ucf101
from framecue.errors import DatasetError
from framecue.types import Record, Skipped
from framecue.video.files import VIDEO_EXTENSIONS, find_videos, has_video_extension

Format = Literal["auto", "folder", "csv", "jsonl", "hmdb51", "ucf101"]
Missing = Literal["error", "skip"]


def load_data(data: DataConfig, *, missing: Missing | None = None) -> tuple[list[Record], list[Skipped]]:
    """`load_records` for the data section of a run config; held-out classes are kept."""
    return load_records(
        data.source,
        format=data.format,
        annotations=data.annotations,
        split=data.split,
        classes=data.classes,
        missing=missing or data.missing,
    )


def load_records(
    source: str | Path,
    *,
    format: Format = "auto",
    annotations: str | Path | None = None,
    split: int = 1,
    classes: Sequence[str] | None = None,
    missing: Missing = "error",
) -> tuple[list[Record], list[Skipped]]:
    """Labelled videos of a source, checked: files there, one spelling per class, no video in two parts.

    Args:
        source: folder with a folder per class (with or without train, val, test above them), a .csv or .jsonl manifest,
            a folder with metadata.csv or metadata.jsonl, or with `annotations` the folder of videos.
        annotations: folder of official HMDB-51 or UCF-101 files.
        split: which official split.
        classes: keep these alone; videos of others are neither checked nor listed as missing.
        missing: "skip" lists videos that are not there instead of raising.

    Returns:
        Records in the order of the source, and what was left out: missing videos, class folders without videos.

    Raises:
        DatasetError: the source cannot be used; the message names the file and, where there is one, the line.
    """
    source, annotations = Path(source), None if annotations is None else Path(annotations)
    for path in filter(None, (source, annotations)):
        if not path.exists():
            raise DatasetError(f"{path} does not exist. Relative paths are taken from {Path.cwd()}.")
    if format == "auto":
        format, source = _detect(source, annotations)
    if source.is_dir() == (format in ("csv", "jsonl")):
        found = "a folder" if source.is_dir() else "a file"
        raise DatasetError(f"{source} is {found}, which format '{format}' does not read. Leave the format at auto.")
    if format == "folder":
        records, skipped = read_folder(source)
    elif format in ("csv", "jsonl"):
        records, skipped = (read_csv if format == "csv" else read_jsonl)(source), []
    elif annotations is None:
        raise DatasetError(f"Format '{format}' needs the folder of official split files. Give it as data.annotations.")
    else:
        records = (read_hmdb51 if format == "hmdb51" else read_ucf101)(source, annotations, split=split)
        skipped = []
    if classes is not None:
        records = keep_classes(records, classes)
    present, absent = _present(records, source, missing)
    _check_parts(present)
    return present, skipped + absent


def read_folder(root: Path) -> tuple[list[Record], list[Skipped]]:
    """Records of `root/CLASS/...` or `root/train|val|test/CLASS/...`; the second where such a folder holds folders.

    Videos may lie at any depth below their class folder. Hidden files and files of other endings are passed over; class
    folders without videos are returned as skipped.

    Raises:
        DatasetError: no videos, videos outside class folders, or part folders beside class folders.
    """
    _refuse_loose_videos(root)
    folders = _subfolders(root)
    parts = [path for path in folders if part_name(path.name) and _subfolders(path)]
    with_videos = [path for path in folders if find_videos(path)]
    strays = [path.name for path in with_videos if path not in parts]
    if parts and strays:
        raise DatasetError(
            f"{root} mixes {shorten([path.name for path in parts])} with class folders ({shorten(strays, 3)}). "
            "Use train, val and test folders for all classes, or for none."
        )
    if not parts and with_videos and all(part_name(path.name) for path in with_videos):
        raise DatasetError(
            f"{root} holds {shorten([path.name for path in with_videos])} without class folders in them. "
            "Put each video into a folder named after its class, as train/jumping/a.mp4."
        )
    names = ClassNames()
    records: list[Record] = []
    skipped: list[Skipped] = []
    for split, parent in [(part_name(path.name), path) for path in parts] or [(None, root)]:
        _refuse_loose_videos(parent)
        for folder in _subfolders(parent):
            videos = find_videos(folder)
            if videos:
                label = names.add(folder.name, str(folder))
                records += [Record(path, label, split, origin=str(folder)) for path in videos]
            else:
                skipped.append(Skipped(folder, "no videos in this class folder"))
    if not records:
        looked_for = " ".join(sorted(ending.lstrip(".") for ending in VIDEO_EXTENSIONS))
        raise DatasetError(
            f"No videos found in {root}; looked for a folder per class with files ending in {looked_for}. "
            "Check the path, or list the files in a CSV with the columns path,label."
        )
    return records, skipped


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


def _refuse_loose_videos(folder: Path) -> None:
    loose = [path.name for path in _entries(folder) if path.is_file() and has_video_extension(path)]
    if loose:
        raise DatasetError(
            f"{folder} holds videos outside class folders ({shorten(loose, 3)}). "
            "Put each into a folder named after its class."
        )


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _detect(source: Path, annotations: Path | None) -> tuple[Format, Path]:
    """The format, and the file that is meant where `source` is a folder with a metadata file."""
    if annotations is not None:
        found = looks_like(annotations)
        if found is None:
            raise DatasetError(
                f"{annotations} holds no official files of HMDB-51 (*_test_split1.txt) or UCF-101 (trainlist01.txt). "
                "Point data.annotations at them, or leave it out."
            )
        return ("hmdb51" if found == "hmdb51" else "ucf101"), source
    if source.is_dir():
        metadata = next((path for path in (source / "metadata.csv", source / "metadata.jsonl") if path.is_file()), None)
        return ("folder", source) if metadata is None else _detect(metadata, None)
    if source.suffix.lower() in (".csv", ".tsv"):
        return "csv", source
    if source.suffix.lower() in (".jsonl", ".ndjson"):
        return "jsonl", source
    raise DatasetError(
        f"{source} is neither a folder nor a .csv, .tsv or .jsonl file. Set data.format to say what it is."
    )


def _check_parts(records: Sequence[Record]) -> None:
    """No record twice, no footage in two parts, and a part for all records or for none."""
    undecided = [record for record in records if record.split is None]
    if undecided and len(undecided) < len(records):
        raise DatasetError(
            f"{undecided[0].origin}: no split given where other entries have one. Write train, val or test."
        )
    by_file: dict[str, list[Record]] = {}
    for record in records:
        earlier = by_file.setdefault(os.path.realpath(record.path), [])
        for other in earlier:
            _check_pair(record, other)
        earlier.append(record)


def _check_pair(record: Record, other: Record) -> None:
    same_times = (record.start_seconds, record.end_seconds) == (other.start_seconds, other.end_seconds)
    if record.split != other.split and _overlap(record, other):
        raise DatasetError(
            f"{record.origin}: {record.path} is in {record.split} and in {other.split} ({other.origin}). "
            "Keep each video in one part, or results will be too good."
        )
    if same_times and record.split == other.split:
        labels = (
            f"labelled '{record.label}' here and '{other.label}' there"
            if record.label != other.label
            else "listed twice"
        )
        raise DatasetError(f"{record.origin}: {record.path} is {labels} ({other.origin}). Remove one of the entries.")


def _overlap(first: Record, second: Record) -> bool:
    def bounds(record: Record) -> tuple[float, float]:
        end_seconds = float("inf") if record.end_seconds is None else record.end_seconds
        return record.start_seconds or 0.0, end_seconds

    (start, end), (other_start, other_end) = bounds(first), bounds(second)
    return start < other_end and other_start < end


def _present(records: Sequence[Record], source: Path, missing: Missing) -> tuple[list[Record], list[Skipped]]:
    exists = {path: os.path.isfile(path) for path in {record.path for record in records}}
    absent = [record for record in records if not exists[record.path]]
    if not absent:
        return list(records), []
    first = shorten([f"{record.path} ({record.origin})" for record in absent], 3)
    if len(absent) == len(records):
        raise DatasetError(
            f"None of the {len(records)} videos listed is there: {first}. Check that {source} is the right one."
        )
    if missing == "error":
        raise DatasetError(
            f"{len(absent)} of the {len(records)} videos listed are missing: {first}. "
            "Fix the paths, or set data.missing=skip to go on without them."
        )
    skipped = {record.path: Skipped(record.path, f"file not found ({record.origin})") for record in absent}
    return [record for record in records if exists[record.path]], list(skipped.values())
