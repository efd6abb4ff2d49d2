"""Texts, cleaned as the backbone's makers clean them, to token ids with explicit EOS positions."""

import html
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

TextCleaning = Literal["openai-clip", "siglip-canonicalize", "siglip2-lower", "as-written"]
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, eq=False)
class TokenizedText:
    """Token ids of N texts, of any length: whether they fit is decided when prompt vectors join them.

    Attributes:
        texts: the N texts, as they were given.
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


def choose_cleaning(model_type: str, tokenizer: Any) -> TextCleaning:
    """How the makers of a checkpoint clean its texts.

    SigLIP 1 and SigLIP 2 share a model type. SigLIP 2 reads with Gemma's tokenizer, which writes EOS as "<eos>".
    """
    if model_type == "clip":
        return "openai-clip"
    if model_type == "siglip":
        return "siglip2-lower" if tokenizer.eos_token == "<eos>" else "siglip-canonicalize"
    return "as-written"  # MetaCLIP 2: its makers hand texts to the tokenizer as they are


def clean_text(text: str, cleaning: TextCleaning) -> str:
    """A text as the makers of a backbone clean it before its tokenizer.

    - "openai-clip": github.com/openai/CLIP, simple_tokenizer.py: mended encoding, HTML entities twice, white space,
      lower case.
    - "siglip-canonicalize": github.com/google-research/big_vision, prompt_engineering.py: underscores become spaces,
      ASCII punctuation goes, lower case, white space.
    - "siglip2-lower": big_vision, SigLIP2_demo.ipynb: `tf.strings.lower`, which lowers ASCII letters alone.
    - "as-written": the text itself.
    """
    return _CLEANINGS[cleaning](text)


def _clean_openai(text: str) -> str:
    import ftfy  # here, so that a command that reads no text starts without it

    return _single_spaces(html.unescape(html.unescape(ftfy.fix_text(text)))).lower()


def _canonicalize(text: str) -> str:
    return _single_spaces(text.replace("_", " ").translate(_NO_PUNCTUATION).lower())


def _single_spaces(text: str) -> str:
    return " ".join(text.split())


_CLEANINGS: dict[TextCleaning, Callable[[str], str]] = {
    "openai-clip": _clean_openai,
    "siglip-canonicalize": _canonicalize,
    "siglip2-lower": lambda text: text.translate(_ASCII_LOWER),
    "as-written": lambda text: text,
}


def tokenize(tokenizer: Any, texts: Sequence[str], cleaning: TextCleaning) -> TokenizedText:
    """Clean and tokenize without truncation, each text ending in EOS."""
    if not texts:
        raise ValueError("tokenize needs at least one text, got none.")
    cleaned = [clean_text(text, cleaning) for text in texts]
    eos_id, sos_id = tokenizer.eos_token_id, tokenizer.bos_token_id
    encoded = tokenizer(cleaned, padding=False, truncation=False, verbose=False)["input_ids"]
    rows = [ids if ids and ids[-1] == eos_id else [*ids, eos_id] for ids in encoded]
    n_sos = int(sos_id is not None and all(row[0] == sos_id for row in rows))
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_id
    eos_index = torch.tensor([len(row) - 1 for row in rows])
    tokens = torch.full((len(rows), int(eos_index.max()) + 1), pad_id)
    for line, row in zip(tokens, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return TokenizedText(tuple(texts), tokens, eos_index, n_sos, pad_id)
