"""A cut shows just what the video shows in that part, for as long, in a form that browsers play."""

import resource
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from framecue.errors import UsageError, VideoError
from framecue.video.cut import cut_video
from framecue.video.reader import probe, read_video
from framecue.video.sampling import Sampling
from framecue.video.source import Decoding
from framecue.video.writer import write_video

ALL = Sampling("all")


def gray(level, size=(48, 64)):
    return np.full((*size, 3), level, np.uint8)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """40 frames at 10 fps, each a little lighter."""
    path = tmp_path_factory.mktemp("cuts") / "steps.mp4"
    write_video(path, [gray(20 + 5 * step) for step in range(40)], 10)
    return path


def levels(path):
    return read_video(path, ALL).frames.mean((1, 2, 3))


def test_exact_to_the_frame(steps, tmp_path):
    out = tmp_path / "new folder" / "cut.mp4"
    cut = cut_video(steps, out, 1.25, 2.0)
    video = read_video(out, ALL)
    assert levels(out) == pytest.approx(20 + 5 * np.arange(12, 20), abs=2)
    assert video.pts_seconds == pytest.approx([0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65], abs=1e-4)
    assert probe(out).duration_seconds == pytest.approx(0.75, abs=1e-3)
    assert (cut.path, cut.start_seconds, cut.end_seconds, cut.num_frames) == (out, 1.25, 2.0, 8)
    assert [file.name for file in out.parent.iterdir()] == ["cut.mp4"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 100, (0, 4)), (-3, 0.3, (0, 0.3)), (3.9, 4.5, (3.9, 4)), (3.95, 9, (3.95, 4)), (0, 1e-3, (0, 1e-3))],
)
def test_ends_beyond_the_video(steps, tmp_path, start, end, expected):
    cut = cut_video(steps, tmp_path / "cut.mp4", start, end)
    assert (cut.start_seconds, cut.end_seconds) == pytest.approx(expected)
    assert probe(cut.path).duration_seconds == pytest.approx(expected[1] - expected[0], abs=1e-3)


def test_a_variable_frame_rate_is_kept(tmp_path):
    ticks = [0, 10, 15, 60, 61, 140, 141, 142, 200]
    path, out = tmp_path / "vfr.mp4", tmp_path / "cut.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for step, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(gray(25 * step), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    cut_video(path, out, 0.5, 1.8)
    assert read_video(out, ALL).pts_seconds == pytest.approx([0, 0.1, 0.11, 0.9, 0.91, 0.92], abs=1e-4)
    assert levels(out) == pytest.approx([50, 75, 100, 125, 150, 175], abs=3)
    assert probe(out).duration_seconds == pytest.approx(1.3, abs=1e-3)


def test_browsers_can_play_it(steps, tmp_path):
    out = tmp_path / "cut.bin"
    cut_video(steps, out, 0.5, 2)
    data = out.read_bytes()
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"
    with av.open(str(out)) as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.name, context.pix_fmt, stream.start_time) == ("h264", "yuv420p", 0)
        assert (context.color_range, context.colorspace) == (1, 1)  # limited, BT.709
        assert not context.has_b_frames


@pytest.mark.parametrize("color", [(230, 20, 20), (20, 220, 30), (20, 30, 230), (250, 240, 20), (128, 128, 128)])
def test_colors_stay(tmp_path, color):
    path, out = tmp_path / "color.mp4", tmp_path / "cut.mp4"
    write_video(path, [np.full((64, 64, 3), color, np.uint8)] * 4, 4)
    cut_video(path, out, 0, 1)
    before, after = (read_video(file, ALL).frames[0].mean((1, 2)) for file in (path, out))
    assert after == pytest.approx(before, abs=4)


def test_height_and_even_sides(tmp_path):
    path, out = tmp_path / "large.mp4", tmp_path / "cut.mp4"
    write_video(path, [gray(90, (200, 302))] * 3, 5)
    for most, size in ((None, (302, 200)), (400, (302, 200)), (100, (152, 100)), (33, (50, 32)), (2, (4, 2))):
        cut_video(path, out, 0, 1, max_height=most)
        assert (probe(out).width, probe(out).height) == size


@pytest.mark.parametrize(
    "name", ["moviepy/bitmap.mp4", "torchcodec/testsrc2_odd_height_and_width_444.mp4", "decord/video_90.mov"]
)
def test_odd_and_turned_pictures(shared_data, tmp_path, name):
    source, out = shared_data / "videos/odd" / name, tmp_path / "cut.mp4"
    cut_video(source, out, 0, 1e6)
    for found, asked in ((probe(out).width, probe(source).width), (probe(out).height, probe(source).height)):
        assert found % 2 == 0
        assert abs(found - asked) <= 1


