"""The whole model: prompted names on one side, temporally modeled frame features on the other, cosine between."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framecue.backbone import Backbone, TextPath
from framecue.losses import similarity_logits
from framecue.models.handcrafted import Handcrafted
from framecue.models.pooling import masked_mean
from framecue.models.prompt import PromptSlots, PromptVectors, prompt_slots
from framecue.models.temporal import TemporalTransformer


class VideoTextModel(nn.Module):
    """Trained parts over a frozen backbone. `parameters()` and `state_dict()` hold the trained tensors alone.

    Args:
        backbone: frozen; kept outside the module tree, so that no checkpoint and no optimizer ever sees it.
        prompt: the learned vectors.
        temporal: None = the mean of raw frame features.
        temperature: cosines are divided by it.
        normalize: compare by cosine; False = raw dot product without temperature.
        gated: a learned gate on what the temporal module adds to the mean frame feature, zero at the start, so that
            step 0 is frozen CLIP's video side (ReZero, Bachlechner et al. 2021). A departure: the paper has none.
        handcrafted: frozen texts of the names, for the ensemble below and for distillation; None = not needed.
        temporal_weight, handcrafted_weight: how much of the temporal module's addition, and of the handcrafted text,
            stands in the embeddings; 1 and 0 are the paper. May be changed at any time (tasks.blend chooses them).
    """

    def __init__(
        self,
        backbone: Backbone,
        prompt: PromptVectors,
        temporal: TemporalTransformer | None,
        *,
        temperature: float = 0.07,
        normalize: bool = True,
        gated: bool = False,
        handcrafted: Handcrafted | None = None,
        temporal_weight: float = 1.0,
        handcrafted_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self._backbone = [backbone]  # a list hides it from nn.Module's registration
        self.prompt = prompt
        self.temporal = temporal
        self.gate = nn.Parameter(torch.zeros(1)) if gated and temporal is not None else None
        self.temperature = temperature
        self.normalize = normalize
        self.handcrafted = handcrafted
        self.temporal_weight, self.handcrafted_weight = temporal_weight, handcrafted_weight

    @property
    def backbone(self) -> Backbone:
        """The frozen backbone."""
        return self._backbone[0]

    def slots(self, names: Sequence[str]) -> PromptSlots:
        """Tokenize N names and lay them out for this model's prompt vectors; on the backbone's device.

        Raises:
            PromptTooLongError: a name does not fit beside the prompt vectors.
        """
        tower = self.backbone.text_tower
        slots = prompt_slots(
            self.backbone.tokenize(names),
            n_prefix=self.prompt.n_prefix,
            n_suffix=self.prompt.n_suffix,
            context_length=tower.context_length,
            fill_context=not tower.causal,
        ).to(self.backbone.device)
        return slots if self.handcrafted is None else replace(slots, handcrafted=self.handcrafted(names))

    def embed_learned_text(self, slots: PromptSlots, *, path: TextPath = "shared") -> Tensor:
        """Prompted text embeddings alone, [N, D], not normalized."""
        tower = self.backbone.text_tower
        return tower(self.prompt(slots, tower.embed_tokens(slots.sos), tower.embed_tokens(slots.tokens)), path)

    def embed_text(self, slots: PromptSlots, *, path: TextPath = "shared") -> Tensor:
        """Text embeddings of N names, [N, D], not normalized: prompted, handcrafted, or a weighted sum of both."""
        if self.handcrafted_weight == 0:
            return self.embed_learned_text(slots, path=path)
        frozen = _handcrafted(slots)
        if self.handcrafted_weight == 1:
            return frozen
        return self.mix_text(self.embed_learned_text(slots, path=path), frozen)

    def mix_text(self, learned: Tensor, frozen: Tensor) -> Tensor:
        """The ensemble of prompted [N, D] and normalized handcrafted [N, D] embeddings at `handcrafted_weight`."""
        if self.handcrafted_weight == 0:
            return learned
        return torch.lerp(F.normalize(learned, dim=-1), frozen, self.handcrafted_weight)

    def embed_video(self, frame_features: Tensor, valid_mask: Tensor | None = None) -> Tensor:
        """Frame features [B, T, D] with bool valid_mask [B, T] -> video embeddings [B, D], not normalized."""
        if self.temporal is None:
            return masked_mean(frame_features, valid_mask)
        modeled = masked_mean(self.temporal(frame_features, valid_mask), valid_mask)
        if self.gate is None and self.temporal_weight == 1:
            return modeled
        return self.mix_video(modeled, masked_mean(frame_features, valid_mask))

    def mix_video(self, modeled: Tensor, frozen: Tensor) -> Tensor:
        """Mean frame feature [B, D] plus the kept part of what the temporal module adds to it."""
        kept = self.temporal_weight if self.gate is None else self.temporal_weight * self.gate
        return frozen + kept * (modeled - frozen)

    def logits(self, video_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """[B, D] x [N, D] -> [B, N]."""
        return similarity_logits(video_embedding, text_embedding, scale=1 / self.temperature, normalize=self.normalize)

    def forward(
        self, frame_features: Tensor, slots: PromptSlots, valid_mask: Tensor | None = None, *, path: TextPath = "shared"
    ) -> Tensor:
        """Logits [B, N] of B videos against N names."""
        return self.logits(self.embed_video(frame_features, valid_mask), self.embed_text(slots, path=path))


def num_trainable(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _handcrafted(slots: PromptSlots) -> Tensor:
    if slots.handcrafted is None:
        raise ValueError("A model with handcrafted_weight above 0 needs handcrafted texts; build it with templates.")
    return slots.handcrafted
