"""DiDeMo and ActivityNet Captions: several sentences a video, which retrieval joins into one paragraph."""

import math
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framecue.datasets.json_items import read_json_items
from framecue.datasets.retrieval.caption_set import RawEntry, tidy
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError


def read_didemo(path: Path, notes: CaptionNotes, *, paragraph: bool = True) -> Iterator[RawEntry]:
    """DiDeMo, official `[{"video", "description", "times"}]` or joined `{video: {"caption_list"}}`.

    Published retrieval joins all sentences of a video in the order of the file, which tells of 8,395 / 1,065 / 1,004
    videos. The annotators' `times` are not used.

    Args:
        paragraph: False = each sentence is a caption of its own of the whole video.
    """
    sentences: dict[str, list[str]] = {}
    origins: dict[str, str] = {}
    for origin, key, value in read_json_items(path):
        try:
            video, texts = _described(value, origin) if key is None else (key, _texts(value, "caption_list", origin))
        except DatasetError as error:
            notes.report(error)
            continue
        sentences.setdefault(video, []).extend(texts)
        origins.setdefault(video, origin)
    for video, texts in sentences.items():
        yield RawEntry(video, joined(texts, notes, origins[video]) if paragraph else texts, origins[video])


def read_activitynet_captions(path: Path, notes: CaptionNotes, *, paragraph: bool = True) -> Iterator[RawEntry]:
    """ActivityNet Captions, `{video: {"duration", "timestamps", "sentences"}}`.

    Published retrieval joins the sentences of a video, trains on train.json and tests on val_1.json (4,917 videos).

    Args:
        paragraph: False = each sentence is the caption of its own segment.
    """
    for origin, key, value in read_json_items(path):
        try:
            texts = _texts(value, "sentences", origin)
            times = value.get("timestamps")
            if not paragraph and (not isinstance(times, list) or len(times) != len(texts)):
                found = len(times) if isinstance(times, list) else type(times).__name__
                raise DatasetError(
                    f"{origin}: '{key}' needs as many timestamps as sentences, found {found} and {len(texts)}. "
                    "Restore the official file."
                )
        except DatasetError as error:
            notes.report(error)
            continue
        if paragraph:
            yield RawEntry(key, joined(texts, notes, origin), origin)
            continue
        for text, pair in zip(texts, times, strict=True):
            span = _span(pair)
            if span is None:
                notes.add("times", f"{origin}, {key}: {str(pair)[:60]}")
            start, end = span or (None, None)
            yield RawEntry(key, text, origin, start=start, end=end)


def joined(texts: list[str], notes: CaptionNotes, origin: str) -> str:
    """One paragraph of all sentences; empty ones are left out and counted."""
    tidied = [tidy(text) for text in texts]
    for text, clean in zip(texts, tidied, strict=True):
        if not clean:
            notes.add("empty", origin)
        elif clean != text:
            notes.add("tidied", f"{origin}, {reprlib.repr(text)}")
    return " ".join(filter(None, tidied))


def _described(value: Any, origin: str) -> tuple[str, list[str]]:
    if not isinstance(value, Mapping) or not all(isinstance(value.get(key), str) for key in ("video", "description")):
        raise DatasetError(
            f"{origin}: an entry must have the texts 'video' and 'description', found {str(value)[:60]!r}. "
            "Restore the official file."
        )
    return value["video"], [value["description"]]


def _texts(value: Any, key: str, origin: str) -> list[str]:
    texts = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DatasetError(
            f"{origin}: an entry must have a list of texts '{key}', found {str(value)[:60]!r}. "
            "Restore the official file."
        )
    return texts


def _span(pair: Any) -> tuple[float, float] | None:
    """Start and end in seconds, None where the pair is none."""
    if not isinstance(pair, list) or len(pair) != 2 or any(isinstance(x, bool) for x in pair):
        return None
    if not all(isinstance(x, int | float) for x in pair):
        return None
    try:
        start, end = float(pair[0]), float(pair[1])
    except OverflowError:
        return None
    return (start, end) if math.isfinite(start) and math.isfinite(end) and 0 <= start < end else None
