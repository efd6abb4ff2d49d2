"""A whole training run: config -> records -> features -> adapter -> results."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from framecue.backbone import TINY, Backbone, load_backbone
from framecue.config import RunConfig, save_config
from framecue.config.departures import Departure, departures_note
from framecue.datasets.descriptions import read_descriptions
from framecue.errors import ConfigError
from framecue.features.extract import ExtractionProgress
from framecue.features.identity import hash_file
from framecue.files import write_text
from framecue.models.adapter import TENSORS, AdapterCard, make_card, save_adapter
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.models.seen import Seen, remember
from framecue.models.video_text import VideoTextModel, num_trainable
from framecue.tasks.blend import choose_blend
from framecue.tasks.evaluation import evaluate_recognition, foreseen_doubts, method_name, rejection_rule
from framecue.tasks.held_out import tell_since
from framecue.tasks.localization_data import LocalizationData
from framecue.tasks.recall import recall_records
from framecue.tasks.recognition import RecognitionTask, predict_logits
from framecue.tasks.recognition_data import RecognitionData, prepare, recognition_departures, store_path
from framecue.tasks.rejection import RejectionRule, calibrate
from framecue.training.loop import STATE, content_mark, train
from framecue.training.start import STARTED_FROM, Start, read_start, refuse_trained, told, trained_before
from framecue.types import Skipped

CALIBRATION_VIDEOS = 5000  # evenly spread over the validation part; more take minutes and change nothing
ADAPTER, RESULTS, CONFIG = "adapter", "results.json", "config.yaml"


@dataclass(frozen=True)
class RunProgress:
    """Callbacks of a run; each may be left out.

    Attributes:
        extraction: as `extract` calls it.
        step: steps done, steps in all, latest numbers.
        note: one line of what happens next.
    """

    extraction: Callable[[ExtractionProgress], None] | None = None
    step: Callable[[int, int, Mapping[str, float]], None] | None = None
    note: Callable[[str], None] = field(default=lambda line: None)


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run: its adapter, what was measured, and what was left out."""

    adapter: Path
    results: dict[str, Any]
    skipped: list[Skipped]


def load_run_backbone(config: RunConfig) -> Backbone:
    """The frozen backbone of a run, its text tower in the precision of training."""
    wanted = config.backbone
    return load_backbone(
        wanted.id,
        device=wanted.device,
        precision=wanted.precision,
        text_precision=config.train.precision,
        channels=wanted.channels,
    )


def open_run(config: RunConfig, *, restart: bool, backbone: Backbone | None) -> Backbone:
    """Make the run's folder, without a training state where it is to begin anew; its backbone, loaded if need be.

    Raises:
        ConfigError: `config.out` cannot be a folder.
        BackboneError: the backbone cannot be loaded.
    """
    if restart:
        (config.out / STATE).unlink(missing_ok=True)
    make_folder(config.out)
    return backbone or load_run_backbone(config)


