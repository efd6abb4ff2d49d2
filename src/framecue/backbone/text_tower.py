"""The frozen text tower, driven from input embeddings so that learned vectors can be spliced in.

A text is given as two pieces: `prefix`, which is the same for all texts ([SOS, prefix vectors]), and `body`, which is a
text's own (name tokens, suffix vectors, EOS). Three paths give the same embeddings and the same gradients:

- "full": prefix + body, filled up to the context length, through the checkpoint's own encoder. The reference.
- "truncated": the same, but sequences end where `body` does, so make it end at the last EOS. Exact where attention is
  causal: what stands after EOS cannot reach it. Also drops the last layer's work at every position but EOS's.
- "shared": as "truncated", and the prefix runs once instead of once per text; its keys and values are shared by all
  texts, layer by layer. Exact where attention is causal: no prefix position sees a body.

Towers with bidirectional attention (SigLIP) read the padding and pool at the last position: "full" is their only path.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TextPath = Literal["shared", "truncated", "full"]


@dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """Input embeddings of N texts.

    Attributes:
        prefix: [P, W], the same for all texts; P may be 0.
        body: [N, L, W], each text's own positions P .. P+L-1; what follows a text's EOS is padding.
        eos_index: int64 [N], position of EOS within `body`.
    """

    prefix: Tensor
    body: Tensor
    eos_index: Tensor

    def __post_init__(self) -> None:
        if self.prefix.ndim != 2 or self.body.ndim != 3 or self.eos_index.shape != self.body.shape[:1]:
            shapes = [list(t.shape) for t in (self.prefix, self.body, self.eos_index)]
            raise ValueError(f"prefix, body, eos_index must be [P, W], [N, L, W], [N]; got {shapes}.")


class TextTower(nn.Module):
    """One interface over the text towers of transformers' CLIP family; weights are used as they are, never copied.

    Args:
        text_model: CLIPTextModel or SiglipTextModel.
        projection: CLIP's text projection; None where the tower ends in a head of its own (SigLIP).
        causal: attention is causal and the embedding is read at EOS; otherwise it is read at the last position.
        autocast_dtype: arithmetic of matrix products; None = that of the weights.
    """

    def __init__(
        self, text_model: Any, projection: nn.Module | None, *, causal: bool, autocast_dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.text_model = text_model
        self.projection = projection
        self.causal = causal
        self.autocast_dtype = autocast_dtype
        self.context_length: int = text_model.config.max_position_embeddings
        self.width: int = text_model.config.hidden_size
        self.heads: int = text_model.config.num_attention_heads

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token ids [...] -> token embeddings [..., W] in float32, without positions."""
        return self.text_model.get_input_embeddings()(tokens).float()

    def forward(self, texts: TextEmbeddings, path: TextPath = "shared") -> Tensor:
        """Embed N texts. Gradients pass to `prefix` and `body`; the tower's own weights are frozen.

        Returns:
            float32 [N, D], not normalized.

        Raises:
            ValueError: the texts exceed the context length.
        """
        length = len(texts.prefix) + texts.body.shape[1]
        if length > self.context_length:
            raise ValueError(f"texts have {length} positions, the text tower takes {self.context_length}.")
        device = texts.body.device
        enabled = self.autocast_dtype is not None
        with torch.autocast(device.type, dtype=self.autocast_dtype or torch.bfloat16, enabled=enabled):
            if not self.causal or path == "full":
                return self._full(texts).float()
            return self._cut(texts, share_prefix=path == "shared").float()

    def _full(self, texts: TextEmbeddings) -> Tensor:
        num_texts = len(texts.body)
        prefix_length, body_length = len(texts.prefix), texts.body.shape[1]
        sequence = torch.cat([texts.prefix.expand(num_texts, -1, -1), texts.body], dim=1)
        sequence = F.pad(sequence, (0, 0, 0, self.context_length - prefix_length - body_length))
        hidden = self.text_model.embeddings(inputs_embeds=sequence)
        # Without is_causal the encoder of transformers 5 is silently bidirectional.
        hidden = self.text_model.encoder(
            inputs_embeds=hidden, attention_mask=None, is_causal=self.causal
        ).last_hidden_state
        if not self.causal:
            return self._project(hidden[:, -1])
        rows = torch.arange(num_texts, device=hidden.device)
        return self._project(hidden[rows, prefix_length + texts.eos_index])

    def _cut(self, texts: TextEmbeddings, *, share_prefix: bool) -> Tensor:
        num_texts = len(texts.body)
        body, prefix, eos_index = texts.body, texts.prefix, texts.eos_index
        if not share_prefix:
            body = torch.cat([prefix.expand(num_texts, -1, -1), body], dim=1)
            eos_index = eos_index + len(prefix)
            prefix = prefix[:0]
        prefix_length, body_length = len(prefix), body.shape[1]
        positions = self.text_model.embeddings.position_embedding.weight
        prefix = (prefix + positions[:prefix_length])[None]  # [1, P, W]
        body = body + positions[prefix_length : prefix_length + body_length]  # [N, L, W]
        mask = _causal_mask(prefix_length, body_length, body.device)  # [L, P+L]
        *layers, last = self.text_model.encoder.layers
        for layer in layers:
            keys_values = self._keys_values(layer, prefix)
            body = self._layer(layer, body, keys_values, mask)
            if prefix_length:
                prefix = self._layer(layer, prefix, None, None)
        # EOS alone is read, so the last layer asks its question there alone.
        rows = torch.arange(num_texts, device=body.device)
        at_eos = self._layer(
            last, body, self._keys_values(last, prefix), mask[eos_index][:, None, None], query_at=(rows, eos_index)
        )
        return self._project(at_eos[:, 0])

    def _layer(
        self,
        layer: Any,
        hidden: Tensor,
        shared: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        *,
        query_at: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """One pre-LN block over [N, L, W]; `shared` keys and values [1, H, P, W/H] stand before each text's own.

        With `query_at` (rows, positions) only those positions are computed: the result is [N, 1, W].
        `mask` None = causal.
        """
        normed = layer.layer_norm1(hidden)
        keys, values = self._heads(layer.self_attn.k_proj(normed)), self._heads(layer.self_attn.v_proj(normed))
        if shared is not None and shared[0].shape[2]:
            num_texts = len(hidden)
            keys = torch.cat([shared[0].expand(num_texts, -1, -1, -1), keys], dim=2)
            values = torch.cat([shared[1].expand(num_texts, -1, -1, -1), values], dim=2)
        if query_at is not None:
            normed, hidden = normed[query_at][:, None], hidden[query_at][:, None]
        queries = self._heads(layer.self_attn.q_proj(normed))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=mask is None)
        hidden = hidden + layer.self_attn.out_proj(attended.transpose(1, 2).flatten(2))
        return hidden + layer.mlp(layer.layer_norm2(hidden))

    def _keys_values(self, layer: Any, prefix: Tensor) -> tuple[Tensor, Tensor]:
        normed = layer.layer_norm1(prefix)
        return self._heads(layer.self_attn.k_proj(normed)), self._heads(layer.self_attn.v_proj(normed))

    def _heads(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [N, L, W] -> [N, H, L, W/H]

    def _project(self, hidden: Tensor) -> Tensor:
        pooled = self.text_model.final_layer_norm(hidden)
        return self.text_model.head(pooled) if self.projection is None else self.projection(pooled)


def _causal_mask(prefix_length: int, body_length: int, device: torch.device) -> Tensor:
    """True = may be seen: a body position sees the whole prefix, itself and what precedes it. bool [L, P+L]."""
    own = torch.ones(body_length, body_length, dtype=torch.bool, device=device).tril()
    return F.pad(own, (prefix_length, 0), value=True)
