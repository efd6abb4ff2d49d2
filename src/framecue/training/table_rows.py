"""What the tables of the paper consist of: protocols from records, and the run config behind each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecue.config import PRESETS, RUN_PRESETS, RunConfig
from framecue.datasets.class_lists import read_class_list
from framecue.datasets.protocols import base_to_novel, closed_set, cross_dataset, episodes, few_shot, zero_shot
from framecue.datasets.split_files import episodes_from_lists, few_shot_from_lists
from framecue.datasets.trials import Protocol
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES
from framecue.errors import UsageError
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

WORLD_PROMPT_LR = 1e-2  # of rows without temporal module on the built-in world, as in the demo


@dataclass(frozen=True)
class TableOptions:
    """How much of a table is run, and from which lists.

    Attributes:
        seeds: of trials that are repeated as a whole; None = 0, 1, 2.
        rows: methods to run; None = all of the table.
        shots: K of few-shot (default 1, 2, 4, 8, 16) and of base-to-novel (one number, default 16; 0 = all videos).
        draws: of few-shot training sets for each K.
        episodes: of few-shot-5-way.
        splits: folder of published lists in the authors' form, in place of drawing.
        train_classes, test_classes: class lists of zero-shot, or of base and novel classes.
        other: the data set that cross-dataset is tested on.
    """

    seeds: tuple[int, ...] | None = None
    rows: tuple[str, ...] | None = None
    shots: tuple[int, ...] = ()
    draws: int = 10
    episodes: int = 200
    splits: Path | None = None
    train_classes: Path | None = None
    test_classes: Path | None = None
    other: RunConfig | None = None


def table_rows(table: str, options: TableOptions) -> tuple[str, ...]:
    """The methods to run, in the table's order.

    Raises:
        UsageError: no such table, or no such row in it.
    """
    if table not in ROWS:
        raise UsageError(f"There is no table '{table}'; the tables are {', '.join(TABLES)}.")
    unknown = [name for name in options.rows or () if name not in ROWS[table]]
    if unknown:
        raise UsageError(f"Table {table} has no row '{unknown[0]}'; its rows are {', '.join(ROWS[table])}.")
    return tuple(name for name in ROWS[table] if options.rows is None or name in options.rows)


def build_protocols(
    table: str,
    records: Sequence[Record],
    config: RunConfig,
    options: TableOptions,
    *,
    dataset: str,
    other: Sequence[Record] = (),
) -> list[Protocol]:
    """The protocols of a table: one, or one for each K of few-shot.

    Raises:
        UsageError: what the table needs is not given.
        DatasetError: the records or the lists do not allow the protocol.
    """
    seeds, missing = options.seeds or (0, 1, 2), config.data.missing
    fraction = config.data.val_fraction
    if table == "closed-set":
        return [closed_set(records, val_fraction=fraction, seeds=seeds)]
    if table == "few-shot-5-way":
        if options.splits is not None:
            return [episodes_from_lists(records, options.splits, missing=missing)]
        return [episodes(records, count=options.episodes, seed=seeds[0])]
    if table == "few-shot":
        if options.splits is not None:
            return [few_shot_from_lists(records, options.splits, missing=missing)]
        shots = options.shots or (1, 2, 4, 8, 16)
        return [few_shot(records, shots=count, draws=options.draws, seed=seeds[0]) for count in shots]
    if table == "cross-dataset":
        if options.other is None:
            raise UsageError("Table cross-dataset needs the data set to test on; give --other-config OTHER.yaml.")
        return [cross_dataset(records, other, val_fraction=fraction, seeds=seeds)]
    default = (SEEN_CLASSES, NOVEL_CLASSES) if dataset == WORLD else (None, None)
    train_classes = read_class_list(options.train_classes) if options.train_classes else default[0]
    test_classes = read_class_list(options.test_classes) if options.test_classes else default[1]
    if table == "zero-shot":
        if train_classes is None or test_classes is None:
            raise UsageError("Table zero-shot needs both class lists; give --train-classes F and --test-classes F.")
        return [
            zero_shot(
                records, train_classes=train_classes, test_classes=test_classes, val_fraction=fraction, seeds=seeds
            )
        ]
    shots = options.shots or (16,)
    if len(shots) > 1:
        raise UsageError(f"Table base-to-novel takes one number of shots (0 = all), found {len(shots)}; give one.")
    return [
        base_to_novel(
            records, base=train_classes, novel=test_classes, shots=shots[0] or None, val_fraction=fraction, seeds=seeds
        )
    ]


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
