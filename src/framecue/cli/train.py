"""framecue train recognition --config RUN.yaml [key=value ...]"""

from pathlib import Path
from typing import Annotated

import typer

from framecue.cli.common import exit_for_skipped, note, print_json, progress_bars

app = typer.Typer(no_args_is_help=True, help="Train an adapter; one YAML file per run.")


@app.callback()
def _group() -> None:
    """Train an adapter; one YAML file per run."""


def _print_keys(asked: bool) -> None:
    if not asked:
        return
    from framecue.config import describe_keys

    for key, text, default in describe_keys():
        typer.echo(f"{key}  [{'required' if default is None else f'default: {default}'}]\n    {text}")
    raise typer.Exit


@app.command()
def recognition(
    config: Annotated[Path, typer.Option(help="YAML file of the run; configs/ has examples.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the config, such as train.lr=3e-4.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever the run's folder holds.")] = False,
    keys: Annotated[
        bool, typer.Option("--keys", is_eager=True, callback=_print_keys, help="List every config key, and exit.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")] = False,
) -> None:
    """Train action recognition: extract what is missing, train, choose weights on val, measure on test.

    Run the same command again after an interruption: it goes on where it stopped.
    """
    from framecue.config import load_config

    run = load_config(config, overrides or [])  # a wrong key is told before torch is imported

    from framecue.training.recognition import RunProgress, train_recognition

    with progress_bars() as bars:
        progress = RunProgress(extraction=bars.extraction, step=bars.step, note=note)
        result = train_recognition(run, restart=restart, progress=progress)
    if json:
        print_json(result.results)
    else:
        from framecue.cli.results import print_results

        print_results(result.results)
    note(f"adapter: {result.adapter}")
    exit_for_skipped(result.skipped)
