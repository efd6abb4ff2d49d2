"""framecue reproduce TABLE [DATASET] [key=value ...] --out DIR"""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from framecue.cli.common import exit_for_skipped, print_json, progress_bars
from framecue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framecue.config import RunConfig

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
LOCALIZATION = ("localization", "open-set-localization")
DATASETS = ("world", "hmdb51", "ucf101", "kinetics400", "kinetics700", "something")
LOCALIZATION_DATASETS = ("world", "thumos14", "activitynet")
RETRIEVAL_DATASETS = ("world", "msrvtt-9k", "msrvtt-7k", "lsmdc", "didemo", "smit")
NOT_REPEATED = ("rows", "format", "restart", "out", "table", "words")  # in the command of a single row
OF_RECOGNITION = ("rows", "shots", "draws", "episodes", "train_classes", "test_classes", "other_config")
OF_LOCALIZATION = ("annotations", "train_fraction")
NOT_OF_RETRIEVAL = (*OF_RECOGNITION[1:], *OF_LOCALIZATION, "splits")


def reproduce(
    context: typer.Context,
    table: Annotated[TableName, typer.Argument(help="Which table.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for features, runs and the table; resumes there.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATASET] [KEY=VALUE]...",
            help="world (built in), hmdb51, ucf101, kinetics400, kinetics700 or something, of localization world, "
            "thumos14 or activitynet, of retrieval world, msrvtt-9k, msrvtt-7k, lsmdc, didemo or smit; and changes to "
            "the run config. With --config, DATASET only says whose published figures stand beside.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Holds DIR/videos and DIR/annotations; world needs none.")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="GT", help="Ground truth, of localization; --data is then the folder of videos itself."),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="RUN.yaml", help="Run config instead of --data.")] = None,
    rows: Annotated[str | None, typer.Option(help="Only these methods, such as B-I,A5,robust.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds of the trainings, such as 0,1,2.")] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            help="Training videos per class: of few-shot [default: 1,2,4,8,16], of base-to-novel [default: 16; 0: all]."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of training videos, of few-shot.")] = 10,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes, of few-shot-5-way.")] = 200,
    splits: Annotated[Path | None, typer.Option(metavar="DIR", help="Published split files to use.")] = None,
    train_fraction: Annotated[
        float,
        typer.Option(min=0.01, max=0.99, help="Names trained on, of open-set-localization without --splits."),
    ] = 0.75,
    train_classes: Annotated[Path | None, typer.Option(metavar="FILE", help="Names to train on, a line each.")] = None,
    test_classes: Annotated[Path | None, typer.Option(metavar="FILE", help="Names to test on, a line each.")] = None,
    other_config: Annotated[
        Path | None, typer.Option(metavar="OTHER.yaml", help="Run config of the data that cross-dataset tests on.")
    ] = None,
    format: Annotated[Literal["text", "json", "markdown"], typer.Option(help="What standard output gets.")] = "text",
    restart: Annotated[bool, typer.Option("--restart", help="Train anew, whatever DIR holds.")] = False,
) -> None:
    """Make a whole table of the paper, with baselines, beside the published figures.

    Two are of localization: all names, and names held out of training, in 75/25 or 50/50 splits. retrieval finds videos
    by their captions, in both directions.

    Run the same command again after an interruption: it goes on where it stopped. DIR gets table.json, table.md and
    table.html, a page with plots.
    """
    known = LOCALIZATION_DATASETS if table in LOCALIZATION else DATASETS
    known = RETRIEVAL_DATASETS if table == "retrieval" else known
    dataset, overrides = _dataset_and_overrides(words or [], known)
    others = OF_RECOGNITION if table in LOCALIZATION else OF_LOCALIZATION
    _refuse_others(context, table, NOT_OF_RETRIEVAL if table == "retrieval" else others)
    seed_numbers = None if seeds is None else _numbers("--seeds", seeds)
    command = ["framecue", "reproduce", table, *(words or []), "--out", str(out), *_given_options(context)]
    if table in LOCALIZATION:
        made = _localization(
            table,
            _Source(dataset, overrides, data, annotations, config, out),
            seeds=seed_numbers,
            splits=splits,
            train_fraction=train_fraction,
            restart=restart,
            command=command,
        )
        _show(made, out, format)
        _exit_for_left_out(made)
        return
    if table == "retrieval":
        source = _Source(dataset, overrides, data, annotations, config, out)
        made = _retrieval(source, seeds=seed_numbers, rows=rows, restart=restart, command=command)
        _show(made, out, format)
        _exit_for_left_out(made)
        return
    shot_numbers = () if shots is None else _numbers("--shots", shots, least=int(table == "few-shot"))
    methods = None if rows is None else _names("--rows", rows)
    _refuse_confusion(dataset, data, config)

    from framecue.config import load_config
    from framecue.report.tables import with_paper
    from framecue.training.table_rows import TableOptions
    from framecue.training.tables import dataset_config, run_table

    out_override = f"out={json_text.dumps(str(out))}"
    if config is not None:
        run = load_config(config, [*overrides, out_override])
    else:
        run = dataset_config(str(dataset), data, out, overrides)
    other = None if other_config is None else load_config(other_config, [out_override])
    options = TableOptions(
        seeds=seed_numbers,
        rows=methods,
        shots=shot_numbers,
        draws=draws,
        episodes=episodes,
        splits=splits,
        train_classes=train_classes,
        test_classes=test_classes,
        other=other,
    )
    with progress_bars() as bars:
        named = dataset if config is None else None  # a config names its own data
        made = run_table(table, run, options=options, dataset=named, restart=restart, progress=bars.phase)
    _show(with_paper(made, _paper_name(dataset, run, other), command), out, format)
    _exit_for_left_out(made)


