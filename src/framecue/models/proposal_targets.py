"""What each point of the pyramid is to say, given the actions of a window (assignment of ActionFormer and AFSD)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from framecue.models.proposals import PyramidPoints


@dataclass(frozen=True, eq=False)
class ProposalTargets:
    """Targets of the P points of B windows.

    Attributes:
        positive: bool [B, P], the point lies in the middle of an action of its level's length.
        counted: bool [B, P], False where the actionness loss is silent: unannotated or cut actions.
        segments: [B, P, 2], the action on the feature grid; of use where `positive`.
    """

    positive: Tensor
    counted: Tensor
    segments: Tensor


def assign_targets(
    points: PyramidPoints,
    actions: Sequence[Tensor],
    ignored: Sequence[Tensor],
    *,
    first_range: float = 4.0,
    center_radius: float = 1.5,
) -> ProposalTargets:
    """Give each action to the points near its center, on the level that is made for its length.

    A point takes an action when it lies inside it, within `center_radius` strides of its center, and the farther of the
    two ends is within the level's range: (0, r] on the first, then (r, 2r], (2r, 4r] ..., without limit on the last. Of
    several the shortest is taken. An action that no point would take by these rules (one shorter than a feature, or
    between two points) goes to the point nearest to its center on the level of its length: a departure, so that no
    annotation trains nothing.

    Args:
        actions: per window [K, 2] on the feature grid.
        ignored: per window [M, 2]: nothing is known inside these; points in them that are not positive do not count.
    """
    pairs = zip(actions, ignored, strict=True)
    parts = [_assign(points, real, unknown, first_range, center_radius) for real, unknown in pairs]
    return ProposalTargets(*(torch.stack(column) for column in zip(*parts, strict=True)))


def _assign(
    points: PyramidPoints, actions: Tensor, ignored: Tensor, first_range: float, center_radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    counted = ~_inside(points, ignored).any(dim=1)
    if not len(actions):
        nowhere = torch.zeros_like(counted)
        return nowhere, counted, points.centers.new_zeros(len(points.centers), 2)
    start, end = actions[:, 0], actions[:, 1]
    middle = (start + end) / 2
    reach = torch.maximum(points.centers[:, None] - start, end - points.centers[:, None])
    low, high = _ranges(points, first_range)
    near = (points.centers[:, None] - middle).abs() <= center_radius * points.strides[:, None]
    takes = _inside(points, actions) & near & (reach > low[:, None]) & (reach <= high[:, None])
    for action in (~takes.any(dim=0)).nonzero().flatten().tolist():
        half = (end[action] - start[action]) / 2
        fits = (half >= low) & (half <= high)
        takes[(points.centers - middle[action]).abs().masked_fill(~fits, torch.inf).argmin(), action] = True
    lengths = (end - start).expand(len(points.centers), -1).masked_fill(~takes, torch.inf)
    chosen = lengths.argmin(dim=1)
    positive = takes.any(dim=1)
    return positive, counted | positive, actions[chosen]


def _inside(points: PyramidPoints, segments: Tensor) -> Tensor:
    """bool [P, K]"""
    at = points.centers[:, None]
    return (at >= segments[:, 0]) & (at < segments[:, 1])


def _ranges(points: PyramidPoints, first_range: float) -> tuple[Tensor, Tensor]:
    """Bounds [P] of the farther end's distance on each point's level."""
    high = first_range * points.strides
    low = torch.where(points.levels == 0, torch.zeros_like(high), high / 2)
    return low, torch.where(points.levels == points.levels.max(), torch.full_like(high, torch.inf), high)
