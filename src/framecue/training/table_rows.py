"""What the tables of the paper consist of: protocols from records, and the run config behind each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framecue.config import PRESETS, RUN_PRESETS, RunConfig
from framecue.datasets.class_lists import ClassList, Names, read_class_list
from framecue.datasets.pools import published_pool, read_pool
from framecue.datasets.protocols import (
    base_to_novel,
    closed_set,
    closed_set_over_splits,
    cross_dataset,
    episodes,
    few_shot,
    zero_shot,
)
from framecue.datasets.split_files import episodes_from_lists, few_shot_from_lists
from framecue.datasets.trials import Protocol
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES
from framecue.errors import UsageError
from framecue.training.table_data import TableData
from framecue.types import Record

TABLES = ("closed-set", "few-shot-5-way", "few-shot", "zero-shot", "base-to-novel", "cross-dataset")
WORLD = "world"
SINGLE, ENSEMBLE, PROBE, TEMPORAL_ONLY, ROBUST = "B-I single", "B-I", "B-II", "temporal only", "robust"
BASELINES = (SINGLE, ENSEMBLE, PROBE)
_TRAINED = ("A3", TEMPORAL_ONLY, "A5", ROBUST)
ROWS: Mapping[str, tuple[str, ...]] = {
    "closed-set": (*BASELINES, *PRESETS, TEMPORAL_ONLY, ROBUST),
    "few-shot-5-way": (*BASELINES, *_TRAINED),
    "few-shot": (*BASELINES, *_TRAINED),
    "zero-shot": (SINGLE, ENSEMBLE, *_TRAINED),
    "base-to-novel": (*BASELINES, *_TRAINED),
    "cross-dataset": (SINGLE, ENSEMBLE, *_TRAINED),
}
"""Methods of each table, in the order they are printed. A linear probe has no answer to names it was not fitted on."""

FEW_SHOTS = (1, 2, 4, 5, 8, 16)
"""K of few-shot: the paper's 5, and those of later papers."""
_DRAWN_FROM_ONE_SEED = ("few-shot-5-way", "few-shot")
WORLD_PROMPT_LR = 1e-2  # of rows without temporal module on the built-in world, as in the demo


@dataclass(frozen=True)
class TableOptions:
    """How much of a table is run, and from which lists.

    Attributes:
        seeds: of trials that are repeated as a whole; None = 0, 1, 2, or 0 alone where official splits are the trials.
            A few-shot table draws from one.
        rows: methods to run; None = all of the table.
        shots: K of few-shot (default 1, 2, 4, 5, 8, 16) and of base-to-novel (one number, default 16; 0 = all videos).
        draws: of few-shot training sets for each K.
        episodes: of few-shot-5-way.
        pool: classes that episodes are drawn from: a class list, or a folder of published episodes; None = the
            published pool of a named data set, else all classes.
        splits: folder of published lists in the authors' form, in place of drawing; of zero-shot, of class lists.
        train_classes, test_classes: class lists of zero-shot, or of base and novel classes.
        other: the data set that cross-dataset is tested on.
    """

    seeds: tuple[int, ...] | None = None
    rows: tuple[str, ...] | None = None
    shots: tuple[int, ...] = ()
    draws: int = 10
    episodes: int = 200
    pool: Path | None = None
    splits: Path | None = None
    train_classes: Path | None = None
    test_classes: Path | None = None
    other: RunConfig | None = None


def table_rows(table: str, options: TableOptions, dataset: str | None = None) -> tuple[str, ...]:
    """The methods to run, in the table's order.

    Raises:
        UsageError: no such table, no such row in it, or options that do not make one table.
    """
    if table not in ROWS:
        raise UsageError(f"There is no table '{table}'; the tables are {', '.join(TABLES)}.")
    unknown = [name for name in options.rows or () if name not in ROWS[table]]
    if unknown:
        raise UsageError(f"Table {table} has no row '{unknown[0]}'; its rows are {', '.join(ROWS[table])}.")
    if table in _DRAWN_FROM_ONE_SEED and len(options.seeds or ()) > 1:
        found = ", ".join(map(str, options.seeds or ()))
        raise UsageError(f"Table {table} draws its trials from one seed, found {found}; give one.")
    if table == "base-to-novel" and len(options.shots) > 1:
        raise UsageError(f"Table {table} takes one number of shots (0 = all), found {len(options.shots)}; give one.")
    if table == "cross-dataset" and options.other is None:
        raise UsageError("Table cross-dataset needs the data set to test on; give --other-config OTHER.yaml.")
    listed = options.splits or (options.train_classes and options.test_classes)
    if table == "zero-shot" and dataset != WORLD and not listed:
        raise UsageError(
            "Table zero-shot needs both class lists; give --splits DIR, which holds train.list and test.list, or "
            "--train-classes F and --test-classes F."
        )
    return tuple(name for name in ROWS[table] if options.rows is None or name in options.rows)


