"""Docs cannot rot: commands of the README exist and run, help in docs/ is the program's own, links lead somewhere."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from framecue.cli.main import VERBS, app
from framecue.datasets.world import write_untrimmed, write_world

ROOT = Path(__file__).parents[1]
NESTED = (
    *("recognition", "localization", "retrieval", "efficient-prompt", "detections", "proposals", "moments", "check"),
    *("add", "remove", "refresh", "status"),
)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_blocks(path: Path, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def command_lines(path: Path) -> list[list[str]]:
    """Lines of unmarked code blocks that call make or framecue, as words; comments dropped."""
    lines = "\n".join(code_blocks(path)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.match(r"(make|framecue) ", line)]
    return [line for line in words if line]


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if p.name != "cli.md"], ids=lambda path: path.name)
def test_commands_exist(path):
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for program, *words in command_lines(path):
        if program == "make":
            assert words[0] in targets, f"{path.name}: make {words[0]} is no target"
            continue
        assert words[0] in VERBS, f"{path.name}: framecue {words[0]} is no verb"
        verb = [words[0]] + [word for word in words[1:2] if word in NESTED]
        known = CliRunner().invoke(app, [*verb, "--help"]).output
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", known), f"{path.name}: framecue {' '.join(verb)} has no {option}"


def test_readme_names_every_verb():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [verb for verb in VERBS if f"framecue {verb}" not in text]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_cli_docs_are_the_programs_own_help():
    spec = importlib.util.spec_from_file_location("make_cli_docs", ROOT / "scripts" / "make_cli_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text(encoding="utf-8") == module.render(), "run: python scripts/make_cli_docs.py"


@pytest.mark.recipe
def test_readme_runs(tmp_path, monkeypatch):
    """The README's own commands and its Python, on a few rendered videos with the built-in backbone."""
    monkeypatch.chdir(tmp_path)
    counts = {"train": 4, "val": 2, "test": 2}
    write_world(tmp_path / "world", seed=5, classes=("growing", "shrinking"), videos_per_class=counts, workers=0)
    videos = sorted((tmp_path / "world" / "test").rglob("*.mp4"))
    counts = {"train": 4, "val": 2}
    write_untrimmed(tmp_path / "untrimmed", classes=("growing", "bouncing"), num_videos=counts, workers=0)
    for name in ("holiday.mp4", "new.mp4", "lecture.mp4"):
        (tmp_path / name).write_bytes(videos[0].read_bytes())
    (tmp_path / "footage").symlink_to(tmp_path / "world")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    ours = [words[1:] for words in command_lines(ROOT / "README.md") if words[0] == "framecue"]
    verbs = [
        "classify",
        "train",
        "classify",
        "train",
        "localize",
        "train",
        "localize",
        "score",
        "index",
        "search",
        "train",
    ]
    assert [words[0] for words in ours] == verbs
    for words in ours:
        if words[0] == "train":
            words = [*words, "train.iterations=4", "train.batch_size=4", "train.validate_every=2"]
        elif "--labels" in words or words[0] == "index":
            words = [*words, "--backbone", "tiny"]
        command = [sys.executable, "-m", "framecue.cli.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (python,) = code_blocks(ROOT / "README.md", "python")
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "growing" in done.stdout
    assert "fall" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert set(found) == {path.stem for path in (tmp_path / "untrimmed").rglob("*.mp4")}
    assert list((tmp_path / "pictures").glob("*.svg"))
    assert list((tmp_path / "found").glob("*.mp4"))
