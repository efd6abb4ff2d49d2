"""`framecue data check` as a user meets it."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from framecue.cli.data import Format
from framecue.cli.main import app
from framecue.config import DataFormat
from framecue.video.writer import write_video


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for seed, name in enumerate(f"{label}/{i}.mp4" for label in ("run", "sit") for i in range(5)):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        color = np.full((4, 32, 32, 3), 20 * seed, dtype=np.uint8)
        write_video(path, color, 8)
    return tmp_path / "videos"


def test_formats_are_those_of_the_config() -> None:
    assert get_args(Format) == get_args(DataFormat)


def test_nothing_to_fix(videos: Path) -> None:
    result = run(videos)
    assert result.exit_code == 0
    assert "Nothing to fix: every listed video is there and opens." in result.stdout
    assert result.stderr == ""


def test_problems_go_to_standard_output_whole_and_a_summary_ends_them(videos: Path, tmp_path: Path) -> None:
    (videos / "run" / "broken\n[red]ü.mp4").write_text("no video")
    lines = ["path,label", *(f"{path},{path.parent.name}" for path in sorted(videos.rglob("[0-9].mp4")))]
    lines += [f"gone{i}.mp4,run" for i in range(300)]
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(lines))
    result = run(manifest)
    assert result.exit_code == 3
    assert "\n300 listed videos are not there\n" in result.stdout
    for i in range(300):
        assert f"\n  {manifest}:{12 + i}: {tmp_path}/gone{i}.mp4 is not there.\n" in result.stdout
    assert result.stdout.endswith("300 to fix: 300 listed videos are not there.\n")
    result = run(videos)
    assert result.exit_code == 3
    assert "\n1 video cannot be read\n" in result.stdout
    assert f"{videos}/run/broken\\n[red]ü.mp4: FFmpeg says" in result.stdout
    assert run(videos, "--quick").exit_code == 0


def test_json(videos: Path) -> None:
    (videos / "run" / "broken.mp4").write_text("no video")
    result = run(videos, "--json")
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert report["parts"]["all"] == {"run": {"listed": 6, "usable": 5}, "sit": {"listed": 5, "usable": 5}}
    assert list(report["problems"]) == ["unreadable"]
    assert (report["num_to_fix"], report["num_notes"], report["format"]) == (1, 0, "folder")


def test_config_with_changes(videos: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"out: {tmp_path}/out\ndata:\n  source: {tmp_path}/gone\n")
    assert run("--config", config, f"data.source={videos}", "data.classes=[run]").exit_code == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["{tmp}/gone"], 1, "{tmp}/gone does not exist."),
        (["{tmp}/bad.csv"], 1, "{tmp}/bad.csv:2: byte 0xe9 is not UTF-8"),
        (["{tmp}", "{tmp}"], 2, "Name one folder or manifest to check, or a run with --config RUN.yaml."),
        (["--quick"], 2, "Name one folder or manifest to check"),
        (["{tmp}", "--format", "ucf101"], 2, "--annotations must name the folder of split files when --format is"),
        (["--config", "{tmp}/run.yaml", "--format", "csv"], 2, "With --config, write changes as key=value"),
        (["--config", "{tmp}/run.yaml"], 1, "Config {tmp}/run.yaml cannot be read"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], exit_code: int, said: str) -> None:
    (tmp_path / "bad.csv").write_bytes(b"path,label\na.mp4,caf\xe9\n")
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.startswith("framecue: error: " + said.format(tmp=tmp_path))
    assert result.stderr.count("\n") == 1
