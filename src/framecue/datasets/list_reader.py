"""Reads the lists of one protocol against the records of a data set, and checks that they agree with each other."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from framecue.datasets.class_lists import ClassList
from framecue.datasets.manifests import read_text
from framecue.datasets.naming import class_key, shorten
from framecue.datasets.trials import Protocol, Trial, hash_lists, label_of, labels_of, split_lists
from framecue.datasets.video_lists import ListedVideo, Missing, VideoIndex, read_video_list
from framecue.errors import DatasetError
from framecue.types import Record, Skipped

_LIST_NAME = re.compile(r"split_(\d+)\.list")
Found = dict[Record, ListedVideo]


class ListReader:
    """Training lists must all have the same number of classes, `ways`, and of videos of each, `shots`."""

    def __init__(self, records: Sequence[Record], missing: Missing) -> None:
        self.ways = self.shots = 0
        self._records = records
        self._index = VideoIndex(records)
        self._missing = missing
        self._skipped: dict[Path, Skipped] = {}
        self._renamed: dict[str, str] = {}

    def train(self, file: Path, labels: ClassList | None = None) -> Found:
        """Training videos of a list and their lines; none where a class has lost all its videos.

        Raises:
            DatasetError: as `read_video_list` and `VideoIndex`; or a class has fewer videos than others.
        """
        videos = read_video_list(file, labels)
        counts = Counter(video.group for video in videos)
        if not self.ways:
            self.ways, self.shots = len(counts), max(counts.values())
        for group, count in counts.items():
            if count != self.shots:
                raise DatasetError(f"{file}: class '{group}' has {count} videos where {self.shots} are needed of each.")
        if len(counts) != self.ways:
            raise DatasetError(f"{file}: {len(counts)} classes where the list before it has {self.ways}. Use one set.")
        return self.find(file, videos)

    def test(self, file: Path, train: Found, names: Sequence[str], labels: ClassList | None = None) -> list[Record]:
        """Test videos of a list; none where a class has lost all its videos.

        Raises:
            DatasetError: as `read_video_list` and `VideoIndex`; or a video is in `train`, or its class not in `names`.
        """
        found = self.find(file, read_video_list(file, labels))
        for record, video in found.items():
            if record in train:
                raise DatasetError(
                    f"{video.origin}: '{video.text}' is also a training video ({train[record].origin}). Keep it in one."
                )
            if train and record.label not in names:
                raise DatasetError(
                    f"{video.origin}: class '{record.label}' is not among the {len(names)} classes asked for. "
                    "Use lists of one set."
                )
        return [*found]

    def find(self, file: Path, videos: Sequence[ListedVideo]) -> Found:
        """Records of the lines; none where a class has lost all its videos, which counts as a list left out."""
        found, absent = self._index.find_all(videos, self._missing)
        for skipped in absent:
            self._skipped.setdefault(skipped.path, skipped)
        lost = {class_key(video.group) for video in videos} - {class_key(video.group) for video in found.values()}
        if lost:
            group = next(video.group for video in videos if class_key(video.group) in lost)
            reason = f"left out: none of the videos of {len(lost)} classes is in the data, as of '{group}'"
            self._skipped[file] = Skipped(file, reason)
            return {}
        self._check_classes(found)
        return found

    def _check_classes(self, found: Found) -> None:
        groups: dict[str, ListedVideo] = {}
        labels: dict[str, str] = {}
        for record, video in found.items():
            first = groups.setdefault(label_of(record), video)
            label = labels.setdefault(class_key(video.group), label_of(record))
            if class_key(first.group) != class_key(video.group) or label != record.label:
                raise DatasetError(
                    f"{video.origin}: '{video.text}' is of class '{record.label}' in the data, but classes of list and "
                    f"data do not match one to one ({first.origin}). Use lists and data of one set."
                )
            if class_key(video.group) != class_key(label) and video.by_number:
                self._renamed[video.group] = label

    def renamed(self) -> str:
        """What to tell of label files whose numbers contradict the data, whose labels are taken; mostly nothing."""
        pairs = [f"'{group}' is '{label}'" for group, label in sorted(self._renamed.items())]
        return f", except that by the data what the lists call {shorten(pairs)}" if pairs else ""

    def spelled(self, names: ClassList) -> tuple[str, ...]:
        """The names as the data spells them, those that it does not have as listed."""
        labels = {class_key(label): label for label in labels_of(self._records)}
        return tuple(labels.get(class_key(name), name) for name in names.names)

    def skipped(self) -> list[Skipped]:
        """What lists named and the data does not have, each video once, and the lists left out for that."""
        return [*self._skipped.values()]

    def protocol(
        self, name: str, description: str, folder: Path, trials: list[Trial], files: Mapping[str, str | Path]
    ) -> Protocol:
        """The protocol of the trials, whose hash is that of the files."""
        source_hash = hash_lists({role: read_text(Path(file)) for role, file in files.items()})
        lists = split_lists(trials, self._records)
        return Protocol(name, description, str(folder), source_hash, trials, self.skipped(), lists)

    def require(self, trials: Sequence[Trial], folder: Path) -> None:
        """Refuse lists of which no trial is left."""
        if not trials:
            reasons = [f"{skipped.path.name} {skipped.reason}" for skipped in self._skipped.values()]
            raise DatasetError(
                f"{folder}: no trial can be run with the data; {len(reasons)} entries were skipped: "
                f"{shorten(reasons[-1:], 1)}. Point to the data set that the lists are for."
            )


def refuse_tested(train: Found, tested: Sequence[Record]) -> None:
    """Refuse training videos of the data's test part.

    Raises:
        DatasetError: naming the first, its line, and how many there are.
    """
    held = {*tested}
    both = [video for record, video in train.items() if record in held]
    if both:
        raise DatasetError(
            f"{both[0].origin}: '{both[0].text}' is in the test part of the data, like {len(both)} of the {len(train)} "
            "training videos listed. Use the official split that the lists were drawn from."
        )


def numbered_lists(folder: Path) -> Iterator[tuple[int, Path, Path | None]]:
    """Number, training list and test list of each trial; no test lists where there is no folder `test`.

    Raises:
        DatasetError: there are no training lists, a list is not called split_N.list, or the numbers differ.
    """
    train = _numbers(folder / "train")
    if not train:
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        hint = f"found the folders {shorten(inside)}" if inside else "found no folders there"
        raise DatasetError(f"{folder} holds no train/split_0.list; {hint}. Point to the folder of one data set.")
    test = _numbers(folder / "test") if (folder / "test").is_dir() else None
    if test is not None and train.keys() != test.keys():
        alone = min(train.keys() ^ test.keys())
        has, lacks = ("train", "test") if alone in train else ("test", "train")
        raise DatasetError(
            f"{folder}: {has}/split_{alone}.list has no list of that number in {lacks} "
            f"({len(train)} training and {len(test)} test lists). Restore the missing files."
        )
    for number in sorted(train):
        yield number, train[number], None if test is None else test[number]


def list_files(folder: Path) -> dict[str, Path]:
    """Every list below `folder` by its relative name."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.list"))}


def _numbers(folder: Path) -> dict[int, Path]:
    numbers: dict[int, Path] = {}
    for path in sorted(folder.glob("*.list")):
        match = _LIST_NAME.fullmatch(path.name)
        if match is None:
            raise DatasetError(f"{path}: lists must be called split_0.list, split_1.list and so on. Rename it.")
        numbers[int(match[1])] = path
    return numbers
