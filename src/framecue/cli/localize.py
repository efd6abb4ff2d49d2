"""framecue localize FILE... (--labels "a, b" | --adapter DIR)"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from framecue.cli.common import (
    Exclude,
    Include,
    clock,
    exit_for_skipped,
    folder_rules,
    names_asked,
    note,
    printable,
    progress_bars,
)

if TYPE_CHECKING:
    from framecue.types import AnnotatedVideo, Localization, ScoredSegment

NONE_OF_THESE = "none of the named actions"
FILM = "uniform:10"
Format = Literal["table", "json", "csv", "activitynet", "vtt", "srt"]


def localize(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos of any length, or folders of videos.")],
    labels: Annotated[str | None, typer.Option(help="Names to look for, separated by commas.")] = None,
    adapter: Annotated[str | None, typer.Option(metavar="DIR", help="Trained adapter: a folder or a hub id.")] = None,
    format: Annotated[Format, typer.Option("--format", help="How the segments are given.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File to write; a folder where vtt or srt is of several videos."),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for a picture of each video: segments and scores.")
    ] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            metavar="GT", help="Annotations of the videos: drawn in the pictures, and their video ids are written."
        ),
    ] = None,
    proposals: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Name these segments (ActivityNet JSON, CSV, BSN folder); look for no own."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Least score of a segment; 0 for all, as `score` needs them. [default: what is sure enough]"),
    ] = None,
    max_segments: Annotated[int, typer.Option(min=1, help="Segments to give for each video, at most.")] = 1000,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Hub id, folder, file or 'tiny'. [default: the adapter's, else openai/clip-vit-base-patch16]"
        ),
    ] = None,
    exclude: Exclude = None,
    include: Include = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Find named actions in long videos.

    With --labels alone nothing is trained: frozen CLIP, handcrafted prompts, and segments where something is seen or
    changes. With --adapter its own classes are looked for, or any --labels given beside it. A video without the named
    actions yields none. Memory does not grow with a video's length. Unreadable files are listed and the rest go on
    (exit code 3).

    Folders are looked through at any depth. Hidden files, and folders that systems make for themselves (@eaDir,
    #recycle, $RECYCLE.BIN, ...), are passed over. Links are followed, and a file is taken once.
    """
    from dataclasses import replace

    from framecue.api import load
    from framecue.cli.localize_inputs import read_annotations, read_proposals
    from framecue.errors import UsageError
    from framecue.features.sources import expand_sources
    from framecue.report.segment_files import check_out
    from framecue.types import Skipped

    if json and format not in ("table", "json"):
        raise UsageError(f"--json and --format {format} ask for two forms; give one of them.")
    form: Format = "json" if json else format
    names = names_asked(labels, adapter)
    if form == "table" and out is not None:
        raise UsageError("A table is for reading, not for files; give --format beside --out.")
    paths = expand_sources(files, folder_rules(exclude, include))
    if form in ("vtt", "srt") and len(paths) > 1 and out is None:
        raise UsageError(f"{form} is one file for each video, and there are {len(paths)}; give --out FOLDER.")
    if form != "table" and out is not None:
        check_out(form, out, num_videos=len(paths))
        if form in ("vtt", "srt") and len(paths) > 1:
            out.mkdir(parents=True, exist_ok=True)  # a folder also where one file alone turns out to be readable
    if timeline is not None and timeline.exists() and not timeline.is_dir():
        raise UsageError(f"--timeline {timeline} must be a folder, found a file; name another.")
    given = read_proposals(proposals, paths) if proposals else None
    truths = read_annotations(ground_truth, paths) if ground_truth else {}
    predictor = load(adapter, backbone=backbone, device=device)
    answers: list[Localization] = []
    skipped: list[Skipped] = []
    with _progress(paths) as on_progress:
        found = predictor.localize_many(
            paths,
            names,
            min_score=min_score,
            max_segments=max_segments,
            proposals=given,
            curves=timeline is not None,
            on_progress=on_progress,
        )
        for answer in found:
            if isinstance(answer, Skipped):
                skipped.append(answer)
                continue
            if timeline is not None:
                picture = _picture_path(timeline, answer.path, [earlier.path for earlier in answers])
                _draw(answer, picture, truths.get(answer.path))
            answers.append(replace(answer, curves=None))  # too much to be kept of all videos
    _note_outside(answers, given)
    ids = {path: video.video_id for path, video in truths.items()}
    _give(answers, form, out, ids, external_data=f"proposals of {proposals}" if proposals else None)
    exit_for_skipped(skipped)


