"""What counts in a folder is said alike to every verb that takes one."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from framecue.cli.main import app
from framecue.video.writer import write_video

VERBS = {
    "extract": ["--store", "store", "--backbone", "tiny"],
    "classify": ["--labels", "red, blue", "--backbone", "tiny"],
    "localize": ["--labels", "red, blue", "--backbone", "tiny"],
    "index add": ["--index", "index", "--backbone", "tiny"],
}


@pytest.fixture(autouse=True)
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four contents, of which two are meant; one has a second name."""
    names = ("a.mp4", "yard/b.mp4", "yard/old/c.mp4", "@eaDir/a.mp4/SYNOPHOTO_FILM_M.mp4", "#recycle/deleted.mp4")
    for number, name in enumerate(names):
        write_video(tmp_path / "footage" / name, np.full((8, 32, 32, 3), 20 + 40 * number, np.uint8), 4)
    (tmp_path / "footage" / "link.mp4").symlink_to("a.mp4")
    monkeypatch.chdir(tmp_path)


def run(verb: str, *arguments: str):
    return CliRunner().invoke(app, [*verb.split(), *arguments, *VERBS[verb], "--device", "cpu"])


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_videos_in_every_verb(verb: str) -> None:
    result = run(verb, "footage", "--exclude", "yard/old", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    if isinstance(told, dict) and "videos" in told:
        told = told["videos"]
    count = len(told) if isinstance(told, list) else told.get("extracted", told.get("added"))
    assert count == 2, result.stdout


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("source", ["footage", "footage/a.mp4"])
def test_an_exclude_that_leaves_nothing_says_so(verb: str, source: str, tmp_path: Path) -> None:
    result = run(verb, source, "--exclude", "*.mp4", "--exclude", "yard")
    assert result.exit_code == 1, result.output
    said = result.stderr if result.stderr else str(result.exception)
    assert "left out by --exclude '*.mp4' --exclude 'yard'" in said
    assert not (tmp_path / "index").exists()
