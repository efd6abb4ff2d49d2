"""Action recognition: the loss of a batch, predictions over views, and what is measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from framecue.backbone import TextPath
from framecue.config import EvaluateConfig, TrainConfig
from framecue.datasets.feature_set import Batch, FeatureSet, training_batch, view_batch
from framecue.losses import nce_loss, sample_candidates
from framecue.metrics.intervals import effective_items, wilson_interval
from framecue.metrics.recognition import confusion_matrix, mean_class_accuracy, per_class_accuracy, top_k_accuracy
from framecue.models.prompt import PromptSlots
from framecue.models.video_text import VideoTextModel

Scores = npt.NDArray[np.float32]


class RecognitionTask:
    """Closed-set recognition by prompted names; any names can be asked for afterwards.

    Args:
        model: trained parts over a frozen backbone.
        train_set, val_set: features with the same class names; `val_set` may be None.
        window: frames per training window and per view.

    Attributes:
        slots: of all training names.
        path: of the text tower in training and validation.
    """

    def __init__(
        self,
        model: VideoTextModel,
        train_set: FeatureSet,
        val_set: FeatureSet | None,
        *,
        train: TrainConfig,
        evaluate: EvaluateConfig,
        window: int,
        seed: int,
    ) -> None:
        self.model = model
        self.train_set, self.val_set = train_set, val_set
        self.train_config, self.seed = train, seed
        self._evaluate, self._window = evaluate, window
        self.slots = model.slots(train_set.class_names)
        self.path: TextPath = "shared" if train.text_path == "auto" else train.text_path

    def batch(self, iteration: int) -> Batch:
        """The videos of a step, drawn from (seed, iteration); targets count in all training names."""
        return training_batch(
            self.train_set,
            iteration,
            batch_size=self.train_config.batch_size,
            window=self._window,
            strides=self.train_config.strides,
            seed=self.seed,
            rule=self.train_config.windows,
            balance=self.train_config.balance,
        )

    def loss(self, iteration: int) -> Tensor:
        """NCE over the batch's classes and sampled others; all draws come from (seed, iteration)."""
        batch = self.batch(iteration)
        device = self.model.backbone.device
        negatives = int(np.random.default_rng((self.seed, 2, iteration)).integers(2**62))
        candidates, targets = sample_candidates(
            batch.targets,
            len(self.train_set.class_names),
            max_candidates=self.train_config.max_negatives,
            generator=torch.Generator().manual_seed(negatives),
        )
        slots = self.slots if len(candidates) == len(self.slots.texts) else self.slots.select(candidates.to(device))
        return batch_loss(
            self.model, batch.frame_features.to(device), slots, targets.to(device), self.train_config, path=self.path
        )

    def validate(self) -> Mapping[str, float]:
        """Top-1 and top-5 on the validation part."""
        if self.val_set is None or not len(self.val_set):
            return {}
        scores = predict_scores(
            self.model,
            self.val_set,
            self.val_set.class_names,
            window=self._window,
            num_views=self._evaluate.views,
            batch_size=self._evaluate.batch_size,
            path=self.path,
        )
        targets = self.val_set.targets
        return {"top1": top_k_accuracy(scores, targets, 1), "top5": top_k_accuracy(scores, targets, 5)}


def batches(count: int, batch_size: int) -> Iterator[range]:
    """Rows 0 .. count-1 in order, `batch_size` at a time."""
    for start in range(0, count, batch_size):
        yield range(start, min(start + batch_size, count))


