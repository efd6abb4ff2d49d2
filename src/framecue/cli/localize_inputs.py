"""What `localize` reads beside the videos: somebody's proposals, and annotations to draw."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from framecue.cli.common import note
from framecue.datasets.localization import files_by_id, read_detections, read_ground_truth
from framecue.datasets.naming import shorten
from framecue.errors import UsageError, VideoError
from framecue.types import AnnotatedVideo, ScoredSegment
from framecue.video.reader import duration_of


def read_proposals(source: Path, paths: Sequence[Path]) -> dict[Path, Sequence[ScoredSegment]]:
    """The proposals of each video; what does not fit is said on standard error.

    Raises:
        UsageError: one id means two of the videos.
        DatasetError: the file cannot be read.
    """
    # Only a folder of CSV files counts in fractions of the video.
    found = read_detections(source, durations=_durations(paths) if source.is_dir() else None).with_unit_scores()
    _note_lines(found.notes)
    matched = _by_path(found.results, paths, f"{source}: proposals")
    twice = next((video_id for video_id, count in Counter(matched.values()).items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"Proposals go by file names, and {twice!r} means two of the videos; do one at a time.")
    return {path: found.results[video_id] for path, video_id in matched.items()}


def read_annotations(source: Path, paths: Sequence[Path]) -> dict[Path, AnnotatedVideo]:
    """The annotation of each video; what does not fit is said on standard error.

    Raises:
        DatasetError: the file cannot be read.
    """
    truth = read_ground_truth(source)
    _note_lines(truth.notes)
    videos = {video.video_id: video for video in truth.videos}
    return {path: videos[video_id] for path, video_id in _by_path(videos, paths, f"{source}: annotations").items()}


def _by_path(ids: Collection[str], paths: Sequence[Path], what: str) -> dict[Path, str]:
    matched: dict[Path, str] = {}
    for video_id, files in files_by_id(ids, paths).items():
        matched |= dict.fromkeys(files, video_id)
    lacking = [path.name for path in paths if path not in matched]
    if lacking:
        note(f"{what} lack {len(lacking)} of {len(paths)} videos: {shorten(lacking, 3)}")
    return matched


def _durations(paths: Iterable[Path]) -> dict[str, float]:
    durations = {}
    for path in paths:
        try:
            durations[path.stem] = duration_of(path)
        except VideoError:
            continue  # it is listed among the skipped, with the reason, when its turn comes
    return durations


def _note_lines(lines: Iterable[str]) -> None:
    for line in lines:
        note(line)
