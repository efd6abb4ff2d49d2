"""framecue demo --out DIR"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framecue.cli.common import exit_for_skipped, note, progress_bars
from framecue.report.percents import SPREAD_WORDS, mean_with_interval, score_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from framecue.report.demo import DemoResult

WHAT = {
    "B-I": "frozen CLIP",
    "B-II": "linear probe",
    "A3": "learned prompts",
    "A5": "prompts and time",
}


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for videos, features, runs and the report.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method, with seeds 0, 1, ...")] = 3,
    restart: Annotated[bool, typer.Option("--restart", help="Train anew; videos and features are kept.")] = False,
) -> None:
    """Show the whole product on built-in videos, offline, in minutes.

    Renders videos of moving shapes, extracts features, trains with and without a sense of time, measures both beside
    frozen CLIP and a linear probe, and classifies new files; then finds actions in untrimmed videos, by names trained
    on and by names held out; then finds videos by sentences, and indexes moments for `framecue serve --demo`. Ends with
    tables, DIR/results.json and DIR/report.html.
    Run the same command again after an interruption: it goes on where it stopped.
    """
    note("framecue demo: rendering, extracting, training; about a quarter of an hour on two cores")

    from framecue.report.demo import run_demo

    command = " ".join(["framecue", *sys.argv[1:]])
    with progress_bars() as bars:
        result = run_demo(out, seeds=range(seeds), restart=restart, command=command, progress=bars.phase)
    _print(result)
    exit_for_skipped(result.skipped)


def _print(result: "DemoResult") -> None:
    from rich.console import Console
    from rich.table import Table

    from framecue.report.summary import GROUP_NAMES, METHODS

    results, console = result.results, Console()
    table = Table(title=f"top-1 on test videos in %, mean over {len(results['seeds'])} seeds", title_justify="left")
    table.add_column("method", no_wrap=True)
    for name in ("all seen", "order pairs", "other seen", "held-out"):
        table.add_column(name, justify="right", no_wrap=True)
    for method in METHODS:
        cells = [_cell(results["accuracy"][method][group]) for group in GROUP_NAMES]
        table.add_row(f"{method:4} {WHAT[method]}", *cells)
    table.add_section()
    limits = [results["order_blind_ceiling"][group] for group in GROUP_NAMES]
    table.add_row(
        "order-blind ceiling",
        *("-" if limit is None or limit >= 1 else f"{100 * limit:.1f}" for limit in limits),
        style="dim",
    )
    console.print(table)
    if "localization" in results:
        console.print(_localization_table(results["localization"]))
    if "retrieval" in results:
        console.print(_retrieval_table(results["retrieval"]["table"]))
    console.print(f"{SPREAD_WORDS}.", soft_wrap=True, highlight=False)
    console.print(result.headline, soft_wrap=True, highlight=False)
    for truth, answer in result.new_files:
        scored = zip(answer.labels, answer.scores, strict=True)
        guesses = ", ".join(f"{label} {score_percent(score)}" for label, score in scored)
        if answer.none_of_these:
            guesses = f"none of these, the nearest is {answer.labels[0]}"
        console.print(f"new file {answer.path} ({truth}): {guesses}", soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"numbers {result.results_path}\nreport {result.page_path}", soft_wrap=True, highlight=False, markup=False
    )
    if "retrieval" in results:
        place = "" if result.page_path.parent == Path("demo-out") else f" --out {result.page_path.parent}"
        console.print(f"search the videos: framecue serve --demo{place}", soft_wrap=True, highlight=False, markup=False)


def _localization_table(localization: "Mapping[str, Any]") -> "Table":
    from rich.table import Table

    table = Table(
        title=f"untrimmed videos, average mAP (overlap 0.3 to 0.7) in %, mean over {len(localization['seeds'])} seeds",
        title_justify="left",
    )
    table.add_column("method", overflow="fold")
    parts = {name: part for name, part in localization["parts"].items() if part}
    for name in parts:
        table.add_column({"test": "trained names", "novel": "held-out names"}[name], justify="right", no_wrap=True)
    for method in next(iter(parts.values()), {}):
        table.add_row(method, *(_cell(part[method]["average"]) for part in parts.values()))
    return table


def _retrieval_table(retrieval: "Mapping[str, Any]") -> "Table":
    from rich.table import Table

    seeds = retrieval["protocols"][0]["num_trials"]
    table = Table(
        title=f"sentences and videos, R@1 in % and median rank, mean over {seeds} seeds", title_justify="left"
    )
    table.add_column("method", overflow="fold")
    columns = ("t2v/R1", "t2v/MdR", "v2t/R1", "v2t/MdR")
    for name in ("text to video", "rank", "video to text", "rank"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in retrieval["rows"]:
        table.add_row(row["method"], *(_cell(row["measures"][column]) for column in columns))
    return table


def _cell(cell: "Mapping[str, Any] | None") -> str:
    return "-" if cell is None else mean_with_interval(cell)
