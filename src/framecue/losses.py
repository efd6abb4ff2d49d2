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
