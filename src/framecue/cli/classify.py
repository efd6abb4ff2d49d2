"""framecue classify FILE... (--labels "a, b, c" | --adapter DIR)"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_json,
    printable,
)
from framecue.report.percents import score_percent

if TYPE_CHECKING:
    from framecue.types import Classification


NONE_OF_THESE = "none of these"


def classify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, or folders of videos.")],
    labels: Annotated[str | None, typer.Option(help=f"Names to choose from, {LABELS_HELP}")] = None,
    labels_file: Annotated[Path | None, typer.Option(metavar="FILE", help=LABELS_FILE_HELP)] = None,
    adapter: Annotated[str | None, typer.Option(metavar="DIR", help="Trained adapter: a folder or a hub id.")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Hub id, folder, file or 'tiny'. [default: the adapter's, else openai/clip-vit-base-patch16]"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Labels to show for each video.")] = 5,
    stream: Stream = None,
    strict: Strict = False,
    retry: Retry = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    exclude: Exclude = None,
    include: Include = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say which action a video shows.

    With names alone nothing is trained: frozen CLIP and handcrafted prompts. With --adapter its own classes are
    asked, or any names given beside it; a video of none of its own classes is said to be "none of these", where the
    validation videos could tell. Unreadable files are listed and the rest go on (exit code 3).

    Folders are looked through at any depth. Hidden files, and folders that systems make for themselves (@eaDir,
    #recycle, $RECYCLE.BIN, ...), are passed over. Links are followed, and a file is taken once.
    """
    from framecue.api import load
    from framecue.features.sources import expand_sources
    from framecue.types import Noted, Skipped

    names = names_asked(labels, labels_file, adapter)
    paths = expand_sources(files, folder_rules(exclude, include))
    predictor = load(adapter, backbone=backbone, device=device, decoding=decoding_asked(stream, strict, retry))
    answers: list[Classification] = []
    skipped: list[Skipped] = []
    calibrations: dict[str, None] = {}
    for answer in predictor.classify_many(paths, names, top_k=top_k):
        if isinstance(answer, Skipped):
            skipped.append(answer)
            continue
        note_files(Noted(answer.path, sentence) for sentence in answer.notes)
        calibrations[answer.calibration] = None
        if json:
            answers.append(answer)
        else:
            _print(answer)  # each as it is done: what follows may take hours, and be cut short
    if json:
        print_json([_as_json(answer) for answer in answers])
    for sentence in calibrations:
        note(f"percentages: {sentence}")
    exit_for_skipped(skipped)


def _print(answer: "Classification") -> None:
    """A video's name has a line of its own and labels come last: however long they are, nothing of them is cut.

    Percentages add up to 100 over the names asked for. Where it is none of them they mean nothing, and are left out.
    """
    if answer.none_of_these:
        typer.echo(f"{printable(answer.path)}: {NONE_OF_THESE}")
        for label in answer.labels:
            typer.echo(f"  nearest  {printable(label)}")
        return
    typer.echo(printable(answer.path))
    for label, score in zip(answer.labels, answer.scores, strict=True):
        typer.echo(f"  {score_percent(score):>5}  {'█' * round(20 * score):20}  {printable(label)}")


def _as_json(answer: "Classification") -> dict[str, Any]:
    predictions = zip(answer.labels, answer.scores, strict=True)
    return {
        "video": str(answer.path),
        "none_of_these": answer.none_of_these,
        "calibration": answer.calibration,
        "notes": list(answer.notes),
        "predictions": [{"label": label, "score": round(score, 6)} for label, score in predictions],
    }
