"""Localization with nothing trained for it: segments by cues (tasks.proposal_cues), names by any model of videos.

The frozen backbone names segments by their mean feature, a recognition adapter as it names whole videos. Beside the
asked names stand a few texts for "none of these", so that a video without the named actions yields nothing.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from framecue.backbone import Backbone
from framecue.datasets.naming import spoken
from framecue.models.handcrafted import template_embeddings
from framecue.models.video_text import VideoTextModel
from framecue.tasks.localization import FrozenNamer, GridProposer, Namer, PromptedNamer, TwoStage
from framecue.tasks.proposal_cues import CueSettings, propose
from framecue.tasks.streaming import FeatureWindow
from framecue.video.sampling import parse_sampling

Array = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]

NULL_TEXTS = (
    "background",
    "nothing",
    "an empty scene",
    "nothing is happening",
    "something standing still",
    "a person",
    "someone doing something",
    "an object",
    "something else",
    "something moving",
)
"""What is none of the asked names. That CLIP needs texts for what is not asked, or else gives all probability to what
is, is known from segmentation (CLIP-ES, Lin et al. 2023: a set of background words); the words are ours, chosen on
validation videos of the built-in world (docs/log.md)."""

SPOTTING_SAMPLING = "fps:8"
SPOTTING_WINDOW, SPOTTING_STRIDE = 512, 256
TEMPERATURE = 3.0
FROZEN_MIN_SCORE, ADAPTER_MIN_SCORE = 0.4, 0.5
"""How soft the probabilities are: segments cut by cues say less than whole videos, on which a model's own temperature
was learned; and which scores are sure enough to be shown. Chosen on the same videos, asked for what they show and for
what they do not. To measure mAP take all scores instead."""

ADAPTER_CONTEXT_SECONDS = 1.5
NAMED_EVERY = 2


class SpottedProposals(GridProposer):
    """Stage one by cues: where the names are seen, and where the picture changes.

    Args:
        namer: says how much each name is seen at a time.
        context_seconds: how much of the video it is shown at each time; at least the one feature there.
    """

    def __init__(self, namer: Namer, *, context_seconds: float = 0.0, settings: CueSettings | None = None) -> None:
        self._namer, self._settings, self._context_seconds = namer, settings or CueSettings(), context_seconds

    def __call__(self, window: FeatureWindow) -> tuple[Array, Scores]:
        """Segments [K, 2] on the window's feature grid and their scores [K], best first."""
        seconds_per_feature = float(np.median(np.diff(window.edges_seconds))) or 1.0
        seen = self._seen(window, max(1.0, self._context_seconds / seconds_per_feature))
        segments, scores = propose(
            window.frame_features, seen, seconds_per_feature=seconds_per_feature, settings=self._settings
        )
        return segments, scores.astype(np.float32)

    def _seen(self, window: FeatureWindow, context_features: float) -> Scores:
        """Probability of each name at each feature, [T, N]; in between the named places by straight lines."""
        count = len(window)
        middles = np.arange(0, count, NAMED_EVERY) + 0.5
        half = context_features / 2
        spans = np.clip(np.stack([middles - half, middles + half], axis=1), 0, count)
        seen = self._namer(window, spans)
        here = np.arange(count) + 0.5
        return np.stack([np.interp(here, middles, curve) for curve in seen.T], axis=1).astype(np.float32)


def frozen_localizer(backbone: Backbone, labels: Sequence[str], templates: Sequence[str]) -> TwoStage:
    """Nothing trained at all; the null texts stand as they are, without templates.

    Raises:
        PromptTooLongError: a label does not fit the text tower.
    """
    names = template_embeddings(backbone, [spoken(label) for label in labels], templates)
    with torch.no_grad():
        nulls = F.normalize(backbone.encode_text(NULL_TEXTS), dim=-1)
    scale = backbone.logit_scale / TEMPERATURE
    namer = FrozenNamer(torch.cat([names, nulls]), scale=scale, num_others=len(nulls))
    return _spotting(namer, labels, SPOTTING_SAMPLING, FROZEN_MIN_SCORE, context_seconds=0.0)


@torch.no_grad()
def adapter_localizer(
    model: VideoTextModel, labels: Sequence[str], *, class_names: Sequence[str], num_frames: int, sampling: str
) -> TwoStage:
    """Names by a recognition adapter; the null texts and those of its own classes that are not asked for compete.

    Args:
        class_names: of the adapter.
        num_frames: in its windows.
        sampling: of its features; taken where it is "fps:NUMBER".

    Raises:
        PromptTooLongError: a label does not fit beside the prompt vectors.
    """
    others = [*NULL_TEXTS, *(name for name in class_names if name not in labels)]
    text = model.embed_text(model.slots([*labels, *others]))
    namer = PromptedNamer(model, text, num_frames=num_frames, num_others=len(others), temperature=TEMPERATURE)
    usable = sampling if parse_sampling(sampling).kind == "fps" else SPOTTING_SAMPLING
    return _spotting(namer, labels, usable, ADAPTER_MIN_SCORE, context_seconds=ADAPTER_CONTEXT_SECONDS)


def _spotting(
    namer: Namer, labels: Sequence[str], sampling: str, min_score: float, *, context_seconds: float
) -> TwoStage:
    return TwoStage(
        SpottedProposals(namer, context_seconds=context_seconds),
        namer,
        tuple(labels),
        sampling=sampling,
        window=SPOTTING_WINDOW,
        stride=SPOTTING_STRIDE,
        min_score=min_score,
    )
