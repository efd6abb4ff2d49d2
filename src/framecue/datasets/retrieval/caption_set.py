"""Captions as they stand in a file, checked and gathered into videos."""

import re
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from framecue.datasets.manifests import is_nothing, parse_part, parse_seconds
from framecue.datasets.naming import is_text, stands_for_nothing
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError
from framecue.types import CaptionedVideo

MAX_CAPTION_CHARS = 10_000
"""No caption is longer: the longest paragraphs of the benchmarks have some 3,000 signs."""

MAX_ID_CHARS = 1_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")
_MARKUP = re.compile(r"</?[a-z][^<>]*>|<!--|&(?:[a-z]+|#\d+);", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionSet:
    """Videos with captions, as read from one source.

    Attributes:
        videos: in the order of the source; what is said of one part of one video is one entry.
        notes: a line for each kind of change or omission, with its count and the first example.
        format: how the source was read.
        source: the file or folder.
    """

    videos: tuple[CaptionedVideo, ...]
    notes: tuple[str, ...]
    format: str
    source: Path

    def part(self, split: str) -> tuple[CaptionedVideo, ...]:
        """The videos of "train", "val" or "test"."""
        return tuple(video for video in self.videos if video.split == split)


class RawEntry(NamedTuple):
    """One entry of a file, nothing of it checked.

    Attributes:
        captions: a text, or a list of them; None and NaN are empty ones.
        path: the file, where the source says it.
        group: kind of caption.
    """

    video: Any
    captions: Any
    origin: str
    split: Any = None
    start: Any = None
    end: Any = None
    path: Path | None = None
    group: Any = None


class _Span(NamedTuple):
    video_id: str
    start_seconds: float | None
    end_seconds: float | None


@dataclass
class _Found:
    captions: list[str]
    split: str | None
    path: Path | None
    group: str | None
    origin: str


def gather(entries: Iterable[RawEntry], notes: CaptionNotes) -> tuple[CaptionedVideo, ...]:
    """The entries checked; those of one part of one video become one, their captions in the order of the file.

    Captions that stand twice for a video are kept, since the benchmarks count them. An id in two forms (see
    `files.name_form`) is one, as it is written first.

    Raises:
        DatasetError: an entry cannot be understood and `notes` does not let it pass, or none is left.
    """
    found: dict[_Span, _Found] = {}
    splits: dict[str, tuple[str | None, str]] = {}
    for entry in entries:
        try:
            span = _checked_span(entry)
            span = span._replace(video_id=notes.spelled(span.video_id))
            split = parse_part(_filled(entry.split), entry.origin)
            known, origin = splits.setdefault(span.video_id, (split, entry.origin))
            if known != split:
                raise DatasetError(
                    f"{entry.origin}: video {_short(span.video_id)} is in {split or 'no part'} here and in "
                    f"{known or 'no part'} at {origin}. Keep a video in one part."
                )
            captions = list(_checked_captions(entry, notes))
        except DatasetError as error:
            notes.report(error)
            continue
        group = notes.spelled(tidy(str(entry.group))) if isinstance(entry.group, str | int) else None
        video = found.setdefault(span, _Found([], split, entry.path, group, entry.origin))
        video.captions += captions
        if group != video.group:
            notes.add("group", f"{entry.origin}, {_short(group)}")
    videos = tuple(_finished(found, notes))
    if not videos:
        raise DatasetError(f"{notes.source} holds no captions. Give a video and a caption for each entry.")
    return videos


def _finished(found: dict[_Span, _Found], notes: CaptionNotes) -> Iterator[CaptionedVideo]:
    for span, video in found.items():
        if not video.captions:
            notes.add("silent", span.video_id)
            continue
        if len(set(video.captions)) < len(video.captions):
            seen: set[str] = set()
            for caption in video.captions:
                if caption in seen:
                    notes.add("double", f"{span.video_id}, {_short(caption)}")
                seen.add(caption)
        yield CaptionedVideo(
            span.video_id,
            tuple(video.captions),
            split=video.split,
            path=video.path,
            start_seconds=span.start_seconds,
            end_seconds=span.end_seconds,
            group=video.group or None,
            origin=video.origin,
        )


def _checked_span(entry: RawEntry) -> _Span:
    origin = entry.origin
    video_id = entry.video.strip() if isinstance(entry.video, str) else entry.video
    if not isinstance(video_id, str) or not video_id:
        raise DatasetError(f"{origin}: the video must be named by a text, found {_short(entry.video)}. Name it.")
    if not is_text(video_id) or _CONTROL.search(video_id) or len(video_id) > MAX_ID_CHARS:
        raise DatasetError(
            f"{origin}: the video's name must be one line of UTF-8 of at most {MAX_ID_CHARS} signs, found "
            f"{_short(video_id)}. Rename the video."
        )
    start_seconds = parse_seconds(_filled(entry.start), "start", origin)
    end_seconds = parse_seconds(_filled(entry.end), "end", origin)
    if end_seconds is not None and (start_seconds or 0.0) >= end_seconds:
        raise DatasetError(
            f"{origin}: start must be before end, found {start_seconds or 0.0:g} and {end_seconds:g} s. Fix the times."
        )
    return _Span(video_id, start_seconds, end_seconds)


def _checked_captions(entry: RawEntry, notes: CaptionNotes) -> Iterator[str]:
    """The captions of an entry without stray white space; empty ones are left out and counted."""
    texts = entry.captions if isinstance(entry.captions, list) else [entry.captions]
    for text in texts:
        if is_nothing(text):
            notes.add("empty", f"{entry.origin}, {entry.video}")
            continue
        if not isinstance(text, str):
            raise DatasetError(
                f"{entry.origin}: a caption must be a text, found {_short(text)}. Write it in quotes, or leave it out."
            )
        caption = tidy(text)
        if not is_text(caption):
            raise DatasetError(f"{entry.origin}: caption {_short(text)} holds half a sign, no UTF-8. Write it anew.")
        if len(caption) > MAX_CAPTION_CHARS:
            raise DatasetError(
                f"{entry.origin}: a caption has at most {MAX_CAPTION_CHARS:,} signs, found {len(caption):,}. "
                "Check the quotes there, or shorten it."
            )
        if not caption:
            notes.add("empty", f"{entry.origin}, {entry.video}")
            continue
        if stands_for_nothing(caption):
            notes.add("nothing", f"{entry.origin}, {_short(caption)}")
        if caption != text:
            notes.add("tidied", f"{entry.origin}, {_short(text)}")
        if _MARKUP.search(caption):
            notes.add("markup", f"{entry.origin}, {_short(caption)}")
        yield caption


def tidy(text: str) -> str:
    """The text in one line, without control characters; white space is collapsed."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _filled(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _short(value: Any) -> str:
    return reprlib.repr(value)
