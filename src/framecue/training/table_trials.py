"""The trials of a table's rows: each run once, its figures kept in a file, many small trainings at once."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.feature_set import FeatureSet
from framecue.datasets.trials import Protocol, Trial
from framecue.errors import DatasetError
from framecue.features.identity import hash_file
from framecue.files import write_text
from framecue.metrics.intervals import wilson_interval
from framecue.metrics.recognition import harmonic_mean, mean_and_spread, top_k_accuracy
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.models.video_text import VideoTextModel
from framecue.tasks.baselines import linear_probe_scores, zero_shot_scores
from framecue.tasks.recognition import RecognitionTask, Scores, predict_scores
from framecue.tasks.recognition_data import RecognitionData, StoredFeatures
from framecue.training.many import train_many
from framecue.training.recognition import (
    Fit,
    RunProgress,
    finish,
    fit,
    make_folder,
    needs_handcrafted,
)
from framecue.training.table_rows import (
    PROBE,
    SINGLE,
    row_config,
)
from framecue.types import Skipped

GROUP = 25  # trainings that are kept in memory at once; each group is finished before the next begins

Progress = Callable[[str, int, int, str], None]
"""Called with the phase, how much of it is done and in all, and a short note."""


@dataclass(frozen=True, eq=False)
class TableJob:
    """What all rows of a table share."""

    table: str
    dataset: str
    config: RunConfig
    backbone: Backbone
    protocols: list[Protocol]
    features: StoredFeatures
    handcrafted: Handcrafted
    num_classes: int
    official_splits: list[int]
    skipped: list[Skipped]


def run_method(job: TableJob, method: str, folder: Path, report: Progress) -> list[dict[str, Any]]:
    """A row for each protocol of the table."""
    rows = []
    for protocol in job.protocols:
        place = folder / file_name(protocol.name)
        trials = _run_trials(job, method, protocol, place, report)
        config = row_config(job.config, method, seed=protocol.trials[0].seed, out=place, dataset=job.dataset)
        measured = [trial["measures"] for trial in trials]
        splits = [trial.split for trial in protocol.trials if trial.split is not None]
        rows.append(
            {
                "method": method,
                "protocol": protocol.name,
                "classes_seen_in_training": _classes_seen(protocol) if config or method == PROBE else None,
                "config": config and config.model_dump(mode="json", exclude={"seed", "out"}),
                "measures": {
                    name: spread([values[name] for values in measured], splits, num_items=trials[0]["items"].get(name))
                    for name in measured[0]
                },
                "trials": [
                    {key: trial[key] for key in ("name", "selected", "blend", "rejection") if key in trial}
                    for trial in trials
                ],
            }
        )
    return rows


def is_made(job: TableJob, method: str, folder: Path) -> bool:
    """Whether all trials of a row are there, of this very config and these videos."""
    return all(
        None not in _Trials(job, method, protocol, folder / file_name(protocol.name)).found
        for protocol in job.protocols
    )


class _Trials:
    """A row's trials of one protocol: their configs, files, and what is stored of them."""

    def __init__(self, job: TableJob, method: str, protocol: Protocol, folder: Path) -> None:
        places = [folder / file_name(trial.name) for trial in protocol.trials]
        self.configs = [
            row_config(job.config, method, seed=trial.seed, out=place, dataset=job.dataset)
            for trial, place in zip(protocol.trials, places, strict=True)
        ]
        self.marks = [
            _fingerprint(job, method, protocol, trial, config)
            for trial, config in zip(protocol.trials, self.configs, strict=True)
        ]
        self.paths = [place.with_name(f"{place.name}.json") for place in places]
        self.found = [_read_trial(path, mark) for path, mark in zip(self.paths, self.marks, strict=True)]


