"""Which options of `framecue reproduce` belong to which tables: its help and its refusals both come from here."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, get_args

from framecue.errors import UsageError

TableName = Literal[
    "closed-set",
    "few-shot-5-way",
    "few-shot",
    "zero-shot",
    "base-to-novel",
    "cross-dataset",
    "localization",
    "open-set-localization",
    "retrieval",
]
TABLES: tuple[str, ...] = get_args(TableName)
LOCALIZATION = ("localization", "open-set-localization")
RETRIEVAL = "retrieval"

DATASETS = ("world", "hmdb51", "ucf101", "kinetics400", "kinetics700", "something")
LOCALIZATION_DATASETS = ("world", "thumos14", "activitynet")
RETRIEVAL_DATASETS = ("world", "msrvtt-9k", "msrvtt-7k", "lsmdc", "didemo", "smit")

TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "annotations": LOCALIZATION,
    "rows": tuple(table for table in TABLES if table not in LOCALIZATION),
    "shots": ("few-shot", "base-to-novel"),
    "draws": ("few-shot",),
    "episodes": ("few-shot-5-way",),
    "pool": ("few-shot-5-way",),
    "splits": ("few-shot-5-way", "few-shot", "zero-shot", "open-set-localization"),
    "train_fraction": ("open-set-localization",),
    "train_classes": ("zero-shot", "base-to-novel"),
    "test_classes": ("zero-shot", "base-to-novel"),
    "other_config": ("cross-dataset",),
}
"""The tables of an option; one that is not here belongs to all."""

DECIDED_BY_LISTS: Mapping[str, tuple[str, ...]] = {
    "few-shot-5-way": ("seeds", "episodes", "pool"),
    "few-shot": ("seeds", "draws", "shots"),
    "zero-shot": ("train_classes", "test_classes"),
    "open-set-localization": ("seeds", "train_fraction"),
}
"""What published lists (--splits) leave nothing to say about."""

PATHS = ("data", "annotations", "config", "splits", "pool", "train_classes", "test_classes", "other_config")
"""Options that name what must be there."""

_WHY = {"rows": "its rows are all measured in one run"}


def datasets_of(table: str) -> tuple[str, ...]:
    """The data sets that a table knows by name."""
    if table == RETRIEVAL:
        return RETRIEVAL_DATASETS
    return LOCALIZATION_DATASETS if table in LOCALIZATION else DATASETS


def help_of(name: str, text: str) -> str:
    """The help of an option, which ends with the tables that take it."""
    return f"{text} Of {_listed(TAKEN_BY[name])}."


def refuse_foreign(table: str, given: Collection[str]) -> None:
    """Refuse options that mean nothing for a table: silently unused, they would be taken for used.

    Args:
        given: names of the options that were written.

    Raises:
        UsageError: naming the option, and the tables that take it.
    """
    for name in given:
        tables = TAKEN_BY.get(name, TABLES)
        if table not in tables:
            why = f"; {_WHY[name]}" if name in _WHY else f"; it is of {_listed(tables)}"
            raise UsageError(f"Table {table} takes no {_flag(name)}{why}. Leave it away.")
    twice = [name for name in DECIDED_BY_LISTS.get(table, ()) if name in given and "splits" in given]
    if twice:
        raise UsageError(f"--splits and {_flag(twice[0])} both say what is trained on; give one of them.")


def refuse_absent(paths: Mapping[str, Path | None]) -> None:
    """Refuse paths of PATHS at which there is nothing.

    Raises:
        UsageError: naming the option and the path.
    """
    for name in PATHS:
        path = paths.get(name)
        if path is not None and not path.exists():
            raise UsageError(f"{_flag(name)}: {path} does not exist. Relative paths are taken from {Path.cwd()}.")


def refuse_confusion(
    table: str, dataset: str | None, *, data: Path | None, annotations: Path | None, config: Path | None
) -> None:
    """Refuse a source that is not named, or named twice.

    Raises:
        UsageError: saying what to give or leave away.
    """
    known, own_videos = ", ".join(datasets_of(table)), table in LOCALIZATION
    if config is not None and (data or annotations):
        raise UsageError("--data and --config both say where the data are; give one of them.")
    if dataset == "world" and (data or annotations):
        raise UsageError(
            f"The built-in world is rendered under --out; leave {'--data' if data else '--annotations'} away."
        )
    if config is not None or dataset == "world":
        return
    if dataset is None and not (own_videos and data and annotations):
        ways = ", --data DIR --annotations GT or" if own_videos else " or give"
        raise UsageError(f"Nothing to measure on; name a data set ({known}){ways} --config RUN.yaml.")
    if data is None:
        raise UsageError(f"{dataset} needs --data DIR, with DIR/videos and DIR/annotations.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _listed(tables: tuple[str, ...]) -> str:
    if len(tables) > len(TABLES) // 2:
        return f"all but {_listed(tuple(table for table in TABLES if table not in tables))}"
    *most, last = tables
    return f"{', '.join(most)} and {last}" if most else last
