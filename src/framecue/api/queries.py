"""What is asked of an index, as vectors; and answers of moments that overlap, as curves over time."""

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.errors import MomentIndexError, UsageError
from framecue.features.identity import path_text
from framecue.search import Filter, MomentIndex, VideoVectors
from framecue.tasks.moments import MomentEncoder
from framecue.tasks.streaming import CurveRecorder
from framecue.types import ScoreCurves


@dataclass(frozen=True, eq=False)
class Query:
    """A question to an index.

    Attributes:
        vectors: float32 [Q, D], unit length.
        words: the question for people.
        exclude: ids of videos that are no answer.
    """

    vectors: npt.NDArray[np.float32]
    words: str
    exclude: tuple[str, ...] = ()


def read_query(
    index: MomentIndex,
    encoder: Callable[[], MomentEncoder],
    *,
    text: str | None,
    image: str | Path | Image.Image | None,
    video: str | Path | None,
    start_seconds: float | None,
    end_seconds: float | None,
) -> Query:
    """
    Args:
        encoder: loads the model; not called where the vectors are stored.
        video: a file, or the id of an indexed video.

    Raises:
        UsageError, PromptTooLongError, VideoError: as `Collection.search`.
    """
    given = [name for name, value in (("text", text), ("image", image), ("video", video)) if value is not None]
    if len(given) != 1:
        raise UsageError(f"A search is by one of text, image and video, found {' and '.join(given) or 'none of them'}.")
    if video is None and (start_seconds is not None or end_seconds is not None):
        raise UsageError(f"start_seconds and end_seconds are of an example video, found them beside {given[0]}.")
    if text is not None:
        return Query(encoder().texts([text]), text)
    if image is not None:
        name = "" if isinstance(image, Image.Image) else f" {Path(image).name}"
        return Query(encoder().image(image)[None], f"image{name}")
    assert video is not None
    _check_segment(start_seconds, end_seconds)
    stored = _stored(index, video)
    path = stored.video.path if stored is not None else Path(video)
    exclude = () if stored is None else (stored.video.video_id,)
    if start_seconds is None and end_seconds is None:
        vector = encoder().video(path).whole if stored is None else stored.whole
        return Query(vector[None], path.name, exclude)
    start = start_seconds or 0.0
    vector = encoder().segment(path, start, end_seconds) if stored is None else _part_of(stored, start, end_seconds)
    until = "the end" if end_seconds is None else f"{end_seconds:.1f}"
    return Query(vector[None], f"{path.name} at {start:.1f}-{until} s", exclude)


def cover(spans: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], labels: Sequence[str]) -> ScoreCurves:
    """Scores of overlapping moments as curves: at each time that of the best moment there.

    So a curve is as high over a moment that a search found as the score the search gave it.

    Args:
        spans: [K, 2] seconds, in the order of their starts.
        scores: [K, N] in [0, 1], of each moment for each label.
    """
    edges = np.unique(spans)
    first, end = np.searchsorted(edges, spans[:, 0]), np.searchsorted(edges, spans[:, 1])
    best = np.zeros((max(len(edges) - 1, 0), len(labels)))
    for step in range(int((end - first).max(initial=0))):
        there = first + step < end
        np.maximum.at(best, first[there] + step, scores[there])
    recorder = CurveRecorder(len(labels), peaks=True)
    recorder.add(np.clip(best, 0, 1).astype(np.float32), edges)
    return recorder.finish(tuple(labels))


def _check_segment(start_seconds: float | None, end_seconds: float | None) -> None:
    end = np.inf if end_seconds is None else end_seconds
    if not 0 <= (start_seconds or 0.0) < end:
        raise UsageError(
            f"A segment must begin at 0 or later and before it ends, found {start_seconds} to {end_seconds} s."
        )


def _stored(index: MomentIndex, video: str | Path) -> VideoVectors | None:
    """What is indexed under this id or path; None where nothing is, or the file has changed since."""
    if isinstance(video, str):
        with suppress(MomentIndexError):
            return index.vectors(video)
    path = Path(os.path.abspath(video))
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    found = next((item for item in index.videos(Filter(path=path_text(path))) if item.path == path), None)
    is_same = found and (status.st_size, status.st_mtime_ns) == (found.size_bytes, found.mtime_ns)
    return index.vectors(found.video_id) if found and is_same else None


def _part_of(stored: VideoVectors, start_seconds: float, end_seconds: float | None) -> npt.NDArray[np.float32]:
    """The mean of the moments whose middle lies in the part, else the one that overlaps it most."""
    end = stored.video.duration_seconds if end_seconds is None else end_seconds
    if start_seconds >= stored.spans[:, 1].max():
        raise UsageError(
            f"{stored.video.path} is {stored.video.duration_seconds:.2f} s long, found a segment from "
            f"{start_seconds:g} s on; name a part of it."
        )
    middles = stored.spans.mean(axis=1)
    inside = (middles >= start_seconds) & (middles < end)
    if not inside.any():
        overlap = np.minimum(stored.spans[:, 1], end) - np.maximum(stored.spans[:, 0], start_seconds)
        inside = np.arange(len(overlap)) == overlap.argmax()
    mean = stored.vectors[inside].mean(axis=0)
    length = float(np.linalg.norm(mean))
    vector: npt.NDArray[np.float32] = (mean / length if length > 1e-6 else stored.whole).astype(np.float32)
    return vector
