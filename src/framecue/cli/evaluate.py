"""framecue evaluate ADAPTER_DIR"""

from pathlib import Path
from typing import Annotated

import typer

from framecue.cli.common import exit_for_skipped, print_json, progress_bars


def evaluate(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER_DIR", help="Folder that `framecue train` wrote.")],
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")] = False,
) -> None:
    """Measure an adapter again on the data of its own config, with the baselines beside it.

    Deterministic: evenly spread views, no random draw. The same inputs give the same bytes.
    """
    from framecue.training.evaluate import evaluate_adapter
    from framecue.training.recognition import RunProgress

    with progress_bars() as bars:
        result = evaluate_adapter(adapter, progress=RunProgress(extraction=bars.extraction))
    if json:
        print_json(result.results)
    else:
        from framecue.cli.results import print_results

        print_results(result.results)
    exit_for_skipped(result.skipped)
