"""Write docs/cli.md: the help of every verb and every key of a run config, as the program prints them.

    python scripts/make_cli_docs.py

tests/test_docs.py compares the file with what this writes, so it cannot fall behind.
"""

from pathlib import Path

from typer.testing import CliRunner

from framecue.cli.main import VERBS, app

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
NESTED = {
    "data": ["check"],
    "train": ["recognition"],
    "score": ["detections", "proposals"],
    "convert": ["efficient-prompt"],
}


def help_of(*words: str) -> str:
    """What `framecue WORDS --help` prints, 100 columns wide."""
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="framecue", terminal_width=100, color=False)
    if result.exit_code:
        raise RuntimeError(f"framecue {' '.join(words)} --help failed: {result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def render() -> str:
    """The whole document."""
    commands = [[]]
    for verb in VERBS:
        commands += [[verb, *nested] for nested in ([[name] for name in NESTED.get(verb, [])] or [[]])]
    parts = ["# Command line", "", "Made by `python scripts/make_cli_docs.py` from the program's own help."]
    for words in commands:
        title = " ".join(["framecue", *words])
        parts += ["", f"## {title}", "", "```", help_of(*words), "```"]
    keys = CliRunner().invoke(app, ["train", "recognition", "--keys"], prog_name="framecue")
    parts += ["", "## Keys of a run config", "", "`framecue train recognition --keys`", "", "```"]
    return "\n".join([*parts, keys.output.strip(), "```", ""])


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
