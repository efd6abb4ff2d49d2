"""What the verbs share: progress on standard error, lists of skipped inputs, JSON alone on standard output."""

import json
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="Leave out files and folders of this name, or path below the named folder; may be repeated.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        help="Take in what is excluded or passed over (hidden, trash, @eaDir, ...) otherwise; may be repeated.",
    ),
]

if TYPE_CHECKING:
    from framecue.features.extract import ExtractionProgress
    from framecue.types import Skipped
    from framecue.video.files import FolderRules

DEFAULT_BACKBONE = "openai/clip-vit-base-patch16"
EXIT_SKIPPED = 3

_PLAIN_LINE_SECONDS = 15.0
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: control, half of a pair, line and paragraph breaks
_TURNS = ("LRE", "LRO", "RLE", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""Marks that turn the order in which what follows is shown, the end of a line included."""


def printable(text: object) -> str:
    """One line that leaves the terminal alone: names may hold line breaks, escapes, stray bytes, turned text."""
    return "".join(_escape(letter) if _is_unprintable(letter) else letter for letter in str(text))


def _is_unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in _UNPRINTABLE or unicodedata.bidirectional(letter) in _TURNS


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def names_asked(labels: str | None, adapter: str | None) -> list[str] | None:
    """The names of `--labels`; None = the adapter's own.

    Raises:
        UsageError: neither names nor an adapter.
    """
    from framecue.errors import UsageError

    names = [name.strip() for name in labels.split(",") if name.strip()] if labels is not None else None
    if not names and adapter is None:
        raise UsageError("Nothing to choose from; give --labels 'walking, running' or --adapter DIR.")
    return names


def folder_rules(exclude: Sequence[str] | None, include: Sequence[str] | None) -> "FolderRules":
    """What `--exclude` and `--include` say.

    Raises:
        UsageError: a pattern is empty.
    """
    from framecue.video.files import FolderRules

    return FolderRules(tuple(exclude or ()), tuple(include or ()))


def note(line: str) -> None:
    """One line for people, on standard error."""
    typer.echo(printable(line), err=True)


def clock(seconds: float, *, tenths: bool = False) -> str:
    """h:mm:ss, or h:mm:ss.t"""
    if not tenths:
        whole = max(0, round(seconds))
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    count = max(0, round(10 * seconds))
    return f"{clock(count // 10)}.{count % 10}"


def print_json(value: Any) -> None:
    """Escapes all but ASCII, so that file names of any bytes pass through any terminal and any pipe."""
    typer.echo(json.dumps(value, indent=2))


def skipped_json(skipped: "Sequence[Skipped]") -> list[dict[str, str]]:
    return [{"path": str(item.path), "reason": item.reason} for item in skipped]


def exit_for_skipped(skipped: "Sequence[Skipped]") -> None:
    """If anything was skipped, lists it with reasons on standard error and ends the verb with exit code 3."""
    if not skipped:
        return
    note(f"{len(skipped)} skipped:")
    for item in skipped:
        note(f"  {item.path}: {item.reason}")
    raise typer.Exit(EXIT_SKIPPED)


class Bars:
    """One progress display for the phases of a verb; its methods are the callbacks that the library takes."""

    def __init__(self, display: "_Display") -> None:
        self._display = display

    def extraction(self, state: "ExtractionProgress") -> None:
        """Videos done, and frames per second."""
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        self.phase("videos", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    def step(self, done: int, total: int, numbers: Mapping[str, float]) -> None:
        """Training steps done, and the latest numbers."""
        self.phase("steps", done, total, " ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def phase(self, name: str, done: int, total: int, remark: str) -> None:
        """Any other phase; each name has a bar of its own."""
        self._display.show(name, done, total, remark)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Bars with count, rate and time left on standard error; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield Bars(_PlainDisplay())
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bars(_RichDisplay(progress))


class _Display(Protocol):
    def show(self, phase: str, done: int, total: int, remark: str) -> None: ...


class _RichDisplay:
    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def show(self, phase: str, done: int, total: int, remark: str) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total, note="")
        self._progress.update(self._tasks[phase], completed=done, total=total, note=remark)


class _PlainDisplay:
    def __init__(self) -> None:
        self._phase: str | None = None

    def show(self, phase: str, done: int, total: int, remark: str) -> None:
        now = time.monotonic()
        if phase != self._phase:  # what was done before this run does not count for its rate
            self._phase, self._first_done, self._started, self._shown = phase, done, now, now
        if now - self._shown < _PLAIN_LINE_SECONDS:
            return
        self._shown = now
        gained = done - self._first_done
        left = f"{(now - self._started) * (total - done) / gained:.0f} s left" if gained else "time left not known yet"
        note(f"{phase}: {done}/{total}, {remark}, {left}")