class _Source(NamedTuple):
    """Where a table of localization takes its videos from, as it was written."""

    dataset: str | None
    overrides: list[str]
    data: Path | None
    annotations: Path | None
    config: Path | None
    out: Path


def _localization(
    table: str,
    source: _Source,
    *,
    seeds: tuple[int, ...] | None,
    splits: Path | None,
    train_fraction: float,
    restart: bool,
    command: list[str],
) -> dict[str, Any]:
    """The table, with published figures beside."""
    dataset, data, annotations, config = source.dataset, source.data, source.annotations, source.config
    if config is not None and (data or annotations):
        raise UsageError("--data and --config both say where the data are; give one of them.")
    if dataset == "world" and (data or annotations):
        raise UsageError("The built-in world is rendered under --out; leave --data and --annotations away.")
    if config is None and dataset is None and (data is None or annotations is None):
        names = ", ".join(LOCALIZATION_DATASETS)
        raise UsageError(
            f"Nothing to measure on; name a data set ({names}), --data DIR --annotations GT or --config RUN.yaml."
        )

    from framecue.config import load_config
    from framecue.report.tables import with_paper
    from framecue.training.localization_tables import run_localization_table
    from framecue.training.localization_trials import LocalizationTableOptions, localization_config

    if config is not None:
        changes = ["task=localization", f"out={json_text.dumps(str(source.out))}"]
        run = load_config(config, [*source.overrides, *changes])
    else:
        run = localization_config(dataset, data, annotations, source.out, source.overrides)
    options = LocalizationTableOptions(seeds=seeds, splits=splits, train_fraction=train_fraction)
    with progress_bars() as bars:
        named = dataset if config is None else None
        made = run_localization_table(table, run, options=options, dataset=named, restart=restart, progress=bars.phase)
    return with_paper(made, dataset, command)


