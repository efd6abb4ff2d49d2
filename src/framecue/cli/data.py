"""framecue data check (SOURCE | --config RUN.yaml [key=value ...])"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from framecue.cli.common import EXIT_SKIPPED, print_json, printable, progress_bars
from framecue.errors import UsageError

if TYPE_CHECKING:
    from framecue.config import DataConfig

app = typer.Typer(no_args_is_help=True, help="Look after labelled videos.")
Format = Literal["auto", "folder", "csv", "jsonl", "hmdb51", "ucf101", "kinetics", "something", "list"]


@app.callback()
def _group() -> None:
    """Look after labelled videos."""


@app.command()
def check(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE or KEY=VALUE", help="Folder or manifest; with --config, changes to the config."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of a run, whose data section is checked.")] = None,
    format: Annotated[Format, typer.Option(help="How the videos are listed; auto looks at the files.")] = "auto",
    annotations: Annotated[
        Path | None, typer.Option(help="Official split files: their folder, or one of them.", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Class names for lists with numbers.", show_default="the file beside the lists"),
    ] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Which of the official splits.")] = 1,
    store: Annotated[
        Path | None,
        typer.Option(help="Stored features of the videos, in which near copies are found.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML page to write, with pictures of the near copies.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only look whether files are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")] = False,
) -> None:
    """Say what is missing or unreadable in a data set, line by line, before hours are spent on it.

    Reads every list, looks for every video and decodes its first frame. Then lists all problems, most serious kind
    first, and counts videos by part and class. Exit code 3 when something is to be fixed; notes alone give 0.

    With --store, videos are also compared by their stored features, and near copies in two parts or under two labels
    are noted: the same footage encoded anew, rescaled, or up to a fifth shorter. With --report, a page shows each pair
    side by side.
    """
    if report is not None and store is None:
        raise UsageError(
            "--report shows near copies, which are found in stored features; name them with --store FEATURES."
        )
    if report is not None:
        from framecue.files import check_writable

        check_writable(report)  # all videos are opened before it is written
    if config is None:
        if words is None or len(words) != 1:
            raise UsageError("Name one folder or manifest to check, or a run with --config RUN.yaml.")
        data = _data_config(
            {"source": words[0], "format": format, "annotations": annotations, "labels": labels, "split": split}
        )
    elif (format, annotations, labels, split) != ("auto", None, None, 1):
        raise UsageError("With --config, write changes as key=value, such as data.format=kinetics.")
    else:
        from framecue.config import load_config

        data = load_config(config, words or []).data

    from framecue.datasets.check import check_data
    from framecue.features.store import FeatureStore

    started = time.monotonic()
    with progress_bars() as bars:
        found = check_data(
            data,
            quick=quick,
            store=None if store is None else FeatureStore.read_only(store),
            progress=lambda done, total: bars.phase(
                "videos", done, total, f"{done / max(time.monotonic() - started, 1e-9):.0f} videos/s"
            ),
        )
        if report is not None:
            from framecue.files import write_text
            from framecue.report.near_copies_page import render_near_copies

            write_text(
                report, render_near_copies(found, lambda done, total: bars.phase("pairs drawn", done, total, ""))
            )
    if json:
        print_json(found.to_dict())
    else:
        from framecue.cli.data_report import print_report

        print_report(found)
    if report is not None:
        typer.echo(f"Near copies, with pictures: {printable(report)}", err=json)
    if found.num_to_fix:
        raise typer.Exit(EXIT_SKIPPED)


def _data_config(values: dict[str, object]) -> "DataConfig":
    from pydantic import ValidationError

    from framecue.config import DataConfig

    try:
        return DataConfig.model_validate(values)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        message = message.replace("'data.annotations'", "--annotations").replace("'data.format'", "--format")
        raise UsageError(f"{message}.") from None
