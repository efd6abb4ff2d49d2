"""How much of the trained parts to keep: between frozen CLIP and the trained model, chosen on validation alone."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from framecue.config import BlendConfig, EvaluateConfig
from framecue.datasets.feature_set import FeatureSet, view_batch
from framecue.metrics.recognition import top_k_accuracy
from framecue.models.video_text import VideoTextModel
from framecue.tasks.recognition import average_views, batches


@dataclass(frozen=True)
class Blend:
    """Weights in [0, 1]: of the trained tensors against their start, of the temporal module, of handcrafted text."""

    trained: float
    temporal: float
    handcrafted: float


Lists = tuple[Sequence[float], Sequence[float], Sequence[float]]
"""Candidates for the three weights, in the order of Blend."""
Measure = Callable[[Lists, Callable[[float], None]], Mapping[Blend, float]]
"""Measures every combination of `Lists` in [0, 1]; the callable sets the trained tensors that far on their way."""


def choose_blend(
    model: VideoTextModel,
    val_set: FeatureSet,
    blend: BlendConfig,
    evaluate: EvaluateConfig,
    *,
    start: Mapping[str, Tensor],
    window: int,
) -> dict[str, Any]:
    """Set the model's blend weights by validation accuracy on trained classes; novel classes have no say.

    Args:
        start: trained tensors before the first step.
        window: frames per view.

    Returns:
        For the results file: the rule, what was chosen, and each candidate's validation accuracy.
    """
    measure = partial(_measure_accuracy, model, val_set, evaluate, window)
    return choose_weights(model, blend, measure, num_videos=len(val_set), start=start, metric="val_top1")


def choose_weights(
    model: VideoTextModel,
    blend: BlendConfig,
    measure: Measure,
    *,
    num_videos: int,
    start: Mapping[str, Tensor],
    metric: str,
) -> dict[str, Any]:
    """Set the model's blend weights by whatever is measured on validation videos.

    Of all candidates `most_frozen` takes one. Interpolation towards the frozen model keeps zero-shot knowledge: WiSE-FT
    (Wortsman et al. 2022), Open-VCLIP (Weng et al. 2023). Without validation videos the middle of each list is taken,
    untested.

    Args:
        num_videos: that are measured.
        start: trained tensors before the first step.
        metric: name of what is measured, in the results file.
    """
    temporal = blend.temporal_weights if model.temporal is not None else ()
    lists = (
        blend.trained_weights or (1.0,),
        temporal or (model.temporal_weight,),
        blend.handcrafted_weights or (model.handcrafted_weight,),
    )
    nothing_to_choose = all(len(values) == 1 for values in lists)
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if nothing_to_choose or not num_videos:
        chosen = Blend(*(values[len(values) // 2] for values in lists))
        _apply(model, chosen, start, end)
        return {"rule": "fixed" if nothing_to_choose else "middle, no validation videos", "chosen": asdict(chosen)}
    values = measure(lists, lambda trained: _apply(model, Blend(trained, 1.0, 0.0), start, end))
    chosen = most_frozen(values, num_videos=num_videos, standard_errors=blend.standard_errors)
    _apply(model, chosen, start, end)
    return {
        "rule": f"most frozen within {blend.standard_errors:g} standard errors of the best validation accuracy",
        "chosen": asdict(chosen),
        metric: values[chosen],
        "candidates": [{**asdict(candidate), metric: value} for candidate, value in values.items()],
    }


def most_frozen(values: Mapping[Blend, float], *, num_videos: int, standard_errors: float = 1.0) -> Blend:
    """The candidate to take, by an accuracy in [0, 1] measured of each on `num_videos` videos.

    The one-standard-error rule (Breiman et al. 1984, section 3.4.3; usual in choosing the simplest adequate model):
    of all candidates whose accuracy is within `standard_errors` binomial standard errors of the best, the one nearest
    to frozen CLIP: least of the trained tensors' way, then least temporal weight, then most handcrafted text.
    """
    best = max(values.values())
    allowed = best - standard_errors * math.sqrt(best * (1 - best) / num_videos)
    return min(
        (candidate for candidate, value in values.items() if value >= allowed - 1e-9),
        key=lambda candidate: (candidate.trained, candidate.temporal, -candidate.handcrafted),
    )


@torch.no_grad()
def _measure_accuracy(
    model: VideoTextModel,
    val_set: FeatureSet,
    evaluate: EvaluateConfig,
    window: int,
    lists: Lists,
    set_trained: Callable[[float], None],
) -> dict[Blend, float]:
    """Validation top-1 of every candidate; towers and temporal module run once per interpolation of the tensors."""
    views = [
        view_batch(val_set, part, window=window, num_views=evaluate.views)
        for part in batches(len(val_set), evaluate.batch_size)
    ]
    slots = model.slots(val_set.class_names)
    accuracy = {}
    for trained in lists[0]:
        set_trained(trained)
        learned = model.embed_learned_text(slots)
        modeled, frozen_video = video_sides(model, views)
        for temporal, handcrafted in itertools.product(*lists[1:]):
            model.temporal_weight, model.handcrafted_weight = temporal, handcrafted
            text = learned if slots.handcrafted is None else model.mix_text(learned, slots.handcrafted)
            logits = model.logits(model.mix_video(modeled, frozen_video), text).unflatten(0, (-1, evaluate.views))
            value = top_k_accuracy(average_views(logits.cpu().numpy()), val_set.targets)
            accuracy[Blend(trained, temporal, handcrafted)] = value
    return accuracy


def video_sides(model: VideoTextModel, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Batches of views [B, V, T, D] -> what the temporal module makes of each, and its mean frame feature; both [., D].

    The two sides that `model.mix_video` mixes; the same twice where there is no temporal module.
    """
    device = model.backbone.device
    frozen = torch.cat([part.mean(dim=2).flatten(0, 1) for part in views]).to(device)
    if model.temporal is None:
        return frozen, frozen
    return torch.cat([model.temporal(part.flatten(0, 1).to(device)).mean(dim=1) for part in views]), frozen


def _apply(model: VideoTextModel, chosen: Blend, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> None:
    model.temporal_weight, model.handcrafted_weight = chosen.temporal, chosen.handcrafted
    if chosen.trained == 1:
        model.load_state_dict(end)
    else:
        model.load_state_dict({name: torch.lerp(start[name], end[name], chosen.trained) for name in end})
