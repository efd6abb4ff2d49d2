"""Found segments in the form that the official ActivityNet evaluator reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from framecue.types import ScoredSegment


def submission(found: Mapping[str, Sequence[ScoredSegment]], *, external_data: str | None = None) -> str:
    """A submission as text; a video in which nothing was found has an empty list.

    Args:
        found: by video id.
        external_data: what was used of data from outside, such as another program's video-level scores; None = nothing.
    """
    results = {video_id: [_entry(segment) for segment in segments] for video_id, segments in found.items()}
    used = {"used": external_data is not None, "details": external_data or ""}
    content = {"version": "VERSION 1.3", "results": results, "external_data": used}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def plain_seconds(value: float) -> float:
    """To the microsecond: finer than any container's clock."""
    return round(float(value), 6)


def plain_score(value: float) -> float:
    """To nine digits, which tell apart all float32 scores."""
    return float(f"{value:.9g}")


def _entry(segment: ScoredSegment) -> dict[str, Any]:
    label = {} if segment.label is None else {"label": segment.label}
    times = [plain_seconds(segment.start_seconds), plain_seconds(segment.end_seconds)]
    return {**label, "score": plain_score(segment.score), "segment": times}
