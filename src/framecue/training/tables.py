"""Whole tables of the paper: every row over every trial, resumed where a run stopped, with spread and provenance."""

import json
import platform
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

from framecue.backbone import TINY, Backbone
from framecue.config import RunConfig, build_config
from framecue.config.departures import Departure, departures, departures_json
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES, write_world
from framecue.errors import UsageError
from framecue.features.extract import ExtractionProgress
from framecue.files import write_text
from framecue.tasks.recognition_data import stored_features
from framecue.training.recognition import (
    load_run_backbone,
    make_folder,
    make_handcrafted,
    settled,
)
from framecue.training.start import require_fresh
from framecue.training.table_data import load_table_data
from framecue.training.table_rows import (
    ROWS,
    TABLES,
    WORLD,
    TableOptions,
    build_protocols,
    table_rows,
)
from framecue.training.table_trials import Progress, TableJob, file_name, is_made, run_method
from framecue.training.threads import single_thread

__all__ = ["DATASETS", "TABLES", "TableOptions", "dataset_config", "run_table"]

TABLE = "table.json"
DATASETS = (WORLD, "hmdb51", "ucf101", "kinetics400", "kinetics700", "something")


def dataset_config(
    dataset: str, data: Path | None, out: Path, overrides: Sequence[str] = (), *, iterations: int | None = None
) -> RunConfig:
    """The run config that a table's rows are derived from.

    Args:
        dataset: one of DATASETS.
        data: folder with `videos` and `annotations`; for the world its videos, which are rendered if absent.
        out: folder of the table.
        overrides: `a.b=c` texts, which win.

    Raises:
        UsageError: no such data set, or no folder given where one is needed.
    """
    if dataset not in DATASETS:
        raise UsageError(
            f"There is no data set '{dataset}'; known are {', '.join(DATASETS)}. Others: --config RUN.yaml."
        )
    values: dict[str, Any] = {"out": str(out)}
    if dataset == WORLD:
        values |= {
            "data": {"source": str(data or out / "videos"), "format": "folder"},
            "backbone": {"id": TINY},
            "features": {"sampling": "uniform:16"},
            "train": {"iterations": 600, "restart_iterations": 600, "lr": 1e-3, "strides": [1], "validate_every": 50},
            "evaluate": {
                "views": 1,
                "templates": [
                    "{}",
                    "a shape {}",
                    "something {}",
                    "a video of a shape {}",
                    "a video of something {}",
                ],
            },
        }
    else:
        if data is None:
            raise UsageError(f"Data set {dataset} needs --data DIR, the folder with its videos and annotations.")
        kind = "kinetics" if dataset.startswith("kinetics") else dataset
        values |= {
            "data": {"source": str(data / "videos"), "annotations": str(data / "annotations"), "format": kind},
            "features": {"sampling": "all"},
        }
    return build_config(values, overrides, name=dataset)


def run_table(
    table: str,
    config: RunConfig,
    *,
    options: TableOptions,
    dataset: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run what is missing of a table in `config.out`, and write table.json there: the same bytes, whenever repeated.

    Each row's figure of each trial is a file under `trials`, kept when it was made of the same config, videos and
    backbone: an interrupted table goes on there, and a changed config makes its rows anew. Rows that are not asked for
    stand in the table too where all their figures are there, so that a table may be made row by row.

    Args:
        dataset: name for the record; "world" renders the built-in world where it is not there yet.
        restart: forget all trials of this table.

    Raises:
        UsageError, DatasetError, FramecueError: as the parts do.
    """
    report = progress or (lambda phase, done, total, note: None)
    methods = table_rows(table, options, dataset)
    require_fresh(config)
    make_folder(config.out)
    if restart and (config.out / "trials" / table).exists():
        shutil.rmtree(config.out / "trials" / table)
    if dataset == WORLD:
        _render_world(config.data.source, report)
    with single_thread() if config.backbone.id == TINY else nullcontext():
        backbone = load_run_backbone(config)
        config = settled(config, backbone)
        job = _prepare(table, config, options, backbone, dataset or str(config.data.source), report)
        rows = [
            row
            for method, folder in ((name, config.out / "trials" / table / file_name(name)) for name in ROWS[table])
            if method in methods or is_made(job, method, folder)
            for row in run_method(job, method, folder, report)
        ]
    result = _result(job, rows)
    write_text(config.out / TABLE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def _render_world(folder: Path, report: Progress) -> None:
    write_world(
        folder,
        classes=SEEN_CLASSES + NOVEL_CLASSES,
        videos_per_class={"train": 100, "val": 10, "test": 20},
        workers=0,
        on_progress=lambda done, total: report("render videos", done, total, ""),
    )


def _prepare(
    table: str, config: RunConfig, options: TableOptions, backbone: Backbone, dataset: str, report: Progress
) -> TableJob:
    data = load_table_data(table, config.data, options.other.data if options.other else None)
    protocols = build_protocols(table, data, config, options, dataset=dataset)
    used = [
        record
        for protocol in protocols
        for trial in protocol.trials
        for part in (trial.train, trial.val, *trial.tests.values())
        for record in part
    ]

    def extraction(state: ExtractionProgress) -> None:
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        report("extract features", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    features = stored_features(config, backbone, list(dict.fromkeys(used)), progress=extraction)
    names = sorted({record.label for record in data.everything if record.label is not None})
    skipped = [*data.skipped, *(item for protocol in protocols for item in protocol.skipped), *features.skipped]
    handcrafted = make_handcrafted(config, backbone, names)
    splits = data.measured_splits
    return TableJob(table, dataset, config, backbone, protocols, features, handcrafted, len(names), splits, skipped)


def _result(job: TableJob, rows: list[dict[str, Any]]) -> dict[str, Any]:
    config = job.config
    return {
        "what": f"framecue reproduce {job.table}",
        "table": job.table,
        "dataset": job.dataset,
        "protocols": [
            {
                "name": protocol.name,
                "description": protocol.description,
                "source": protocol.source,
                "source_hash": protocol.source_hash,
                "num_trials": len(protocol.trials),
                "seeds": [trial.seed for trial in protocol.trials],
            }
            for protocol in job.protocols
        ],
        "setting": {
            "views": config.evaluate.views,
            "external_scores": "none",
            "templates": list(config.evaluate.templates),
            "backbone": {
                "id": config.backbone.id,
                "weights_hash": job.backbone.weights_hash,
                "precision": job.backbone.precision,
            },
            "num_classes": job.num_classes,
            "official_splits": job.official_splits,
            "iterations": config.train.iterations,
            "departures": departures_json(_departures(job)),
        },
        "rows": rows,
        "skipped": [{"path": str(item.path), "reason": item.reason} for item in job.skipped],
        "versions": versions(),
    }


def _departures(job: TableJob) -> list[Departure]:
    """Of the table's own config; rows such as robust depart further, as they are meant to."""
    trials = [trial for protocol in job.protocols for trial in protocol.trials]
    return departures(
        job.config,
        on_gpu=job.backbone.on_gpu,
        num_train=min(len(trial.train) for trial in trials),
        num_val=max(len(trial.val) for trial in trials),
        own_val=any(record.split == "val" for trial in trials for record in trial.val),
    )


def versions() -> dict[str, str]:
    """Of what a table's figures may depend on."""
    names = ("framecue", "torch", "transformers", "av", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in names}