def _draw(answer: "Localization", path: Path, truth: "AnnotatedVideo | None") -> None:
    from framecue.report.timeline import write_timeline
    from framecue.video.reader import read_video
    from framecue.video.sampling import parse_sampling

    segments = None if truth is None else truth.segments
    write_timeline(answer, path, truth=segments, frames=read_video(answer.path, parse_sampling(FILM)))


def _picture_path(folder: Path, video: Path, taken: list[Path]) -> Path:
    """Its name with .svg; with a number where another video of that name has a picture."""
    same = sum(path.stem == video.stem for path in taken)
    return folder / (f"{video.stem}.svg" if not same else f"{video.stem}#{same + 1}.svg")


@contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[Callable[[Path, float, float], None]]:
    """Seconds of a single video, or videos of several, with the rate."""
    started: dict[Path, float] = {}
    with progress_bars() as bars:

        def show(path: Path, done_seconds: float, duration_seconds: float) -> None:
            since = started.setdefault(path, monotonic())
            rate = f"{done_seconds / max(monotonic() - since, 1e-9):.1f} x real time"
            if len(paths) == 1:
                bars.phase("seconds", round(done_seconds), round(duration_seconds), rate)
            else:
                share = 100 * done_seconds / max(duration_seconds, 1e-9)
                done = len(started) - (done_seconds < duration_seconds)
                bars.phase("videos", done, len(paths), f"{path.name} {share:.0f} %, {rate}")

        yield show


def _note_outside(
    answers: "Sequence[Localization]", proposals: "Mapping[Path, Sequence[ScoredSegment]] | None"
) -> None:
    from framecue.tasks.localize_video import outside

    for answer in answers:
        left_out = outside((proposals or {}).get(answer.path, ()), answer.duration_seconds)
        if left_out:
            first = left_out[0]
            note(
                f"{answer.path}: {len(left_out)} proposals left out, no part of them lies in its "
                f"{answer.duration_seconds:.2f} s; the first is {first.start_seconds:g} to {first.end_seconds:g} s"
            )


def _give(
    answers: "Sequence[Localization]",
    form: Format,
    out: Path | None,
    ids: "Mapping[Path, str]",
    *,
    external_data: str | None,
) -> None:
    from framecue.report.segment_files import FILE_PER_VIDEO, ONE_FILE, write_segments

    if form == "table":
        _print_table(answers)
    elif out is not None:
        for path in write_segments(answers, form, out, ids=ids, external_data=external_data):
            note(f"wrote {path}")
    elif form in ONE_FILE:
        typer.echo(ONE_FILE[form](answers, ids, external_data), nl=False)
    else:
        for answer in answers:
            typer.echo(FILE_PER_VIDEO[form](answer), nl=False)


def _print_table(answers: "Sequence[Localization]") -> None:
    """A video's name has a line of its own and labels come last: however long they are, nothing of them is cut."""
    for answer in answers:
        nothing = "" if answer.segments else f": {NONE_OF_THESE}"
        typer.echo(f"{printable(answer.path)} ({clock(answer.duration_seconds, tenths=True)}){nothing}")
        for found in answer.segments:
            times = f"{clock(found.start_seconds, tenths=True)} - {clock(found.end_seconds, tenths=True)}"
            bar = "█" * round(20 * min(found.score, 1))
            typer.echo(f"  {times}  {100 * found.score:5.1f} %  {bar:20}  {printable(found.label)}")
