"""A whole training run: config -> records -> features -> adapter -> results."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from framecue.backbone import TINY, Backbone, load_backbone
from framecue.config import RunConfig, save_config
from framecue.errors import AdapterError, ConfigError, DatasetError
from framecue.features.extract import ExtractionProgress
from framecue.files import write_text
from framecue.models.adapter import CARD, load_adapter, make_card, read_card, save_adapter
from framecue.models.builders import build_model
from framecue.models.video_text import num_trainable
from framecue.tasks.evaluation import evaluate_recognition, variant_name
from framecue.tasks.recognition import RecognitionTask
from framecue.tasks.recognition_data import RecognitionData, prepare, store_path
from framecue.training.loop import STATE, train
from framecue.types import Skipped

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
        wanted.id, device=wanted.device, precision=wanted.precision, text_precision=config.train.precision
    )


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
    if restart:
        (config.out / STATE).unlink(missing_ok=True)
    _make_folder(config.out)
    backbone = backbone or load_run_backbone(config)
    config = _settled(config, backbone)
    data = prepare(config, backbone, progress=progress.extraction)
    model = build_model(config.model, backbone, seed=config.seed)
    progress.note(_describe(config, data, num_trainable(model)))
    task = RecognitionTask(
        model,
        data.train,
        data.val,
        train=config.train,
        evaluate=config.evaluate,
        window=config.model.num_frames,
        seed=config.seed,
    )
    state = train(task, config.train, config.out, fingerprint=_fingerprint(config, data), progress=progress.step)
    save_config(config, config.out / CONFIG)  # not before `train` has accepted the folder: it may be another run's
    results = evaluate_recognition(config, model.eval(), data)
    results["selected"] = {"iteration": state.best_iteration, "val_top1": state.best_metric}
    card = make_card(
        backbone,
        config.model,
        data.train.class_names,
        backbone_id=config.backbone.id,
        sampling=config.features.sampling,
        num_views=config.evaluate.views,
        config=config.model_dump(mode="json"),
        metrics=results,
    )
    save_adapter(config.out / ADAPTER, model, card)
    write_text(config.out / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return RunResult(config.out / ADAPTER, results, data.skipped)


def evaluate_adapter(folder: str | Path, *, progress: RunProgress | None = None) -> RunResult:
    """Measure a trained adapter again on the data of its own config. The same inputs give the same bytes.

    Raises:
        AdapterError: the adapter was not made by `framecue train`, so that it names no data; or its config is damaged.
    """
    folder = Path(folder)
    card = read_card(folder)
    if not card.config:
        raise AdapterError(
            f"Adapter {folder} names no data to be measured on (it was converted, not trained here); "
            "use it with `framecue classify`."
        )
    try:
        config = RunConfig.model_validate(card.config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AdapterError(
            f"Adapter {folder}: the run config in {CARD} is not valid at {where}: {first['msg']}; "
            "take the file as `framecue train` wrote it, or train again."
        ) from error
    backbone = load_run_backbone(config)
    model = load_adapter(folder, backbone, card)
    data = prepare(config, backbone, progress=(progress or RunProgress()).extraction)
    changed = sorted(set(card.class_names) ^ set(data.train.class_names))
    if changed:
        raise DatasetError(
            f"Adapter {folder} was trained on {len(card.class_names)} classes, its data in {config.data.source} has "
            f"changed since ({', '.join(changed[:3])}); restore the data, or train again."
        )
    results = evaluate_recognition(config, model, data)
    return RunResult(folder, results, data.skipped)


def _settled(config: RunConfig, backbone: Backbone) -> RunConfig:
    """With absolute paths, and the precisions that the device decided: another folder or machine measures the same."""
    data, backbone_id = config.data, config.backbone.id
    changes: dict[str, dict[str, Any]] = {
        "data": {
            "source": data.source.absolute(),
            "annotations": data.annotations and data.annotations.absolute(),
        },
        "features": {"store": store_path(config).absolute()},
        "backbone": {
            "id": str(Path(backbone_id).absolute())
            if backbone_id != TINY and Path(backbone_id).exists()
            else backbone_id,
            "precision": backbone.precision,
        },
        "train": {"precision": backbone.text_precision},
    }
    sections = {name: getattr(config, name).model_copy(update=update) for name, update in changes.items()}
    return config.model_copy(update={"out": config.out.absolute(), **sections})


def _fingerprint(config: RunConfig, data: RecognitionData) -> str:
    """What decides the trained weights: the config's deciding sections, and the training and validation videos."""
    deciding = config.model_dump(mode="json", include={"task", "seed", "model", "backbone", "data"})
    deciding["features"] = {"sampling": config.features.sampling, "dtype": config.features.dtype}
    deciding["train"] = config.train.model_dump(mode="json", exclude={"save_every", "log_every"})
    deciding["views"] = config.evaluate.views  # validation averages them, and so chooses the weights by them
    videos = [f"{part.hashes[row]} {part.targets[row]}" for part in (data.train, data.val) for row in range(len(part))]
    deciding["videos"] = hashlib.sha256("\n".join(videos).encode()).hexdigest()
    return json.dumps(deciding, sort_keys=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"out: {folder} cannot be a folder ({error.strerror}); choose another out.") from error


def _describe(config: RunConfig, data: RecognitionData, trained: int) -> str:
    held_out = f", {len(data.novel.class_names)} held-out names" if len(data.novel) else ""
    return (
        f"{variant_name(config.model)} on {config.backbone.id}: {trained:,} trained numbers, "
        f"{len(data.train.class_names)} classes{held_out}; videos: {len(data.train)} train, {len(data.val)} val, "
        f"{len(data.test)} test"
    )
