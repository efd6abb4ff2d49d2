"""framecue evaluate ADAPTER_DIR [key=value ...]"""

from pathlib import Path
from typing import Annotated

import typer

from framecue.cli.common import exit_for_skipped, print_json, progress_bars


def evaluate(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER_DIR", help="Folder that `framecue train` wrote.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Where the data are now, such as data.source=FOLDER; evaluate.*."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")] = False,
) -> None:
    """Measure an adapter again, with the baselines beside it, on the videos that its training held out.

    They are told by their content, whatever they are called and wherever they lie now; what it was trained on is never
    measured, and what has changed since is named. Data that hold none of its videos are measured as new data. The same
    inputs give the same bytes.
    """
    from framecue.training.evaluate import evaluate_adapter
    from framecue.training.recognition import RunProgress

    with progress_bars() as bars:
        result = evaluate_adapter(adapter, overrides or (), progress=RunProgress(extraction=bars.extraction))
    if json:
        print_json(result.results)
    else:
        from framecue.cli.results import print_results

        print_results(result.results)
    exit_for_skipped(result.skipped)