def _retrieval(
    source: _Source, *, seeds: tuple[int, ...] | None, rows: str | None, restart: bool, command: list[str]
) -> dict[str, Any]:
    """The table, with published figures beside."""
    dataset, config = source.dataset, source.config
    _refuse_confusion(dataset, source.data, config, RETRIEVAL_DATASETS)

    from framecue.config import load_config
    from framecue.report.tables import with_paper
    from framecue.training.retrieval_tables import RetrievalTableOptions, retrieval_config, run_retrieval_table

    if config is not None:
        run = load_config(config, [*source.overrides, "task=retrieval", f"out={json_text.dumps(str(source.out))}"])
    else:
        run = retrieval_config(dataset, source.data, source.out, source.overrides)
    options = RetrievalTableOptions(seeds=seeds, rows=None if rows is None else _names("--rows", rows))
    with progress_bars() as bars:
        named = dataset if config is None else None
        made = run_retrieval_table(run, options=options, dataset=named, restart=restart, progress=bars.phase)
    return with_paper(made, dataset, command)


def _exit_for_left_out(made: "Mapping[str, Any]") -> None:
    from framecue.types import Skipped

    exit_for_skipped([Skipped(Path(item["path"]), item["reason"]) for item in made["skipped"]])


def _refuse_others(context: typer.Context, table: str, names: tuple[str, ...]) -> None:
    """Says so where an option has no meaning for the table: silently unused, it would be taken for used."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            why = "; its rows are all measured in one run" if name == "rows" else ""
            raise UsageError(f"Table {table} has no --{name.replace('_', '-')}{why}. Leave it away.")


def _show(table: "Mapping[str, Any]", out: Path, format: str) -> None:
    """The files in `out`, and the table on standard output."""
    from framecue.files import write_text
    from framecue.report.table_markdown import markdown
    from framecue.report.table_page import render_table_page
    from framecue.report.tables import print_table

    write_text(out / "table.md", markdown(table))
    write_text(out / "table.html", render_table_page(table))
    if format == "json":
        print_json(table)
    elif format == "markdown":
        typer.echo(markdown(table), nl=False)
    else:
        from rich.console import Console

        console = Console()
        print_table(table, console)
        console.print(f"page {out / 'table.html'}", soft_wrap=True, highlight=False, markup=False)


def _dataset_and_overrides(words: list[str], known: tuple[str, ...]) -> tuple[str | None, list[str]]:
    names = [word for word in words if "=" not in word]
    if len(names) > 1 or (names and words[0] != names[0]):
        raise UsageError(f"Name one data set, before the changes to the config; found {', '.join(names)}.")
    if names and names[0] not in known:
        raise UsageError(f"Data set '{names[0]}' is not known; use {', '.join(known)}, or --config RUN.yaml.")
    return (names[0] if names else None), [word for word in words if "=" in word]


def _refuse_confusion(
    dataset: str | None, data: Path | None, config: Path | None, known: tuple[str, ...] = DATASETS
) -> None:
    if config is not None and data is not None:
        raise UsageError("--data and --config both say where the data are; give one of them.")
    if config is None and dataset is None:
        raise UsageError(f"Nothing to measure on; name a data set ({', '.join(known)}) or give --config RUN.yaml.")
    if dataset == "world" and data is not None:
        raise UsageError("The built-in world is rendered under --out; leave --data away.")
    if config is None and dataset != "world" and data is None:
        raise UsageError(f"{dataset} needs --data DIR, with DIR/videos and DIR/annotations.")


def _numbers(option: str, text: str, *, least: int = 0) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) >= least for part in parts):
        raise UsageError(f"{option} must be whole numbers from {least} on, separated by commas; found '{text}'.")
    return tuple(dict.fromkeys(map(int, parts)))


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not names:
        raise UsageError(f"{option} names no method; write, for example, {option} A5,robust.")
    return names


def _given_options(context: typer.Context) -> list[str]:
    """The options that were written, for the command of a single row."""
    given: list[str] = []
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name not in NOT_REPEATED and source is not None and source.name == "COMMANDLINE":
            given += [f"--{name.replace('_', '-')}", str(value)]
    return given


def _paper_name(dataset: str | None, run: "RunConfig", other: "RunConfig | None") -> str | None:
    """The data's name among the published figures; from a config only where its format says it."""
    name = dataset or _by_format(run)
    return name if other is None or name is None else f"{name}->{_by_format(other)}"


def _by_format(run: "RunConfig") -> str | None:
    return run.data.format if run.data.format in DATASETS else None