def train_recognition(
    config: RunConfig, *, restart: bool = False, progress: RunProgress | None = None, backbone: Backbone | None = None
) -> RunResult:
    """Train, choose the weights on the validation part, and measure once on the test part.

    A run whose folder holds a state of the same config goes on from there; a finished one is only measured again.

    Args:
        restart: begin anew whatever the folder holds.
        backbone: an already loaded one, for callers of many runs.

    Raises:
        FramecueError: as its parts do; nothing half-written is left under a final name.
    """
    progress = progress or RunProgress()
    backbone = open_run(config, restart=restart, backbone=backbone)
    config = settled(config, backbone)
    start = read_start(config, backbone)
    data = prepare(config, backbone, trained_before=trained_before(start), progress=progress.extraction)
    seen = seen_by_run(config, data, start)
    refuse_trained(seen)
    for line in data.parting:
        progress.note(line)
    handcrafted = make_handcrafted(config, backbone, data.names)
    note_departures(config, recognition_departures(config, backbone, data), progress)
    fitted = fit(config, data, handcrafted, start=start, progress=progress)
    save_config(config, config.out / CONFIG)  # not before `fit` has accepted the folder: it may be another run's
    results = evaluate_recognition(config, fitted.model, data, handcrafted, fitted.rejection)
    results |= {"selected": fitted.selected, "blend": fitted.blend, "calibration": fitted.calibration}
    results |= told(start)
    save_adapter(config.out / ADAPTER, fitted.model, _card(config, fitted, data, handcrafted, results), seen)
    write_text(config.out / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return RunResult(config.out / ADAPTER, results, data.skipped)


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model, with its best weights blended as the validation part chose, and how that was chosen.

    Attributes:
        selected: the step whose weights were kept, and their validation accuracy.
        blend: how much of the trained parts is kept, and by which rule.
        rejection: rule for "none of these" and calibration temperature; None with too few validation videos.
        calibration: how both were fitted, for the results file.
    """

    model: VideoTextModel
    selected: dict[str, Any]
    blend: dict[str, Any]
    rejection: RejectionRule | None
    calibration: dict[str, Any]


def note_departures(config: RunConfig, found: Sequence[Departure], progress: RunProgress) -> None:
    """Whoever asks for the paper is told where it departs from the authors' program; other presets mean to."""
    if config.preset == "paper":
        progress.note(departures_note(config, found))


def make_handcrafted(config: RunConfig, backbone: Backbone, names: Iterable[str]) -> Handcrafted:
    """Frozen texts of a run: its templates, and descriptions of any of `names`.

    Raises:
        DatasetError: the descriptions cannot be read, or describe other classes.
    """
    path = config.data.descriptions
    descriptions = read_descriptions(path, names) if path is not None else None
    return Handcrafted(backbone, config.evaluate.templates, descriptions)


def fit(
    config: RunConfig,
    data: RecognitionData,
    handcrafted: Handcrafted,
    *,
    progress: RunProgress,
    start: Start | None = None,
) -> Fit:
    """Train in the folder `config.out`, going on from a state there; then blend and calibrate on validation.

    Args:
        start: an adapter whose weights the first step takes.
    """
    wanted = needs_handcrafted(config)
    model = build_model(
        config.model, handcrafted.backbone, seed=config.seed, handcrafted=handcrafted if wanted else None
    )
    if start is not None:
        start.load_into(model)
    first = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    progress.note(_describe(config, data, num_trainable(model)))
    for line in foreseen_doubts(len(data.val), len(data.test)):
        progress.note(line)
    task = RecognitionTask(
        model,
        data.train,
        data.val,
        train=config.train,
        evaluate=config.evaluate,
        window=config.model.num_frames,
        seed=config.seed,
    )
    fingerprint = _fingerprint(config, data, handcrafted)
    state = train(task, config.train, config.out, fingerprint=fingerprint, progress=progress.step)
    selected = {"iteration": state.best.iteration, "val_top1": state.best.metric}
    return finish(config, model.eval(), data, start=first, selected=selected)


def finish(
    config: RunConfig,
    model: VideoTextModel,
    data: RecognitionData,
    *,
    start: Mapping[str, Tensor],
    selected: dict[str, Any],
) -> Fit:
    """What follows the last step: blend trained and frozen, then fit calibration and rejection, on validation alone."""
    window = config.model.num_frames
    blend = choose_blend(model, data.val, config.blend, config.evaluate, start=start, window=window)
    logits = predict_logits(model, data.val, data.val.class_names, window=window, num_views=config.evaluate.views)
    rows = np.unique(
        np.linspace(0, max(len(data.val) - 1, 0), min(CALIBRATION_VIDEOS, len(data.val))).round().astype(int)
    )
    rejection, calibration = calibrate(logits[rows], data.val.targets[rows])
    return Fit(model, selected, blend, rejection, calibration)


def needs_handcrafted(config: RunConfig) -> bool:
    """Whether training or the blend looks at frozen texts; encoding them costs time at every new set of names."""
    train, model = config.train, config.model
    return bool(
        train.distill_text or train.distill_logits or model.handcrafted_weight or config.blend.handcrafted_weights
    )


def seen_by_run(config: RunConfig, data: RecognitionData | LocalizationData, start: Start | None) -> Seen:
    """What a run is about to use, of any task with classes."""
    parts = {"train": data.train, "val": data.val, "test": data.test, "novel": data.novel}
    return remember(
        config.task,
        data.present,
        {name: part.keys for name, part in parts.items()},
        class_names=data.train.class_names,
        novel_names=data.novel.class_names,
        before=None if start is None else start.seen,
    )


CHOSEN = ("selected", "blend", "calibration", STARTED_FROM)
"""What was decided before the measurement, in a results file."""


def evaluate_recognition_adapter(
    config: RunConfig, card: AdapterCard, seen: Seen, model: VideoTextModel, folder: Path, progress: RunProgress
) -> RunResult:
    """Measure a trained adapter again, on what its run held out or on data that are new to it.

    Raises:
        DatasetError: nothing of the data may be measured.
    """
    backbone = model.backbone
    data, held_out = recall_records(config, backbone, seen, progress=progress.extraction)
    handcrafted = make_handcrafted(config, backbone, data.names)
    results = evaluate_recognition(config, model, data, handcrafted, rejection_rule(card), part=held_out.part)
    results |= {name: card.metrics[name] for name in CHOSEN if name in card.metrics}
    more = [] if len(data.train) else without_probe(config)
    return RunResult(folder, tell_since(results, card.metrics, held_out, more), data.skipped)


def without_probe(config: RunConfig) -> list[str]:
    """What is said where the training videos are not all there as they were."""
    if "B-II" not in config.evaluate.baselines:
        return []
    return ["B-II is left out: its linear probe is fitted on all training and validation videos of the run."]


def _card(
    config: RunConfig, fitted: Fit, data: RecognitionData, handcrafted: Handcrafted, results: dict[str, Any]
) -> AdapterCard:
    model = fitted.model
    weights = {"temporal_weight": model.temporal_weight, "handcrafted_weight": model.handcrafted_weight}
    return make_card(
        model.backbone,
        config.model.model_copy(update=weights),
        data.train.class_names,
        backbone_id=config.backbone.id,
        sampling=config.features.sampling,
        num_views=config.evaluate.views,
        rejection=fitted.rejection and fitted.rejection.to_json(),
        calibration=fitted.calibration["note"],
        started_from=results.get(STARTED_FROM),
        config=config.model_dump(mode="json"),
        metrics=results,
        **(frozen_texts(handcrafted) if model.handcrafted_weight else {}),
    )


def settled(config: RunConfig, backbone: Backbone) -> RunConfig:
    """With absolute paths, and the precisions that the device decided: another folder or machine measures the same."""
    data, backbone_id = config.data, config.backbone.id
    changes: dict[str, dict[str, Any]] = {
        "data": {
            "source": data.source.absolute(),
            "annotations": data.annotations and data.annotations.absolute(),
            "labels": data.labels and data.labels.absolute(),
            "descriptions": data.descriptions and data.descriptions.absolute(),
        },
        "features": {"store": store_path(config).absolute()},
        "backbone": {
            "id": str(Path(backbone_id).absolute())
            if backbone_id != TINY and Path(backbone_id).exists()
            else backbone_id,
            "precision": backbone.precision,
        },
        "train": {
            "precision": backbone.text_precision,
            "init_from": config.train.init_from and config.train.init_from.absolute(),
        },
    }
    sections = {name: getattr(config, name).model_copy(update=update) for name, update in changes.items()}
    return config.model_copy(update={"out": config.out.absolute(), **sections})


def deciding(config: RunConfig, backbone: Backbone, **videos: Sequence[str]) -> dict[str, Any]:
    """What decides the weights of a step in every task, as plain data; the number of steps does not.

    Args:
        videos: of each part that is looked at in training, a line for each video.
    """
    found = config.model_dump(mode="json", include={"task", "seed", "model", "backbone", "data"})
    found["backbone"]["text_cleaning"] = backbone.text_cleaning
    found["features"] = {"sampling": config.features.sampling, "dtype": config.features.dtype}
    found["train"] = config.train.model_dump(mode="json", exclude={"iterations", "save_every", "log_every"})
    if config.train.init_from is not None:
        found["train"]["init_from"] = f"weights {hash_file(config.train.init_from / TENSORS)[:16]}"
    found["videos"] = {part: content_mark(lines) for part, lines in videos.items()}
    return found


def _fingerprint(config: RunConfig, data: RecognitionData, handcrafted: Handcrafted) -> dict[str, Any]:
    """What decides the trained weights: the config's deciding sections, and the training and validation videos."""
    train, val = (
        [f"{content} {target}" for content, target in zip(part.hashes, part.targets, strict=True)]
        for part in (data.train, data.val)
    )
    found = deciding(config, handcrafted.backbone, train=train, val=val)
    # Validation averages the views, and so chooses the weights by them.
    found["evaluate"] = config.evaluate.model_dump(include={"views", "random_views"})
    if needs_handcrafted(config):
        found["handcrafted"] = frozen_texts(handcrafted)
    return found


def frozen_texts(handcrafted: Handcrafted) -> dict[str, Any]:
    """Templates and descriptions as a fingerprint and a card hold them."""
    return {"templates": list(handcrafted.templates), "descriptions": dict(handcrafted.descriptions)}


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"out: {folder} cannot be a folder ({error.strerror}); choose another out.") from error


def _describe(config: RunConfig, data: RecognitionData, trained: int) -> str:
    held_out = f", {len(data.novel.class_names)} held-out names" if len(data.novel) else ""
    return (
        f"{method_name(config)} on {config.backbone.id}: {trained:,} trained numbers, "
        f"{len(data.train.class_names)} classes{held_out}; videos: {len(data.train)} train, {len(data.val)} val, "
        f"{len(data.test)} test"
    )