def _run_trials(job: TableJob, method: str, protocol: Protocol, folder: Path, report: Progress) -> list[dict[str, Any]]:
    """The figures of every trial, of files where they are there; the others are run, in groups."""
    make_folder(folder)
    trials = _Trials(job, method, protocol, folder)
    configs, marks, paths, found = trials.configs, trials.marks, trials.paths, trials.found
    pending = [index for index, trial in enumerate(found) if trial is None]
    phase = f"{method}, {protocol.name}"

    def show(before: int, done: int, total: int, numbers: Mapping[str, float]) -> None:
        finished = len(found) - len(pending) + before
        loss = f", loss {numbers['loss']:.2f}" if "loss" in numbers else ""
        report(phase, finished, len(found), f"step {done} of {total}{loss}")

    batched = configs[0] is not None and not any(trial.val for trial in protocol.trials)
    size = GROUP if batched else 1
    for start in range(0, len(pending), size):
        group = pending[start : start + size]
        report(phase, len(found) - len(pending) + start, len(found), "")
        data = [_trial_data(job, protocol.trials[index]) for index in group]
        fits = _train_group(
            job,
            [configs[index] for index in group],
            data,
            batched=batched,
            show=partial(show, start),
        )
        for index, parts, fitted in zip(group, data, fits, strict=True):
            trial = _measure_trial(job, method, protocol.trials[index], parts, fitted, configs[index])
            write_text(paths[index], json.dumps({"fingerprint": marks[index]} | trial, indent=1) + "\n")
            found[index] = _read_trial(paths[index], marks[index])
            shutil.rmtree(folder / file_name(protocol.trials[index].name), ignore_errors=True)
    report(phase, len(found), len(found), "")
    return [trial for trial in found if trial is not None]


@dataclass(frozen=True, eq=False)
class _TrialData:
    recognition: RecognitionData
    tests: dict[str, FeatureSet]


def _trial_data(job: TableJob, trial: Trial) -> _TrialData:
    cut = job.features.feature_set
    train = cut(trial.train, trial.class_names)
    lost = sorted(set(trial.class_names) - {record.label for record in train.records})
    if lost:
        raise DatasetError(
            f"No readable training video is left of {', '.join(lost[:3])} in {trial.name}. Replace the files."
        )
    empty = cut([], trial.class_names)
    recognition = RecognitionData(train, cut(trial.val, trial.class_names), empty, empty, [])
    return _TrialData(recognition, {part: cut(trial.tests[part], trial.test_names[part]) for part in trial.tests})


def _train_group(
    job: TableJob,
    configs: Sequence[RunConfig | None],
    data: Sequence[_TrialData],
    *,
    batched: bool,
    show: Callable[[int, int, Mapping[str, float]], None],
) -> list[Fit | None]:
    """Fits of a group of trials: all at once where no validation part chooses, else one after another."""
    fits: list[Fit | None] = []
    wanted = [(config, parts.recognition) for config, parts in zip(configs, data, strict=True) if config is not None]
    if not wanted:
        return [None] * len(data)
    if not batched:
        for config, parts in wanted:
            make_folder(config.out)
            fits.append(fit(config, parts, job.handcrafted, progress=RunProgress(step=show)))
        return fits
    tasks, starts = [], []
    for config, parts in wanted:
        frozen = job.handcrafted if needs_handcrafted(config) else None
        model = build_model(config.model, job.backbone, seed=config.seed, handcrafted=frozen)
        starts.append({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})
        tasks.append(
            RecognitionTask(
                model,
                parts.train,
                None,
                train=config.train,
                evaluate=config.evaluate,
                window=config.model.num_frames,
                seed=config.seed,
            )
        )
    train_many(tasks, wanted[0][0].train, progress=show)
    last = {"iteration": wanted[0][0].train.iterations, "val_top1": None}
    for task, (config, parts), start in zip(tasks, wanted, starts, strict=True):
        fits.append(finish(config, task.model.eval(), parts, start=start, selected=last))
    return fits


