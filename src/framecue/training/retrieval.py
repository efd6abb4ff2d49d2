"""A whole retrieval run: config -> captioned videos -> features -> adapter -> results."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecue.backbone import Backbone
from framecue.config import RunConfig, save_config
from framecue.config.departures import departures
from framecue.files import write_text
from framecue.models.adapter import AdapterCard, make_card, save_adapter
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.models.seen import Seen, remember
from framecue.models.video_text import VideoTextModel, num_trainable
from framecue.tasks.blend import choose_weights
from framecue.tasks.calibration import calibration_note
from framecue.tasks.evaluation import foreseen_doubts, method_name
from framecue.tasks.held_out import tell_since
from framecue.tasks.matching import MatchRule, fit_match_rule
from framecue.tasks.recall import recall_captioned
from framecue.tasks.retrieval import CaptionedSet, RetrievalTask, similarity
from framecue.tasks.retrieval_data import RetrievalData, prepare_retrieval, read_run_captions
from framecue.tasks.retrieval_evaluation import evaluate_retrieval, measure_blend
from framecue.training.loop import train
from framecue.training.recognition import (
    ADAPTER,
    CONFIG,
    RESULTS,
    RunProgress,
    RunResult,
    deciding,
    needs_handcrafted,
    note_departures,
    open_run,
    settled,
)
from framecue.training.start import STARTED_FROM, Start, read_start, refuse_trained, told, trained_before

PLAIN = ("{}",)
"""A caption is a sentence already: its frozen text is itself."""


def train_retrieval(
    config: RunConfig, *, restart: bool = False, progress: RunProgress | None = None, backbone: Backbone | None = None
) -> RunResult:
    """Train on captioned videos, choose the weights on the validation part, and measure once on the test part.

    A run whose folder holds a state of the same config goes on from there; a finished one is only measured again.

    Args:
        restart: begin anew whatever the folder holds.
        backbone: an already loaded one, for callers of many runs.

    Raises:
        FramecueError: as its parts do; nothing half-written is left under a final name.
    """
    progress = progress or RunProgress()
    captions = read_run_captions(config)  # before a model is fetched: a wrong path costs a second
    backbone = open_run(config, restart=restart, backbone=backbone)
    config = settled(config, backbone)
    start = read_start(config, backbone)
    data = prepare_retrieval(
        config, backbone, captions, trained_before=trained_before(start), progress=progress.extraction
    )
    parts = {"train": data.train, "val": data.val, "test": data.test}
    keys = {name: part.features.keys for name, part in parts.items()}
    seen = remember(config.task, data.present, keys, before=None if start is None else start.seen)
    refuse_trained(seen)
    for line in (*data.parting, *data.notes):
        progress.note(line)
    note_departures(config, departures(config, on_gpu=backbone.on_gpu), progress)
    fitted = _fit(config, data, backbone, start, progress=progress)
    save_config(config, config.out / CONFIG)  # not before `_fit` has accepted the folder: it may be another run's
    results = evaluate_retrieval(config, fitted.model, data) | fitted.chosen | told(start)
    save_adapter(config.out / ADAPTER, fitted.model, _card(config, fitted, results), seen)
    write_text(config.out / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return RunResult(config.out / ADAPTER, results, data.skipped)


CHOSEN = ("selected", "blend", "matching", "calibration")
"""What validation decided, in a results file."""


def evaluate_retrieval_adapter(
    config: RunConfig, card: AdapterCard, seen: Seen, model: VideoTextModel, folder: Path, progress: RunProgress
) -> RunResult:
    """Measure a trained adapter again, on what its run held out or on data that are new to it.

    Raises:
        DatasetError: nothing of the data may be measured.
    """
    data, held_out = recall_captioned(config, model.backbone, seen, progress=progress.extraction)
    results = evaluate_retrieval(config, model, data, part=held_out.part)
    results |= {name: card.metrics[name] for name in (*CHOSEN, STARTED_FROM) if name in card.metrics}
    fewer = not held_out.is_new and not held_out.is_whole(held_out.part)
    more = ["Every caption has fewer videos to choose from than in training, which makes the figures higher."]
    return RunResult(folder, tell_since(results, card.metrics, held_out, more if fewer else ()), data.skipped)


@dataclass(frozen=True, eq=False)
class RetrievalFit:
    """A trained model with its best weights, and what the validation part chose.

    Attributes:
        matching: rule for "nothing here matches"; None with too few validation videos.
        chosen: `CHOSEN`, for the results file.
    """

    model: VideoTextModel
    matching: MatchRule | None
    chosen: dict[str, Any]


def _fit(
    config: RunConfig, data: RetrievalData, backbone: Backbone, start: Start | None, *, progress: RunProgress
) -> RetrievalFit:
    handcrafted = Handcrafted(backbone, PLAIN) if needs_handcrafted(config) else None
    model = build_model(config.model, backbone, seed=config.seed, handcrafted=handcrafted)
    if start is not None:
        start.load_into(model)
    first = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    progress.note(_describe(config, data, num_trainable(model)))
    for line in foreseen_doubts(len(data.val), len(data.test)):
        progress.note(line)
    task = RetrievalTask(model, data.train, data.val, config)
    state = train(
        task, config.train, config.out, fingerprint=_fingerprint(config, backbone, data), progress=progress.step
    )
    model.eval()
    blend = choose_weights(
        model,
        config.blend,
        measure_blend(model, data.val, config),
        num_videos=len(data.val),
        start=first,
        metric="val_mean_recall",
    )
    matching = None
    if len(data.val) > 1:
        cosines = similarity(model, data.val, config)
        matching = fit_match_rule(cosines, data.val.truth, scale=1 / model.temperature)
    chosen = {
        "selected": {"iteration": state.best.iteration, "val_mean_recall": state.best.metric},
        "blend": blend,
        "matching": matching and matching.to_json(),
        "calibration": {"note": calibration_note(len(data.val))},
    }
    return RetrievalFit(model, matching, chosen)


def _card(config: RunConfig, fitted: RetrievalFit, results: dict[str, Any]) -> AdapterCard:
    model = fitted.model
    weights = {"temporal_weight": model.temporal_weight, "handcrafted_weight": model.handcrafted_weight}
    return make_card(
        model.backbone,
        config.model.model_copy(update=weights),
        (),
        backbone_id=config.backbone.id,
        sampling=config.features.sampling,
        num_views=config.evaluate.views,
        task="retrieval",
        matching=fitted.matching and fitted.matching.to_json(),
        calibration=fitted.chosen["calibration"]["note"],
        started_from=results.get(STARTED_FROM),
        config=config.model_dump(mode="json"),
        metrics=results,
        **({"templates": PLAIN} if model.handcrafted_weight else {}),
    )


def _fingerprint(config: RunConfig, backbone: Backbone, data: RetrievalData) -> dict[str, Any]:
    """What decides the trained weights: the config's deciding sections, and the training and validation videos."""
    found = deciding(config, backbone, train=_content(data.train), val=_content(data.val))
    found["retrieval"] = config.retrieval.model_dump(mode="json")
    found["evaluate"] = config.evaluate.model_dump(include={"views", "random_views"})
    return found


def _content(part: CaptionedSet) -> list[str]:
    records = part.features.records
    return [
        f"{key} {record.start_seconds} {record.end_seconds} {captions}"
        for key, record, captions in zip(part.features.hashes, records, part.captions, strict=True)
    ]


def _describe(config: RunConfig, data: RetrievalData, trained: int) -> str:
    parts = ", ".join(
        f"{len(part)} {name} ({len(part.texts)} captions)"
        for name, part in (("train", data.train), ("val", data.val), ("test", data.test))
    )
    return f"{method_name(config)} on {config.backbone.id}: {trained:,} trained numbers; videos: {parts}"
