"""What the verbs share: progress on standard error, lists of skipped inputs, JSON alone on standard output."""

import json
import os
import shlex
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from framecue.features.extract import ExtractionProgress
    from framecue.types import Noted, Skipped
    from framecue.video.files import FolderRules
    from framecue.video.source import Decoding

DEFAULT_BACKBONE = "openai/clip-vit-base-patch16"
EXIT_SKIPPED = 3

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
Stream = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of the video stream to read, as FFmpeg counts. [default: the one a player shows]",
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse damaged files; otherwise what can be read is used, and the rest is noted."),
]
Retry = Annotated[bool, typer.Option("--retry", help="Try files again that crashed or stalled the decoder before.")]

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


LABELS_HELP = "with commas between them; names that hold commas in quotes, as in CSV."
LABELS_FILE_HELP = "File of names instead: one a line, CSV or JSON."


def names_asked(labels: str | None, labels_file: Path | None, adapter: str | None) -> list[str] | None:
    """The names of `--labels` or `--labels-file`; None = the adapter's own. What is hardly meant is remarked upon.

    Raises:
        UsageError: neither names nor an adapter, names given twice, or quotes that do not end.
        DatasetError: the file cannot be read, or a line of it cannot be understood.
    """
    from framecue.datasets.class_lists import read_class_list, split_names
    from framecue.datasets.naming import name_notes
    from framecue.errors import DatasetError, UsageError

    if labels is not None and labels_file is not None:
        raise UsageError("--labels and --labels-file both give the names; give one of them.")
    if labels_file is not None:
        names = list(read_class_list(labels_file).names)
    else:
        try:
            names = split_names(labels or "")
        except DatasetError as error:
            raise UsageError(f"--labels: {error}") from error
    if not names and adapter is None:
        raise UsageError(
            "Nothing to choose from; give --labels 'walking, running', --labels-file FILE or --adapter DIR."
        )
    if not names and (labels is not None or labels_file is not None):
        raise UsageError(f"There are no names in {'--labels' if labels_file is None else labels_file}; write some.")
    source = "--labels" if labels_file is None else f"{labels_file}"
    for name in names:
        if labels_file is None and os.path.isfile(name):
            note(
                f"{source}: {name!r} is taken for a name, and is that of a file too; "
                f"to take the names in it, say --labels-file {shlex.quote(name)}"
            )
    for remark in name_notes(names):
        note(f"{source}: {remark}")
    if len(names) == 1:
        separated = "separated by commas" if labels_file is None else "one a line"
        note(f"{source} gives a single name, {names[0]!r}; several are {separated}")
    return names or None


def decoding_asked(stream: int | None, strict: bool, retry: bool) -> "Decoding":
    """How files are to be read."""
    from framecue.video.source import Decoding

    return Decoding(stream, strict, retry)


def note_files(noted: "Iterable[Noted]") -> None:
    """What a user should know of files that were read, a line each on standard error."""
    for item in noted:
        note(f"{item.path}: {item.sentence}")


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


def notes_json(noted: "Sequence[Noted]") -> list[dict[str, str]]:
    return [{"path": str(item.path), "note": item.sentence} for item in noted]


def exit_for_skipped(skipped: "Sequence[Skipped]") -> None:
    """If anything was skipped, lists it with reasons on standard error and ends the verb with exit code 3.

    What was passed over is listed too, and alone does not count.
    """
    if not skipped:
        return
    note(f"{len(skipped)} skipped:")
    for item in skipped:
        note(f"  {item.path}: {item.reason}")
    if not all(item.passed_over for item in skipped):
        raise typer.Exit(EXIT_SKIPPED)


class Bars:
    """One progress display for the phases of a verb; its methods are the callbacks that the library takes."""

    def __init__(self, display: "_Display") -> None:
        self._display = display
        self.noted: Sequence[Noted] = ()

    def extraction(self, state: "ExtractionProgress") -> None:
        """Videos done, and frames per second."""
        self.noted = state.noted
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
    """Bars with count, rate and time left on standard error; where that is no terminal, a line now and then.

    When they end, what is to be known of extracted files is said.
    """
    with _display() as display:
        bars = Bars(display)
        yield bars
    note_files(bars.noted)


@contextmanager
def _display() -> "Iterator[_Display]":
    if not sys.stderr.isatty():
        yield _PlainDisplay()
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
        yield _RichDisplay(progress)


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
