"""Localization in two stages: propose segments of a window, name them, and fuse both scores; and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from framecue.backbone import TextPath
from framecue.config import RunConfig
from framecue.datasets.naming import spoken
from framecue.datasets.untrimmed_set import UntrimmedSet, WindowBatch, segment_batch, window_batch
from framecue.losses import distance_iou_loss, focal_loss, sample_candidates, segment_overlap
from framecue.models.localization import LocalizationModel, segment_frames
from framecue.models.proposal_targets import assign_targets
from framecue.models.proposals import ProposalNetwork, decode_proposals
from framecue.models.video_text import VideoTextModel
from framecue.segments import to_grid, to_seconds
from framecue.tasks.recognition import batch_loss
from framecue.tasks.streaming import FeatureWindow, WindowAnswer

Array = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]

NAMED_AT_ONCE = 256  # segments in one pass of the temporal module: bounds memory


class Proposer(Protocol):
    """Stage one: where something happens."""

    def __call__(self, window: FeatureWindow, /) -> tuple[Array, Scores]:
        """Segments [K, 2] on the window's feature grid and their scores [K] in [0, 1]."""

    def seconds(self, window: FeatureWindow, segments: Array, /) -> Array:
        """The times [K, 2] of the segments that the call gave."""


class GridProposer:
    """A proposer that finds its segments on the feature grid, so that their times follow from the window's cells."""

    def seconds(self, window: FeatureWindow, segments: Array) -> Array:
        """Grid [K, 2] -> seconds [K, 2]."""
        return to_seconds(segments, window.edges_seconds)


class Namer(Protocol):
    """Stage two: what happens."""

    def __call__(self, window: FeatureWindow, segments: Array, /) -> Scores:
        """Segments [K, 2] on the window's feature grid -> probability of each label, [K, N]."""


@dataclass(frozen=True, eq=False)
class TwoStage:
    """Both stages as one localizer of windows, for a fixed set of names.

    The score of a segment for a label is proposal^(1 - w) * class^w (`fusion_weight` w): the geometric mean at 0.5, the
    class alone at 1. The paper does not say how it fuses; this form holds the usual product (any w, up to a monotone
    map, has the product's two factors) and lets validation say which stage is to be trusted more.

    Attributes:
        labels: the N names.
        sampling, window, stride: as tasks.streaming.WindowLocalizer has them.
        min_score: segments below it are not sure enough to be shown, unless the caller says otherwise.
        sigma: of soft-NMS, as tasks.streaming.GatherSettings has it.
    """

    proposer: Proposer
    namer: Namer
    labels: tuple[str, ...]
    sampling: str
    window: int
    stride: int
    fusion_weight: float = 0.5
    min_score: float = 0.0
    sigma: float = 0.5

    def __call__(self, window: FeatureWindow) -> WindowAnswer:
        """Propose, name, fuse."""
        segments, proposal_scores = self.proposer(window)
        probabilities = self.namer(window, segments)
        weight = self.fusion_weight
        scores = (proposal_scores[:, None] ** (1 - weight) * probabilities**weight).astype(np.float32)
        curves = score_curves(segments, scores, len(window))
        return WindowAnswer(self.proposer.seconds(window, segments), scores, curves)


def score_curves(segments: Array, scores: Scores, num_features: int) -> Scores:
    """Score of the best segment over each feature: grid [K, 2] and [K, N] -> [T, N]."""
    curves = np.zeros((num_features, scores.shape[1]), np.float32)
    for (start, end), row in zip(np.rint(segments).astype(int).tolist(), scores, strict=True):
        np.maximum(curves[start:end], row, out=curves[start:end])
    return curves


class NetworkProposals(GridProposer):
    """Stage one by the trained network."""

    def __init__(self, network: ProposalNetwork, *, max_proposals: int) -> None:
        self._network, self._max_proposals = network, max_proposals

    @torch.no_grad()
    def __call__(self, window: FeatureWindow) -> tuple[Array, Scores]:
        """The best proposals of the window."""
        device = self._network.scale.device
        features = torch.from_numpy(window.frame_features).float().to(device)[None]
        mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
        output = self._network(features, mask)
        ((segments, scores),) = decode_proposals(output, [len(window)], max_proposals=self._max_proposals)
        return segments.double().cpu().numpy(), scores.cpu().numpy()


