"""What the verbs share: progress on standard error, lists of skipped inputs, JSON alone on standard output."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framecue.types import Skipped

DEFAULT_BACKBONE = "openai/clip-vit-base-patch16"
EXIT_SKIPPED = 3

_PLAIN_LINE_SECONDS = 15.0

ShowProgress = Callable[[float, str], None]
"""How many are done, and a short note such as the rate."""


def verb_app() -> typer.Typer:
    """The Typer app of one verb. Plain help: rich panels double the time that help takes to appear."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def progress(what: str, total: int) -> Iterator[ShowProgress]:
    """A bar with count and time left on standard error; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield _plain_progress(what, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)


def print_skipped(skipped: "Sequence[Skipped]") -> None:
    """Lists on standard error what was left out, and why."""
    if skipped:
        typer.echo(f"{len(skipped)} skipped:", err=True)
    for item in skipped:
        typer.echo(f"  {item.path}: {item.reason}", err=True)


def skipped_json(skipped: "Sequence[Skipped]") -> list[dict[str, str]]:
    return [{"path": str(item.path), "reason": item.reason} for item in skipped]


def print_json(value: Any) -> None:
    """Escapes all but ASCII, so that file names of any bytes pass through any terminal and any pipe."""
    typer.echo(json.dumps(value, indent=2))


def exit_if_skipped(skipped: "Sequence[Skipped]") -> None:
    """Ends the verb with the exit code for "finished, but some inputs were skipped"."""
    if skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _plain_progress(what: str, total: int) -> ShowProgress:
    started = shown = time.monotonic()
    first: float | None = None

    def show(done: float, note: str) -> None:
        nonlocal first, shown
        now = time.monotonic()
        first = done if first is None else first  # what was done before does not count for the rate
        if now - shown < _PLAIN_LINE_SECONDS:
            return
        shown = now
        gained = done - first
        left = f"{(now - started) * (total - done) / gained:.0f} s left" if gained else "time left not known yet"
        typer.echo(f"{what}: {done:.0f}/{total}, {note}, {left}", err=True)

    return show
