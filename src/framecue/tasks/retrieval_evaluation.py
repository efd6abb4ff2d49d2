"""What a results file of retrieval holds: one model and frozen CLIP beside it, in both directions."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from framecue.config import RunConfig
from framecue.config.departures import departures, departures_json
from framecue.datasets.feature_set import view_batch
from framecue.metrics.retrieval import RetrievalScores, retrieval_scores
from framecue.models.video_text import VideoTextModel
from framecue.tasks.blend import Blend, Lists, video_sides
from framecue.tasks.evaluation import method_name
from framecue.tasks.recognition import batches
from framecue.tasks.retrieval import Array, CaptionedSet, frozen_similarity, mean_recall, similarity
from framecue.tasks.retrieval_data import RetrievalData

FROZEN = "frozen CLIP"


def evaluate_retrieval(
    config: RunConfig, model: VideoTextModel, data: RetrievalData, *, part: str | None = None
) -> dict[str, Any]:
    """Measure a model, and frozen CLIP on the same videos and captions. Deterministic.

    The reported part is test; without one it is val, and the result says so: val chose the weights.

    Args:
        part: what the reported part is called; anything but "val" is the test set.
    """
    part = part or ("test" if len(data.test) else "val")
    reported = data.val if part == "val" else data.test
    measured = {}
    cut = 0
    if len(reported):
        frozen, cut = frozen_similarity(model.backbone, reported, config)
        scores = {method_name(config): similarity(model, reported, config), FROZEN: frozen}
        measured = {name: measure_retrieval(matrix, reported) for name, matrix in scores.items()}
    return {
        "protocol": {
            "task": "retrieval",
            "captions": config.retrieval.format,
            "msrvtt_protocol": config.retrieval.protocol,
            "part": part,
            "part_chose_the_weights": part == "val",
            "views": config.evaluate.views,
            "loss": "both directions" if config.retrieval.symmetric else "video to text",
            "ties": "expected rank",
            "query_set_normalization": "none",
            "num_train_videos": len(data.train),
            "num_val_videos": len(data.val),
            "num_videos": len(reported),
            "num_captions": len(reported.texts),
            "captions_cut_for_frozen_clip": cut,
            "notes": data.notes,
            "departures": departures_json(departures(config, on_gpu=model.backbone.on_gpu)),
        },
        "seed": config.seed,
        "backbone": {
            "id": config.backbone.id,
            "weights_hash": model.backbone.weights_hash,
            "precision": model.backbone.precision,
            "text_precision": model.backbone.text_precision,
        },
        "method": method_name(config),
        part: measured,
    }


def measure_retrieval(matrix: Array, data: CaptionedSet) -> dict[str, Any]:
    """Both directions over all captions, and over those of each group among all: groups share one gallery.

    Args:
        matrix: similarity of every caption and every video, [N, V].
    """
    measured = _with_intervals(retrieval_scores(matrix, data.truth))
    groups = sorted({group for group in data.groups if group is not None})
    if len(groups) > 1:
        measured["groups"] = {
            group: _with_intervals(
                retrieval_scores(matrix, data.truth, about=np.array([other == group for other in data.groups]))
            )
            for group in groups
        }
    return measured


def _with_intervals(scores: RetrievalScores) -> dict[str, Any]:
    return scores.to_json() | {"ci95": {name: list(bounds) for name, bounds in scores.intervals().items()}}


def measure_blend(model: VideoTextModel, data: CaptionedSet, config: RunConfig) -> Callable[..., dict[Blend, float]]:
    """For `choose_weights`: the mean recall of every candidate on `data`; each side is encoded once."""

    @torch.no_grad()
    def measure(lists: Lists, set_trained: Callable[[float], None]) -> dict[Blend, float]:
        views = [
            view_batch(data.features, part, window=config.model.num_frames, num_views=config.evaluate.views)
            for part in batches(len(data), config.evaluate.batch_size)
        ]
        values = {}
        for trained in lists[0]:
            set_trained(trained)
            learned, handcrafted = _text_sides(model, data.texts, 4 * config.evaluate.batch_size)
            modeled, frozen = video_sides(model, views)
            for temporal, weight in itertools.product(*lists[1:]):
                model.temporal_weight, model.handcrafted_weight = temporal, weight
                text = learned if handcrafted is None else model.mix_text(learned, handcrafted)
                video = F.normalize(model.mix_video(modeled, frozen), dim=-1).unflatten(0, (len(data), -1)).mean(dim=1)
                cosines = F.normalize(text, dim=-1) @ F.normalize(video, dim=-1).T
                values[Blend(trained, temporal, weight)] = mean_recall(retrieval_scores(cosines.cpu(), data.truth))
        return values

    return measure


def _text_sides(
    model: VideoTextModel, texts: Sequence[str], batch_size: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Prompted [N, D], and handcrafted [N, D] where the model has such."""
    slots = [model.slots([texts[row] for row in part]) for part in batches(len(texts), batch_size)]
    learned = torch.cat([model.embed_learned_text(part) for part in slots])
    handcrafted = [part.handcrafted for part in slots if part.handcrafted is not None]
    return learned, torch.cat(handcrafted) if handcrafted else None
