"""Frozen text embeddings of names, from templates and class descriptions: what CLIP knew before any training."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from framecue.backbone import Backbone


class Handcrafted:
    """Embeds names by templates and, where there are any, by descriptions of the class.

    A name's embedding is the mean of its normalized template embeddings, normalized (the ensemble of CLIP's paper,
    section 3.1.4). With descriptions (Menon and Vondrick 2023; FROSTER's rephrasing) it is the normalized sum of that
    and of the mean of the normalized description embeddings, so that both count the same however many there are.

    Args:
        backbone: frozen.
        templates: each holds {} once; the name takes its place.
        descriptions: name -> whole sentences, used as they are; names without any go by templates alone.
    """

    def __init__(
        self, backbone: Backbone, templates: Sequence[str], descriptions: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.backbone, self.templates = backbone, tuple(templates)
        self.descriptions = {name: tuple(texts) for name, texts in (descriptions or {}).items()}

    @torch.no_grad()
    def __call__(self, names: Sequence[str]) -> Tensor:
        """Normalized embeddings [N, D] on the backbone's device.

        Raises:
            PromptTooLongError: a text exceeds the text tower's context.
        """
        embedded = template_embeddings(self.backbone, names, self.templates)
        for row, name in enumerate(names):
            if self.descriptions.get(name):
                described = F.normalize(self.backbone.encode_text(self.descriptions[name]), dim=-1).mean(dim=0)
                embedded[row] = F.normalize(embedded[row] + F.normalize(described, dim=-1), dim=-1)
        return embedded


@torch.no_grad()
def template_embeddings(backbone: Backbone, class_names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Classifier of frozen CLIP: per name the mean of its normalized template embeddings, normalized. [N, D]."""
    per_template = [
        backbone.encode_text([template.replace("{}", name) for name in class_names]) for template in templates
    ]
    return F.normalize(torch.stack([F.normalize(part, dim=-1) for part in per_template]).mean(dim=0), dim=-1)
