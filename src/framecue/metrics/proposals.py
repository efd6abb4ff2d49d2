"""Recall of class-agnostic proposals, as the official ActivityNet evaluator counts it (AR@AN and its area)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framecue.metrics.conventions import CONVENTIONS, ProposalConvention
from framecue.metrics.detection import ACTIVITYNET_TIOU, checked_thresholds
from framecue.metrics.segment_table import Array, Integers, SegmentTable, overlapping_pairs

_POINTS = 100
REPORTED_AN = (1, 5, 10, 50, 100)


@dataclass(frozen=True, eq=False)
class ProposalResult:
    """Recall at P average numbers of proposals per video.

    Attributes:
        tiou_thresholds: float64 [T].
        proposals_per_video: float64 [P], increasing.
        recall: float64 [T, P], share of the ground truth that some proposal overlaps enough.
        average_recall: float64 [P], mean over the thresholds.
        average_recall_at: the curve at round numbers of proposals, in between by straight lines; only those that it
            reaches.
        auc: area under the curve over its width, in [0, 1].
    """

    tiou_thresholds: Array
    proposals_per_video: Array
    recall: Array
    average_recall: Array
    average_recall_at: dict[int, float]
    auc: float


def average_recall(
    truth: SegmentTable,
    proposals: SegmentTable,
    *,
    tiou_thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    max_average_proposals: float | None = None,
    reported_an: Sequence[int] = REPORTED_AN,
    convention: ProposalConvention = "activitynet",
) -> ProposalResult:
    """AR@AN and AUC; labels do not matter.

    From every video the same share of its own proposals is taken, the best scored first (of equal scores the later in
    the file), so that the average over videos is AN (activitynet/ActivityNet, Evaluation/eval_proposal.py). As there,
    videos are those with ground truth, proposals for others raise the number per video but find nothing, and an empty
    segment neither finds nor is found.

    Args:
        max_average_proposals: the curve's last AN; None takes the convention's, for "activitynet" all proposals of the
            file.
        reported_an: numbers of proposals for `average_recall_at`.
        convention: whose curve; "opentad" ends at 100 proposals per video and has a point for each.

    Raises:
        ValueError: no ground truth, no proposals for its videos, thresholds outside (0, 1], or a limit that leaves no
            proposal.
    """
    thresholds = checked_thresholds(tiou_thresholds)
    if len(truth) == 0:
        raise ValueError("the average recall needs ground truth, got no segment.")
    videos, rules = np.unique(truth.video), CONVENTIONS[convention]
    last = max_average_proposals or rules.max_average_proposals or len(proposals) / len(videos)
    offered = np.bincount(proposals.video[proposals.video >= 0], minlength=int(videos.max()) + 1)[videos]
    used = np.minimum((offered * (last * len(videos) / max(len(proposals), 1))).astype(np.int64), offered)
    if used.sum() == 0:
        raise ValueError(f"no proposals for the {len(videos)} annotated videos within {last:g} per video.")
    points = last if rules.point_per_proposal else _POINTS
    shares = np.arange(1, points + 1) / points * (last * len(videos) / used.sum())
    # A video without proposals counts as one with one useless proposal, which changes nothing here.
    taken = np.minimum((used[:, None] * shares).astype(np.int64), used[:, None])
    first = _first_hits(truth, proposals, thresholds, rules.least_union_seconds)
    limits = taken[np.searchsorted(videos, truth.video)]
    recall = np.stack([(row[:, None] <= limits).mean(axis=0) for row in first])
    average, per_video = recall.mean(axis=0), shares * (used.sum() / len(videos))
    reached = [number for number in reported_an if number <= per_video[-1] * (1 + 1e-9)]  # rounded on the way
    at = dict(zip(reached, np.interp(reached, per_video, average).tolist(), strict=True))
    area = float(np.trapezoid(average, per_video) / per_video[-1])
    return ProposalResult(thresholds, per_video, recall, average, at, area)


def _first_hits(
    truth: SegmentTable, proposals: SegmentTable, thresholds: Array, least_union_seconds: float
) -> Integers:
    """Rank within the video, from 1, of the best scored proposal that finds each segment, [T, G]; huge if none does."""
    ranks = ranks_in_video(proposals)
    pairs = overlapping_pairs(
        truth, proposals, float(thresholds.min()), same_label=False, least_union_seconds=least_union_seconds
    )
    first = np.full((len(thresholds), len(truth)), np.iinfo(np.int64).max)
    for row, threshold in zip(first, thresholds, strict=True):
        hit = pairs.iou >= threshold
        np.minimum.at(row, pairs.truth[hit], ranks[pairs.prediction[hit]])
    return first


def ranks_in_video(proposals: SegmentTable) -> Integers:
    """Place of each proposal in its own video by descending score, from 1, of equal ones the later first, [N]."""
    order = np.lexsort((proposals.ranked_scores(), -proposals.video))[::-1]
    in_order = proposals.video[order]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1) - np.searchsorted(in_order, in_order, side="left")
    return ranks
