"""The formats in which labelled videos come: which one a source has, and the reader of each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from framecue.config import DataFormat
from framecue.datasets.class_lists import read_class_list
from framecue.datasets.faults import DataFaultError, Report, refuse
from framecue.datasets.folders import read_folder
from framecue.datasets.kinetics import is_kinetics, read_kinetics
from framecue.datasets.manifests import read_csv, read_jsonl, read_text
from framecue.datasets.number_lists import is_number_list, names_by_number, read_number_lists
from framecue.datasets.official import looks_like, read_hmdb51, read_ucf101
from framecue.datasets.something import is_something, read_something
from framecue.errors import DatasetError
from framecue.types import Record, Skipped

_LISTED: dict[DataFormat, Callable[[Path], bool]] = {
    "kinetics": is_kinetics,
    "something": is_something,
    "list": is_number_list,
}
"""Formats of one file, or a folder with a file for each part, and what tells such a file by its beginning."""

_LISTED_ENDINGS = (".csv", ".json", ".txt", ".list")


@dataclass(frozen=True)
class Source:
    """Where labelled videos are read from.

    Attributes:
        path: the folder of videos, or a manifest.
        annotations: official files, or None where the format has none.
        labels: names of the classes that are called by numbers.
    """

    path: Path
    format: DataFormat
    annotations: Path | None = None
    labels: Path | None = None
    split: int = 1


def find_source(
    path: str | Path,
    *,
    format: DataFormat = "auto",
    annotations: str | Path | None = None,
    labels: str | Path | None = None,
    split: int = 1,
) -> Source:
    """The source that is meant, with its format found out where that is "auto".

    Raises:
        DatasetError: a path does not exist, the format cannot be told, or needs other paths than those given.
    """
    path = Path(path)
    annotations, labels = (None if given is None else Path(given) for given in (annotations, labels))
    for given in filter(None, (path, annotations, labels)):
        if not given.exists():
            raise DatasetError(f"{given} does not exist. Relative paths are taken from {Path.cwd()}.")
    if annotations is None and path.is_file() and (format in _LISTED or (format == "auto" and _listed_format(path))):
        path, annotations = path.parent, path  # the list alone was named; its videos lie beside it
    if format == "auto":
        format, path = _detect(path, annotations)
    if path.is_dir() == (format in ("csv", "jsonl")):
        found = "a folder" if path.is_dir() else "a file"
        raise DatasetError(f"{path} is {found}, which format '{format}' does not read. Leave the format at auto.")
    if annotations is None and format not in ("folder", "csv", "jsonl"):
        raise DatasetError(f"Format '{format}' needs the folder of official split files. Give it as data.annotations.")
    return Source(path, format, annotations, labels, split)


def read_source(source: Source, *, report: Report = refuse) -> tuple[list[Record], list[Skipped]]:
    """Records as the source lists them, unchecked, and class folders without videos.

    Raises:
        DatasetError: the source cannot be read, or (by the report) a line of it cannot be understood.
    """
    videos, annotations = source.path, source.annotations or source.path
    match source.format:
        case "csv":
            return _named(read_csv(videos, report=report), source, report), []
        case "jsonl":
            return _named(read_jsonl(videos, report=report), source, report), []
        case "hmdb51":
            return read_hmdb51(videos, annotations, split=source.split, report=report), []
        case "ucf101":
            return read_ucf101(videos, annotations, split=source.split, report=report), []
        case "kinetics":
            return read_kinetics(videos, annotations, report=report), []
        case "something":
            return read_something(videos, annotations, report=report), []
        case "list":
            records = read_number_lists(videos, annotations, labels=source.labels, split=source.split, report=report)
            return records, []
        case _:
            records, skipped = read_folder(videos, report=report)
            return _named(records, source, report), skipped


def _named(records: list[Record], source: Source, report: Report) -> list[Record]:
    """The records, labels that are numbers replaced by the names that `source.labels` gives them."""
    if source.labels is None:
        return records
    if not any((record.label or "").isdecimal() for record in records):
        raise DatasetError(
            f"data.labels names the classes of numbers, and no label of {source.path} is one. Leave it out."
        )
    names = names_by_number(read_class_list(source.labels))
    found = []
    for record in records:
        label = record.label or ""
        if label.isdecimal() and int(label) in names:
            record = replace(record, label=names[int(label)])
        elif label.isdecimal():
            report(DataFaultError("class", f"{record.origin}: class number {label} is not in {source.labels}. Add it."))
        found.append(record)
    return found


def _detect(path: Path, annotations: Path | None) -> tuple[DataFormat, Path]:
    """The format, and the file that is meant where `path` is a folder with a metadata file."""
    if annotations is not None:
        found = _format_of_annotations(annotations)
        if found is None:
            _refuse_encoding(annotations)
            raise DatasetError(
                f"{annotations} holds no official files of HMDB-51 (*_test_split1.txt), UCF-101 (trainlist01.txt), "
                "Kinetics (train.csv) or Something-Something (*train.json), nor lists (train.txt with lines "
                "'path number'). Point data.annotations at them, or leave it out."
            )
        return found, path
    if path.is_dir():
        metadata = next((file for file in (path / "metadata.csv", path / "metadata.jsonl") if file.is_file()), None)
        return ("folder", path) if metadata is None else _detect(metadata, None)
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv", path
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return "jsonl", path
    _refuse_encoding(path)
    raise DatasetError(
        f"{path} is neither a folder nor a .csv, .tsv or .jsonl file. Set data.format to say what it is."
    )


def _refuse_encoding(path: Path) -> None:
    """A text file whose encoding hides what it is."""
    if path.is_file() and path.suffix.lower() in _LISTED_ENDINGS:
        read_text(path)


def _format_of_annotations(annotations: Path) -> DataFormat | None:
    if annotations.is_file():
        return _listed_format(annotations)
    match looks_like(annotations):
        case "hmdb51":
            return "hmdb51"
        case "ucf101":
            return "ucf101"
    folders = (annotations, annotations / "annotations", annotations / "labels")
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file()]
    return next((found for path in files if (found := _listed_format(path))), None)


def _listed_format(path: Path) -> DataFormat | None:
    if path.suffix.lower() not in _LISTED_ENDINGS:
        return None
    return next((name for name, is_one in _LISTED.items() if is_one(path)), None)
