"""What the tables of localization consist of: named data sets, and a run config with its videos for each trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from framecue.backbone import TINY
from framecue.config import RunConfig, build_config
from framecue.datasets.localization import draw_class_splits, read_class_splits, read_ground_truth, split_by_labels
from framecue.datasets.localization.class_splits import ClassSplit
from framecue.datasets.naming import find_class, shorten
from framecue.errors import DatasetError, UsageError
from framecue.tasks.localization_data import LocalizationParts, read_localization_parts
from framecue.tasks.localization_source import ground_truth_path
from framecue.training.table_rows import WORLD
from framecue.types import AnnotatedVideo

CLOSED_SET, OPEN_SET = LOCALIZATION_TABLES = ("localization", "open-set-localization")
THUMOS14, ACTIVITYNET = "thumos14", "activitynet"
LOCALIZATION_DATASETS = (WORLD, THUMOS14, ACTIVITYNET)

_PRESETS: Mapping[str, dict[str, Any]] = {
    WORLD: {
        "backbone": {"id": TINY},
        "train": {"iterations": 500, "lr": 1e-3, "strides": [1], "validate_every": 100},
        "localization": {"val_subset": "validation", "test_subset": "testing", "width": 128, "windows_per_step": 6},
        "evaluate": {
            "templates": ["{}", "a shape {}", "something {}", "a video of a shape {}", "a video of something {}"]
        },
    },
    THUMOS14: {
        "features": {"sampling": "fps:10"},
        "train": {"iterations": 5000, "validate_every": 500, "save_every": 500},
        "localization": {
            "train_subset": "validation",
            "test_subset": "test",
            "window": 256,
            "nms_sigma": 0.5,
            "tious": [0.3, 0.4, 0.5, 0.6, 0.7],
        },
    },
    ACTIVITYNET: {
        "features": {"sampling": "uniform:256"},
        "train": {"iterations": 10000, "validate_every": 1000, "save_every": 1000},
        "localization": {
            "train_subset": "training",
            "test_subset": "validation",
            "window": 256,
            "nms_sigma": 0.85,
            "tious": [round(0.5 + 0.05 * step, 2) for step in range(10)],
        },
    },
}


@dataclass(frozen=True)
class LocalizationTableOptions:
    """Which trials a table consists of.

    Attributes:
        seeds: of the trainings, and of the draws of an open-set table; None = 0, 1, 2, and 0 to 9 for an open-set one.
        splits: folder of published class lists in place of drawing; all are trained with the config's seed.
        train_fraction: of the class names, where they are drawn.
    """

    seeds: tuple[int, ...] | None = None
    splits: Path | None = None
    train_fraction: float = 0.75


@dataclass(frozen=True, eq=False)
class LocalizationTrial:
    """One run: its config, and the annotated videos it sees. `notes` are of the split alone."""

    name: str
    config: RunConfig
    parts: LocalizationParts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialProtocol:
    """What all trials of a table have in common."""

    name: str
    description: str
    source: str


def localization_config(
    dataset: str | None, data: Path | None, annotations: Path | None, out: Path, overrides: Sequence[str] = ()
) -> RunConfig:
    """The run config that a table's trials are derived from; THUMOS14 and ActivityNet as AFSD's configs have them.

    Args:
        dataset: one of LOCALIZATION_DATASETS; None = one's own videos.
        data: the folder of videos with `annotations`; without, a folder that holds `videos` and `annotations`.
        out: folder of the table, where the world is rendered.
        overrides: `a.b=c` texts, which win.

    Raises:
        UsageError: no such data set, or no folder given where one is needed.
    """
    if dataset is not None and dataset not in LOCALIZATION_DATASETS:
        known = ", ".join(LOCALIZATION_DATASETS)
        raise UsageError(f"There is no data set '{dataset}'; known are {known}. Others: --data DIR --annotations FILE.")
    if dataset == WORLD:
        data, annotations = out / "videos", out / "videos" / "ground_truth.json"
    if data is None:
        raise UsageError(f"{dataset or 'This table'} needs --data DIR, the folder of its videos.")
    if annotations is None:
        data, annotations = data / "videos", data / "annotations"
    values = {
        "task": "localization",
        "out": str(out),
        "data": {"source": str(data), "annotations": str(annotations)},
        **_PRESETS.get(dataset or "", {}),
    }
    return build_config(values, overrides, name=dataset or str(data))


def plan_trials(
    table: str, config: RunConfig, options: LocalizationTableOptions
) -> tuple[TrialProtocol, list[LocalizationTrial]]:
    """The trials of a table, each with the videos it sees; nothing is decoded or trained yet.

    Raises:
        UsageError: what the table needs is not given.
        DatasetError: the ground truth or the lists do not allow it, or a trial has nothing to measure.
    """
    if config.localization.test_subset is None:
        raise UsageError("A table is measured on a test part; name it in localization.test_subset.")
    if table == CLOSED_SET:
        protocol, trials = _closed_set(config, options)
    else:
        protocol, trials = _open_set(config, options)
    for trial in trials:
        measured = trial.parts.test if table == CLOSED_SET else trial.parts.novel
        if not any(video.segments for video in measured):
            names = shorten([*(trial.parts.novel_names or trial.parts.class_names)], 3)
            raise DatasetError(
                f"{trial.name}: no video of '{config.localization.test_subset}' shows {names}; there is nothing to "
                "measure. Choose other class lists or another localization.test_subset."
            )
    return protocol, trials


def _closed_set(config: RunConfig, options: LocalizationTableOptions) -> tuple[TrialProtocol, list[LocalizationTrial]]:
    if options.splits is not None:
        raise UsageError(f"Table {CLOSED_SET} trains on all names; leave --splits away, or take {OPEN_SET}.")
    seeds = options.seeds or (0, 1, 2)
    data = config.data.model_copy(update={"held_out": ()})
    base = config.model_copy(update={"data": data})
    configs = [base.model_copy(update={"seed": seed}) for seed in seeds]
    trials = [LocalizationTrial(f"seed {item.seed}", item, read_localization_parts(item)) for item in configs]
    number = len(trials[0].parts.class_names)
    description = f"trained on {_subsets(config)}, all {number} names in both"
    return TrialProtocol("closed-set", description, f"seeds {', '.join(map(str, seeds))}"), trials


def _open_set(config: RunConfig, options: LocalizationTableOptions) -> tuple[TrialProtocol, list[LocalizationTrial]]:
    wanted = config.localization
    truth = read_ground_truth(
        ground_truth_path(config),
        deduplicate=wanted.deduplicate,
        blocked=wanted.blocked,
        thumos_test=wanted.thumos_test,
        one_spelling=True,
    )
    splits, source = _splits(truth.videos, truth.labels, config, options)
    trials = []
    for split in splits:
        names = (*split.train_labels, *split.test_labels)
        seed = config.seed if options.splits is not None else int(split.name.removeprefix("seed "))
        data = config.data.model_copy(update={"classes": names, "held_out": split.test_labels})
        trial = config.model_copy(update={"seed": seed, "data": data})
        assert wanted.test_subset is not None
        subsets = {"train_subset": wanted.train_subset, "test_subset": wanted.test_subset}
        parts = read_localization_parts(trial)
        try:
            notes = split_by_labels(truth.videos, split.train_labels, split.test_labels, **subsets).notes
        except DatasetError as error:
            raise DatasetError(f"{source}, {split.name}: {error}") from error
        trials.append(LocalizationTrial(split.name, trial, parts, notes))
    counts = sorted({(len(split.train_labels), len(split.test_labels)) for split in splits})
    said = " or ".join(f"{train} names trained on and {test} held out" for train, test in counts)
    percent = round(100 * Fraction(counts[0][0], sum(counts[0])))
    if options.splits is None:
        percent = round(100 * options.train_fraction)
    description = f"trained on {_subsets(config)}; of the names {said}, which are asked for without the others"
    return TrialProtocol(f"open-set {percent}/{100 - percent}", description, source), trials


def _splits(
    videos: Sequence[AnnotatedVideo], labels: Sequence[str], config: RunConfig, options: LocalizationTableOptions
) -> tuple[tuple[ClassSplit, ...], str]:
    """The class names of each trial, and where they are from."""
    if options.splits is not None:
        if options.seeds is not None:
            raise UsageError("--splits and --seeds both say which splits there are; give one. Trained is with seed=0.")
        return read_class_splits(options.splits, labels), str(options.splits)
    pool = (
        labels
        if config.data.classes is None
        else [find_class(name, labels, asked_by="data.classes") for name in config.data.classes]
    )
    seeds = options.seeds or tuple(range(10))
    splits = draw_class_splits(pool, train_fraction=options.train_fraction, seeds=seeds)
    return splits, f"drawn from seeds {', '.join(map(str, seeds))}"


def _subsets(config: RunConfig) -> str:
    return f"'{config.localization.train_subset}', measured on '{config.localization.test_subset}'"
