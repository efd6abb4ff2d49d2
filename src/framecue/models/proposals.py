"""Class-agnostic proposals: a temporal feature pyramid with three parallel heads (the paper's stage one).

The authors never released this half. What their supplement says (a pyramid, and parallel heads for actionness, boundary
regression and centerness) is filled in from AFSD (Lin et al. 2021), which they re-trained on CLIP features, and from
ActionFormer (Zhang et al. 2022), its anchor-free successor. Departures: one class instead of many; residual convolution
blocks instead of local attention; the quality head learns the overlap of the predicted segment with the true one
(AFSD's pIoU) rather than its centerness; no boundary pooling.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRIOR = 0.01  # share of positive points at the start (RetinaNet, Lin et al. 2017): keeps the first steps stable


@dataclass(frozen=True, eq=False)
class PyramidPoints:
    """Where the P points of a pyramid lie: `centers` [P] on the feature grid, `strides` [P], `levels` int64 [P]."""

    centers: Tensor
    strides: Tensor
    levels: Tensor


def pyramid_points(length: int, levels: int, device: torch.device | None = None) -> PyramidPoints:
    """Points of a window of `length` features, in the order of `ProposalOutput`.

    A point of level l stands for feature 0, 2^l, 2·2^l, ...: in the middle of that feature's cell.
    """
    centers, strides, numbers = [], [], []
    for level in range(levels):
        at = torch.arange(0, length, 2**level, device=device, dtype=torch.float32) + 0.5
        centers.append(at)
        strides.append(torch.full_like(at, 2**level))
        numbers.append(torch.full(at.shape, level, device=device, dtype=torch.int64))
    return PyramidPoints(torch.cat(centers), torch.cat(strides), torch.cat(numbers))


def segments_at(points: PyramidPoints, offsets: Tensor) -> Tensor:
    """Offsets [..., P, 2] to start and end -> segments [..., P, 2] on the feature grid."""
    return torch.stack([points.centers - offsets[..., 0], points.centers + offsets[..., 1]], dim=-1)


@dataclass(frozen=True, eq=False)
class ProposalOutput:
    """What the heads say of the P points of all levels, for B windows.

    Attributes:
        actionness_logits: [B, P], is there an action around this point.
        offsets: [B, P, 2], frames from the point to the action's start and end, not negative.
        quality_logits: [B, P], overlap of the predicted segment with the action.
        valid_mask: bool [B, P], False at points beyond a window's features.
        points: where they lie.
    """

    actionness_logits: Tensor
    offsets: Tensor
    quality_logits: Tensor
    valid_mask: Tensor
    points: PyramidPoints

    @property
    def segments(self) -> Tensor:
        """What each point takes for the action around it: [B, P, 2] on the feature grid."""
        return segments_at(self.points, self.offsets)


class ProposalNetwork(nn.Module):
    """Frame features of a window -> actionness, boundary offsets and quality at every point of every level.

    Args:
        embed_dim: size D of frame features.
        width: channels inside.
        levels: pyramid levels; level l has a point every 2^l features.
        stem_layers, head_layers: convolution blocks before the pyramid, and in each of the two head towers.
        dropout: of the incoming features, in training.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        width: int = 256,
        levels: int = 6,
        stem_layers: int = 2,
        head_layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.Linear(embed_dim, width)
        self.stem = nn.ModuleList(ConvBlock(width) for _ in range(stem_layers))
        self.down = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for _ in range(levels - 1))
        self.blocks = nn.ModuleList(ConvBlock(width) for _ in range(levels))
        self.actionness_tower = HeadTower(width, head_layers)
        self.offset_tower = HeadTower(width, head_layers)
        self.actionness = nn.Linear(width, 1)
        self.quality = nn.Linear(width, 1)
        self.offset = nn.Linear(width, 2)
        self.scale = nn.Parameter(torch.ones(levels))  # each level's unit of length (FCOS, Tian et al. 2019)
        nn.init.constant_(self.actionness.bias, -torch.log(torch.tensor((1 - PRIOR) / PRIOR)).item())

    def forward(self, frame_features: Tensor, valid_mask: Tensor) -> ProposalOutput:
        """Frame features [B, T, D] with bool valid_mask [B, T]; features beyond it change nothing."""
        points = pyramid_points(frame_features.shape[1], self.levels, frame_features.device)
        hidden = self.reduce(self.dropout(self.norm(frame_features))) * valid_mask[..., None]
        for block in self.stem:
            hidden = block(hidden, valid_mask)
        actionness, offsets, quality, masks = [], [], [], []
        for level, block in enumerate(self.blocks):
            if level:
                valid_mask = valid_mask[:, ::2]
                hidden = self.down[level - 1](hidden.transpose(1, 2)).transpose(1, 2) * valid_mask[..., None]
            hidden = block(hidden, valid_mask)
            located = self.offset_tower(hidden, valid_mask)
            actionness.append(self.actionness(self.actionness_tower(hidden, valid_mask))[..., 0])
            quality.append(self.quality(located)[..., 0])
            offsets.append(F.softplus(self.offset(located) * self.scale[level]) * 2**level)
            masks.append(valid_mask)
        return ProposalOutput(
            torch.cat(actionness, dim=1),
            torch.cat(offsets, dim=1),
            torch.cat(quality, dim=1),
            torch.cat(masks, dim=1),
            points,
        )


class ConvBlock(nn.Module):
    """Pre-norm residual block: depthwise convolution over time, then a 2x wide MLP (ConvNeXt's order, in 1-D)."""

    def __init__(self, width: int, kernel: int = 7) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, hidden: Tensor, valid_mask: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        mask = valid_mask[..., None]
        hidden = hidden + self.mix((self.norm(hidden) * mask).transpose(1, 2)).transpose(1, 2) * mask
        return hidden + self.mlp(hidden) * mask


class HeadTower(nn.Module):
    """Convolutions shared by all levels, before a head."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))

    def forward(self, hidden: Tensor, valid_mask: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            hidden = F.relu(norm(conv(hidden.transpose(1, 2)).transpose(1, 2))) * valid_mask[..., None]
        return hidden


@torch.no_grad()
def decode_proposals(
    output: ProposalOutput, lengths: list[int], *, max_proposals: int, min_score: float = 1e-4
) -> list[tuple[Tensor, Tensor]]:
    """The best proposals of each window, best first: segments [K, 2] on its feature grid, inside it, and scores [K].

    The score is the geometric mean of actionness and quality. Overlapping proposals are all kept.
    """
    actionness, quality = output.actionness_logits.sigmoid(), output.quality_logits.sigmoid()
    scores = (actionness * quality).sqrt() * output.valid_mask
    found = []
    for row, length in enumerate(lengths):
        inside = output.segments[row].clamp(0, length)
        usable = (scores[row] > min_score) & (inside[:, 1] - inside[:, 0] > 1e-3)
        best = scores[row].masked_fill(~usable, -1).argsort(descending=True, stable=True)
        best = best[: min(max_proposals, int(usable.sum()))]
        found.append((inside[best], scores[row][best]))
    return found
