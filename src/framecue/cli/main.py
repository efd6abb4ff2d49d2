"""The `framecue` command: a table of verbs, each loaded when it is called, and errors as one line."""

import errno
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from framecue.cli.common import note
from framecue.errors import FramecueError, UsageError

# verb: help line. Each is a file of its name in this folder, imported when it is called, with a function of that name
# in it or, for nested verbs, a Typer named `app`.
VERBS = {
    "demo": "Show the whole product on built-in videos, offline.",
    "data": "Look after labelled videos.",
    "extract": "Store the frame features of videos; resumes.",
    "train": "Train an adapter; one YAML file per run.",
    "evaluate": "Measure an adapter, with the baselines beside it.",
    "reproduce": "Make a whole table of the paper; resumes.",
    "classify": "Say which action a video shows.",
    "localize": "Find named actions in long videos.",
    "index": "Keep an index of the moments of videos.",
    "search": "Find moments by a sentence, an image or an example.",
    "serve": "Serve an index: a page to search it, and a REST API.",
    "score": "Score anyone's prediction files against ground truth.",
    "convert": "Bring in checkpoints of other programs.",
}


class VerbGroup(TyperGroup):
    """Lists the verbs of the table without importing them, and turns expected errors into one line and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {verb: TyperCommand(verb, help=help_line) for verb, help_line in VERBS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name in VERBS else command, rest

    def invoke(self, ctx: Any) -> Any:
        with errors_as_one_line():
            return super().invoke(ctx)


def load_verb(verb: str) -> Any:
    """Imports the verb's file and gives its command."""
    module = importlib.import_module(f"framecue.cli.{verb}")
    holder = _plain_typer()
    holder.callback()(lambda: None)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=verb)
    else:
        holder.command(verb)(getattr(module, verb))
    return cast(TyperGroup, typer.main.get_command(holder)).commands[verb]


def _plain_typer() -> typer.Typer:
    """Plain help: rich panels double the time that help takes to appear."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def errors_as_one_line() -> Iterator[None]:
    """Exit codes: 1 an error, 2 wrong usage, 130 interrupted; anything unforeseen keeps its traceback."""
    try:
        yield
    except FramecueError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted; what was finished is kept, run the same command again to go on", err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno is None or error.errno == errno.EPIPE:  # a reader that went away is no error of ours
            raise
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(f"The disk is full{where}; free some space and run the same command again.", 1)
        _fail(f"The system refused a file{where}: {error.strerror}; check that path and its rights.", 1)


def _fail(message: str, exit_code: int) -> None:
    note(f"framecue: error: {' '.join(message.split())}")
    raise typer.Exit(exit_code) from None


app = _plain_typer()


@app.callback(cls=VerbGroup, invoke_without_command=True)
def framecue(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Teach a frozen CLIP your videos."""
    if version:
        from framecue import __version__

        typer.echo(__version__)
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main() -> None:
    """Entry point of the console script."""
    # File names may hold bytes that are no UTF-8; standard error already escapes them.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    app(prog_name="framecue")


if __name__ == "__main__":
    main()
