"""Files that take their worker down: one line, remembered until they change or a retry is asked for."""

import os
from pathlib import Path

import numpy as np
import pytest
from poison import die

from framecue.errors import VideoError
from framecue.video import guard
from framecue.video.guard import guarded_call, guarded_stream, memory_path
from framecue.video.reader import probe
from framecue.video.source import Decoding
from framecue.video.writer import write_video


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "a.mp4"
    write_video(path, np.zeros((4, 16, 16, 3), dtype=np.uint8), 4)
    return path


def test_a_file_that_crashed_is_not_tried_again_until_it_changes(video: Path) -> None:
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be read as video: the decoder crashed .*SIGSEGV"):
        guarded_call(die, video, None, "crash")
    with pytest.raises(VideoError, match=r"crashed .* when it was read before; convert it anew"):
        probe(video)
    assert probe(video, Decoding(retry=True)).width == 16
    assert probe(video).width == 16
    with pytest.raises(VideoError, match="crashed"):
        guarded_call(die, video, None, "crash")
    os.utime(video, ns=(1, 1))
    assert probe(video).width == 16


def test_streams_are_guarded_too(video: Path) -> None:
    steps = guarded_stream(die, video, None, "crash")
    with pytest.raises(VideoError, match="crashed"):
        next(steps)


def test_a_worker_that_was_killed_condemns_no_file(video: Path) -> None:
    with pytest.raises(VideoError, match="killed from outside"):
        guarded_call(die, video, None, "kill")
    assert not memory_path().exists()
    assert probe(video).width == 16


def test_a_damaged_memory_and_a_home_without_rights_are_no_obstacle(video: Path) -> None:
    memory_path().parent.mkdir(parents=True)
    memory_path().write_text("{")
    assert probe(video).width == 16
    memory_path().unlink()
    memory_path().mkdir()
    with pytest.raises(VideoError, match="crashed"):
        guarded_call(die, video, None, "crash")
    assert probe(video).width == 16


def test_what_is_remembered_is_bounded(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MOST_REMEMBERED", 2)
    for number in range(3):
        os.utime(video, ns=(number, number))
        with pytest.raises(VideoError):
            guarded_call(die, video, None, "crash")
    assert probe(video, Decoding(retry=True)).width == 16
    os.utime(video, ns=(0, 0))
    assert probe(video).width == 16
