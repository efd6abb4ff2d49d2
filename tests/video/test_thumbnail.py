"""A thumbnail is the frame the reader gives for that time, upright and small, of any file that can be read."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from framecue.errors import UsageError, VideoError
from framecue.video.reader import read_video
from framecue.video.sampling import Sampling
from framecue.video.shown import frames_from
from framecue.video.thumbnail import thumbnail_jpeg
from framecue.video.writer import write_video

ALL = Sampling("all")
ODD = "videos/odd/"


def opened(jpeg):
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    return np.asarray(picture.convert("RGB")).astype(int)


def gray(level, size=(48, 64)):
    return np.full((*size, 3), level, np.uint8)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """40 frames at 10 fps, each a little lighter, keyframes every 12."""
    path = tmp_path_factory.mktemp("thumbnails") / "steps.mp4"
    write_video(path, [gray(20 + 5 * step) for step in range(40)], 10)
    return path


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(-5, 0), (0, 0), (0.0999, 0), (0.1, 1), (1.25, 12), (2.0, 20), (3.9, 39), (3.95, 39), (1e9, 39)],
)
def test_the_frame_on_screen_at_that_time(steps, seconds, step):
    assert opened(thumbnail_jpeg(steps, seconds)).mean() == pytest.approx(20 + 5 * step, abs=2)


def test_sizes(steps, tmp_path):
    assert opened(thumbnail_jpeg(steps, 1)).shape == (48, 64, 3)  # never enlarged
    assert opened(thumbnail_jpeg(steps, 1, width=16)).shape == (12, 16, 3)
    assert opened(thumbnail_jpeg(steps, 1, width=1)).shape == (1, 1, 3)
    tall = tmp_path / "tall.mp4"
    write_video(tall, [gray(100, (1024, 16))], 1)
    assert opened(thumbnail_jpeg(tall, 0, width=16)).shape == (64, 1, 3)
    assert len(thumbnail_jpeg(steps, 1)) < 4000


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(90, (64, 64)), format="rgb24")))
        container.mux(stream.encode())
    assert opened(thumbnail_jpeg(path, 0)).shape == (64, 128, 3)


@pytest.mark.parametrize(
    "name",
    [
        "decord/video_90.mov",
        "decord/video_180.mov",
        "gradio/video_sample.avi",
        "gradio/video_sample.webm",
        "matroska/no_DocType.mkv",
        "moviepy/bitmap.mp4",
        "torchcodec/animated.gif",
        "torchcodec/h264_10bits.mp4",
        "torchcodec/sine_stereo_mp2.mpg",
        "torchcodec/test_non_zero_start.mp4",
        "torchcodec/testsrc2_444_10bit_hevc.mp4",
        "torchcodec/testsrc2_odd_height_and_width_vp9_10bit.mp4",
    ],
)
def test_frames_are_those_of_the_reader(shared_data, name):
    path = shared_data / ODD / name
    video = read_video(path, ALL)
    last = len(video) - 1
    for row in {0, last // 3, last // 2, last}:
        seconds = float(video.pts_seconds[row])
        row = int(np.searchsorted(video.pts_seconds, seconds, side="right")) - 1  # of equal times the last
        shown = next(frames_from(path, seconds))
        np.testing.assert_array_equal(shown.picture.shown(), video.frames[row].transpose(1, 2, 0))
        assert shown.seconds == pytest.approx(seconds)
    height, width = video.frames.shape[2:]
    jpeg = opened(thumbnail_jpeg(path, float(video.pts_seconds[last]) + 100, width=width))
    assert jpeg.shape[:2] == (height, width)
    assert np.abs(jpeg.mean((0, 1)) - video.frames[last].mean((1, 2))).max() < 3


def test_all_frames_after_that_time_follow(steps):
    times = [frame.seconds for frame in frames_from(steps, 2.55)]
    assert times == pytest.approx(np.arange(25, 40) / 10)
    assert [frame.end_seconds for frame in frames_from(steps, 3.9)] == pytest.approx([4.0])


def test_a_long_file_without_exact_times_is_entered_near(tmp_path):
    path = tmp_path / "long.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, options={"g": "20"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for step in range(600):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(step // 3), format="rgb24")))
        container.mux(stream.encode())
    for seconds in (10, 45, 59.9, 200):
        level = min(seconds, 59.9) * 10 // 3
        assert opened(thumbnail_jpeg(path, seconds)).mean() == pytest.approx(level, abs=3)


def test_what_cannot_be_shown_is_one_line(steps, tmp_path):
    for path in (tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(VideoError, match="cannot be read as video") as error:
            thumbnail_jpeg(path, 0)
        assert "\n" not in str(error.value)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(steps.read_bytes()[:900])
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        thumbnail_jpeg(broken, 1)
    for seconds in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="finite"):
            thumbnail_jpeg(steps, seconds)
    with pytest.raises(UsageError, match="1 pixel"):
        thumbnail_jpeg(steps, 0, width=0)
