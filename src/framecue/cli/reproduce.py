"""framecue reproduce TABLE [DATASET] [key=value ...] --out DIR"""

import json as json_text
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from framecue.cli.common import exit_for_skipped, print_json, progress_bars
from framecue.cli.reproduce_options import (
    DATASETS,
    LOCALIZATION,
    PATHS,
    RETRIEVAL,
    TableName,
    datasets_of,
    help_of,
    refuse_absent,
    refuse_confusion,
    refuse_foreign,
)
from framecue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framecue.config import RunConfig

NOT_REPEATED = ("rows", "format", "restart", "out", "table", "words")  # in the command of a single row


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
        typer.Option(
            metavar="GT", help=help_of("annotations", "Ground truth; --data is then the folder of videos itself.")
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="RUN.yaml", help="Run config instead of --data.")] = None,
    rows: Annotated[
        str | None, typer.Option(help=help_of("rows", "Only these methods, such as B-I,A5,robust."))
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Seeds of the trainings, such as 0,1,2; of few-shot-5-way and few-shot one, of the draws."),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            help=help_of(
                "shots",
                "Training videos per class: several [default: 1,2,4,5,8,16], or one [default: 16; 0: all].",
            )
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help=help_of("draws", "Draws of training videos."))] = 10,
    episodes: Annotated[int, typer.Option(min=1, help=help_of("episodes", "How many."))] = 200,
    pool: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help=help_of(
                "pool",
                "Classes that episodes are drawn from: a file of names, or a folder of published episodes. [default: "
                "the published pool of hmdb51, ucf101 and kinetics400; else all]",
            ),
        ),
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(metavar="DIR", help=help_of("splits", "Published lists instead of draws."))
    ] = None,
    train_fraction: Annotated[
        float,
        typer.Option(min=0.01, max=0.99, help=help_of("train_fraction", "Names trained on, without --splits.")),
    ] = 0.75,
    train_classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help=help_of("train_classes", "Names to train on, a line each."))
    ] = None,
    test_classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help=help_of("test_classes", "Names to test on, a line each."))
    ] = None,
    other_config: Annotated[
        Path | None,
        typer.Option(metavar="OTHER.yaml", help=help_of("other_config", "Run config of the data to test on.")),
    ] = None,
    format: Annotated[Literal["text", "json", "markdown"], typer.Option(help="What standard output gets.")] = "text",
    restart: Annotated[bool, typer.Option("--restart", help="Train anew, whatever DIR holds.")] = False,
) -> None:
    """Make a whole table of the paper, with baselines, beside the published figures.

    Two are of localization: all names, and names held out of training, in 75/25 or 50/50 splits. retrieval finds videos
    by their captions, in both directions. HMDB-51 and UCF-101 are measured over their three official splits where the
    published figures are; data.split=1 takes one alone.

    Run the same command again after an interruption: it goes on where it stopped. DIR gets table.json, table.md and
    table.html, a page with plots.
    """
    dataset, overrides = _dataset_and_overrides(words or [], datasets_of(table))
    written = _written(context)
    refuse_foreign(table, written)
    wanted = {
        **context.params,
        "seeds": None if seeds is None else _numbers("--seeds", seeds),
        "shots": () if shots is None else _numbers("--shots", shots, least=int(table == "few-shot")),
        "rows": None if rows is None else _names("--rows", rows),
    }
    refuse_confusion(table, dataset, data=data, annotations=annotations, config=config)
    refuse_absent({name: context.params[name] for name in PATHS})
    command = ["framecue", "reproduce", table, *(words or []), "--out", str(out), *_given_options(context, written)]
    make = _localization if table in LOCALIZATION else _retrieval if table == RETRIEVAL else _recognition
    made = make(_Asked(table, dataset, overrides, data, annotations, config, out, wanted, restart, command))
    _show(made, out, format)
    _exit_for_left_out(made)


