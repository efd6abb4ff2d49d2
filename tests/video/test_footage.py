"""The reader against the corpus of generated footage: times, streams, sizes, colors and damage as footage_expected.json
wants them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footage import Footage, number_of
from footage_corpus import CORPUS

from framecue.errors import VideoError
from framecue.types import FrameBatch
from framecue.video.reader import VideoInfo, VideoSummary, probe, read_frames, read_video
from framecue.video.sampling import Sampling, fps_indices, uniform_indices
from framecue.video.source import Decoding

ALL = Sampling("all")
EXPECTED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("footage_expected.json").read_text())
READ = [footage for footage in CORPUS if footage.size is not None]
REFUSED = [footage for footage in CORPUS if footage.size is None]


def by_name(footage: Footage) -> str:
    return footage.name


def test_the_table_is_that_of_the_corpus() -> None:
    names = [footage.name for footage in CORPUS]
    assert len(names) == len(set(names)) >= 60
    assert set(EXPECTED) == {"about", *names}
    assert all(
        set(row) - {"kind", "how", "within_levels"} == set(row["how"]) for row in EXPECTED.values() if "how" in row
    )


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A video of the corpus, and what is wanted of it."""
    path = tmp_path / request.param.name
    request.param.make(path)
    return path, EXPECTED[path.name]


def unrolled(runs: list[list[float]]) -> list[float]:
    return [first + step * i for first, step, count in runs for i in range(count)]


def read_all(path: Path) -> tuple[VideoInfo, FrameBatch, VideoSummary]:
    reading = read_frames(path, ALL, chunk_frames=1000)
    [batch] = list(reading)
    return reading.info, batch, reading.summary


def pictures_of(batch: FrameBatch) -> np.ndarray:
    return batch.frames.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("made", READ, ids=by_name, indirect=True)
def test_footage_is_read_as_a_player_shows_it(made: tuple[Path, dict[str, Any]]) -> None:
    path, row = made
    info, batch, summary = read_all(path)
    pictures = pictures_of(batch)

    assert info.stream_index == row["stream"]
    assert [info.width, info.height] == row["size"] == [pictures.shape[2], pictures.shape[1]]
    assert info.rotation_degrees == row.get("rotation_degrees", 0)

    times = np.array(unrolled(row["times"]))
    assert len(batch.pts_seconds) == len(times)
    np.testing.assert_allclose(batch.pts_seconds, times, atol=0.001)
    last = row["duration_seconds"] - times[-1]
    assert abs(summary.duration_seconds - row["duration_seconds"]) < max(0.002, last / 2)
    assert summary.num_clock_jumps == row.get("jumps", 0)
    if "numbers" in row:
        assert [number_of(picture) for picture in pictures] == unrolled(row["numbers"])
    for frame, spots in row.get("pictures", {}).items():
        assert_colors(pictures[int(frame)], spots, row["within_levels"])
    assert_damage(path, summary, row)

    described = probe(path)
    assert described == info or info.duration_seconds is None
    if row["kind"] != "damage":  # headers of AVI and NUT leave the last frame out, or what a decoder holds back
        assert described.duration_seconds == pytest.approx(row["duration_seconds"], abs=last + 0.002)


@pytest.mark.parametrize("made", [one for one in READ if one.kind == "clock"], ids=by_name, indirect=True)
def test_sampling_follows_the_same_clock(made: tuple[Path, dict[str, Any]]) -> None:
    path, row = made
    times = np.array(unrolled(row["times"]))
    few = read_video(path, Sampling("uniform", 5))
    np.testing.assert_allclose(few.pts_seconds, times[uniform_indices(len(times), 5)], atol=0.001)
    numbers = np.array(unrolled(row["numbers"]))
    assert [number_of(one) for one in pictures_of(few)] == numbers[uniform_indices(len(times), 5)].tolist()
    steady = read_video(path, Sampling("fps", 5))
    np.testing.assert_allclose(steady.pts_seconds, times[fps_indices(times, 5)], atol=0.001)


@pytest.mark.parametrize("made", [one for one in READ if one.kind == "damage"], ids=by_name, indirect=True)
def test_a_damaged_file_is_sampled_from_what_decodes(made: tuple[Path, dict[str, Any]]) -> None:
    path, row = made
    times, numbers = np.array(unrolled(row["times"])), unrolled(row["numbers"])
    number_at = dict(zip(np.round(times, 2), numbers, strict=True))
    for sampling in (Sampling("uniform", 5), Sampling("fps", 5)):
        batch = read_video(path, sampling)
        assert len(batch) >= 5
        for seconds, picture in zip(batch.pts_seconds, pictures_of(batch), strict=True):
            assert number_of(picture) == number_at[round(float(seconds), 2)]


def test_another_stream_can_be_named(tmp_path: Path) -> None:
    [footage] = [one for one in CORPUS if one.name == "default_second.mkv"]
    path = tmp_path / footage.name
    footage.make(path)
    for stream, is_gray in ((None, False), (0, True), (1, False)):
        reading = read_frames(path, ALL, decoding=Decoding(stream))
        batch = next(iter(reading))
        assert (np.abs(batch.frames[0].astype(int) - 128).max() < 4) == is_gray
        assert reading.info.stream_index == (1 if stream is None else stream)
    with pytest.raises(VideoError, match=r"it has no video stream 2; choose one of its video streams: 0, 1\."):
        probe(path, Decoding(2))


@pytest.mark.parametrize("made", REFUSED, ids=by_name, indirect=True)
def test_footage_that_holds_no_pictures_is_refused(made: tuple[Path, dict[str, Any]]) -> None:
    path, row = made
    for verb in (probe, lambda path: read_video(path, ALL), lambda path: read_video(path, Sampling("uniform", 4))):
        with pytest.raises(VideoError, match=re.escape(row["refused"])) as refused:
            verb(path)
        assert str(refused.value).startswith(f"{path}: cannot be read as video: ")
        assert "\n" not in str(refused.value)


def assert_colors(picture: np.ndarray, spots: list[list[float]], within: int) -> None:
    """The middle of each patch has its color."""
    height, width, _ = picture.shape
    found = np.array([picture[int(y * height), int(x * width)] for x, y, *_ in spots], dtype=float)
    wanted = np.array([color for _, _, *color in spots])
    off = np.abs(found - wanted).max(axis=1)
    assert (off <= within).all(), f"found {found[off > within].tolist()}, wanted {wanted[off > within].tolist()}"


def assert_damage(path: Path, summary: VideoSummary, row: dict[str, Any]) -> None:
    """What is missing is said in seconds, and refused in strict mode; what is whole is not."""
    said = [note for note in summary.notes if "clock jumps" not in note]
    if "missing_seconds" not in row:
        assert said == []
        assert len(read_video(path, ALL, Decoding(strict=True))) > 0
        return
    assert said
    if row["missing_seconds"]:
        seconds = [float(text) for note in said for text in re.findall(r"(\d+\.\d+) s", note)]
        assert any(abs(value - row["missing_seconds"]) <= 0.15 for value in seconds), said
    with pytest.raises(VideoError) as refused:
        read_video(path, ALL, Decoding(strict=True))
    assert str(refused.value).startswith(f"{path}: cannot be read as video: ")
