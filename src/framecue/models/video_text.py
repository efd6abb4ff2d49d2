"""The whole model: prompted names on one side, temporally modeled frame features on the other, cosine between."""

from collections.abc import Sequence

from torch import Tensor, nn

from framecue.backbone import Backbone, TextPath
from framecue.losses import similarity_logits
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
    """

    def __init__(
        self,
        backbone: Backbone,
        prompt: PromptVectors,
        temporal: TemporalTransformer | None,
        *,
        temperature: float = 0.07,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self._backbone = [backbone]  # a list hides it from nn.Module's registration
        self.prompt = prompt
        self.temporal = temporal
        self.temperature = temperature
        self.normalize = normalize

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
        return prompt_slots(
            self.backbone.tokenize(names),
            n_prefix=self.prompt.n_prefix,
            n_suffix=self.prompt.n_suffix,
            context_length=tower.context_length,
            fill_context=not tower.causal,
        ).to(self.backbone.device)

    def embed_text(self, slots: PromptSlots, *, path: TextPath = "shared") -> Tensor:
        """Prompted text embeddings, [N, D], not normalized."""
        tower = self.backbone.text_tower
        return tower(self.prompt(slots, tower.embed_tokens(slots.sos), tower.embed_tokens(slots.tokens)), path)

    def embed_video(self, frame_features: Tensor, valid_mask: Tensor | None = None) -> Tensor:
        """Frame features [B, T, D] with bool valid_mask [B, T] -> video embeddings [B, D], not normalized."""
        hidden = frame_features if self.temporal is None else self.temporal(frame_features, valid_mask)
        return masked_mean(hidden, valid_mask)

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
