"""Finds the files of annotated videos, and compares features with what the annotation says of their length."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from framecue.datasets.naming import shorten
from framecue.files import name_form
from framecue.types import AnnotatedVideo, Skipped
from framecue.video.files import VIDEO_EXTENSIONS, find_videos, one_each

TOLERANCE_SECONDS = 1.0
TOLERANCE_FRACTION = 0.05


def match_files(
    videos: Iterable[AnnotatedVideo], folder: str | Path
) -> tuple[tuple[AnnotatedVideo, ...], list[Skipped]]:
    """The videos whose file is at any depth below `folder`, with its path, and the others with the reason.

    An id is the file's name without its ending, with or without ActivityNet's `v_` before it, or a path with or without
    its ending, of which as much counts as lies below `folder`. Names are compared as `files.name_form` says.
    """
    folder, videos = Path(folder), list(videos)
    files = files_by_id((video.video_id for video in videos), find_videos(folder, each_link=True))
    matched, skipped = [], []
    for video in videos:
        found = one_each(files[video.video_id])
        if len(found) == 1:
            matched.append(replace(video, path=found[0]))
        elif found:
            names = shorten([str(path.relative_to(folder)) for path in found], 3)
            skipped.append(Skipped(folder / video.video_id, f"{len(found)} files go by this id: {names}"))
        else:
            skipped.append(Skipped(folder / video.video_id, f"no video of this name below {folder}"))
    return tuple(matched), skipped


def meet_ids(given: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """For each given id that is not known the known one that names the same file, where there is exactly one.

    Two ids name the same file when one is the end of the other as a path, whether or not they have the file's ending or
    ActivityNet's `v_`: "13" or "Fall/13.mp4" and "videos/Fall/13.mp4". They are compared as `files.name_form` says. A
    known id that is given itself, or is meant by two, is nobody else's.
    """
    given, known = set(given), set(known)
    by_stem: dict[str, list[tuple[str, ...]]] = {}
    ids: dict[tuple[str, ...], list[str]] = {}
    for name in known - given:
        words = _words(name)
        by_stem.setdefault(words[-1], []).append(words)
        ids.setdefault(words, []).append(name)
    meant: dict[str, str] = {}
    for name in given - known:
        words = _words(name)
        found = {
            other for other in by_stem.get(words[-1], ()) if _num_shared(words, other) == min(len(words), len(other))
        }
        names = [known_name for other in found for known_name in ids[other]]
        if len(names) == 1:
            meant[name] = names[0]
    count = Counter(meant.values())
    return {name: other for name, other in meant.items() if count[other] == 1}


def _words(video_id: str) -> tuple[str, ...]:
    path = PurePosixPath(name_form(video_id).replace("\\", "/"))
    suffix = path.suffix if path.suffix.lower() in VIDEO_EXTENSIONS else ""
    return (*path.parts[:-1], path.name.removesuffix(suffix).removeprefix("v_"))


def files_by_id(ids: Iterable[str], paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The files that go by each id, as `match_files` understands ids; usually one, and none where there is none."""
    by_stem: dict[str, list[Path]] = {}
    for path in paths:
        by_stem.setdefault(name_form(path.stem), []).append(path)
    return {video_id: _files_of(video_id, by_stem) for video_id in ids}


def _files_of(video_id: str, by_stem: dict[str, list[Path]]) -> list[Path]:
    """The files that share the longest end of their path with the id."""
    name = PurePosixPath(name_form(video_id).replace("\\", "/"))
    suffix = name.suffix.lower() if name.suffix.lower() in VIDEO_EXTENSIONS else ""
    stem = name.name.removesuffix(name.suffix) if suffix else name.name
    found = [
        path for form in dict.fromkeys((stem, f"v_{stem}", stem.removeprefix("v_"))) for path in by_stem.get(form, [])
    ]
    if suffix and any(path.suffix.lower() == suffix for path in found):
        found = [path for path in found if path.suffix.lower() == suffix]
    shared = [_num_shared(Path(name_form(path)).parts[:-1], name.parts[:-1]) for path in found]
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
