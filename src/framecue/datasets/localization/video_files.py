"""Finds the files of annotated videos, and compares features with what the annotation says of their length."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from framecue.datasets.naming import shorten
from framecue.types import AnnotatedVideo, Skipped
from framecue.video.files import VIDEO_EXTENSIONS, find_videos

TOLERANCE_SECONDS = 1.0
TOLERANCE_FRACTION = 0.05


def match_files(
    videos: Iterable[AnnotatedVideo], folder: str | Path
) -> tuple[tuple[AnnotatedVideo, ...], list[Skipped]]:
    """The videos whose file is at any depth below `folder`, with its path, and the others with the reason.

    An id is the file's name without its ending, with or without ActivityNet's `v_` before it, or a path with or without
    its ending, of which as much counts as lies below `folder`.
    """
    folder = Path(folder)
    by_stem: dict[str, list[Path]] = {}
    for path in find_videos(folder):
        by_stem.setdefault(path.stem, []).append(path)
    matched, skipped = [], []
    for video in videos:
        found = _files_of(video.video_id, by_stem)
        if len(found) == 1:
            matched.append(replace(video, path=found[0]))
        elif found:
            names = shorten([str(path.relative_to(folder)) for path in found], 3)
            skipped.append(Skipped(folder / video.video_id, f"{len(found)} files go by this id: {names}"))
        else:
            skipped.append(Skipped(folder / video.video_id, f"no video of this name below {folder}"))
    return tuple(matched), skipped


def _files_of(video_id: str, by_stem: dict[str, list[Path]]) -> list[Path]:
    """The files that share the longest end of their path with the id."""
    name = PurePosixPath(video_id.replace("\\", "/"))
    suffix = name.suffix.lower() if name.suffix.lower() in VIDEO_EXTENSIONS else ""
    stem = name.name.removesuffix(name.suffix) if suffix else name.name
    found = [
        path for form in dict.fromkeys((stem, f"v_{stem}", stem.removeprefix("v_"))) for path in by_stem.get(form, [])
    ]
    if suffix and any(path.suffix.lower() == suffix for path in found):
        found = [path for path in found if path.suffix.lower() == suffix]
    shared = [_num_shared(path.parts[:-1], name.parts[:-1]) for path in found]
    return [path for path, number in zip(found, shared, strict=True) if number == max(shared)]


def _num_shared(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many folders agree, counted from the file upwards."""
    number = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        number += 1
    return number


def check_span(video: AnnotatedVideo, span_seconds: float, *, what: str = "features") -> str | None:
    """One line where stored features do not span the video that was annotated, None where they do or nothing is known.

    Features extracted at another fps than is stored with them, or from a cut or other upload, put every segment in the
    wrong place. Borne is a difference of `TOLERANCE_SECONDS` or `TOLERANCE_FRACTION` of the annotated duration,
    whichever is more: containers, frame counts and annotators round differently.

    Args:
        span_seconds: from the beginning of the first feature's cell to the end of the last one's.
    """
    if video.duration_seconds is None:
        return None
    difference = abs(span_seconds - video.duration_seconds)
    if difference <= max(TOLERANCE_SECONDS, TOLERANCE_FRACTION * video.duration_seconds):
        return None
    return (
        f"{video.video_id}: the {what} span {span_seconds:.2f} s, the annotation ({video.origin or 'no file'}) says "
        f"{video.duration_seconds:.2f} s, {span_seconds / video.duration_seconds:.2f} times. Check their fps, or "
        "extract them again."
    )
