"""What `localize` reads beside the videos: somebody's proposals, and annotations to draw."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from framecue.cli.common import note
from framecue.datasets.localization import read_detections, read_ground_truth
from framecue.datasets.naming import shorten
from framecue.errors import UsageError, VideoError
from framecue.types import ScoredSegment, Segment
from framecue.video.reader import probe

Entry = TypeVar("Entry")


def read_proposals(source: Path, paths: Sequence[Path]) -> dict[str, Sequence[ScoredSegment]]:
    """The proposals of each video by its file's name without ending; what does not fit is said on standard error.

    Raises:
        UsageError: two videos go by one name.
        DatasetError: the file cannot be read.
    """
    twice = next((path for i, path in enumerate(paths) if path.stem in {other.stem for other in paths[:i]}), None)
    if twice is not None:
        raise UsageError(f"Proposals go by file names, and two videos are called {twice.stem!r}; do one at a time.")
    # Only a folder of CSV files counts in fractions of the video.
    found = read_detections(source, durations=_durations(paths) if source.is_dir() else None)
    _note_lines(found.notes)
    return _by_stem(found.results, paths, f"{source}: proposals")


def read_annotations(source: Path, paths: Sequence[Path]) -> dict[str, Sequence[Segment]]:
    """The annotated segments of each video by its file's name without ending.

    Raises:
        DatasetError: the file cannot be read.
    """
    truth = read_ground_truth(source)
    _note_lines(truth.notes)
    return _by_stem({video.video_id: video.segments for video in truth.videos}, paths, f"{source}: annotations")


def _by_stem(entries: Mapping[str, Entry], paths: Sequence[Path], what: str) -> dict[str, Entry]:
    matched, lacking = {}, []
    for path in paths:
        # ActivityNet's files begin with v_, its annotations do not.
        forms = (path.stem, path.name, f"v_{path.stem}", path.stem.removeprefix("v_"))
        known = next((form for form in forms if form in entries), None)
        if known is None:
            lacking.append(path.name)
        else:
            matched[path.stem] = entries[known]
    if lacking:
        note(f"{what} lack {len(lacking)} of {len(paths)} videos: {shorten(lacking, 3)}")
    return matched


def _durations(paths: Iterable[Path]) -> dict[str, float]:
    durations = {}
    for path in paths:
        try:
            durations[path.stem] = probe(path).duration_seconds
        except VideoError:
            continue  # it is listed among the skipped, with the reason, when its turn comes
    return durations


def _note_lines(lines: Iterable[str]) -> None:
    for line in lines:
        note(line)
