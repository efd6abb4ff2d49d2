"""`framecue extract` as a user meets it: what goes to which stream, exit codes, and instant help."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import framecue.backbone
from fakes import ColorBackbone
from framecue.cli.main import VERBS, app
from framecue.features.store import FeatureStore
from framecue.video.writer import write_video

# The real command with a small encoder in the place of a CLIP; `slow` seconds for each batch.
COMMAND = """
import sys, time
sys.path[:0] = [{tests!r}]
import framecue.backbone
from fakes import ColorBackbone

class Slow(ColorBackbone):
    def encode_frames(self, frames):
        time.sleep({slow})
        return super().encode_frames(frames)

framecue.backbone.load_backbone = lambda *args, **options: Slow()
from framecue.cli.main import main
main()
"""


def command(*arguments: str, slow: float = 0.0) -> list[str]:
    tests = str(Path(__file__).parents[1])
    return [sys.executable, "-c", COMMAND.format(tests=tests, slow=slow), *arguments]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for seed in range(4):
        colors = np.random.default_rng(seed).integers(0, 256, (20, 1, 1, 3), dtype=np.uint8)
        write_video(folder / f"{seed}.mp4", np.broadcast_to(colors, (20, 32, 32, 3)).copy(), 8)
    return folder


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(framecue.backbone, "load_backbone", lambda *args, **options: ColorBackbone())
    return CliRunner()


def test_json_stands_alone_on_standard_output(videos: Path, tmp_path: Path) -> None:
    (videos / "broken ü.mp4").write_text("no video")
    store = tmp_path / "store"
    done = subprocess.run(
        command("extract", str(videos), "--store", str(store), "--json"), capture_output=True, text=True
    )
    assert done.returncode == 3
    summary = json.loads(done.stdout)
    assert (summary["extracted"], summary["already_stored"], summary["num_frames"]) == (4, 0, 80)
    assert summary["skipped"][0]["path"] == str(videos / "broken ü.mp4")
    assert "1 skipped:" in done.stderr
    assert f"{videos / 'broken ü.mp4'}: cannot be read as video" in done.stderr


def test_a_rerun_finds_everything_stored(runner: CliRunner, videos: Path, tmp_path: Path) -> None:
    arguments = ["extract", str(videos), "--store", str(tmp_path / "store")]
    first, second = runner.invoke(app, arguments), runner.invoke(app, arguments)
    assert first.exit_code == second.exit_code == 0
    assert "4 videos extracted (80 frames, " in first.stdout
    assert "0 videos extracted" in second.stdout
    assert "4 stored before, 0 skipped" in second.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["{tmp}/absent.mp4", "--store", "{tmp}/store"], 1, "Source {tmp}/absent.mp4 is not there; check the path."),
        (["{tmp}/empty", "--store", "{tmp}/store"], 1, "Folder {tmp}/empty holds no file with a video ending"),
        (["{tmp}/videos", "--store", "{tmp}/videos"], 1, "{tmp}/videos exists and is no feature store"),
        (["{tmp}/videos", "--store", "{tmp}/store", "--sampling", "often"], 2, "Sampling 'often' is not known; use"),
    ],
)
def test_errors_are_one_line(
    runner: CliRunner, videos: Path, tmp_path: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    result = runner.invoke(app, ["extract", *(argument.format(tmp=tmp_path) for argument in arguments)])
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.startswith("framecue: error: " + message.format(tmp=tmp_path))
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_another_maker_is_one_line(runner: CliRunner, videos: Path, tmp_path: Path) -> None:
    arguments = ["extract", str(videos), "--store", str(tmp_path / "store")]
    runner.invoke(app, arguments)
    result = runner.invoke(app, [*arguments, "--sampling", "fps:2"])
    assert result.exit_code == 1
    assert "sampling is fps:8 there, fps:2 here" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_full_disk_outside_the_store_is_one_line(
    runner: CliRunner, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/full")

    monkeypatch.setattr("framecue.features.extract.extract", full)
    result = runner.invoke(app, ["extract", str(videos), "--store", str(tmp_path / "store")])
    assert result.exit_code == 1
    assert result.stderr.strip() == (
        "framecue: error: The disk is full (/tmp/full); free some space and run the same command again."
    )


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(videos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    arguments = ["extract", str(videos), "--store", str(store), "--batch-frames", "4"]
    process = subprocess.Popen(command(*arguments, slow=0.2), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not store.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(2.2)  # one video, 5 batches of 0.2 s, is finished by now, and not all four
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert errors == "interrupted; what was finished is kept, run the same command again to go on\n"
    assert 1 <= FeatureStore.read_only(store).info().num_videos < 4
    again = subprocess.run(command(*arguments), capture_output=True, text=True)
    assert again.returncode == 0
    assert FeatureStore.read_only(store).info().num_videos == 4


def test_a_closed_pipe_is_quiet(videos: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = command("extract", str(videos), "--store", str(tmp_path / "store"), "--json")
    done = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""


def test_wrong_usage_has_exit_code_2() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["extract", "a.mp4"]).exit_code == 2
    result = runner.invoke(app, ["extrct"])
    assert result.exit_code == 2
    assert "Did you mean 'extract'?" in result.stderr


def test_help_lists_every_verb_and_each_verb_has_help() -> None:
    runner = CliRunner()
    overview = runner.invoke(app, ["--help"])
    assert overview.exit_code == 0
    for verb, help_line in VERBS.items():
        assert f"  {verb}" in overview.stdout
        assert len(help_line) <= 60  # else the help cuts it off
        assert runner.invoke(app, [verb, "--help"]).exit_code == 0


@pytest.mark.parametrize("arguments", [[], *([verb] for verb in VERBS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['framecue', *{arguments!r}, '--help']\n"
        "from framecue.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'lance', 'av', 'numpy', 'pyarrow', 'matplotlib', 'rich', 'yaml'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")
