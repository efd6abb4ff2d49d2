"""framecue train recognition|localization|retrieval --config RUN.yaml [key=value ...]"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framecue.cli.common import exit_for_skipped, note, print_json, progress_bars

if TYPE_CHECKING:
    from framecue.config import RunConfig, TaskName

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


_Config = Annotated[Path, typer.Option(help="YAML file of the run; configs/ has examples.")]
_Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the config, such as train.lr=3e-4.")
]
_Restart = Annotated[bool, typer.Option("--restart", help="Begin anew, whatever the run's folder holds.")]
_Keys = Annotated[
    bool, typer.Option("--keys", is_eager=True, callback=_print_keys, help="List every config key, and exit.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")]


@app.command()
def recognition(
    config: _Config,
    overrides: _Overrides = None,
    restart: _Restart = False,
    keys: _Keys = False,
    json: _Json = False,
) -> None:
    """Train action recognition: extract what is missing, train, choose weights on val, measure on test.

    Run the same command again after an interruption: it goes on where it stopped.
    """
    _train("recognition", config, overrides, restart=restart, json=json)


@app.command()
def localization(
    config: _Config,
    overrides: _Overrides = None,
    restart: _Restart = False,
    keys: _Keys = False,
    json: _Json = False,
) -> None:
    """Train temporal action localization: where something happens, and what, on untrimmed videos.

    Extracts what is missing, trains both stages, chooses weights and score fusion on val, measures on test beside each
    stage with the other one perfect and beside frozen CLIP. Run it again after an interruption: it goes on.
    """
    _train("localization", config, overrides, restart=restart, json=json)


@app.command()
def retrieval(
    config: _Config,
    overrides: _Overrides = None,
    restart: _Restart = False,
    keys: _Keys = False,
    json: _Json = False,
) -> None:
    """Train text-video retrieval: videos found by sentences, on videos with captions.

    Extracts what is missing, trains, chooses weights on val, measures both directions on test beside frozen CLIP. Run
    it again after an interruption: it goes on.
    """
    _train("retrieval", config, overrides, restart=restart, json=json)


def _train(task: "TaskName", path: Path, overrides: list[str] | None, *, restart: bool, json: bool) -> None:
    run = _load(task, path, overrides)  # a wrong key is told before torch is imported

    from framecue.training.localization import train_localization
    from framecue.training.recognition import RunProgress, train_recognition
    from framecue.training.retrieval import train_retrieval

    trainers = {"recognition": train_recognition, "localization": train_localization, "retrieval": train_retrieval}
    with progress_bars() as bars:
        progress = RunProgress(extraction=bars.extraction, step=bars.step, note=note)
        result = trainers[task](run, restart=restart, progress=progress)
    if json:
        print_json(result.results)
    else:
        from framecue.cli.results import print_results

        print_results(result.results)
    note(f"adapter: {result.adapter}")
    exit_for_skipped(result.skipped)


def _load(task: "TaskName", path: Path, overrides: list[str] | None) -> "RunConfig":
    from framecue.config import LocalizationConfig, RetrievalConfig, load_config
    from framecue.errors import UsageError

    run = load_config(path, overrides or [])
    if run.task == task:
        given = {
            "localization": run.localization != LocalizationConfig(),
            "retrieval": run.retrieval != RetrievalConfig(),
        }
        foreign = next((name for name, there in given.items() if there and name != task), None)
        if foreign is not None:
            raise UsageError(
                f"Config {path} has keys of {foreign}, which {task} does not read; say `framecue train {foreign}`, or "
                "remove them."
            )
        return run
    if "task" in run.model_fields_set:
        raise UsageError(
            f"Config {path} is of task {run.task}, the command asks for {task}; say `framecue train {run.task}`."
        )
    return load_config(path, [*(overrides or []), f"task={task}"])
