"""From per-frame to per-video vectors."""

from torch import Tensor


def masked_mean(hidden: Tensor, valid_mask: Tensor | None = None) -> Tensor:
    """Mean over the valid steps: [B, T, D], bool [B, T] -> [B, D]. None = all valid.

    Raises:
        ValueError: a row has no valid step, so that its mean does not exist.
    """
    if valid_mask is None:
        return hidden.mean(dim=1)
    count = valid_mask.sum(dim=1, keepdim=True)
    if bool((count == 0).any()):
        raise ValueError("valid_mask must have at least one True in every row, found a row with none.")
    return hidden.masked_fill(~valid_mask[..., None], 0).sum(dim=1) / count
