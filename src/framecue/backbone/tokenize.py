"""Texts to token ids with explicit EOS positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TokenizedText:
    """Token ids of N texts, of any length: whether they fit is decided when prompt vectors join them.

    Attributes:
        texts: the N texts.
        tokens: int64 [N, L], padded behind EOS.
        eos_index: int64 [N], position of each text's EOS.
        n_sos: tokens before the first word: 1 where the tokenizer writes SOS (CLIP), else 0 (SigLIP).
        pad_id: the id that stands behind EOS.
    """

    texts: tuple[str, ...]
    tokens: Tensor
    eos_index: Tensor
    n_sos: int
    pad_id: int


def tokenize(tokenizer: Any, texts: Sequence[str]) -> TokenizedText:
    """Tokenize without truncation, each text ending in EOS."""
    if not texts:
        raise ValueError("tokenize needs at least one text, got none.")
    eos_id, sos_id = tokenizer.eos_token_id, tokenizer.bos_token_id
    encoded = tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
    rows = [ids if ids and ids[-1] == eos_id else [*ids, eos_id] for ids in encoded]
    n_sos = int(sos_id is not None and all(row[0] == sos_id for row in rows))
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_id
    eos_index = torch.tensor([len(row) - 1 for row in rows])
    tokens = torch.full((len(rows), int(eos_index.max()) + 1), pad_id)
    for line, row in zip(tokens, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return TokenizedText(tuple(texts), tokens, eos_index, n_sos, pad_id)
