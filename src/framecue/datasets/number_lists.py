"""Lists of videos with class numbers, `rel/path.mp4 12`, as MMAction2, X-CLIP and ViFi-CLIP use them."""

import re
from collections.abc import Iterator
from pathlib import Path

from framecue.datasets.class_lists import ClassList, read_class_list
from framecue.datasets.faults import DataFaultError, Report, refuse
from framecue.datasets.file_index import FileIndex
from framecue.datasets.manifests import read_head, read_text
from framecue.datasets.naming import class_name, class_name_from_camel_case, shorten
from framecue.datasets.part_files import part_files
from framecue.errors import DatasetError
from framecue.files import WrittenNames
from framecue.types import Record

_LINE = re.compile(r"\S.*\s\d+")
_SEVERAL = re.compile(r".*\S\s+\d+\s+\d+")


def read_number_lists(
    videos: Path, annotations: Path, *, labels: Path | None = None, split: int = 1, report: Report = refuse
) -> list[Record]:
    """Lines `rel/path.mp4 number`: one file, or for each part the file of a folder with its name in its own.

    The number stands for a class of `labels` (CSV with the columns id and name, one name a line, or UCF-101's
    classInd.txt), else of the one file beside the lists whose name says "label" or "classInd". Names such as
    "ApplyEyeMakeup" are told as "apply eye makeup" where no class of the file is written in several words. A video is
    at the path below `videos`, else it is the one of that name in any folder there, with any ending.

    Raises:
        DatasetError: the files are not there, or (by the report) a line cannot be understood ("file:line").
    """
    files = part_files(annotations, (".txt", ".list", ".csv"), is_number_list, split=split)
    labels = labels or _labels_beside(files[0][0])
    names = names_by_number(read_class_list(labels))
    places = _Places(videos)
    records: list[Record] = []
    for path, part in files:
        for line, origin in _lines(path):
            try:
                file, number = _parse(line, origin)
                if number not in names:
                    raise DataFaultError(
                        "class", f"{origin}: class number {number} is not in {labels}. Use files of one data set."
                    )
                records.append(Record(places.find(file, names[number], part), names[number], part, origin=origin))
            except DatasetError as error:
                report(error)
    if not records:
        raise DatasetError(f"{annotations} lists no videos. Give lines such as run/a.mp4 3.")
    return records


def is_number_list(path: Path) -> bool:
    """Whether the first line of a file is a path and a number."""
    lines = read_head(path).splitlines()
    first = lines[0].strip() if lines else ""
    return bool(_LINE.fullmatch(first)) and not first.partition(" ")[0].isdecimal()


class _Places:
    """Where listed videos lie; the folder is walked only if one is not where the list says."""

    def __init__(self, videos: Path) -> None:
        self._videos, self._index, self._written = videos, None, WrittenNames()

    _index: FileIndex | None

    def find(self, file: str, label: str, part: str | None) -> Path:
        listed = self._written.find(self._videos / file)
        if self._index is None:
            if listed.is_file():
                return listed
            self._index = FileIndex(self._videos)
        found = self._index.find(Path(file).stem, label=label, part=part)
        return listed if found is None or listed.is_file() else found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield line.strip(), f"{path}:{number}"


def _parse(line: str, origin: str) -> tuple[str, int]:
    file, _, number = line.replace("\t", " ").rpartition(" ")
    if not file.strip() or not (number.isascii() and number.isdecimal()):
        raise DatasetError(f"{origin}: a line must be 'path number', found '{line[:80]}'. Fix the line.")
    if _SEVERAL.fullmatch(line):
        raise DatasetError(
            f"{origin}: several numbers in one line, found '{line[:80]}'; framecue takes one class a video, and no "
            "lists of frames. Keep the path and one class number."
        )
    return file.strip(), int(number)


def _labels_beside(path: Path) -> Path:
    """The one file in the list's folder that names the classes."""
    found = [
        other
        for other in sorted(path.parent.iterdir())
        if other.suffix.lower() in (".txt", ".csv")
        and ("label" in other.stem.lower() or other.stem.lower() == "classind")
        and other != path
    ]
    if len(found) != 1:
        beside = f"there are {len(found)} beside it ({shorten([o.name for o in found])})" if found else "none is there"
        raise DatasetError(f"{path} needs a file of class names, and {beside}. Name it as data.labels.")
    return found[0]


def names_by_number(classes: ClassList) -> dict[int, str]:
    """Class names by the numbers that lists call them; "ApplyEyeMakeup" is told as "apply eye makeup"."""
    single = not any(len(class_name(name).split()) > 1 for name in classes.names)
    tell = class_name_from_camel_case if single and any(name.lower() != name for name in classes.names) else class_name
    return {number: tell(name) for number, name in zip(classes.numbers, classes.names, strict=True)}