def _measure_trial(
    job: TableJob, method: str, trial: Trial, parts: _TrialData, fitted: Fit | None, config: RunConfig | None
) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    items: Counter[str] = Counter()
    for part, data in parts.tests.items():
        scores = _scores(job, method, parts, data, None if fitted is None else fitted.model, config)
        if scores is None or not len(data):
            continue
        kind = part.partition(" ")[0]  # "half" of "half 3 split 1", all of which are averaged
        for k in (1, 5) if len(data.class_names) > 5 else (1,):
            found.setdefault(f"{kind}/top{k}", []).append(top_k_accuracy(scores, data.targets, k))
            items[f"{kind}/top{k}"] += len(data)
    measures = {name: sum(values) / len(values) for name, values in found.items()}
    if {"base/top1", "novel/top1"} <= measures.keys():
        measures["harmonic_mean"] = harmonic_mean(measures["base/top1"], measures["novel/top1"])
    trained = {} if fitted is None else {"selected": fitted.selected, "blend": fitted.blend}
    return {"name": trial.name, "measures": measures, "items": dict(items)} | trained


def _scores(
    job: TableJob,
    method: str,
    parts: _TrialData,
    data: FeatureSet,
    model: VideoTextModel | None,
    config: RunConfig | None,
) -> Scores | None:
    window, views = job.config.model.num_frames, job.config.evaluate.views
    if config is not None and model is not None:
        batch_size = config.evaluate.batch_size
        return predict_scores(model, data, data.class_names, window=window, num_views=views, batch_size=batch_size)
    if method == PROBE:
        train, val = parts.recognition.train, parts.recognition.val
        if data.class_names != train.class_names:
            return None
        return linear_probe_scores(train, val, data, window=window, num_views=views)
    frozen = job.handcrafted
    if method == SINGLE:
        frozen = Handcrafted(job.backbone, frozen.templates[:1])
    return zero_shot_scores(frozen, data, data.class_names, window=window, num_views=views)


def _fingerprint(job: TableJob, method: str, protocol: Protocol, trial: Trial, config: RunConfig | None) -> str:
    """What decides a trial's figures: its videos by content, names, config and backbone."""
    hashes = job.features.hashes
    parts = {"train": trial.train, "val": trial.val, **trial.tests}
    deciding = {
        "method": method,
        "protocol": protocol.source_hash,
        "trial": [trial.name, trial.seed, trial.class_names, trial.test_names],
        "videos": {
            part: [
                [hashes.get(record.path), record.label, record.start_seconds, record.end_seconds] for record in records
            ]
            for part, records in parts.items()
        },
        "backbone": job.backbone.fingerprint,
        "features": [job.config.features.sampling, job.config.features.dtype],
        "frozen": [job.handcrafted.templates, job.handcrafted.descriptions],
        "evaluate": [job.config.evaluate.views, job.config.evaluate.random_views, job.config.model.num_frames],
        "config": config
        and config.model_dump(
            mode="json", include={"preset": True, "model": True, "blend": True, "train": True, "evaluate": True}
        ),
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def _read_trial(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """A stored trial of this very fingerprint; anything else is run anew."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or stored.pop("fingerprint", None) != fingerprint or "items" not in stored:
        return None
    return stored


def spread(values: Sequence[float], splits: Sequence[int] = (), *, num_items: int | None = None) -> dict[str, Any]:
    """Mean and spread of repeated trials, as every table holds them.

    Args:
        num_items: test items of a trial, where the values are shares of these.
        splits: the official split of each trial, where there are several: trials of one are averaged first, and the
            spread is over the splits.
    """
    if splits:
        by_split: dict[int, list[float]] = {}
        for value, split in zip(values, splits, strict=True):
            by_split.setdefault(split, []).append(value)
        values = [sum(part) / len(part) for part in by_split.values()]
    found = mean_and_spread(values)
    return {
        "mean": found.mean,
        "std": found.std,
        "half_width_95": found.half_width_95,
        "n": len(values),
        "values": list(values),
        "ci95_items": None if num_items is None else list(wilson_interval(found.mean, num_items)),
    } | ({"over": "splits"} if splits else {})


def _classes_seen(protocol: Protocol) -> list[str]:
    return sorted({name for trial in protocol.trials for name in trial.class_names})


def file_name(text: str) -> str:
    return text.replace(" ", "_").replace("/", "_")


def file_hashes(path: Path) -> list[list[str]]:
    """The files at or below a path, by name and content."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    try:
        return [[file.name, hash_file(file)] for file in files]
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the path.") from error
