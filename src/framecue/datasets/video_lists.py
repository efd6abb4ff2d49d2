"""Lists that name videos by class and file name, and how their lines find the records of a data set."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from framecue.datasets.class_lists import ClassList
from framecue.datasets.manifests import read_text
from framecue.datasets.naming import ClassNames, class_key, class_name
from framecue.datasets.trials import label_of, normal_stem, timed_stem
from framecue.errors import DatasetError
from framecue.files import backslash_hint
from framecue.types import Record, Skipped
from framecue.video.files import VIDEO_EXTENSIONS

Missing = Literal["error", "skip"]
_TIMES = re.compile(r"_\d{6}_\d{6}$")


@dataclass(frozen=True)
class ListedVideo:
    """One line of a video list.

    Attributes:
        text: the video as written.
        group: its class as written, or as the label file says for a number.
        stem: the file name without its ending.
        by_number: the class was told by a number, and yields to that of the data: ViFi-CLIP's label files for HMDB-51
            interchange sword and sword exercise, kick and kick ball.
    """

    text: str
    group: str
    stem: str
    origin: str
    by_number: bool = False


def read_video_list(path: str | Path, labels: ClassList | None = None) -> list[ListedVideo]:
    """Lines `class/video` (the authors' lists), or with `labels` lines `path number` (ViFi-CLIP's).

    Endings of video files are dropped; class names may hold spaces and slashes, file names any character.

    Raises:
        DatasetError: the list is empty, a line cannot be understood, a video comes twice, or a class in two spellings.
    """
    path, names, seen = Path(path), ClassNames(), dict[tuple[str, str], str]()
    videos = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        origin = f"{path}:{number}"
        video = _class_line(line.strip(), origin) if labels is None else _numbered_line(line.strip(), origin, labels)
        names.add(video.group, origin)
        first = seen.setdefault((class_key(video.group), video.stem), origin)
        if first != origin:
            raise DatasetError(f"{origin}: '{video.text}' is listed twice ({first}). Remove one of the lines.")
        videos.append(video)
    if not videos:
        raise DatasetError(f"{path} lists no videos. Restore the file, or leave it out.")
    return videos


def _class_line(line: str, origin: str) -> ListedVideo:
    group, separator, file = line.rpartition("/")
    if not separator or not class_name(group) or not _stem(file):
        hint = backslash_hint(line)
        raise DatasetError(f"{origin}: a line must be 'class/video', found '{line}'{hint}. Restore the file.")
    return ListedVideo(line, group, _stem(file), origin)


def _numbered_line(line: str, origin: str, labels: ClassList) -> ListedVideo:
    file, _, number = line.rpartition(" ")
    if not _stem(file) or not number.isdecimal():
        raise DatasetError(f"{origin}: a line must be 'path number', found '{line}'. Restore the file.")
    if int(number) not in labels.numbers:
        raise DatasetError(
            f"{origin}: class number {number} is not among the {len(labels.names)} of {labels.origins[0]} and after. "
            "Use files of one set."
        )
    return ListedVideo(file.strip(), labels.names[labels.numbers.index(int(number))], _stem(file), origin, True)


def _stem(file: str) -> str:
    name = PurePosixPath(file.strip()).name
    return normal_stem(name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in VIDEO_EXTENSIONS else name)


class VideoIndex:
    """Finds the records that lines of lists mean.

    A line means the record with its class and file name. The class may be the label or the folder, in any spelling.
    Where the data has no such class, the file name alone decides, if only one record has it. Kinetics'
    `ID_000048_000058` also means the file `ID`, and the part of it from 48 to 58 s; `ID` also means the file
    `ID_000048_000058`.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_name: dict[tuple[str | None, str], list[Record]] = defaultdict(list)
        self._labels: dict[str, str] = {}
        for record in records:
            label, stem = label_of(record), timed_stem(record)
            self._labels[class_key(label)] = label
            names = {stem, _TIMES.sub("_*", stem)}
            for group in {class_key(label), class_key(record.path.parent.name), None}:
                for name in names:
                    self._by_name[group, name].append(record)

    def find(self, video: ListedVideo) -> Record | None:
        """The record meant, or None where there is none.

        Raises:
            DatasetError: several are meant, or the data has the file under another class.
        """
        groups = (class_key(video.group), class_key(video.group.rpartition("/")[2]))
        bare = _TIMES.sub("", video.stem)
        for stem in (video.stem, bare if bare != video.stem else f"{bare}_*"):
            for group in groups:
                if found := self._by_name.get((group, stem)):
                    return found[0] if len(found) == 1 else _narrowed(found, video)
        found = self._by_name.get((None, video.stem), [])
        if len(found) != 1:
            return None
        if self._labels.keys() & {*groups} and not video.by_number:
            raise DatasetError(
                f"{video.origin}: '{video.text}' is in the data as '{found[0].label}' ({found[0].path}). "
                "Use lists and data of one set."
            )
        return found[0]

    def find_all(
        self, videos: Sequence[ListedVideo], missing: Missing
    ) -> tuple[dict[Record, ListedVideo], list[Skipped]]:
        """Records with the lines that mean them, and the lines whose videos are not there.

        Raises:
            DatasetError: as `find`; two lines mean one record; or a video is not there and `missing` is "error".
        """
        found: dict[Record, ListedVideo] = {}
        absent = []
        for video in videos:
            record = self.find(video)
            if record is None:
                absent.append(video)
            elif record in found:
                raise DatasetError(
                    f"{video.origin}: '{video.text}' is the same video as in {found[record].origin} ({record.path}). "
                    "Remove one of the lines."
                )
            else:
                found[record] = video
        if absent and missing == "error":
            raise DatasetError(
                f"{absent[0].origin}: no video '{absent[0].text}' in the data{self._nearest(absent[0].group)}"
                f"{backslash_hint(absent[0].text)}; "
                f"{len(absent)} of the {len(videos)} videos listed there are missing. "
                "Get them, or go on without them with data.missing=skip."
            )
        reasons = ((video, f"not in the data ({video.origin}){backslash_hint(video.text)}") for video in absent)
        return found, [Skipped(Path(video.text), reason) for video, reason in reasons]

    def _nearest(self, group: str) -> str:
        near = difflib.get_close_matches(class_key(group), list(self._labels), n=1)
        return (
            f" (its class nearest to that is '{self._labels[near[0]]}')" if near and near[0] != class_key(group) else ""
        )


def _narrowed(found: Sequence[Record], video: ListedVideo) -> Record:
    """The one of several whose folders are those of the line."""
    folders = tuple(class_key(part) for part in video.group.split("/"))
    exact = [
        record
        for record in found
        if tuple(class_key(part) for part in record.path.parent.parts[-len(folders) :]) == folders
    ]
    if len(exact) != 1:
        raise DatasetError(
            f"{video.origin}: '{video.text}' may be any of {len(found)} videos of the data ({found[0].path}, "
            f"{found[1].path}). Give the files names of their own, or write more folders before the class."
        )
    return exact[0]
