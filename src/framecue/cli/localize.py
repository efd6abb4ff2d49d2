"""framecue localize FILE... (--labels "a, b" | --adapter DIR)"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from framecue.cli.common import (
    LABELS_FILE_HELP,
    LABELS_HELP,
    Exclude,
    Include,
    Retry,
    Stream,
    Strict,
    decoding_asked,
    exit_for_skipped,
    folder_rules,
    names_asked,
    note,
    note_files,
    progress_bars,
)

if TYPE_CHECKING:
    from framecue.types import Localization, ScoredSegment

Format = Literal["table", "json", "csv", "activitynet", "vtt", "srt"]


def localize(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos of any length, or folders of videos.")],
    labels: Annotated[str | None, typer.Option(help=f"Names to look for, {LABELS_HELP}")] = None,
    labels_file: Annotated[Path | None, typer.Option(metavar="FILE", help=LABELS_FILE_HELP)] = None,
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
    stream: Stream = None,
    strict: Strict = False,
    retry: Retry = False,
    exclude: Exclude = None,
    include: Include = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Find named actions in long videos.

    With names alone nothing is trained: frozen CLIP, handcrafted prompts, and segments where something is seen or
    changes. With --adapter its own classes are looked for, or any names given beside it. A video without the named
    actions yields none. Memory does not grow with a video's length. Subtitles and pictures are written as each video
    is done. Files that cannot be read, or written, are listed and the rest go on (exit code 3).

    Folders are looked through at any depth. Hidden files, and folders that systems make for themselves (@eaDir,
    #recycle, $RECYCLE.BIN, ...), are passed over. Links are followed, and a file is taken once.
    """
    from framecue.api import load
    from framecue.cli.localize_inputs import read_annotations, read_proposals
    from framecue.cli.localize_outputs import Outputs
    from framecue.errors import UsageError
    from framecue.features.sources import expand_sources
    from framecue.files import check_writable
    from framecue.report.segment_files import ONE_FILE, check_out
    from framecue.types import Noted, Skipped

    if json and format not in ("table", "json"):
        raise UsageError(f"--json and --format {format} ask for two forms; give one of them.")
    form: Format = "json" if json else format
    names = names_asked(labels, labels_file, adapter)
    if form == "table" and out is not None:
        raise UsageError("A table is for reading, not for files; give --format beside --out.")
    paths = expand_sources(files, folder_rules(exclude, include))
    if form in ("vtt", "srt") and len(paths) > 1 and out is None:
        raise UsageError(f"{form} is one file for each video, and there are {len(paths)}; give --out FOLDER.")
    if form != "table" and out is not None:
        check_out(form, out, num_videos=len(paths))
        if form in ONE_FILE:
            check_writable(out)  # hours are spent on this one file
        elif len(paths) > 1:
            out.mkdir(parents=True, exist_ok=True)  # a folder also where one file alone turns out to be readable
    if timeline is not None and timeline.exists() and not timeline.is_dir():
        raise UsageError(f"--timeline {timeline} must be a folder, found a file; name another.")
    given = read_proposals(proposals, paths) if proposals else None
    truths = read_annotations(ground_truth, paths) if ground_truth else {}
    decoding = decoding_asked(stream, strict, retry)
    predictor = load(adapter, backbone=backbone, device=device, decoding=decoding)
    outputs = Outputs(
        paths,
        form,
        out,
        timeline,
        truths,
        external_data=f"proposals of {proposals}" if proposals else None,
        decoding=decoding,
    )
    skipped: list[Skipped] = []
    with outputs.kept_when_cut_short(), _progress(paths) as on_progress:
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
            else:
                outputs.add(answer)
                note_files(Noted(answer.path, sentence) for sentence in answer.notes)
    _note_outside(outputs.answers, given)
    outputs.finish()
    exit_for_skipped([*skipped, *outputs.unwritten])


@contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[Callable[[Path, float, float | None], None]]:
    """Seconds of a single video, or videos of several, with the rate."""
    started: dict[Path, float] = {}
    with progress_bars() as bars:

        def show(path: Path, done_seconds: float, duration_seconds: float | None) -> None:
            length = duration_seconds or done_seconds  # where the file does not say
            since = started.setdefault(path, monotonic())
            rate = f"{done_seconds / max(monotonic() - since, 1e-9):.1f} x real time"
            if len(paths) == 1:
                bars.phase("seconds", round(done_seconds), round(length), rate)
            else:
                share = 100 * done_seconds / max(length, 1e-9)
                done = len(started) - (duration_seconds is None or done_seconds < duration_seconds)
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