@pytest.mark.parametrize(
    "name",
    [
        "gradio/video_sample.avi",
        "gradio/video_sample.webm",
        "imageio/newtonscradle.gif",
        "small/webm.webm",
        "torchcodec/av1_video.mkv",
        "torchcodec/h264_10bits.mp4",
        "torchcodec/sine_stereo_mp2.mpg",
        "torchcodec/test_non_zero_start.mp4",
        "torchcodec/testsrc2_444_10bit_hevc.mp4",
        "torchcodec/bt709_full_range.mp4",
    ],
)
def test_real_files(shared_data, tmp_path, name):
    source, out = shared_data / "videos/odd" / name, tmp_path / "cut.mp4"
    video = read_video(source, ALL)
    first, last = float(video.pts_seconds[0]), float(video.pts_seconds[-1])
    start, end = first + 0.3 * (last - first), first + 0.7 * (last - first) + 1e-3
    cut = cut_video(source, out, start, end)
    row = int(np.searchsorted(video.pts_seconds, start, side="right")) - 1
    inside = np.unique(video.pts_seconds[(video.pts_seconds > start) & (video.pts_seconds < end)])
    written = read_video(out, ALL)
    assert cut.num_frames == len(written) == 1 + len(inside)
    assert written.pts_seconds[1:] == pytest.approx(inside - start, abs=1e-3)
    assert written.frames[0].mean((1, 2)) == pytest.approx(video.frames[row].mean((1, 2)), abs=4)


def test_what_cannot_be_cut_is_one_line_and_leaves_nothing(steps, tmp_path):
    out = tmp_path / "cut.mp4"
    for start, end, words in ((4.5, 9, "shows nothing from 4.5 to 9 s"), (-2, 0, "shows nothing")):
        with pytest.raises(VideoError, match=words):
            cut_video(steps, out, start, end)
    with pytest.raises(VideoError, match="no such file"):
        cut_video(tmp_path / "gone.mp4", out, 0, 1)
    for start, end in ((2, 2), (3, 2), (float("nan"), 2), (0, float("inf"))):
        with pytest.raises(UsageError, match="must end after it starts"):
            cut_video(steps, out, start, end)
    with pytest.raises(UsageError, match="max_height"):
        cut_video(steps, out, 0, 1, max_height=1)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_on_the_way_leaves_the_old_file(shared_data, tmp_path):
    out = tmp_path / "cut.mp4"
    out.write_bytes(b"old")
    damaged = shared_data / "videos/odd/decord/corrupted.mp4"
    with pytest.raises(VideoError, match=r"corrupted\.mp4: cannot be read as video"):
        cut_video(damaged, out, 0, 1e6, decoding=Decoding(strict=True))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_place_that_cannot_be_written_is_named(steps, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match=r"file/cut\.mp4: cannot be written as video"):
        cut_video(steps, tmp_path / "file" / "cut.mp4", 0, 1)


def test_a_full_disk_is_named_and_leaves_nothing(steps, tmp_path):
    """A limit on the size of files stands for the disk; of the worker, in a program of its own, as it stays."""
    rng = np.random.default_rng(0)
    noisy = tmp_path / "noisy.mp4"
    write_video(noisy, rng.integers(0, 256, (20, 240, 320, 3), dtype=np.uint8), 10)
    code = (
        "import resource, sys; from pathlib import Path; from framecue.video.cut import cut_video; "
        "from framecue.errors import VideoError; from framecue.video.reader import probe\n"
        "probe(sys.argv[1])\n"
        "children = [file.read_text().split() for file in Path('/proc/self/task').glob('*/children')]\n"
        "[worker] = sum(children, [])\n"
        "resource.prlimit(int(worker), resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: cut_video(sys.argv[1], sys.argv[2], 0, 2)\n"
        "except VideoError as error: print(error)\n"
    )
    out = tmp_path / "out" / "cut.mp4"
    done = subprocess.run([sys.executable, "-c", code, noisy, out], capture_output=True, text=True, check=True)
    assert f"{out}: cannot be written as video" in done.stdout, done.stderr
    assert list(out.parent.iterdir()) == []


def test_a_long_part_is_not_held(tmp_path):
    path = tmp_path / "long.mp4"
    write_video(path, (gray(step % 250, (480, 640)) for step in range(900)), 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cut_video(path, tmp_path / "cut.mp4", 0, 30).num_frames == 900
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 900 * 480 * 640 * 3 / 4
