"""The paper's table of text-video retrieval: frozen CLIP, prompts alone, prompts and time; resumed, with spread."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from framecue.backbone import TINY, Backbone
from framecue.config import PresetName, RunConfig, build_config
from framecue.config.departures import departures, departures_json
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES, write_caption_list, write_world
from framecue.errors import DatasetError, UsageError
from framecue.features.extract import ExtractionProgress
from framecue.files import write_text
from framecue.tasks.retrieval_data import read_run_captions
from framecue.tasks.retrieval_evaluation import FROZEN
from framecue.training.recognition import RunProgress, RunResult, load_run_backbone, make_folder
from framecue.training.retrieval import CHOSEN, train_retrieval
from framecue.training.start import require_fresh
from framecue.training.table_rows import WORLD
from framecue.training.table_trials import Progress, file_hashes, spread
from framecue.training.tables import TABLE, versions
from framecue.training.threads import single_thread

RETRIEVAL = "retrieval"
ROBUST = "robust"
ROWS = ("A3", "A5", ROBUST)
RANKS = ("MdR", "MnR")
CAPTIONS = "retrieval.jsonl"
WORLD_SEED = 5
WORLD_VIDEOS = {"train": 100, "val": 10, "test": 20}
"""Of each motion."""
WORLD_PROMPTS_ALONE = {"lr": 1e-2, "iterations": 300, "restart_iterations": 300}
"""Of rows without temporal module on the built-in world; chosen with the rest on the validation part of another."""

_OFFICIAL: Mapping[str, dict[str, Any]] = {
    "msrvtt-9k": {"format": "msrvtt", "protocol": "9k"},
    "msrvtt-7k": {"format": "msrvtt", "protocol": "7k"},
    "lsmdc": {"format": "lsmdc"},
    "didemo": {"format": "didemo"},
    "smit": {"format": "smit"},
}
RETRIEVAL_DATASETS = (WORLD, *_OFFICIAL)


@dataclass(frozen=True)
class RetrievalTableOptions:
    """Which trainings a table consists of.

    Attributes:
        seeds: None = 0, 1, 2.
        rows: the paper's variants, "robust" for A5 with that preset; None = A3, A5, robust. Frozen CLIP stands beside.
        prompts_alone: keys of the section train that rows without temporal module have of their own.
    """

    seeds: tuple[int, ...] | None = None
    rows: tuple[str, ...] | None = None
    prompts_alone: Mapping[str, Any] = field(default_factory=dict)


def retrieval_config(dataset: str | None, data: Path | None, out: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run config of a named data set, of a row with temporal module.

    Args:
        data: holds `videos` and `annotations`; the world needs none.

    Raises:
        UsageError: an unknown data set, or none of the two.
        ConfigError: an override is not right.
    """
    if dataset not in RETRIEVAL_DATASETS:
        raise UsageError(f"There is no retrieval data set '{dataset}'; known are {', '.join(RETRIEVAL_DATASETS)}.")
    values: dict[str, Any] = {"task": RETRIEVAL, "out": str(out)}
    if dataset == WORLD:
        values |= {
            "data": {"source": str(out / CAPTIONS)},
            "backbone": {"id": TINY},
            "features": {"sampling": "uniform:16"},
            "train": {"iterations": 400, "restart_iterations": 400, "lr": 2e-3, "strides": [1], "validate_every": 50},
            "evaluate": {"views": 1},
        }
    else:
        if data is None:
            raise UsageError(f"Data set {dataset} needs --data DIR, the folder with its videos and annotations.")
        values |= {
            "data": {"source": str(data / "videos"), "annotations": str(data / "annotations")},
            "retrieval": _OFFICIAL[dataset],
            "train": {"iterations": 10_000, "validate_every": 500, "save_every": 500},
        }
    return build_config(values, overrides, name=dataset)


