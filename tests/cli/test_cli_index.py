"""`framecue index` as a user meets it: what goes to which stream, exit codes, kills and interruptions."""

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

from framecue.api.collection import open_index
from framecue.cli.main import VERBS, app
from framecue.video.writer import write_video

# The real command; `slow` seconds more for each chunk of frames behind the first `free` ones, each video committed by
# itself.
COMMAND = """
import time
import framecue.api.index_run as index_run
from framecue.backbone import Backbone
index_run._COMMIT_VIDEOS = index_run._MAX_WORKERS = 1
real = Backbone.encode_frames

calls = []

def slowly(self, frames):
    calls.append(1)
    time.sleep({slow} if len(calls) > {free} else 0)
    return real(self, frames)

Backbone.encode_frames = slowly
from framecue.cli.main import VERBS, main
VERBS.setdefault("index", "")
main()
"""


def command(*arguments: object, slow: float = 0.0, free: int = 0) -> list[str]:
    return [sys.executable, "-c", COMMAND.format(slow=slow, free=free), "index", *map(str, arguments)]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for seed in range(4):
        colors = np.random.default_rng(seed).integers(0, 256, (20, 1, 1, 3), dtype=np.uint8)
        write_video(tmp_path / "videos" / f"{seed}.mp4", np.broadcast_to(colors, (20, 32, 32, 3)).copy(), 4)
    return tmp_path / "videos"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(VERBS, "index", "Make a folder of videos searchable.")
    return lambda *arguments: CliRunner().invoke(app, ["index", *map(str, arguments)])


