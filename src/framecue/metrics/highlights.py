"""Highlight detection: which clips of a video a sentence is about, as the authors of QVHighlights count them.

Lei et al. 2021, `standalone_eval` of jayleicn/moment_detr. Three people rated each clip from 0 to 4, and a clip is a
highlight for a person from a level on. AP is interpolated and averaged over the distinct recalls, separately for each
person; the hit is of the highest predicted clip (the first of equal ones) with any person's highlight. As in theirs, a
prediction that is too short is filled up with zeros and a longer one is cut. Departure: nothing is rounded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.metrics.segment_table import Array

HIGHLIGHT_LEVELS: Mapping[str, int] = {"Fair": 2, "Good": 3, "VeryGood": 4}
"""Lowest rating that makes a highlight."""


@dataclass(frozen=True)
class HighlightScores:
    """Mean AP and Hit@1 in percent."""

    mean_ap: float
    hit_at_1: float


def highlight_scores(queries: Iterable[tuple[Array, Array]]) -> dict[str, HighlightScores]:
    """Scores by level.

    Args:
        queries: of each the ratings [C, 3] of all clips of its video, and the predicted saliency [P], P > 0.

    Raises:
        ValueError: no queries, or shapes or numbers that do not fit.
    """
    levels = np.array(list(HIGHLIGHT_LEVELS.values()))
    precisions, hits = [], []
    for ratings, saliency in queries:
        if ratings.ndim != 2 or ratings.size == 0 or saliency.ndim != 1 or len(saliency) == 0:
            shapes = f"{list(ratings.shape)} and {list(saliency.shape)}"
            raise ValueError(f"ratings must be [clips, people] and saliency [clips], not empty, got {shapes}.")
        if not np.isfinite(saliency).all():
            raise ValueError("saliency must be finite.")
        wanted = np.greater_equal(ratings.T, levels[:, None, None])
        fitted = np.zeros(len(ratings))
        shared = min(len(ratings), len(saliency))
        fitted[:shared] = saliency[:shared]
        precisions.append([np.mean([_average_precision(one, fitted) for one in level]) for level in wanted])
        peak = int(saliency.argmax())
        hits.append(wanted[:, :, peak].any(axis=1) if peak < len(ratings) else np.zeros(len(levels), dtype=bool))
    if not hits:
        raise ValueError("highlight detection needs queries, got none.")
    mean_ap, hit = 100 * np.mean(precisions, axis=0), 100 * np.mean(hits, axis=0)
    return {
        name: HighlightScores(float(ap), float(share))
        for name, ap, share in zip(HIGHLIGHT_LEVELS, mean_ap, hit, strict=True)
    }


def _average_precision(wanted: npt.NDArray[np.bool_], score: Array) -> float:
    """Interpolated precision averaged over the distinct recalls above 0; equal scores are one step."""
    if wanted.all() or not wanted.any():
        return float(wanted.all())
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    found = np.cumsum(wanted[order])[last]
    precision = np.maximum.accumulate((found / (last + 1))[::-1])[::-1]
    steps = np.diff(found, prepend=0) > 0
    return float(precision[steps].mean())
