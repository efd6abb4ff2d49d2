"""Similarity and the contrastive loss over candidate texts (method: paper equation 4; method of negatives: the authors'
`src/train.py`)."""

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.07  # fixed; CLIP's own learned scale of about 100 is not used


def similarity_logits(
    video_embedding: Tensor, text_embedding: Tensor, *, scale: float = 1 / TEMPERATURE, normalize: bool = True
) -> Tensor:
    """scale * cosine, [B, D] x [N, D] -> [B, N], so within ±1/0.07 = ±14.2857 by default.

    With `normalize` False: the raw dot product and no scale (the authors' `--featnorm 0`).
    """
    if not normalize:
        return video_embedding @ text_embedding.T
    return scale * F.normalize(video_embedding, dim=-1) @ F.normalize(text_embedding, dim=-1).T


def nce_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy video -> text, mean over the batch: logits [B, N], int64 targets [B] -> scalar."""
    return F.cross_entropy(logits, targets)


def sample_candidates(
    targets: Tensor, num_classes: int, *, max_candidates: int = 400, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Candidate texts of one step: the batch's classes and random others, `max_candidates` in all.

    The batch's classes are all kept, even beyond `max_candidates`.

    Args:
        targets: int64 [B], class of each video.
        generator: source of the draw of negatives.

    Returns:
        candidates int64 [M], class ids in ascending order, M = min(num_classes, max(max_candidates, classes in the
        batch)); and targets [B] as positions among them.
    """
    present = targets.unique()
    if len(present) < min(num_classes, max_candidates):
        absent = torch.ones(num_classes, dtype=torch.bool)
        absent[present.cpu()] = False
        others = absent.nonzero().flatten()
        chosen = others[torch.randperm(len(others), generator=generator)[: max_candidates - len(present)]]
        present = torch.cat([present, chosen.to(present.device)]).sort().values
    return present, torch.searchsorted(present, targets)


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss of each element (Lin et al. 2017): logits and targets in {0, 1} of one shape."""
    error = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    missed = probability * (1 - targets) + (1 - probability) * targets
    return (alpha * targets + (1 - alpha) * (1 - targets)) * missed**gamma * error


def segment_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Overlap over union of segments [..., 2] with their partners [..., 2], in [0, 1]."""
    overlap = (torch.minimum(first[..., 1], second[..., 1]) - torch.maximum(first[..., 0], second[..., 0])).clamp(min=0)
    union = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0]) - overlap
    return overlap / union.clamp(min=1e-6)


def distance_iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - overlap + squared distance of the middles over squared common hull (DIoU, Zheng et al. 2020, in 1-D).

    Segments [..., 2] with start <= end -> [...]. Unlike the overlap alone it has a gradient where they do not meet.
    """
    hull = torch.maximum(predicted[..., 1], target[..., 1]) - torch.minimum(predicted[..., 0], target[..., 0])
    apart = (predicted.mean(dim=-1) - target.mean(dim=-1)) / hull.clamp(min=1e-6)
    return 1 - segment_overlap(predicted, target) + apart**2
