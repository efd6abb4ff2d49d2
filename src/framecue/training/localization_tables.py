"""The paper's tables of localization, closed-set and open-set: a whole run for each trial, resumed, with spread."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from framecue.backbone import TINY, Backbone
from framecue.config import RunConfig
from framecue.config.departures import departures, departures_json
from framecue.datasets.world import NOVEL_CLASSES, UNTRIMMED_SEEN_CLASSES, write_untrimmed
from framecue.errors import DatasetError, UsageError
from framecue.features.extract import ExtractionProgress
from framecue.files import write_text
from framecue.tasks.localization_data import LocalizationParts
from framecue.tasks.localization_evaluation import system_name
from framecue.tasks.localization_source import GROUND_TRUTH
from framecue.tasks.recognition_data import StoredFeatures, stored_features
from framecue.training.localization import CHOSEN, settled_localization, train_localization
from framecue.training.localization_trials import (
    CLOSED_SET,
    LOCALIZATION_TABLES,
    LocalizationTableOptions,
    LocalizationTrial,
    TrialProtocol,
    plan_trials,
)
from framecue.training.recognition import RESULTS, RunProgress, load_run_backbone, make_folder
from framecue.training.start import require_fresh
from framecue.training.table_rows import WORLD
from framecue.training.table_trials import Progress, file_hashes, file_name, spread
from framecue.training.tables import TABLE, versions
from framecue.training.threads import single_thread
from framecue.types import AnnotatedVideo, Record, Skipped

STRICT = "strict: no external scores"
WORLD_VIDEOS = {"train": 6, "val": 2, "test": 3}
"""Of each name."""


def run_localization_table(
    table: str,
    config: RunConfig,
    *,
    options: LocalizationTableOptions,
    dataset: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run what is missing of a table in `config.out`, and write table.json there: the same bytes, whenever repeated.

    A trial is a whole run, in a folder under `trials` that goes by its config, videos and backbone: an interrupted
    table goes on there, and another config has other folders. The features of all trials are in one store.

    Args:
        dataset: name for the record; "world" renders the built-in world where it is not there yet.
        restart: forget all trials of this table.

    Raises:
        UsageError, DatasetError, FramecueError: as the parts do.
    """
    report = progress or (lambda phase, done, total, note: None)
    if table not in LOCALIZATION_TABLES:
        raise UsageError(
            f"There is no table '{table}' of localization; the tables are {' and '.join(LOCALIZATION_TABLES)}."
        )
    require_fresh(config)
    make_folder(config.out)
    if restart and (config.out / "trials" / table).exists():
        shutil.rmtree(config.out / "trials" / table)
    if dataset == WORLD:
        _render_world(config.data.source, report)
    with single_thread() if config.backbone.id == TINY else nullcontext():
        backbone = load_run_backbone(config)
        config = settled_localization(config, backbone)
        protocol, trials = plan_trials(table, config, options)
        stored = _extract(config, backbone, trials, report)
        marks = [_fingerprint(trial, stored, backbone) for trial in trials]
        made = [
            _run(trial, config.out / "trials" / table / f"{file_name(trial.name)}-{mark[:16]}", backbone, report)
            for trial, mark in zip(trials, marks, strict=True)
        ]
    result = _result(table, dataset, config, backbone, protocol, trials, made)
    result["protocols"][0]["source_hash"] = hashlib.sha256("".join(marks).encode()).hexdigest()
    result["skipped"] = _skipped(trials, stored)
    write_text(config.out / TABLE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def _render_world(folder: Path, report: Progress) -> None:
    """Every action of the world in videos of its own, several times with background between, in one ground truth.

    One name a video, as in most of THUMOS14: in a video of many names, those that a split trains on would count as
    wrong answers wherever the held-out ones alone are asked for.
    """
    names = (*UNTRIMMED_SEEN_CLASSES, *NOVEL_CLASSES)
    database = {}
    for number, name in enumerate(names):
        report("render videos", number, len(names), name)
        place = folder / file_name(name)
        write_untrimmed(place, seed=number, classes=(name,), num_videos=WORLD_VIDEOS, workers=0)
        truth = json.loads((place / GROUND_TRUTH).read_text(encoding="utf-8"))
        for about in truth["database"].values():
            about["url"] = f"{place.name}/{about['url']}"
            database[str(PurePosixPath(about["url"]).with_suffix(""))] = about
    version = "framecue built-in world, untrimmed, one name a video"
    write_text(folder / GROUND_TRUTH, json.dumps({"version": version, "database": database}, indent=1) + "\n")


def _extract(
    config: RunConfig, backbone: Backbone, trials: Sequence[LocalizationTrial], report: Progress
) -> StoredFeatures:
    """The features of all trials' videos, in one store."""

    def extraction(state: ExtractionProgress) -> None:
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        report("extract features", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    paths = [video.path for trial in trials for video in _videos(trial.parts)]
    records = [Record(path, None) for path in dict.fromkeys(paths) if path is not None]
    return stored_features(config, backbone, records, progress=extraction)


def _videos(parts: LocalizationParts) -> list[AnnotatedVideo]:
    return [*parts.train, *parts.val, *parts.test, *parts.novel]


def _fingerprint(trial: LocalizationTrial, stored: StoredFeatures, backbone: Backbone) -> str:
    """What decides a trial's figures: its videos by content, names, config and backbone."""
    config, parts = trial.config, trial.parts
    sections = {"preset", "seed", "model", "train", "blend", "localization", "evaluate"}
    deciding = config.model_dump(mode="json", include=sections)
    wanted = config.localization
    files = {"proposals": wanted.proposals, "external": wanted.external_scores, "texts": config.data.descriptions}
    deciding["localization"] |= {"blocked": None, "proposals": None, "external_scores": None}
    deciding["files"] = {name: path and file_hashes(path) for name, path in files.items()}
    deciding["features"] = [config.features.sampling, config.features.dtype]
    deciding["backbone"] = backbone.fingerprint
    deciding["names"] = [parts.class_names, parts.novel_names]
    deciding["torch"] = torch.__version__
    for name, part in (("train", parts.train), ("val", parts.val), ("test", parts.test), ("novel", parts.novel)):
        deciding[name] = [
            [video.video_id, video.path and stored.hashes.get(video.path), str(video.segments)] for video in part
        ]
    deciding["ignored"] = [str(segments) for segments in parts.ignored]
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def _run(trial: LocalizationTrial, folder: Path, backbone: Backbone, report: Progress) -> dict[str, Any]:
    """The results of a trial: of its file where it is there, else trained, going on where it stopped."""
    phase = f"{system_name(trial.config)}, {trial.name}"

    def show(done: int, total: int, numbers: Mapping[str, float]) -> None:
        report(phase, done, total, f"loss {numbers['loss']:.2f}" if "loss" in numbers else "")

    found = _read_results(folder / RESULTS)
    if found is None:
        config = trial.config.model_copy(update={"out": folder})
        train_localization(config, progress=RunProgress(step=show), backbone=backbone)
        found = _read_results(folder / RESULTS)
    if found is None or not found["novel" if trial.parts.novel_names else "test"]:
        raise DatasetError(f"{trial.name}: no video to be measured is readable. Replace the files.")
    return found


def _read_results(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _result(
    table: str,
    dataset: str | None,
    config: RunConfig,
    backbone: Backbone,
    protocol: TrialProtocol,
    trials: Sequence[LocalizationTrial],
    made: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    wanted = config.localization
    outside = wanted.external_scores
    common = [note for note in made[0]["notes"] if all(note in results["notes"] for results in made)]
    return {
        "what": f"framecue reproduce {table}",
        "table": table,
        "dataset": dataset or str(config.data.source),
        "protocols": [
            {
                "name": protocol.name,
                "description": protocol.description,
                "source": protocol.source,
                "source_hash": None,
                "num_trials": len(trials),
                "seeds": [trial.config.seed for trial in trials],
            }
        ],
        "setting": {
            "scores": STRICT if outside is None else f"external: {outside}",
            "external_scores": str(outside or "none"),
            "proposals": str(wanted.proposals or "own"),
            "tious": list(wanted.tious),
            "templates": list(config.evaluate.templates),
            "backbone": {
                "id": config.backbone.id,
                "weights_hash": backbone.weights_hash,
                "precision": backbone.precision,
            },
            "num_classes": len(trials[0].parts.class_names) + len(trials[0].parts.novel_names),
            "iterations": config.train.iterations,
            "departures": departures_json(departures(config, on_gpu=backbone.on_gpu)),
        },
        "rows": _rows(table, config, protocol, trials, made),
        "trials": [_trial_json(trial, results, common) for trial, results in zip(trials, made, strict=True)],
        "notes": common,
        "skipped": [],
        "versions": versions(),
    }


def _rows(
    table: str,
    config: RunConfig,
    protocol: TrialProtocol,
    trials: Sequence[LocalizationTrial],
    made: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A row for each method that the runs measured. What external scores entered has a name of its own."""
    ours = system_name(config)
    parts = {"test": "test"} if table == CLOSED_SET else {"novel": "novel", "test": "seen"}
    seen = sorted({name for trial in trials for name in trial.parts.class_names})
    shown = config.model_dump(mode="json", exclude={"seed": True, "out": True, "data": {"held_out"}})
    rows = []
    for method in dict.fromkeys(method for part in parts for method in made[0][part]):
        measured = [
            {
                name: value
                for part, prefix in parts.items()
                if method in results[part]
                for name, value in _measures(prefix, results[part][method]).items()
            }
            for results in made
        ]
        names = dict.fromkeys(name for values in measured for name in values)
        outside = method == ours and config.localization.external_scores is not None
        rows.append(
            {
                "method": f"{method} + external scores" if outside else method,
                "protocol": protocol.name,
                "scores": "external" if outside else "strict",
                "classes_seen_in_training": None if method.startswith("training-free") else seen,
                "config": shown if method == ours else None,
                "measures": {name: spread([values[name] for values in measured if name in values]) for name in names},
            }
        )
    return rows


def _measures(prefix: str, measured: Mapping[str, Any]) -> dict[str, float]:
    by_overlap = {f"{prefix}/map@{tiou}": float(value) for tiou, value in measured["map"].items()}
    return by_overlap | {f"{prefix}/average_map": float(measured["average_map"])}


def _trial_json(trial: LocalizationTrial, results: Mapping[str, Any], common: Sequence[str]) -> dict[str, Any]:
    protocol = results["protocol"]
    numbers = ("held_out_classes", "num_train_videos", "num_train_segments", "num_val_videos")
    own = [note for note in results["notes"] if note not in common]
    return {
        "name": trial.name,
        "seed": trial.config.seed,
        **{name: protocol[name] for name in numbers},
        **{name: results[name] for name in CHOSEN if name in results},
        "notes": [*trial.notes, *own],
    }


def _skipped(trials: Sequence[LocalizationTrial], stored: StoredFeatures) -> list[dict[str, str]]:
    items: list[Skipped] = [*(item for trial in trials for item in trial.parts.skipped), *stored.skipped]
    return [{"path": path, "reason": reason} for path, reason in dict.fromkeys((str(i.path), i.reason) for i in items)]