@dataclass(frozen=True)
class _Asked:
    """What was asked for, as it was written.

    Attributes:
        wanted: options by name, for whichever table takes them.
        command: words of the whole table's command, without --rows.
    """

    table: str
    dataset: str | None
    overrides: list[str]
    data: Path | None
    annotations: Path | None
    config: Path | None
    out: Path
    wanted: "Mapping[str, Any]"
    restart: bool
    command: list[str]

    def load(self, config: Path, *changes: str) -> "RunConfig":
        """A run config of a file, with the changes of the command line and the table's folder."""
        from framecue.config import load_config

        return load_config(config, [*changes, f"out={json_text.dumps(str(self.out))}"])

    def options_for(self, kind: type, **more: Any) -> Any:
        """The options of a kind of table, of which it takes those that it has a field for."""
        return kind(**{item.name: self.wanted[item.name] for item in fields(kind) if item.name in self.wanted}, **more)

    @property
    def named(self) -> str | None:
        """The data set; None where a config names its own data."""
        return self.dataset if self.config is None else None


def _recognition(asked: _Asked) -> dict[str, Any]:
    from framecue.report.tables import with_paper
    from framecue.training.table_rows import TableOptions
    from framecue.training.tables import dataset_config, run_table

    if asked.config is not None:
        run = asked.load(asked.config, *asked.overrides)
    else:
        run = dataset_config(str(asked.dataset), asked.data, asked.out, asked.overrides)
    other = None if asked.wanted["other_config"] is None else asked.load(asked.wanted["other_config"])
    options = asked.options_for(TableOptions, other=other)
    with progress_bars() as bars:
        made = run_table(
            asked.table, run, options=options, dataset=asked.named, restart=asked.restart, progress=bars.phase
        )
    return with_paper(made, _paper_name(asked.dataset, run, other), asked.command)


def _localization(asked: _Asked) -> dict[str, Any]:
    from framecue.report.tables import with_paper
    from framecue.training.localization_tables import run_localization_table
    from framecue.training.localization_trials import LocalizationTableOptions, localization_config

    if asked.config is not None:
        run = asked.load(asked.config, *asked.overrides, "task=localization")
    else:
        run = localization_config(asked.dataset, asked.data, asked.annotations, asked.out, asked.overrides)
    options = asked.options_for(LocalizationTableOptions)
    with progress_bars() as bars:
        made = run_localization_table(
            asked.table, run, options=options, dataset=asked.named, restart=asked.restart, progress=bars.phase
        )
    return with_paper(made, asked.dataset, asked.command)


def _retrieval(asked: _Asked) -> dict[str, Any]:
    from framecue.report.tables import with_paper
    from framecue.training.retrieval_tables import RetrievalTableOptions, retrieval_config, run_retrieval_table

    if asked.config is not None:
        run = asked.load(asked.config, *asked.overrides, "task=retrieval")
    else:
        run = retrieval_config(asked.dataset, asked.data, asked.out, asked.overrides)
    options = asked.options_for(RetrievalTableOptions)
    with progress_bars() as bars:
        made = run_retrieval_table(
            run, options=options, dataset=asked.named, restart=asked.restart, progress=bars.phase
        )
    return with_paper(made, asked.dataset, asked.command)


def _exit_for_left_out(made: "Mapping[str, Any]") -> None:
    from framecue.types import Skipped

    exit_for_skipped([Skipped(Path(item["path"]), item["reason"]) for item in made["skipped"]])


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


def _written(context: typer.Context) -> list[str]:
    """Names of the options that were written."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def _given_options(context: typer.Context, written: list[str]) -> list[str]:
    """The options that were written, for the command of a single row."""
    given: list[str] = []
    for name in written:
        if name not in NOT_REPEATED:
            given += [f"--{name.replace('_', '-')}", str(context.params[name])]
    return given


def _paper_name(dataset: str | None, run: "RunConfig", other: "RunConfig | None") -> str | None:
    """The data's name among the published figures; from a config only where its format says it."""
    name = dataset or _by_format(run)
    return name if other is None or name is None else f"{name}->{_by_format(other)}"


def _by_format(run: "RunConfig") -> str | None:
    return run.data.format if run.data.format in DATASETS else None
