"""framecue classify FILE... (--labels "a, b, c" | --adapter DIR)"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framecue.cli.common import Exclude, Include, exit_for_skipped, folder_rules, names_asked, print_json, printable

if TYPE_CHECKING:
    from framecue.types import Classification


NONE_OF_THESE = "none of these"


def classify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, or folders of videos.")],
    labels: Annotated[str | None, typer.Option(help="Names to choose from, separated by commas.")] = None,
    adapter: Annotated[str | None, typer.Option(metavar="DIR", help="Trained adapter: a folder or a hub id.")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Hub id, folder, file or 'tiny'. [default: the adapter's, else openai/clip-vit-base-patch16]"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Labels to show for each video.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    exclude: Exclude = None,
    include: Include = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say which action a video shows.

    With --labels alone nothing is trained: frozen CLIP and handcrafted prompts. With --adapter its own classes are
    asked, or any --labels given beside it; a video of none of its own classes is said to be "none of these", where the
    validation videos could tell. Unreadable files are listed and the rest go on (exit code 3).

    Folders are looked through at any depth. Hidden files, and folders that systems make for themselves (@eaDir,
    #recycle, $RECYCLE.BIN, ...), are passed over. Links are followed, and a file is taken once.
    """
    from framecue.api import load
    from framecue.features.sources import expand_sources
    from framecue.types import Skipped

    names = names_asked(labels, adapter)
    paths = expand_sources(files, folder_rules(exclude, include))
    predictor = load(adapter, backbone=backbone, device=device)
    answers: list[Classification] = []
    skipped: list[Skipped] = []
    for answer in predictor.classify_many(paths, names, top_k=top_k):
        if isinstance(answer, Skipped):
            skipped.append(answer)
        else:
            answers.append(answer)
    if json:
        print_json([_as_json(answer) for answer in answers])
    elif answers:
        _print_table(answers)
    exit_for_skipped(skipped)


def _print_table(answers: "list[Classification]") -> None:
    """A video's name has a line of its own and labels come last: however long they are, nothing of them is cut."""
    for answer in answers:
        typer.echo(printable(answer.path) + (f": {NONE_OF_THESE}" if answer.none_of_these else ""))
        for label, score in zip(answer.labels, answer.scores, strict=True):
            typer.echo(f"  {100 * score:5.1f} %  {'█' * round(20 * score):20}  {printable(label)}")


def _as_json(answer: "Classification") -> dict[str, Any]:
    predictions = zip(answer.labels, answer.scores, strict=True)
    return {
        "video": str(answer.path),
        "none_of_these": answer.none_of_these,
        "predictions": [{"label": label, "score": round(score, 6)} for label, score in predictions],
    }