def wait_for(condition, process=None, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def num_videos(index: Path) -> int:
    return open_index(index).index.status().num_videos if (index / "collection.json").exists() else 0


def building(run, index):
    return json.loads(run("status", "--index", index, "--json").stdout)["building"]


def test_add_then_status_then_refresh(run, videos, index):
    first = run("add", videos, "--index", index, "--backbone", "tiny")
    assert first.exit_code == 0
    assert first.stdout.startswith("4 videos added (0:00:20 of video, 8 moments, ")
    assert f"next: framecue search 'a sentence' --index {index}" in first.stderr
    again = run("add", videos, "--index", index)
    assert "0 videos added" in again.stdout
    assert "4 unchanged" in again.stdout
    status = run("status", "--index", index)
    assert [line.split(":")[0] for line in status.stdout.splitlines()] == [
        *("index", "videos", "moments", "on disk", "search", "backbone", "adapter", "root"),
    ]
    assert "videos:      4 (0:00:20)" in status.stdout
    assert "moments:     8, of 4 s at every 2 s" in status.stdout
    (videos / "0.mp4").rename(videos / "zero.mp4")
    (videos / "1.mp4").unlink()
    refreshed = run("refresh", "--index", index)
    assert "2 unchanged, 1 moved, 1 removed" in refreshed.stdout
    assert "3 removed" in run("remove", videos, "--index", index).stdout


def test_json_stands_alone_on_standard_output(videos, index):
    name = videos / os.fsdecode(b"broken \xff\n<b>.mp4")
    name.write_text("no video")
    arguments = ("add", videos, "--index", index, "--backbone", "tiny", "--json")
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    assert done.returncode == 3
    summary = json.loads(done.stdout)
    assert (summary["added"], summary["unchanged"], summary["num_moments"], summary["total_seconds"]) == (4, 0, 8, 20)
    assert summary["skipped"][0]["path"] == str(name)
    assert "1 skipped:" in done.stderr
    assert "broken \\udcff\\n<b>.mp4: cannot be read as video" in done.stderr
    assert done.stderr.count("\n") == 2
    status = json.loads(subprocess.run(command("status", "--index", index, "--json"), capture_output=True).stdout)
    assert (status["num_videos"], status["building"], status["roots"]) == (4, None, [str(videos)])
    assert (status["backbone"], status["adapter"], status["neighbours"]) == ("tiny", None, "exact")


def test_metadata_come_from_a_file(run, videos, index, tmp_path):
    (tmp_path / "about.csv").write_text("video,camera,place\n0,3,hall\n1.mp4,4,\nabsent,5,yard\n")
    result = run("add", videos, "--index", index, "--backbone", "tiny", "--metadata", tmp_path / "about.csv")
    assert result.exit_code == 3
    assert "1 lines of metadata are about no video, or about several" in result.stderr
    assert "absent: no such video" in result.stderr
    assert "metadata:    camera (int), place (str)" in run("status", "--index", index).stdout
    held = {video.path.name: video.metadata for video in open_index(index).index.videos()}
    assert held["0.mp4"] == {"camera": 3, "place": "hall"}
    assert held["1.mp4"] == {"camera": 4}
    about = tmp_path / "about.csv"
    about.write_text(about.read_text().replace("3", "4"))
    again = run("add", videos, "--index", index, "--metadata", about)
    assert "(1 with other metadata)" in again.stdout
    assert "(1 with other" not in run("add", videos, "--index", index, "--metadata", about).stdout


def test_an_unmounted_disk_is_listed_and_nothing_dropped(run, videos, index, tmp_path):
    run("add", videos, "--index", index, "--backbone", "tiny")
    videos.rename(tmp_path / "elsewhere")
    result = run("refresh", "--index", index)
    assert result.exit_code == 3
    assert f"{videos}: it is not there, and its 4 indexed videos are kept" in result.stderr
    assert num_videos(index) == 4
    assert f"{videos} (not there now)" in run("status", "--index", index).stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (
            ["add", "{tmp}/absent.mp4", "--index", "{tmp}/new"],
            1,
            "Source {tmp}/absent.mp4 is not there; check the path.",
        ),
        (["add", "{tmp}/videos", "--index", "{tmp}/videos"], 1, "{tmp}/videos exists and is no moment index, found"),
        (["add", "{tmp}/videos", "--index", "{tmp}/new", "--window", "0"], 2, "A window must be a number of seconds"),
        (
            ["add", "{tmp}/videos", "--index", "{tmp}/new", "--metadata", "{tmp}/no.csv"],
            1,
            "{tmp}/no.csv cannot be read",
        ),
        (["status", "--index", "{tmp}/new"], 1, "There is no moment index in {tmp}/new; make one with: framecue index"),
        (["refresh", "--index", "{tmp}/new"], 1, "There is no moment index in {tmp}/new"),
        (["remove", "{tmp}/videos", "--index", "{tmp}/new"], 1, "There is no moment index in {tmp}/new"),
    ],
)
def test_errors_are_one_line(run, videos, tmp_path, arguments, exit_code, message):
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.startswith("framecue: error: " + message.format(tmp=tmp_path))
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_killed_run_loses_little_and_the_same_command_goes_on(run, videos, index):
    process = subprocess.Popen(command("add", videos, "--index", index, "--backbone", "tiny", slow=30, free=2))
    wait_for(lambda: num_videos(index) >= 2, process)
    wait_for(lambda: (building(run, index) or {}).get("videos_done", 0) >= 1, process)
    told = building(run, index)
    assert told["num_videos"] == 4
    assert told["current"].startswith(str(videos))
    second = run("add", videos, "--index", index)
    assert second.exit_code == 1
    assert f"is being written by process {process.pid}, since" in second.stderr
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = num_videos(index)
    assert 2 <= kept < 4
    assert building(run, index) is None
    result = run("add", videos, "--index", index)
    assert f"{4 - kept} videos added" in result.stdout
    assert f"{kept} unchanged" in result.stdout


def test_ctrl_c_is_one_line_and_keeps_what_is_finished(run, videos, index):
    arguments = command("add", videos, "--index", index, "--backbone", "tiny", slow=4, free=1)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: num_videos(index) >= 1, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert errors == "interrupted; what was finished is kept, run the same command again to go on\n"
    assert 1 <= num_videos(index) < 4
    assert not (index / "progress.json").exists()
    assert run("refresh", "--index", index).exit_code == 0
    assert num_videos(index) == 4


def test_help_says_what_is_needed(run):
    assert "Bring the index up to date" in run("--help").stdout
    text = run("add", "--help").stdout
    for option in (
        "--index",
        "--adapter",
        "--backbone",
        "--metadata",
        "--window",
        "--hop",
        "--exclude",
        "--include",
        "--json",
    ):
        assert option in text
