"""The paper's two baselines on frozen features: B-I handcrafted prompts, B-II linear probe."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from framecue.datasets.feature_set import FeatureSet, view_batch
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.metrics.recognition import top_k_accuracy
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.localization import mean_inside
from framecue.tasks.recognition import Scores, batches

WEIGHT_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of the probe; chosen on the validation part


@torch.no_grad()
def mean_embeddings(data: FeatureSet, *, window: int, num_views: int, batch_size: int = 256) -> Tensor:
    """Mean of raw frame features in each view, normalized: [B, V, D]."""
    parts = [
        F.normalize(view_batch(data, rows, window=window, num_views=num_views).mean(dim=2), dim=-1)
        for rows in batches(len(data), batch_size)
    ]
    return torch.cat(parts)


def zero_shot_scores(
    handcrafted: Handcrafted,
    data: FeatureSet,
    class_names: Sequence[str],
    *,
    window: int,
    num_views: int = 5,
) -> Scores:
    """B-I: nothing is trained; cosine of mean frame features and handcrafted prompts, at CLIP's own scale. [B, N]."""
    text = handcrafted(class_names).cpu()
    logits = handcrafted.backbone.logit_scale * mean_embeddings(data, window=window, num_views=num_views) @ text.T
    return logits.softmax(dim=-1).mean(dim=1).numpy()


def linear_probe_scores(
    train_set: FeatureSet, val_set: FeatureSet | None, test_set: FeatureSet, *, window: int, num_views: int = 5
) -> Scores:
    """B-II: logistic regression on normalized mean frame features, fitted to convergence by L-BFGS. [B, N].

    Weight decay is chosen on `val_set`; without one the middle of WEIGHT_DECAYS is taken. Convex: no seed.
    """
    train = mean_embeddings(train_set, window=window, num_views=num_views).flatten(0, 1)
    targets = torch.from_numpy(train_set.targets).repeat_interleave(num_views)
    test = mean_embeddings(test_set, window=window, num_views=num_views)
    val = None
    if val_set is not None and len(val_set):
        val = mean_embeddings(val_set, window=window, num_views=num_views), val_set.targets
    return _scores(_choose(train, targets, val, len(train_set.class_names)), test)


def segment_probe(train_set: UntrimmedSet, val_set: UntrimmedSet) -> Tensor:
    """B-II of localization: as `linear_probe_scores`, on the mean features of the annotated segments. [D + 1, N]."""
    val = (segment_embeddings(val_set), val_set.targets) if len(val_set.targets) else None
    targets = torch.from_numpy(train_set.targets)
    return _choose(segment_embeddings(train_set), targets, val, len(train_set.class_names))


def segment_embeddings(data: UntrimmedSet) -> Tensor:
    """Mean frame feature inside each annotated segment, normalized, as FrozenNamer takes it: [K, D]."""
    parts = []
    for row, video in enumerate(data.videos):
        if video.segments:
            features = data.features([row])[0]
            parts.append(mean_inside(features.frame_features, data.grid_segments(row, features)))
    return torch.cat(parts)


def _choose(
    train: Tensor, targets: Tensor, val: tuple[Tensor, npt.NDArray[np.int64]] | None, num_classes: int
) -> Tensor:
    """The probe of the weight decay that is best on embeddings and targets of a validation part, else the middle one's.

    Args:
        train: normalized, [B, D]; of `val` with views, [B, V, D], or without.
    """
    if val is None:
        return _fit(train, targets, num_classes, WEIGHT_DECAYS[len(WEIGHT_DECAYS) // 2])
    views = val[0] if val[0].ndim == 3 else val[0][:, None]
    probes = [_fit(train, targets, num_classes, decay) for decay in WEIGHT_DECAYS]
    accuracies = [top_k_accuracy(_scores(probe, views), val[1]) for probe in probes]
    # Ties go to the stronger decay.
    return probes[max(range(len(probes)), key=lambda index: (accuracies[index], WEIGHT_DECAYS[index]))]


def _fit(embeddings: Tensor, targets: Tensor, num_classes: int, weight_decay: float) -> Tensor:
    """Weights [D+1, N], the last row the bias."""
    probe = torch.zeros(embeddings.shape[1] + 1, num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([probe], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(_predict(probe, embeddings), targets) + weight_decay * probe[:-1].square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return probe.detach()


def _scores(probe: Tensor, views: Tensor) -> Scores:
    return _predict(probe, views).softmax(dim=-1).mean(dim=1).numpy()


def _predict(probe: Tensor, embeddings: Tensor) -> Tensor:
    return embeddings @ probe[:-1] + probe[-1]
