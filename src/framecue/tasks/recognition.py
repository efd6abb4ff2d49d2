"""Action recognition: the loss of a batch, predictions over views, and what is measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from framecue.backbone import TextPath
from framecue.config import EvaluateConfig, TrainConfig
from framecue.datasets.feature_set import FeatureSet, training_batch, view_batch
from framecue.losses import nce_loss, sample_candidates
from framecue.metrics.recognition import confusion_matrix, mean_class_accuracy, per_class_accuracy, top_k_accuracy
from framecue.models.video_text import VideoTextModel

Scores = npt.NDArray[np.float32]


class RecognitionTask:
    """Closed-set recognition by prompted names; any names can be asked for afterwards.

    Args:
        model: trained parts over a frozen backbone.
        train_set, val_set: features with the same class names; `val_set` may be None.
        window: frames per training window and per view.
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
        self._train, self._evaluate, self._window, self._seed = train, evaluate, window, seed
        self._slots = model.slots(train_set.class_names)
        self._path: TextPath = "shared" if train.text_path == "auto" else train.text_path

    def loss(self, iteration: int) -> Tensor:
        """NCE over the batch's classes and sampled others; all draws come from (seed, iteration)."""
        batch = training_batch(
            self.train_set,
            iteration,
            batch_size=self._train.batch_size,
            window=self._window,
            strides=self._train.strides,
            seed=self._seed,
        )
        device = self.model.backbone.device
        negatives = int(np.random.default_rng((self._seed, 2, iteration)).integers(2**62))
        candidates, targets = sample_candidates(
            batch.targets,
            len(self.train_set.class_names),
            max_candidates=self._train.max_negatives,
            generator=torch.Generator().manual_seed(negatives),
        )
        slots = self._slots if len(candidates) == len(self._slots.texts) else self._slots.select(candidates.to(device))
        logits = self.model(batch.frame_features.to(device), slots, path=self._path)
        return nce_loss(logits, targets.to(device))

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
            path=self._path,
        )
        targets = self.val_set.targets
        return {"top1": top_k_accuracy(scores, targets, 1), "top5": top_k_accuracy(scores, targets, 5)}


def batches(count: int, batch_size: int) -> Iterator[range]:
    """Rows 0 .. count-1 in order, `batch_size` at a time."""
    for start in range(0, count, batch_size):
        yield range(start, min(start + batch_size, count))


@torch.no_grad()
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
    """Probability of each name for each video: softmax per view, then the mean over views. float32 [B, N].

    Deterministic: the text side is encoded once, views are evenly spread.
    """
    text_embedding = model.embed_text(model.slots(class_names), path=path)
    rows = [
        score_views(model, view_batch(data, part, window=window, num_views=num_views), text_embedding)
        for part in batches(len(data), batch_size)
    ]
    return np.concatenate(rows) if rows else np.zeros((0, len(class_names)), np.float32)


@torch.no_grad()
def score_views(model: VideoTextModel, views: Tensor, text_embedding: Tensor) -> Scores:
    """Views [B, V, T, D] against text embeddings [N, D]: probabilities averaged over views, [B, N]."""
    num_videos, num_views = views.shape[:2]
    video_embedding = model.embed_video(views.flatten(0, 1).to(text_embedding.device))
    probabilities = model.logits(video_embedding, text_embedding).softmax(dim=-1)
    return probabilities.unflatten(0, (num_videos, num_views)).mean(dim=1).cpu().numpy()


def measure(scores: Scores, targets: npt.NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    """What a results file says of one model on one part.

    Returns:
        top1, top5, mean_class (accuracies in [0, 1]), per_class {name: accuracy}, num_videos, and confusion [N, N]
        (rows truth). Top-5 among fewer than six names is 1 and says nothing.
    """
    per_class = per_class_accuracy(scores, targets)
    return {
        "num_videos": len(targets),
        "num_classes": len(class_names),
        "top1": top_k_accuracy(scores, targets, 1),
        "top5": top_k_accuracy(scores, targets, 5),
        "mean_class": mean_class_accuracy(scores, targets),
        "per_class": {
            name: float(value) for name, value in zip(class_names, per_class, strict=True) if not np.isnan(value)
        },
        "confusion": confusion_matrix(scores, targets).tolist(),
    }