def build_protocols(
    table: str, data: TableData, config: RunConfig, options: TableOptions, *, dataset: str
) -> list[Protocol]:
    """The protocols of a table: one, or one for each K of few-shot.

    Raises:
        DatasetError: the records or the lists do not allow the protocol.
    """
    records, missing = data.records, config.data.missing
    seeds = options.seeds or ((0,) if len(data.by_split) > 1 else (0, 1, 2))
    fraction = config.data.val_fraction
    if table == "closed-set":
        return [_closed_set(data, fraction, seeds)]
    if table == "few-shot-5-way":
        if options.splits is not None:
            return [episodes_from_lists(records, options.splits, missing=missing)]
        return [_episodes(records, options, (dataset, config.data.format), seeds[0])]
    if table == "few-shot":
        if options.splits is not None:
            return [few_shot_from_lists(records, options.splits, missing=missing)]
        return [
            few_shot(records, shots=count, draws=options.draws, seed=seeds[0]) for count in options.shots or FEW_SHOTS
        ]
    if table == "cross-dataset":
        splits = {number: part for number, part in data.other.items() if number is not None}
        tested = splits if len(splits) > 1 else next(iter(data.other.values()))
        return [cross_dataset(records, tested, val_fraction=fraction, seeds=seeds)]
    train_classes, test_classes = _class_lists(options, dataset)
    if table == "zero-shot" and train_classes is not None and test_classes is not None:
        return [
            zero_shot(
                records, train_classes=train_classes, test_classes=test_classes, val_fraction=fraction, seeds=seeds
            )
        ]
    shots = options.shots[0] if options.shots else 16
    return [
        base_to_novel(
            records, base=train_classes, novel=test_classes, shots=shots or None, val_fraction=fraction, seeds=seeds
        )
    ]


def _closed_set(data: TableData, val_fraction: float, seeds: Sequence[int]) -> Protocol:
    splits = {number: part for number, part in data.by_split.items() if number is not None}
    if len(splits) > 1:
        return closed_set_over_splits(splits, val_fraction=val_fraction, seeds=seeds)
    return closed_set(data.records, val_fraction=val_fraction, seeds=seeds)


def _episodes(records: Sequence[Record], options: TableOptions, sets: Sequence[str], seed: int) -> Protocol:
    """Episodes over the pool that is asked for, else over the published one of the data set, else over all classes."""
    if options.pool is not None:
        pool: ClassList | None = read_pool(options.pool)
        said = f", classes of {options.pool}"
    else:
        pool = next(filter(None, map(published_pool, sets)), None)
        said = f", classes of the {pool.origins[0]}" if pool is not None else ""
    made = episodes(records, count=options.episodes, pool=pool, seed=seed)
    return replace(made, source=made.source + said)


def _class_lists(options: TableOptions, dataset: str) -> tuple[Names | None, Names | None]:
    """The classes trained on and those tested, by name, as far as they are given."""
    files = (options.train_classes, options.test_classes)
    if options.splits is not None:
        files = (options.splits / "train.list", options.splits / "test.list")
    default = (SEEN_CLASSES, NOVEL_CLASSES) if dataset == WORLD else (None, None)
    train, test = (names if file is None else read_class_list(file) for file, names in zip(files, default, strict=True))
    return train, test


def row_config(config: RunConfig, method: str, *, seed: int, out: Path, dataset: str) -> RunConfig | None:
    """The config behind a trained row; None for a baseline.

    Rows differ in the model and in the preset alone: training is as the table's config says, for all.
    """
    if method in BASELINES:
        return None
    values = config.model_dump(exclude={"model", "preset", "blend"}) | {"seed": seed, "out": out}
    model: dict[str, Any] = config.model.model_dump(exclude={"preset", *PRESETS["A5"]})
    if method == TEMPORAL_ONLY:
        model |= {"n_prefix": 0, "n_suffix": 0, "temporal_layers": 2, "handcrafted_weight": 1.0}
    else:
        model |= {"preset": "A5" if method == ROBUST else method}
    if dataset == WORLD and method in PRESETS and not PRESETS[method]["temporal_layers"]:
        values["train"] = values["train"] | {"lr": WORLD_PROMPT_LR}
    if method == ROBUST:
        values["preset"] = ROBUST
        values["train"] = values["train"] | RUN_PRESETS[ROBUST]["train"]
    return RunConfig.model_validate(values | {"model": model})
