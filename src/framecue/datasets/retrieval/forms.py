"""The forms in which captions come: how each is told, and the files of a folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

from framecue.datasets.json_items import read_json_items
from framecue.datasets.naming import part_in_file_name
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.lsmdc import LSMDC_FILES, is_lsmdc, lsmdc_part, read_lsmdc
from framecue.datasets.retrieval.msrvtt import is_msrvtt, read_msrvtt_data
from framecue.datasets.retrieval.msvd import is_msvd, pickle_refusal, read_msvd
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.datasets.retrieval.paragraphs import read_activitynet_captions, read_didemo
from framecue.datasets.retrieval.simple import read_simple_csv, read_simple_json, read_simple_jsonl
from framecue.errors import DatasetError

Reader = Callable[..., Iterator[RawEntry]]
"""From a file and the notes to its entries."""

_ENDINGS = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
_SIMPLE: dict[str, Reader] = {"json": read_simple_json, "jsonl": read_simple_jsonl, "csv": read_simple_csv}


def read_smit(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """Spoken Moments in Time: transcribed descriptions of three-second clips (481,094 / 14,604 / 3,513).

    No public source shows the released files, so this reads what they most likely are: a JSON, JSONL or CSV file a
    part, with a path or id of the Moments in Time clip and its text, under any of the names in `simple.FIELDS`, or as
    `{path: text}`. Files of another make need these names first. The part is the file's, or in a column: the folders
    "training" and "validation" in a clip's path are those of Moments in Time and tell nothing of it.
    """
    simple = _ENDINGS.get(path.suffix.lower())
    if simple is None:
        raise DatasetError(f"{path}: Spoken Moments are read from .json, .jsonl, .csv or .tsv. Convert the file.")
    reader = _SIMPLE[simple]
    yield from reader(path, notes, part_by_folder=False)


READERS: dict[str, Reader] = {
    **_SIMPLE,
    "msrvtt": read_msrvtt_data,
    "lsmdc": read_lsmdc,
    "didemo": read_didemo,
    "smit": read_smit,
    "msvd": read_msvd,
    "activitynet_captions": read_activitynet_captions,
}
"""For each format the reader of one of its files."""


def find_format(source: Path) -> str:
    """The form of a file or folder.

    Raises:
        DatasetError: it does not exist, is a pickle, or of no known form.
    """
    if not source.exists():
        raise DatasetError(f"{source} does not exist. Relative paths are taken from {Path.cwd()}.")
    if source.is_dir():
        if is_msrvtt(source):
            return "msrvtt"
        if is_msvd(source):
            return "msvd"
        if any((source / name).is_file() for name in LSMDC_FILES):
            return "lsmdc"
        formats = {_form_of_file(path) for path in _candidates(source) if not path.stem.endswith("_ids")}
        if len(formats) != 1:
            found = f"files of {', '.join(sorted(formats))}" if formats else "none"
            raise DatasetError(
                f"{source}: a folder of captions holds captions.json (.jsonl, .csv, .tsv), a file for each part "
                f"(train.json ...) or official files, found {found}. Name the file."
            )
        return formats.pop()
    return _form_of_file(source)


def part_files(source: Path, format: str, notes: CaptionNotes) -> list[Path]:
    """The files to read: of a folder those of published protocols; others that look like them are counted.

    Raises:
        DatasetError: there is none.
    """
    if not source.exists():
        raise DatasetError(f"{source} does not exist. Relative paths are taken from {Path.cwd()}.")
    if not source.is_dir():
        return [source]
    files = _candidates(source)
    names = {path.name for path in files}
    if format == "lsmdc":
        unread = names - set(LSMDC_FILES)
    else:
        unread = {path.name for path in files if path.stem.endswith("_ids")}
        if format == "activitynet_captions" and "val_1.json" in names:  # val_2 annotates its videos anew
            unread |= names & {"val_2.json"}
    for name in sorted(unread):
        notes.add("unread", name)
    if names == unread:
        raise DatasetError(f"{source} holds no files of captions in parts (train.json ...). Name the file.")
    return [path for path in files if path.name not in unread]


def part_of_file(path: Path, format: str) -> str | None:
    """The part that a file's name tells: "test" for test_data.json."""
    return lsmdc_part(path) if format == "lsmdc" else part_in_file_name(path.stem)


def _candidates(folder: Path) -> list[Path]:
    """A folder's one file named captions, else its files that are named for a part."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS and path.is_file())
    named = [path for path in files if path.stem.lower() == "captions"]
    return named[:1] or [path for path in files if lsmdc_part(path) is not None]


def _form_of_file(path: Path) -> str:
    ending = _ENDINGS.get(path.suffix.lower())
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise pickle_refusal(path)
    if ending == "json":
        return _form_of_json(path)
    if path.suffix.lower() in (".csv", ".tsv", ".txt") and is_lsmdc(path):
        return "lsmdc"
    if ending is None:
        raise DatasetError(f"{path} holds no captions of a known form. Give a .json, .jsonl, .csv or .tsv file.")
    return ending


def _form_of_json(path: Path) -> str:
    """Told by the first item."""
    _, key, value = next(read_json_items(path), ("", None, None))
    keys = set(value) if isinstance(value, dict) else set()
    if key is None:
        return "didemo" if {"video", "description", "times"} <= keys else "json"
    if key in ("info", "videos", "sentences") and (key == "info" or isinstance(value, list)):
        return "msrvtt"
    if {"sentences", "timestamps"} <= keys:
        return "activitynet_captions"
    if "caption_list" in keys:
        return "didemo"
    return "msvd" if is_msvd(path.parent) and path.stem.endswith("captions_msvd") else "json"
