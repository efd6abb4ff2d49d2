"""HMDB-51 and UCF-101 in their official class lists and split files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from framecue.datasets.faults import DataFaultError, Report, refuse
from framecue.datasets.manifests import read_text
from framecue.datasets.naming import class_name, class_name_from_camel_case
from framecue.errors import DatasetError
from framecue.files import WrittenNames
from framecue.types import Record

_HMDB_PARTS = {"0": None, "1": "train", "2": "test"}


def read_hmdb51(videos: Path, annotations: Path, *, split: int = 1, report: Report = refuse) -> list[Record]:
    """HMDB-51's official split: `CLASS_test_splitN.txt` with lines `name.avi 0|1|2` (unused, train, test).

    Also reads the two-file form `train_split0N.txt`, `test_split0N.txt` with lines `class/name.avi`. Videos are looked
    for at `videos/CLASS/name.avi`, else `videos/name.avi`; whether they are there is not checked here.

    Raises:
        DatasetError: the split files are not there, or (by the report) a line cannot be understood ("file:line").
    """
    folder = _find_folder(annotations, f"*_test_split{split}.txt", "testTrainMulti_7030_splits")
    if folder is not None:
        return list(_hmdb_tagged(videos, folder, split, report))
    folder = _find_folder(annotations, f"train_split{split:02d}.txt", "HMDB51")
    if folder is None:
        raise DatasetError(
            f"{annotations} holds no HMDB-51 files for split {split} (*_test_split{split}.txt or "
            f"train_split{split:02d}.txt). Point data.annotations at the folder of official split files."
        )
    return list(_hmdb_listed(videos, folder, split, report))


def read_ucf101(videos: Path, annotations: Path, *, split: int = 1, report: Report = refuse) -> list[Record]:
    """UCF-101's official split: `classInd.txt`, `trainlist0N.txt` (`Class/v_x.avi 1`), `testlist0N.txt`.

    Class names are told from their folders: "ApplyEyeMakeup" becomes "apply eye makeup". Videos are looked for at
    `videos/CLASS/name.avi`, else `videos/name.avi`; whether they are there is not checked here.

    Raises:
        DatasetError: the files are not there, or (by the report) a line cannot be understood ("file:line").
    """
    folder = _find_folder(annotations, f"trainlist{split:02d}.txt", "ucfTrainTestlist")
    if folder is None:
        raise DatasetError(
            f"{annotations} holds no UCF-101 files for split {split} (trainlist{split:02d}.txt). "
            "Point data.annotations at the folder of official split files."
        )
    numbers = dict(_ucf_class(line, origin) for line, origin in _lines(folder / "classInd.txt"))
    records = []
    for part in ("train", "test"):
        for line, origin in _lines(folder / f"{part}list{split:02d}.txt"):
            try:
                group, file = _ucf_line(line, origin, numbers, folder / "classInd.txt")
            except DatasetError as error:
                report(error)
            else:
                label = class_name_from_camel_case(group)
                records.append(Record(_locate(videos, group, file), label, part, origin=origin))
    return records


def looks_like(annotations: Path) -> str | None:
    """ "hmdb51" or "ucf101" by the files in the folder, else None."""
    if _find_folder(annotations, "trainlist0?.txt", "ucfTrainTestlist"):
        return "ucf101"
    hmdb = _find_folder(annotations, "*_test_split?.txt", "testTrainMulti_7030_splits")
    return "hmdb51" if hmdb or _find_folder(annotations, "train_split0?.txt", "HMDB51") else None


def _hmdb_tagged(videos: Path, folder: Path, split: int, report: Report) -> Iterator[Record]:
    ending = f"_test_split{split}.txt"
    for path in sorted(folder.glob(f"*{ending}")):
        group = path.name.removesuffix(ending)
        for line, origin in _lines(path):
            name, _, tag = line.rpartition(" ")
            if not name or tag not in _HMDB_PARTS:
                report(
                    DatasetError(
                        f"{origin}: a line must be 'name.avi 0|1|2', found '{line}'. Restore the official file."
                    )
                )
            elif _HMDB_PARTS[tag] is not None:
                yield Record(_locate(videos, group, name.strip()), class_name(group), _HMDB_PARTS[tag], origin=origin)


def _hmdb_listed(videos: Path, folder: Path, split: int, report: Report) -> Iterator[Record]:
    for part in ("train", "test"):
        for name, origin in _lines(folder / f"{part}_split{split:02d}.txt"):
            try:
                group, file = _class_and_file(name, origin)
            except DatasetError as error:
                report(error)
            else:
                yield Record(_locate(videos, group, file), class_name(group), part, origin=origin)


def _ucf_line(line: str, origin: str, numbers: Mapping[str, str], class_list: Path) -> tuple[str, str]:
    """Class folder and file of a line, checked against the class list."""
    name, _, number = line.partition(" ")
    group, file = _class_and_file(name, origin)
    if group not in numbers:
        raise DataFaultError("class", f"{origin}: class '{group}' is not in {class_list}. Use files of one set.")
    if number.strip() not in ("", numbers[group]):
        raise DataFaultError(
            "class",
            f"{origin}: class '{group}' has number {numbers[group]} in classInd.txt, found {number.strip()}. "
            "Use files of one set.",
        )
    return group, file


def _ucf_class(line: str, origin: str) -> tuple[str, str]:
    number, _, name = line.partition(" ")
    if not number.isdecimal() or not name.strip():
        raise DatasetError(f"{origin}: a line must be 'number Class', found '{line}'. Restore the official file.")
    return name.strip(), number


def _find_folder(annotations: Path, pattern: str, archive_folder: str) -> Path | None:
    """`annotations`, or the folder that the official archive unpacks to within it, whichever holds the files."""
    folders = (annotations, annotations / archive_folder)
    return next((folder for folder in folders if any(folder.glob(pattern))), None)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Non-empty lines with their "file:line"."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield line.strip(), f"{path}:{number}"


def _class_and_file(name: str, origin: str) -> tuple[str, str]:
    group, separator, file = name.partition("/")
    if not separator or not group or not file:
        raise DatasetError(
            f"{origin}: a video must be written Class/name.avi, found '{name}'. Restore the official file."
        )
    return group, file


def _locate(videos: Path, group: str, file: str) -> Path:
    flat = videos / file
    return flat if flat.is_file() else WrittenNames().find(videos / group / file)
