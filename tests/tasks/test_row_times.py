"""Rows outside their videos: left out by line with the guess, or refused where most are; one rule in all tasks."""

import json
from pathlib import Path

import numpy as np
import pytest

from fakes import ColorBackbone
from framecue.config import RunConfig
from framecue.datasets.part_times import outside_sentence
from framecue.errors import DatasetError
from framecue.tasks.localization_data import prepare_localization
from framecue.tasks.recognition_data import prepare
from framecue.tasks.retrieval_data import prepare_retrieval
from framecue.video.writer import write_video

FPS, SECONDS = 10, 2.0
PREPARE = {"recognition": prepare, "localization": prepare_localization, "retrieval": prepare_retrieval}


def run(folder: Path, task: str, rows: list[tuple[float, float]], durations: bool = False, tested: int = 0):
    """The data of a run with a video for each row, of two labels in turn; the last so many are to be measured."""
    rng = np.random.default_rng(0)
    frames = round(FPS * SECONDS)
    for number in range(len(rows)):
        write_video(folder / f"v{number}.mp4", rng.integers(0, 255, (frames, 32, 32, 3), dtype=np.uint8), FPS)
    key, video = ("caption", "path") if task == "retrieval" else ("label", "path")
    lines = [
        {video: f"v{number}.mp4", key: f"label {number % 2}", "start": start, "end": end}
        | ({"duration": SECONDS} if durations else {})
        | ({"subset": "training" if number < len(rows) - tested else "testing"} if task == "localization" else {})
        for number, (start, end) in enumerate(rows)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = {"source": str(path), "val_fraction": 0}
    values = {"task": task, "out": str(folder / "run"), "data": data, "retrieval": {"truncate": False}}
    if task == "localization":
        values |= {"localization": {"test_subset": "testing" if tested else None}}
        data |= {"source": str(folder), "annotations": str(path)}
    return PREPARE[task](RunConfig.model_validate(values), ColorBackbone())


CASES = [("recognition", False), ("retrieval", False), ("localization", False), ("localization", True)]


@pytest.mark.parametrize(("task", "durations"), CASES)
def test_a_row_outside_its_video_is_left_out_by_line(tmp_path, task, durations):
    rows = [(0, 1)] * 6
    rows[3] = (5, 15)
    data = run(tmp_path, task, rows, durations)
    told = (
        "rows.jsonl:4: 5 to 15 s, but the video lasts 2 s; if these are frame numbers, divide by the frame rate of 10"
    )
    if task == "localization":
        assert sum(len(video.segments) for video in data.train.videos) == 5
        (line,) = [line for line in data.notes if "left out" in line]
        assert told.partition(";")[0] in line
    else:
        assert sum(map(len, (data.train, data.val, data.test))) == 5
        (skipped,) = data.skipped
        assert skipped.path == tmp_path / "v3.mp4"
        assert skipped.reason == f"left out, {tmp_path}/{told}: 0.5 to 1.5 s"


@pytest.mark.parametrize(("task", "durations"), CASES)
def test_rows_that_are_mostly_outside_are_refused(tmp_path, task, durations):
    with pytest.raises(DatasetError) as caught:
        run(tmp_path, task, [(0, 1), (0, 1), *[(50, 60)] * 4], durations)
    what = "segments" if task == "localization" else "entries"
    assert str(caught.value) == (
        f"{tmp_path}/rows.jsonl:3: 50 to 60 s, but the video lasts 2 s; are these frame numbers, or times of another "
        f"clock? 4 of the 6 {what} lie outside their videos, too many to leave out. Write times in seconds."
    )


def test_actions_that_cannot_be_found_are_told(tmp_path):
    data = run(tmp_path, "localization", [(0, 1)] * 5 + [(50, 60)], tested=1)
    (line,) = [line for line in data.notes if "cannot be found" in line]
    assert line.startswith("Actions beyond the features of videos to be measured, which count and cannot be found: 1 (")
    assert "rows.jsonl:6: 50 to 60 s, but the video lasts 2 s; are these frame numbers" in line


def test_rows_that_reach_beyond_their_videos_are_told(tmp_path):
    data = run(tmp_path, "recognition", [(0, 2), (0, 20), (0, 20), (0, 2.3)])
    (line,) = [line for line in data.parting if "beyond" in line]
    assert line == (
        f"Parts that reach beyond their videos, and end with them: 2 of 4 (first: {tmp_path}/rows.jsonl:2: 0 to 20 s, "
        "but the video lasts 2 s; if these are frame numbers, divide by the frame rate of 10: 0 to 2 s)."
    )


def test_the_readers_reason_survives_where_nothing_is_left(tmp_path):
    path = tmp_path / "ground_truth.json"
    entries = [{"segment": [5, 3], "label": "run"}, {"segment": [0, "x"], "label": "sit"}]
    path.write_text(json.dumps({"database": {"v0": {"subset": "training", "annotations": entries}}}))
    (tmp_path / "v0.mp4").touch()
    values = {"task": "localization", "out": str(tmp_path / "run"), "data": {"source": str(tmp_path)}}
    config = RunConfig.model_validate(values | {"localization": {"test_subset": None}})
    with pytest.raises(DatasetError) as caught:
        prepare_localization(config, ColorBackbone())
    assert str(caught.value) == (
        f"{path}: no segment of 'training' is left to train on: 1 segment has no finite times: left out (video 'v0', "
        "segment 2: 0 to 'x'); 1 segment ends no later than it begins: left out (video 'v0', segment 1: 5 to 3 s)."
    )


@pytest.mark.parametrize(
    ("start", "end", "duration", "fps", "guess"),
    [
        (500, 750, 40.0, 25, "if these are frame numbers, divide by the frame rate of 25: 20 to 30 s"),
        (500, None, 40.0, 29.97003, "if these are frame numbers, divide by the frame rate of 29.97: 16.68 s"),
        (12_000, 15_500, 20.0, 25, "if these are milliseconds, divide by 1000: 12 to 15.5 s"),
        (50, 60, 2.0, None, "are these frame numbers, or times of another clock?"),
        (12.5, 13.5, 2.0, 25, "are these times of another clock? They are seconds from where a player starts"),
    ],
)
def test_the_guess(start, end, duration, fps, guess):
    assert outside_sentence(start, end, duration, fps).partition("; ")[2] == guess