class GivenProposals:
    """Stage one by somebody else: one video's segments [K, 2] in seconds, with scores [K].

    Each is named once, by what the window that decides it shows of it, and keeps its own times.
    """

    def __init__(self, segments_seconds: Array, scores: Scores) -> None:
        self._segments, self._scores = segments_seconds, scores

    def __call__(self, window: FeatureWindow) -> tuple[Array, Scores]:
        """What the window shows of those that it decides."""
        mine = window.decides(self._segments)
        return to_grid(self._segments[mine], window.edges_seconds), self._scores[mine]

    def seconds(self, window: FeatureWindow, segments: Array) -> Array:
        """Those that the window decides, [K, 2], whole: not what it shows of them."""
        return self._segments[window.decides(self._segments)]


class PromptedNamer:
    """Stage two by a video-text model: the frame features inside a segment, as in recognition.

    Args:
        model: prompts and temporal module.
        text_embedding: of the N labels and of `num_others` other names behind them, which take their share of the
            probability and are not reported: what looks like one of those is not taken for a label.
        num_frames, context: as `segment_frames` takes them.
        temperature: the model's logits are divided by it once more.
    """

    def __init__(
        self,
        model: VideoTextModel,
        text_embedding: Tensor,
        *,
        num_frames: int,
        num_others: int = 0,
        context: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        self._model, self._text, self._temperature = model, text_embedding, temperature
        self._num_labels = len(text_embedding) - num_others
        self._num_frames, self._context = num_frames, context

    def logits(self, window: FeatureWindow, segments: Array) -> Scores:
        """[K, N + others]"""
        places = segment_frames(segments, len(window), num_frames=self._num_frames, context=self._context)
        rows = [np.zeros((0, len(self._text)), np.float32)]
        with torch.no_grad():
            for start in range(0, len(places), NAMED_AT_ONCE):
                inside = torch.from_numpy(window.frame_features[places[start : start + NAMED_AT_ONCE]]).float()
                video = self._model.embed_video(inside.to(self._text.device))
                rows.append(self._model.logits(video, self._text).cpu().numpy())
        return np.concatenate(rows)

    def probabilities(self, logits: Scores) -> Scores:
        """Softmax over the labels and the others, of which the labels' are given: [K, N + others] -> [K, N]."""
        return torch.from_numpy(logits / self._temperature).softmax(dim=-1).numpy()[:, : self._num_labels]

    def __call__(self, window: FeatureWindow, segments: Array) -> Scores:
        """Probability of each label."""
        return self.probabilities(self.logits(window, segments))


class FrozenNamer:
    """Stage two by the frozen backbone: the mean frame feature inside a segment against handcrafted texts.

    Args:
        text_embedding: normalized, [N + others, D].
        scale: of the cosines; CLIP's own learned one.
        num_others: as PromptedNamer has it.
    """

    def __init__(self, text_embedding: Tensor, *, scale: float, num_others: int = 0) -> None:
        self._text, self._scale = text_embedding.cpu(), scale
        self._num_labels = len(text_embedding) - num_others

    def __call__(self, window: FeatureWindow, segments: Array) -> Scores:
        """Softmax over the labels and the others."""
        if not len(segments):
            return np.zeros((0, self._num_labels), np.float32)
        logits = self._scale * mean_inside(window.frame_features, segments) @ self._text.T
        return logits.softmax(dim=-1).numpy()[:, : self._num_labels]


class ProbeNamer:
    """Stage two by a linear probe on the same mean feature: the paper's B-II, which knows its training names alone.

    Args:
        probe: weights and, in the last row, bias: [D + 1, N].
    """

    def __init__(self, probe: Tensor) -> None:
        self._probe = probe

    def __call__(self, window: FeatureWindow, segments: Array) -> Scores:
        """Softmax over the names."""
        if not len(segments):
            return np.zeros((0, self._probe.shape[1]), np.float32)
        logits = mean_inside(window.frame_features, segments) @ self._probe[:-1] + self._probe[-1]
        return logits.softmax(dim=-1).numpy()


def mean_inside(frame_features: npt.NDArray[np.float32], segments: Array) -> Tensor:
    """Mean of 16 evenly spread features of each segment, normalized: [T, D] and grid [K, 2] -> [K, D]."""
    places = segment_frames(segments, len(frame_features), num_frames=16)
    return F.normalize(torch.from_numpy(frame_features[places]).float().mean(dim=1), dim=-1)


class LocalizationTask:
    """What the training loop needs: a step's loss, and average mAP on the validation part.

    Args:
        model: what is trained.
        train_set: videos to learn from; `validate`: measures the model as it stands.
        config: of the run.
    """

    def __init__(
        self, model: LocalizationModel, train_set: UntrimmedSet, measure: "Measure | None", config: RunConfig
    ) -> None:
        self.model, self._train_set, self._measure, self._config = model, train_set, measure, config
        self._path: TextPath = "shared" if config.train.text_path == "auto" else config.train.text_path
        self._slots = model.classifier.slots([spoken(name) for name in train_set.class_names])

    def loss(self, iteration: int) -> Tensor:
        """The sum of both stages' losses, of those that are trained; all draws come from (seed, iteration)."""
        wanted = self._config.localization
        loss = torch.zeros((), device=self.model.classifier.backbone.device)
        if "proposals" in wanted.train_parts and self.model.proposals is not None:
            loss = loss + self._proposal_loss(self.model.proposals, iteration)
        if wanted.trains_classifier:
            loss = loss + self._naming_loss(iteration)
        return loss

    def validate(self) -> Mapping[str, float]:
        """Average mAP over the configured overlaps; nothing without a validation part."""
        if self._measure is None:
            return {}
        self.model.eval()
        figures = self._measure(self.model)
        self.model.train()
        return figures

    def _proposal_loss(self, network: ProposalNetwork, iteration: int) -> Tensor:
        wanted = self._config.localization
        batch = window_batch(
            self._train_set,
            iteration,
            batch_size=wanted.windows_per_step,
            window=wanted.window,
            seed=self._config.seed,
        )
        device = network.scale.device
        # Dropout draws from torch's own generators, whose state a resumed run does not have.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(np.random.default_rng((self._config.seed, 12, iteration)).integers(2**62)))
            return proposal_loss(
                network,
                batch,
                first_range=wanted.first_range,
                center_radius=wanted.center_radius,
                location_weight=wanted.location_weight,
                quality_weight=wanted.quality_weight,
            )

    def _naming_loss(self, iteration: int) -> Tensor:
        wanted, train = self._config.localization, self._config.train
        batch = segment_batch(
            self._train_set,
            iteration,
            batch_size=train.batch_size,
            num_frames=self._config.model.num_frames,
            jitter=wanted.jitter,
            context=wanted.context,
            balance=train.balance,
            seed=self._config.seed,
        )
        negatives = int(np.random.default_rng((self._config.seed, 2, iteration)).integers(2**62))
        candidates, targets = sample_candidates(
            batch.targets,
            len(self._train_set.class_names),
            max_candidates=train.max_negatives,
            generator=torch.Generator().manual_seed(negatives),
        )
        model = self.model.classifier
        device = model.backbone.device
        slots = self._slots if len(candidates) == len(self._slots.texts) else self._slots.select(candidates.to(device))
        return batch_loss(model, batch.frame_features.to(device), slots, targets.to(device), train, path=self._path)


class Measure(Protocol):
    """Figures of a model on the validation part; the first is the one to select by."""

    def __call__(self, model: LocalizationModel, /) -> Mapping[str, float]: ...


def proposal_loss(
    network: ProposalNetwork,
    batch: WindowBatch,
    *,
    first_range: float = 4.0,
    center_radius: float = 1.5,
    location_weight: float = 1.0,
    quality_weight: float = 1.0,
) -> Tensor:
    """Focal loss of actionness, distance-IoU loss of the boundaries, and cross-entropy of the quality head.

    Each is a sum over points divided by the number of positive ones, as in ActionFormer. The quality head learns the
    overlap that the predicted boundaries reach now (AFSD's pIoU); no gradient flows back to them by it.
    """
    device = network.scale.device
    output = network(batch.frame_features.to(device), batch.valid_mask.to(device))
    targets = assign_targets(
        output.points,
        [part.to(device) for part in batch.actions],
        [part.to(device) for part in batch.ignored],
        first_range=first_range,
        center_radius=center_radius,
    )
    positive = targets.positive & output.valid_mask
    counted = targets.counted & output.valid_mask
    share = positive.sum().clamp(min=1)
    loss = (focal_loss(output.actionness_logits, positive.float()) * counted).sum() / share
    if positive.any():
        predicted, real = output.segments[positive], targets.segments[positive]
        loss = loss + location_weight * distance_iou_loss(predicted, real).sum() / share
        reached = segment_overlap(predicted, real).detach()
        quality = F.binary_cross_entropy_with_logits(output.quality_logits[positive], reached, reduction="sum")
        loss = loss + quality_weight * quality / share
    return loss
