"""A folder per class, with or without folders for train, val and test above them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from framecue.datasets.faults import Report, refuse
from framecue.datasets.naming import ClassNames, part_name, shorten
from framecue.errors import DatasetError
from framecue.types import Record, Skipped
from framecue.video.files import (
    DEFAULT,
    VIDEO_EXTENSIONS,
    find_videos,
    has_picture_extension,
    has_video_extension,
)


def read_folder(root: Path, *, report: Report = refuse) -> tuple[list[Record], list[Skipped]]:
    """Records of `root/CLASS/...` or `root/train|val|test/CLASS/...`; the second where such a folder holds folders.

    Videos may lie at any depth below their class folder. Files of other endings are passed over, as is what nobody
    means (`FolderRules`); class folders without videos are returned as skipped, and a line for each kind of picture.

    Raises:
        DatasetError: no videos, (by the report) videos outside class folders, or part folders beside class folders.
    """
    _report_loose_videos(root, report)
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
    names = ClassNames(report)
    records: list[Record] = []
    skipped: list[Skipped] = []
    pictures: list[Path] = []
    for split, parent in [(part_name(path.name), path) for path in parts] or [(None, root)]:
        if parent != root:
            _report_loose_videos(parent, report)
        for folder in _subfolders(parent):
            files = find_videos(folder, takes=lambda path: has_video_extension(path) or has_picture_extension(path))
            videos = [path for path in files if has_video_extension(path)]
            pictures += [path for path in files if not has_video_extension(path)]
            if not videos:
                skipped.append(Skipped(folder, "no videos in this class folder"))
                continue
            try:
                label = names.add(folder.name, str(folder))
            except DatasetError as error:
                report(error)
            else:
                records += [Record(path, label, split, origin=str(folder)) for path in videos]
    if not records:
        looked_for = " ".join(sorted(ending.lstrip(".") for ending in VIDEO_EXTENSIONS))
        if pictures:
            raise DatasetError(
                f"No videos found in {root}, but {len(pictures)} pictures (first: {pictures[0].relative_to(root)}), "
                "which are not read. Make a video of each folder of frames: ffmpeg -framerate 25 -i %05d.jpg video.mp4"
            )
        raise DatasetError(
            f"No videos found in {root}; looked for a folder per class with files ending in {looked_for}. "
            "Check the path, or list the files in a CSV with the columns path,label."
        )
    return records, [*skipped, *_passed_over(root, pictures)]


def _passed_over(root: Path, pictures: Iterable[Path]) -> Iterator[Skipped]:
    for ending, number in sorted(Counter(path.suffix.lower() for path in pictures).items()):
        what = "1 picture is" if number == 1 else f"{number} pictures are"
        yield Skipped(root / f"**/*{ending}", f"{what} passed over; only videos are read", passed_over=True)


def _report_loose_videos(folder: Path, report: Report) -> None:
    loose = [path.name for path in _entries(folder) if path.is_file() and has_video_extension(path)]
    if loose:
        report(
            DatasetError(
                f"{folder} holds videos outside class folders ({shorten(loose, 3)}). "
                "Put each into a folder named after its class."
            )
        )


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if DEFAULT.admits(path, folder))


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]
