"""Temporal Transformer over frozen frame features (method: paper section 3.3; the authors' `src/model.py`)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

INIT_STD = 0.01  # of the temporal positions, N(0, 0.01²); everything else keeps PyTorch's default


class QuickGELU(nn.Module):
    """z·σ(1.702z), the activation of OpenAI's CLIP."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden * torch.sigmoid(1.702 * hidden)


class TemporalBlock(nn.Module):
    """Pre-LN block: self-attention over time, then a 4x wide MLP. Tensor names and order are the authors'."""

    def __init__(self, embed_dim: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(embed_dim, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(embed_dim)
        layers = [
            ("c_fc", nn.Linear(embed_dim, 4 * embed_dim)),
            ("gelu", QuickGELU()),
            ("c_proj", nn.Linear(4 * embed_dim, embed_dim)),
        ]
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.ln_2 = nn.LayerNorm(embed_dim)

    def forward(self, hidden: Tensor, ignored: Tensor | None) -> Tensor:
        """[B, T, D] -> [B, T, D]; `ignored` bool [B, T] is True where a step must not be attended to."""
        normed = self.ln_1(hidden)
        hidden = hidden + self.attn(normed, normed, normed, key_padding_mask=ignored, need_weights=False)[0]
        return hidden + self.mlp(self.ln_2(hidden))


class TemporalTransformer(nn.Module):
    """Learned positions and `layers` bidirectional blocks; no final norm and no skip round the whole.

    Args:
        embed_dim: size D of frame features.
        num_frames: the longest sequence T.
        layers, heads: the paper's models have 1 to 4 layers of 8 heads.
    """

    def __init__(self, embed_dim: int, *, num_frames: int = 16, layers: int = 2, heads: int = 8) -> None:
        super().__init__()
        self.positions = nn.Parameter(INIT_STD * torch.randn(num_frames, embed_dim))
        self.blocks = nn.ModuleList(TemporalBlock(embed_dim, heads) for _ in range(layers))

    def forward(self, frame_features: Tensor, valid_mask: Tensor | None = None) -> Tensor:
        """Model time.

        Args:
            frame_features: [B, T, D], raw (not normalized) image-tower outputs.
            valid_mask: bool [B, T], True = real; None = all real.

        Returns:
            [B, T, D]; rows of padded steps are undefined and must be masked by the reader.

        Raises:
            ValueError: T exceeds `num_frames`.
        """
        num_steps = frame_features.shape[1]
        if num_steps > len(self.positions):
            raise ValueError(f"frame_features have {num_steps} steps, the temporal positions {len(self.positions)}.")
        hidden = frame_features + self.positions[:num_steps]
        ignored = None if valid_mask is None or bool(valid_mask.all()) else ~valid_mask
        for block in self.blocks:
            hidden = block(hidden, ignored)
        return hidden