def run_retrieval_table(
    config: RunConfig,
    *,
    options: RetrievalTableOptions | None = None,
    dataset: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
    backbone: Backbone | None = None,
) -> dict[str, Any]:
    """Run what is missing of the table in `config.out`, and write table.json there: the same bytes, whenever repeated.

    A training is a whole run in a folder under `trials` that goes by its row, seed and config; an interrupted table
    goes on there.

    Args:
        dataset: name for the record; "world" renders the built-in world where it is not there yet.
        restart: forget all trials.
        backbone: an already loaded one.

    Raises:
        UsageError, DatasetError, FramecueError: as the parts do.
    """
    report = progress or (lambda phase, done, total, note: None)
    options = options or RetrievalTableOptions()
    rows, seeds = options.rows or ROWS, options.seeds or (0, 1, 2)
    unknown = [row for row in rows if row not in (*get_args(PresetName), ROBUST)]
    if unknown:
        names = ", ".join((*get_args(PresetName), ROBUST))
        raise UsageError(f"--rows must be of {names}, found {unknown[0]!r}; frozen CLIP stands beside by itself.")
    require_fresh(config)
    make_folder(config.out)
    folder = config.out / "trials" / RETRIEVAL
    if restart and folder.exists():
        shutil.rmtree(folder)
    if dataset == WORLD:
        options = replace(options, prompts_alone=WORLD_PROMPTS_ALONE)
        _render_world(config.out, report)
    read_run_captions(config)  # before a model is fetched: a wrong path costs a second
    with single_thread() if config.backbone.id == TINY else nullcontext():
        backbone = backbone or load_run_backbone(config)
        made = {
            row: [
                _run(row_config(config, row, seed, options.prompts_alone), row, folder, backbone, report)
                for seed in seeds
            ]
            for row in rows
        }
    result = _result(config, dataset, backbone, made)
    write_text(config.out / TABLE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def row_config(config: RunConfig, row: str, seed: int, prompts_alone: Mapping[str, Any] | None = None) -> RunConfig:
    """The config of one training.

    Args:
        prompts_alone: keys of the section train, where the row has no temporal module.
    """
    store = config.features.store or config.out / "features.lance"
    preset = "A5" if row == ROBUST else row
    overrides = [f"seed={seed}", f"model.preset={preset}", f"features.store={json.dumps(str(store))}"]
    if row == ROBUST:
        overrides.append("preset=robust")
    values = config.model_dump(mode="json", exclude_unset=True)
    for name in ("n_prefix", "n_suffix", "temporal_layers"):
        values.get("model", {}).pop(name, None)
    trial = build_config(values, overrides, name=row)
    if prompts_alone and trial.model.temporal_layers == 0:
        trial = trial.model_copy(update={"train": trial.train.model_copy(update=dict(prompts_alone))})
    return trial


def _render_world(out: Path, report: Progress) -> None:
    write_world(
        out / "videos",
        seed=WORLD_SEED,
        classes=SEEN_CLASSES + NOVEL_CLASSES,
        videos_per_class=WORLD_VIDEOS,
        workers=0,
        on_progress=lambda done, total: report("render videos", done, total, ""),
    )
    write_caption_list(out / CAPTIONS, out / "videos")


@dataclass(frozen=True, eq=False)
class _Trial:
    """One training and what came of it."""

    config: RunConfig
    run: RunResult

    @property
    def measured(self) -> Mapping[str, Any]:
        """Measures by method, of the reported part."""
        measured: Mapping[str, Any] = self.run.results[self.run.results["protocol"]["part"]]
        return measured


def _run(config: RunConfig, row: str, folder: Path, backbone: Backbone, report: Progress) -> _Trial:
    """One training, begun or gone on with; a finished one is only measured again, on whatever its data are now."""
    phase = f"{row}, seed {config.seed}"

    def show(done: int, total: int, numbers: Mapping[str, float]) -> None:
        report(phase, done, total, f"loss {numbers['loss']:.2f}" if "loss" in numbers else "")

    def extraction(state: ExtractionProgress) -> None:
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        report("extract features", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    deciding = json.dumps([config.model_dump(mode="json", exclude={"out"}), backbone.fingerprint], sort_keys=True)
    mark = hashlib.sha256(deciding.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    config = config.model_copy(update={"out": folder / f"{row}-seed{config.seed}-{mark}"})
    run = train_retrieval(config, progress=RunProgress(step=show, extraction=extraction), backbone=backbone)
    trial = _Trial(config, run)
    if not trial.measured:
        raise DatasetError(
            f"{config.data.source}: no video is there to be measured; give it a test or validation part."
        )
    return trial


def _result(
    config: RunConfig, dataset: str | None, backbone: Backbone, made: Mapping[str, Sequence[_Trial]]
) -> dict[str, Any]:
    trials = [trial for row in made.values() for trial in row]
    first = next(iter(made.values()))
    protocol = first[0].run.results["protocol"]
    name = protocol["msrvtt_protocol"] or protocol["part"]
    rows = [_row(FROZEN, name, [trial.measured[FROZEN] for trial in first], None)]
    for row, repeated in made.items():
        rows.append(_row(row, name, [t.measured[t.run.results["method"]] for t in repeated], repeated[0].config))
    source = config.data.annotations or config.data.source
    skipped = dict.fromkeys((str(item.path), item.reason) for trial in trials for item in trial.run.skipped)
    return {
        "what": "framecue reproduce retrieval",
        "table": RETRIEVAL,
        "dataset": dataset or str(config.data.source),
        "protocols": [
            {
                "name": name,
                "description": f"{protocol['num_captions']} captions against {protocol['num_videos']} videos of "
                f"{protocol['part']}, trained on {protocol['num_train_videos']} videos",
                "source": str(source),
                "source_hash": hashlib.sha256(json.dumps(file_hashes(source)).encode()).hexdigest(),
                "num_trials": len(first),
                "seeds": [trial.config.seed for trial in first],
            }
        ],
        "setting": {
            "views": config.evaluate.views,
            "external_scores": "none",
            "ties": protocol["ties"],
            "query_set_normalization": protocol["query_set_normalization"],
            "loss": protocol["loss"],
            "part_chose_the_weights": protocol["part_chose_the_weights"],
            "templates": [],
            "backbone": {
                "id": config.backbone.id,
                "weights_hash": backbone.weights_hash,
                "precision": backbone.precision,
            },
            "num_classes": 0,
            "iterations": config.train.iterations,
            "departures": departures_json(departures(config, on_gpu=backbone.on_gpu)),
        },
        "rows": rows,
        "trials": [_trial_json(trial, row, config.out) for row, repeated in made.items() for trial in repeated],
        "notes": protocol["notes"],
        "skipped": [{"path": path, "reason": reason} for path, reason in skipped],
        "versions": versions(),
    }


def _trial_json(trial: _Trial, row: str, out: Path) -> dict[str, Any]:
    results = trial.run.results
    return {
        "name": f"{row}, seed {trial.config.seed}",
        "method": row,
        "seed": trial.config.seed,
        "adapter": trial.run.adapter.absolute().relative_to(out.absolute()).as_posix(),
        **{name: results[name] for name in CHOSEN},
        "notes": [],
    }


def _row(method: str, protocol: str, runs: Sequence[Mapping[str, Any]], config: RunConfig | None) -> dict[str, Any]:
    measured = [_measures(run) for run in runs]
    names = [name for name in measured[0] if all(name in values for values in measured)]
    return {
        "method": method,
        "protocol": protocol,
        "scores": "strict",
        "config": config and config.model_dump(mode="json", exclude={"seed", "out"}),
        "measures": {
            name: spread([values[name] for values in measured], num_items=_num_queries(runs[0], name))
            | ({"unit": "rank"} if name.rsplit("/", 1)[1] in RANKS else {})
            for name in names
        },
    }


def _num_queries(run: Mapping[str, Any], name: str) -> int | None:
    """Of a recall, how many queries it is a share of; None of a rank."""
    prefix, direction, kind = ("/" + name).rsplit("/", 2)
    if kind in RANKS:
        return None
    numbers = run["groups"][prefix[1:]] if prefix else run
    return int(numbers[f"{direction}/queries"])


def _measures(run: Mapping[str, Any]) -> dict[str, float]:
    """Recalls as shares, ranks as they are; those of a group under its name."""
    parts = {"": run} | {f"{group}/": numbers for group, numbers in run.get("groups", {}).items()}
    measures = {}
    for prefix, numbers in parts.items():
        for name, value in numbers.items():
            kind = name.rsplit("/", 1)[-1]
            if kind in RANKS:
                measures[prefix + name] = float(value)
            elif kind in ("R1", "R5", "R10"):
                measures[prefix + name] = float(value) / 100
    return measures
