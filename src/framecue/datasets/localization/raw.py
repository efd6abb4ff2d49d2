"""Entries of annotation and prediction files as they stand there, and the checks that all forms share."""

import json
import math
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from framecue.datasets.localization.notes import Tally
from framecue.datasets.manifests import read_text
from framecue.datasets.naming import is_text, label_text
from framecue.errors import DatasetError
from framecue.files import name_form

_YOUTUBE_ID = re.compile(r"v_[0-9A-Za-z_-]{11}")


class RawSegment(NamedTuple):
    """One entry, nothing of it checked.

    Attributes:
        place: which of its video's entries it is, from 1, or "file:line".
    """

    start: Any
    end: Any
    label: Any
    score: Any
    place: int | str


@dataclass
class RawVideo:
    """A video's entries; `duration` is not checked, `origin` names file and video."""

    video_id: str
    duration: Any
    subset: str | None
    segments: Sequence[RawSegment]
    origin: str

    def origin_of(self, segment: RawSegment) -> str:
        """Where the entry was read, for messages."""
        return segment.place if isinstance(segment.place, str) else f"{self.origin}, segment {segment.place}"


def video_id_of(text: str, tally: Tally) -> str:
    """A video's id in ActivityNet's own spelling: `v_` before the 11 signs of a YouTube id is taken away.

    An id that the source writes in two forms (see `files.name_form`) is the one that it writes first. Files of the BMN
    and MMAction2 form carry the prefix, the official ones do not; no YouTube id is 13 signs long, so that ids without
    the prefix are never touched.
    """
    text = text.strip()
    if not _YOUTUBE_ID.fullmatch(text):
        return tally.spelled(text)
    tally.add("prefix", text)
    return tally.spelled(text[2:])


def video_key(video_id: str) -> str:
    """Equal for the ids of one video in two sources, with and without `v_` and in two forms."""
    text = name_form(video_id.strip())
    return text[2:] if _YOUTUBE_ID.fullmatch(text) else text


def usable_id(text: Any, origin: str, tally: Tally) -> str | None:
    """`video_id_of`, or None where there is no id and the entry is left out."""
    if isinstance(text, str) and text.strip() and is_text(text):
        return video_id_of(text, tally)
    tally.fault("entry", origin, f"no video id ({text!r})")
    return None


def read_json(path: Path, tally: Tally) -> Any:
    """A JSON file's value; keys that stand twice in an object are counted.

    Raises:
        DatasetError: the file cannot be read, is not UTF-8 or not JSON; the message begins with "file:line".
    """

    def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    tally.fault("twice", str(path), repr(key))
                seen.add(key)
        return found

    try:
        return json.loads(read_text(path), object_pairs_hook=no_key_twice)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path}:{error.lineno}: not valid JSON: {error.msg}. Restore the file, or write it again."
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets without end
        raise DatasetError(f"{path}: a number or a nesting of absurd size. Restore the file.") from None


def json_segments(entries: Sequence[Any], video: str, tally: Tally) -> list[RawSegment]:
    """Segments of a list of `{"segment": [start, end], "label", "score"}`; `video` is their origin."""
    found = []
    for place, entry in enumerate(entries, start=1):
        times = entry.get("segment") if isinstance(entry, dict) else None
        if not isinstance(times, list | tuple) or len(times) != 2:
            tally.fault("entry", f"{video}, segment {place}", reprlib.repr(entry))
            continue
        found.append(RawSegment(times[0], times[1], entry.get("label"), entry.get("score"), place))
    return found


def number_of(value: Any) -> float:
    """A finite number, also one written as text; NaN for all else."""
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def times_of(video: RawVideo, segment: RawSegment, tally: Tally) -> tuple[float, float] | None:
    """Start and end in seconds, or None where the entry is left out."""
    start, end = number_of(segment.start), number_of(segment.end)
    if start < end:
        return start, end
    if math.isnan(start) or math.isnan(end):
        tally.fault("time", video.origin_of(segment), f"{segment.start!r} to {segment.end!r}")
        return None
    kept = tally.invalid == "keep"
    tally.fault("empty kept" if kept else "empty", video.origin_of(segment), f"{start:g} to {end:g} s")
    return (start, end) if kept else None


def label_of(video: RawVideo, segment: RawSegment, tally: Tally) -> str | None:
    """The label without white space around it, or None where the entry is left out."""
    text = clean_label(segment.label)
    if text is None:
        tally.fault("label", video.origin_of(segment), repr(segment.label)[:60])
    return text


def clean_label(label: Any) -> str | None:
    """The label without white space around it, None where there is none; a whole number is the text that it is."""
    label = label_text(label)
    return _clean(label) or None if isinstance(label, str) else None


@lru_cache(maxsize=4096)  # few classes, named very often
def _clean(label: str) -> str:
    return label.strip() if is_text(label) else ""
