"""A video file to named segments: the stream of its features through a localizer."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from framecue.errors import UsageError
from framecue.features.encode import FeatureStream, SecondsDone
from framecue.features.extract import FrameEncoder
from framecue.tasks.localization import GivenProposals, TwoStage
from framecue.tasks.streaming import GatherSettings, localize_stream
from framecue.types import Localization, ScoredSegment
from framecue.video.reader import probe
from framecue.video.source import Decoding


def with_proposals(localizer: TwoStage, proposals: Sequence[ScoredSegment]) -> TwoStage:
    """The localizer of one video, that names somebody else's proposals of it.

    Raises:
        UsageError: proposals whose scores are not in [0, 1].
    """
    odd = next((segment for segment in proposals if not 0 <= segment.score <= 1), None)
    if odd is not None:
        raise UsageError(
            f"Proposals must have scores in [0, 1] to be fused with those of names, found {odd.score:g} at "
            f"{odd.start_seconds:g} to {odd.end_seconds:g} s; rescale them."
        )
    bounds = [(segment.start_seconds, segment.end_seconds) for segment in proposals]
    scores = np.array([segment.score for segment in proposals], dtype=np.float32)
    return replace(localizer, proposer=GivenProposals(np.array(bounds, dtype=np.float64).reshape(-1, 2), scores))


def localize_video(
    path: Path,
    backbone: FrameEncoder,
    localizer: TwoStage,
    *,
    settings: GatherSettings,
    proposals: Sequence[ScoredSegment] | None = None,
    curves: bool = False,
    on_progress: SecondsDone | None = None,
    decoding: Decoding | None = None,
) -> Localization:
    """Decode, encode and localize one file, in memory that does not grow with its length.

    Args:
        proposals: segments to be named instead of those that `localizer` would propose; what lies outside the video
            is left out (`outside`).

    Raises:
        VideoError: the file cannot be read.
        UsageError: proposals whose scores are not in [0, 1].
    """
    if proposals is not None:
        duration_seconds = probe(path, decoding).duration_seconds or 0.0
        left_out = {id(segment) for segment in outside(proposals, duration_seconds)}
        inside = [_cut(segment, duration_seconds) for segment in proposals if id(segment) not in left_out]
        localizer = with_proposals(localizer, inside)
    stream = FeatureStream(path, backbone, localizer.sampling, decoding=decoding)
    segments, score_curves = localize_stream(stream.reported(on_progress), stream.end_seconds, localizer, settings)
    summary = stream.summary
    return Localization(
        path,
        summary.duration_seconds,
        localizer.labels,
        segments,
        score_curves if curves else None,
        notes=summary.notes,
    )


def outside(proposals: Iterable[ScoredSegment], duration_seconds: float) -> list[ScoredSegment]:
    """Those of which no part lies in the video; the others are cut at its ends."""
    return [
        segment
        for segment in proposals
        if not max(segment.start_seconds, 0.0) < min(segment.end_seconds, duration_seconds)
    ]


def _cut(segment: ScoredSegment, duration_seconds: float) -> ScoredSegment:
    start_seconds, end_seconds = max(segment.start_seconds, 0.0), min(segment.end_seconds, duration_seconds)
    return replace(segment, start_seconds=start_seconds, end_seconds=end_seconds)
