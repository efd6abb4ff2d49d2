"""How much of the trained parts to keep: between frozen CLIP and the trained model, chosen on validation alone."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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

    The one-standard-error rule (Breiman et al. 1984, section 3.4.3; usual in choosing the simplest adequate model):
    of all candidates whose accuracy is within `standard_errors` binomial standard errors of the best, the one nearest
    to frozen CLIP is taken: least of the trained tensors' way, then least temporal weight, then most handcrafted text.
    Interpolation towards the frozen model keeps zero-shot knowledge: WiSE-FT (Wortsman et al. 2022), Open-VCLIP (Weng
    et al. 2023). Without validation videos the middle of each list is taken, untested.

    Args:
        start: trained tensors before the first step.
        window: frames per view.

    Returns:
        For the results file: the rule, what was chosen, and each candidate's validation accuracy.
    """
    temporal = blend.temporal_weights if model.temporal is not None else ()
    lists = (
        blend.trained_weights or (1.0,),
        temporal or (model.temporal_weight,),
        blend.handcrafted_weights or (model.handcrafted_weight,),
    )
    nothing_to_choose = all(len(values) == 1 for values in lists)
    if nothing_to_choose or not len(val_set):
        chosen = Blend(*(values[len(values) // 2] for values in lists))
        _apply(model, chosen, start, {name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"rule": "fixed" if nothing_to_choose else "middle, no validation videos", "chosen": asdict(chosen)}
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    accuracy = _measure(model, val_set, evaluate, lists, start, end, window)
    best = max(accuracy.values())
    allowed = best - blend.standard_errors * math.sqrt(best * (1 - best) / len(val_set))
    chosen = min(
        (candidate for candidate, value in accuracy.items() if value >= allowed - 1e-9),
        key=lambda candidate: (candidate.trained, candidate.temporal, -candidate.handcrafted),
    )
    _apply(model, chosen, start, end)
    return {
        "rule": f"most frozen within {blend.standard_errors:g} standard errors of the best validation accuracy",
        "chosen": asdict(chosen),
        "val_top1": accuracy[chosen],
        "candidates": [{**asdict(candidate), "val_top1": value} for candidate, value in accuracy.items()],
    }


@torch.no_grad()
def _measure(
    model: VideoTextModel,
    val_set: FeatureSet,
    evaluate: EvaluateConfig,
    lists: Sequence[Sequence[float]],
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    window: int,
) -> dict[Blend, float]:
    """Validation top-1 of every candidate; towers and temporal module run once per interpolation of the tensors."""
    views = [
        view_batch(val_set, part, window=window, num_views=evaluate.views)
        for part in batches(len(val_set), evaluate.batch_size)
    ]
    slots = model.slots(val_set.class_names)
    accuracy = {}
    for trained in lists[0]:
        _apply(model, Blend(trained, 1.0, 0.0), start, end)
        learned = model.embed_learned_text(slots)
        frozen_video = torch.cat([part.mean(dim=2).flatten(0, 1) for part in views]).to(learned.device)
        modeled = frozen_video
        if model.temporal is not None:
            parts = [model.temporal(part.flatten(0, 1).to(learned.device)).mean(dim=1) for part in views]
            modeled = torch.cat(parts)
        for temporal, handcrafted in itertools.product(*lists[1:]):
            model.temporal_weight, model.handcrafted_weight = temporal, handcrafted
            text = learned if slots.handcrafted is None else model.mix_text(learned, slots.handcrafted)
            logits = model.logits(model.mix_video(modeled, frozen_video), text).unflatten(0, (-1, evaluate.views))
            value = top_k_accuracy(average_views(logits.cpu().numpy()), val_set.targets)
            accuracy[Blend(trained, temporal, handcrafted)] = value
    return accuracy


def _apply(model: VideoTextModel, chosen: Blend, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> None:
    model.temporal_weight, model.handcrafted_weight = chosen.temporal, chosen.handcrafted
    if chosen.trained == 1:
        model.load_state_dict(end)
    else:
        model.load_state_dict({name: torch.lerp(start[name], end[name], chosen.trained) for name in end})