def batch_loss(
    model: VideoTextModel,
    frame_features: Tensor,
    slots: PromptSlots,
    targets: Tensor,
    train: TrainConfig,
    *,
    path: TextPath = "shared",
) -> Tensor:
    """NCE of videos [B, T, D] with int64 targets [B] among the names of `slots`, and the distillation terms asked for.

    Departures from the paper, all off by default: the learned text is held near the handcrafted one (KgCoOp, Yao et al.
    2023), the video embedding near the mean frame feature (PromptSRC, Khattak et al. 2023), the answer near that of
    frozen CLIP (FROSTER, Huang et al. 2024; PromptSRC).
    """
    learned = model.embed_learned_text(slots, path=path)
    text = learned if slots.handcrafted is None else model.mix_text(learned, slots.handcrafted)
    video = model.embed_video(frame_features)
    logits = model.logits(video, text)
    loss = nce_loss(logits, targets)
    if slots.handcrafted is not None and train.distill_text:
        loss = loss + train.distill_text * (1 - F.cosine_similarity(learned, slots.handcrafted, dim=-1)).mean()
    if train.distill_video:
        loss = loss + train.distill_video * (1 - F.cosine_similarity(video, frame_features.mean(dim=1), dim=-1)).mean()
    if slots.handcrafted is not None and train.distill_logits:
        frozen = model.logits(frame_features.mean(dim=1), slots.handcrafted).log_softmax(dim=-1)
        divergence = (frozen.exp() * (frozen - logits.log_softmax(dim=-1))).sum(dim=-1).mean()
        loss = loss + train.distill_logits * divergence
    return loss


@torch.no_grad()
def predict_logits(
    model: VideoTextModel,
    data: FeatureSet,
    class_names: Sequence[str],
    *,
    window: int,
    num_views: int = 5,
    batch_size: int = 64,
    path: TextPath = "shared",
) -> Scores:
    """Logit of each name for each view of each video, float32 [B, V, N].

    Deterministic: the text side is encoded once, views are evenly spread or drawn as `data` says.
    """
    text_embedding = model.embed_text(model.slots(class_names), path=path)
    rows = [
        score_views(model, view_batch(data, part, window=window, num_views=num_views), text_embedding)
        for part in batches(len(data), batch_size)
    ]
    return np.concatenate(rows) if rows else np.zeros((0, num_views, len(class_names)), np.float32)


def predict_scores(
    model: VideoTextModel,
    data: FeatureSet,
    class_names: Sequence[str],
    *,
    window: int,
    num_views: int = 5,
    batch_size: int = 64,
    path: TextPath = "shared",
) -> Scores:
    """Probability of each name for each video: softmax per view, then the mean over views. float32 [B, N]."""
    logits = predict_logits(
        model, data, class_names, window=window, num_views=num_views, batch_size=batch_size, path=path
    )
    return average_views(logits)


@torch.no_grad()
def score_views(model: VideoTextModel, views: Tensor, text_embedding: Tensor) -> Scores:
    """Views [B, V, T, D] against text embeddings [N, D]: logits [B, V, N]."""
    video_embedding = model.embed_video(views.flatten(0, 1).to(text_embedding.device))
    return model.logits(video_embedding, text_embedding).unflatten(0, views.shape[:2]).cpu().numpy()


def average_views(logits: Scores) -> Scores:
    """Logits [B, V, N] -> probabilities [B, N]: softmax per view, mean over views."""
    return torch.from_numpy(logits).softmax(dim=-1).mean(dim=1).numpy()


def measure(scores: Scores, targets: npt.NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    """What a results file says of one model on one part.

    Returns:
        top1, top5, mean_class (accuracies in [0, 1]), ci95 of these three ([low, high], Wilson), per_class {name:
        {"accuracy", "num_videos", "ci95"}} of classes with videos, num_videos, and confusion [N, N] (rows truth). Top-5
        among fewer than six names is 1 and says nothing.
    """
    counts = np.bincount(targets, minlength=len(class_names)).tolist()
    per_class = per_class_accuracy(scores, targets).tolist()
    shares = {
        "top1": top_k_accuracy(scores, targets, 1),
        "top5": top_k_accuracy(scores, targets, 5),
        "mean_class": mean_class_accuracy(scores, targets),
    }
    items = {"top1": len(targets), "top5": len(targets), "mean_class": effective_items(counts)}
    return {
        "num_videos": len(targets),
        "num_classes": len(class_names),
        **shares,
        "ci95": {name: list(wilson_interval(share, items[name])) for name, share in shares.items()},
        "per_class": {
            name: {"accuracy": share, "num_videos": count, "ci95": list(wilson_interval(share, count))}
            for name, share, count in zip(class_names, per_class, counts, strict=True)
            if count
        },
        "confusion": confusion_matrix(scores, targets).tolist(),
    }
