"""`framecue data check` as a user meets it."""

import base64
import io
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fakes import ColorBackbone
from framecue.cli.data import Format
from framecue.cli.main import app
from framecue.config import DataFormat
from framecue.features.extract import extract
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


@pytest.fixture
def parted(tmp_path: Path) -> tuple[Path, Path]:
    """A manifest of six videos in two parts, one of them a small, coarse encoding of another; and their features."""
    lines = ["path,label,split"]
    for seed in range(6):
        draw = np.random.default_rng(seed)
        colors = draw.integers(0, 256, (3, 16, 2, 2, 3)).mean(axis=0)  # 16 frames of four fields
        frames = colors.repeat(24, axis=1).repeat(24, axis=2).astype(np.uint8)
        write_video(tmp_path / f"{seed}.mp4", frames, 8)
        lines.append(f"{seed}.mp4,run,{'train' if seed < 4 else 'test'}")
        if seed == 2:
            write_video(tmp_path / "copy.mp4", frames[:, ::2, ::2], 8, crf=40)
            lines.append("copy.mp4,run,test")
    manifest, store = tmp_path / "parted.csv", tmp_path / "features"
    manifest.write_text("\n".join(lines))
    extract(sorted(tmp_path.glob("*.mp4")), backbone=ColorBackbone(), store=store)
    return manifest, store


def test_near_copies_are_noted_and_shown_with_pictures(parted: tuple[Path, Path], tmp_path: Path) -> None:
    manifest, store = parted
    assert "near copies" not in run(manifest).stdout
    page = tmp_path / "near.html"
    result = run(manifest, "--store", store, "--report", page)
    assert result.exit_code == 0
    assert "\nnote: 1 pair of near copies\n" in result.stdout
    assert f"{tmp_path}/2.mp4 (train, 'run') and {tmp_path}/copy.mp4 (test, 'run')\n" in result.stdout
    assert result.stdout.endswith(f"Near copies, with pictures: {page}\n")
    html = page.read_text(encoding="utf-8")
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^ ]+) at', html)
    assert [name for _, name in pictures] == ["2.mp4"] * 4 + ["copy.mp4"] * 4
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data, _ in pictures]
    assert sizes == [(48, 48)] * 4 + [(24, 24)] * 4
    assert "http" not in html
    (near,) = json.loads(run(manifest, "--store", store, "--json").stdout)["near_copies"]
    assert near["similarity"] > 0.9
    assert [video["part"] for video in near["videos"]] == ["train", "test"]


def test_videos_without_features_are_said_and_a_report_needs_a_store(parted: tuple[Path, Path], tmp_path: Path) -> None:
    manifest, store = parted
    (tmp_path / "6.mp4").write_bytes((tmp_path / "5.mp4").read_bytes()[:-1] + b"x")
    manifest.write_text(manifest.read_text() + "\n6.mp4,run,test")
    page = tmp_path / "near.html"
    result = run(manifest, "--store", store, "--report", page)
    assert f"1 video has no features in {store} and was not compared; extract them with" in result.stdout
    result = run(manifest, "--report", page)
    assert (result.exit_code, "name them with --store FEATURES" in result.stderr) == (2, True)
    result = run(manifest, "--store", tmp_path / "nowhere")
    assert (result.exit_code, "nowhere is not there" in result.stderr) == (1, True)
