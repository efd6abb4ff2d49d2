"""Learned prompt vectors around a tokenized name, at the text tower's input (method: paper sections 3.1-3.2).

A prompted text is [SOS, prefix vectors, name tokens, suffix vectors, EOS]. Which suffix vectors a name receives is
decided by the layout:

- "relative" (default, the paper's text): the same `n_suffix` vectors for every name.
- "absolute" (the authors' code, `src/model.py replace_text_embedding`): one table of `context_length` rows indexed by
  the position in the sequence, so that names of different lengths receive different, overlapping windows of it.
  Their released weights are only meaningful in this layout.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from framecue.backbone import TextEmbeddings, TokenizedText
from framecue.errors import PromptTooLongError

SuffixLayout = Literal["relative", "absolute"]
INIT_STD = 0.01  # the authors' initialization, N(0, 0.01²)


@dataclass(frozen=True, eq=False)
class PromptSlots:
    """Where name tokens and suffix vectors stand, for N names. Integers only: made once per set of names.

    Attributes:
        texts: the N names.
        sos: int64 [n_sos], token ids before the prefix vectors.
        tokens: int64 [N, L], ids of the body [name, suffix slots, EOS, padding]; the id at suffix slots is ignored.
        is_suffix: bool [N, L], True at suffix slots.
        suffix_row: int64 [N, L], which suffix vector stands there, counted from 0; 0 elsewhere.
        eos_index: int64 [N], EOS within the body.
        handcrafted: float [N, D], frozen normalized embeddings of the names; None where the model uses none.
    """

    texts: tuple[str, ...]
    sos: Tensor
    tokens: Tensor
    is_suffix: Tensor
    suffix_row: Tensor
    eos_index: Tensor
    handcrafted: Tensor | None = None

    def select(self, rows: Tensor) -> "PromptSlots":
        """The slots of some of the names, in the order of `rows` [M]."""
        texts = tuple(self.texts[row] for row in rows.tolist())
        tokens, is_suffix, suffix_row, eos_index = (
            part[rows] for part in (self.tokens, self.is_suffix, self.suffix_row, self.eos_index)
        )
        frozen = None if self.handcrafted is None else self.handcrafted[rows]
        return PromptSlots(texts, self.sos, tokens, is_suffix, suffix_row, eos_index, frozen)

    def to(self, device: torch.device) -> "PromptSlots":
        """The same slots on another device."""
        sos, tokens, is_suffix, suffix_row, eos_index = (
            part.to(device) for part in (self.sos, self.tokens, self.is_suffix, self.suffix_row, self.eos_index)
        )
        frozen = None if self.handcrafted is None else self.handcrafted.to(device)
        return PromptSlots(self.texts, sos, tokens, is_suffix, suffix_row, eos_index, frozen)


def prompt_slots(
    names: TokenizedText, *, n_prefix: int, n_suffix: int, context_length: int, fill_context: bool = False
) -> PromptSlots:
    """Lay out names with room for their prompt vectors.

    Args:
        names: tokenized names, n_name tokens each.
        fill_context: pad the body to the context's end, as towers with bidirectional attention need it.

    Raises:
        PromptTooLongError: n_sos + n_prefix + n_name + n_suffix + 1 exceeds `context_length` for some name. CLIP's 77
            positions with 16 + X + 16 leave 43 tokens for a name.
    """
    n_name = names.eos_index - names.n_sos
    room = context_length - names.n_sos - n_prefix - n_suffix - 1
    if int(n_name.max()) > room:
        worst = int(n_name.argmax())
        name = names.texts[worst]
        raise PromptTooLongError(
            f"Class name or caption {name[:80]!r} has {int(n_name[worst])} tokens; with {n_prefix} prefix and "
            f"{n_suffix} suffix vectors the text tower's {context_length} positions leave room for {room}; "
            "shorten the name or use fewer prompt vectors."
        )
    eos_index = n_name + n_suffix
    length = context_length - names.n_sos - n_prefix if fill_context else int(eos_index.max()) + 1
    position = torch.arange(length).expand(len(n_name), -1)  # [N, L]
    is_name = position < n_name[:, None]
    is_suffix = ~is_name & (position < eos_index[:, None])
    # Read the name where it stands, and from EOS on skip the suffix slots, so that EOS and padding follow as before.
    source = names.n_sos + torch.where(is_name, position, position - n_suffix)
    padded = nn.functional.pad(
        names.tokens, (0, max(0, int(source.max()) + 1 - names.tokens.shape[1])), value=names.pad_id
    )
    tokens = padded.gather(1, source.clamp(min=0))
    suffix_row = torch.where(is_suffix, position - n_name[:, None], 0)
    return PromptSlots(names.texts, names.tokens[0, : names.n_sos], tokens, is_suffix, suffix_row, eos_index)


class PromptVectors(nn.Module):
    """The learned vectors, shared by all names: no per-class and no deep prompts.

    Args:
        width: width W of the text tower.
        n_prefix, n_suffix: learned vectors before and after the name; 0 is allowed.
        layout: see the module's docstring.
        table_rows: rows of the "absolute" table, the text tower's context length.
        n_sos: tokens before the prefix; the "absolute" table counts from the sequence's first position.
    """

    def __init__(
        self,
        width: int,
        *,
        n_prefix: int = 16,
        n_suffix: int = 16,
        layout: SuffixLayout = "relative",
        table_rows: int = 77,
        n_sos: int = 1,
    ) -> None:
        super().__init__()
        self.n_prefix, self.n_suffix, self.layout, self.n_sos = n_prefix, n_suffix, layout, n_sos
        if layout == "absolute":
            self.table = nn.Parameter(INIT_STD * torch.randn(table_rows, width))
        else:
            self.prefix = nn.Parameter(INIT_STD * torch.randn(n_prefix, width))
            self.suffix = nn.Parameter(INIT_STD * torch.randn(n_suffix, width))

    def forward(self, slots: PromptSlots, sos: Tensor, tokens: Tensor) -> TextEmbeddings:
        """Splice the vectors in.

        Args:
            slots: where they go, for N names.
            sos: [n_sos, W], embeddings of `slots.sos`.
            tokens: [N, L, W], embeddings of `slots.tokens`.
        """
        if self.layout == "absolute":
            first = self.n_sos
            prefix, suffix = self.table[first : first + self.n_prefix], self.table
            # A slot's row is its position in the whole sequence.
            rows = torch.arange(tokens.shape[1], device=tokens.device) + first + self.n_prefix
            rows = torch.where(slots.is_suffix, rows, 0)
        else:
            prefix, suffix, rows = self.prefix, self.suffix, slots.suffix_row
        body = tokens
        if self.n_suffix:
            body = torch.where(slots.is_suffix[..., None], suffix[rows], tokens)
        return TextEmbeddings(torch.cat([sos, prefix]), body, slots.eos_index)
