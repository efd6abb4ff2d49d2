"""The frozen CLIP: one object with both towers, preprocessing and tokenizer. Nothing in it is ever trained."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from framecue.backbone.preprocess import Preprocessing
from framecue.backbone.text_tower import TextEmbeddings, TextPath, TextTower
from framecue.backbone.tokenize import TokenizedText, choose_cleaning, tokenize
from framecue.errors import PromptTooLongError

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Backbone:
    """A frozen image-language model.

    Args:
        model: CLIPModel or SiglipModel of transformers.
        tokenizer: the checkpoint's own.
        preprocessing: the checkpoint's own.
        name: hub id or folder name, for people and for error messages.
        causal: whether the text tower's attention is causal.
        precision: arithmetic of the image tower's matrix products; layer norms and sums stay in float32.
        text_precision: the same for the text tower; None = `precision`.
        device: where both towers run.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        preprocessing: Preprocessing,
        *,
        name: str,
        causal: bool,
        precision: Precision = "fp32",
        text_precision: Precision | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.text_cleaning = choose_cleaning(model.config.model_type, tokenizer)
        self.preprocessing = preprocessing
        self.precision = precision
        self.text_precision = text_precision or precision
        self.device = torch.device(device)
        self.weights_hash = hash_tensors(model.state_dict())
        self.model.to(self.device)
        self._image_dtype = _DTYPES[precision]
        text_dtype = _DTYPES[self.text_precision]
        projection = getattr(model, "text_projection", None)
        for part in (model.vision_model, getattr(model, "visual_projection", None)):
            _cast_products(part, self._image_dtype)
        for part in (model.text_model, projection):
            _cast_products(part, text_dtype)
        self.text_tower = TextTower(model.text_model, projection, causal=causal, autocast_dtype=text_dtype)

    @property
    def on_gpu(self) -> bool:
        """Whether both towers run on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def fingerprint(self) -> list[str]:
        """What decides its embeddings: the weights, the arithmetic of each tower, and what cleans its texts."""
        return [self.weights_hash, self.precision, self.text_precision, self.text_cleaning]

    @property
    def image_size(self) -> int:
        """Side S of the image tower's input, in pixels."""
        return self.preprocessing.image_size

    @cached_property
    def embed_dim(self) -> int:
        """Size D of the joint image-text space."""
        head = getattr(self.model, "text_projection", None)
        return int((head or self.model.text_model.head).out_features)

    @property
    def logit_scale(self) -> float:
        """The checkpoint's own scale of cosines, already exponentiated (CLIP: about 100). The method uses 1/0.07."""
        return float(self.model.logit_scale.exp())

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Normalized images [T, 3, S, S] -> float32 [T, D], not normalized."""
        dtype = self._image_dtype
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            features = self.model.get_image_features(pixel_values=images.to(self.device)).pooler_output
        return features.float()

    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 RGB frames [T, 3, S, S], already resized and cropped -> frame features, float32 [T, D]."""
        return self.encode_images(self.preprocessing.normalize(frames.to(self.device)))

    def tokenize(self, texts: Sequence[str]) -> TokenizedText:
        """Token ids with EOS positions, of any length, of the texts as `text_cleaning` leaves them."""
        return tokenize(self.tokenizer, texts, self.text_cleaning)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str], *, path: TextPath = "shared") -> Tensor:
        """Plain text embeddings, no learned vectors: float32 [N, D], not normalized.

        Raises:
            PromptTooLongError: a text exceeds the text tower's context.
        """
        tokenized = self.tokenize(texts)
        limit = self.text_tower.context_length
        for text, eos in zip(tokenized.texts, tokenized.eos_index.tolist(), strict=True):
            if eos >= limit:
                raise PromptTooLongError(
                    f"Text {text!r} has {eos + 1} tokens, {self.name} takes at most {limit}; shorten it."
                )
        tokens = tokenized.tokens
        if not self.text_tower.causal:  # the tower reads its padding
            tokens = torch.nn.functional.pad(tokens, (0, limit - tokens.shape[1]), value=tokenized.pad_id)
        embedded = self.text_tower.embed_tokens(tokens.to(self.device))
        texts_in = TextEmbeddings(embedded[0, :0], embedded, tokenized.eos_index.to(self.device))
        embeddings: Tensor = self.text_tower(texts_in, path)
        return embeddings


def hash_tensors(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 values: the same weights give the same hash whatever file held them."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu()
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{name}{list(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cast_products(part: nn.Module | None, dtype: torch.dtype | None) -> None:
    """Keep the weights of matrix products in `dtype`, so that autocast need not cast frozen weights at every call."""
    if part is None or dtype is None:
        return
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
