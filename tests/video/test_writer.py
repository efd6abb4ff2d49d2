"""What is written can be read back: size, times, pixels; and nothing is left half-written."""

from pathlib import Path

import av
import numpy as np
import pytest

from framecue.errors import VideoError
from framecue.video.writer import write_video


def smooth_frames(num_frames: int = 10, height: int = 48, width: int = 64) -> np.ndarray:
    """A bright bar that walks over a gradient."""
    ramp = np.linspace(30, 160, width, dtype=np.uint8)
    frames = np.broadcast_to(ramp[None, None, :, None], (num_frames, height, width, 3)).copy()
    for index in range(num_frames):
        frames[index, :, 4 * index : 4 * index + 8] = (200, 60, 60)
    return frames


def decode(path: Path) -> tuple[np.ndarray, list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.stack([frame.to_ndarray(format="rgb24", threads=1) for frame in frames]), [frame.time for frame in frames]


@pytest.mark.parametrize("fps", [12.0, 29.97])
@pytest.mark.parametrize("intra_only", [False, True])
def test_frames_and_times_survive(tmp_path: Path, fps: float, intra_only: bool) -> None:
    frames = smooth_frames()
    write_video(tmp_path / "new folder" / "bar.mp4", frames, fps, intra_only=intra_only)
    decoded, times = decode(tmp_path / "new folder" / "bar.mp4")
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4
    np.testing.assert_allclose(times, np.arange(10) / fps, atol=1e-3)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["bar.mp4"]


def test_both_layouts_of_channels_give_the_same_file(tmp_path: Path) -> None:
    frames = smooth_frames()
    write_video(tmp_path / "last.mp4", frames, 12)
    write_video(tmp_path / "first.mp4", frames.transpose(0, 3, 1, 2), 12)
    assert (tmp_path / "last.mp4").read_bytes() == (tmp_path / "first.mp4").read_bytes()


def test_images_one_by_one_give_the_same_file(tmp_path: Path) -> None:
    frames = smooth_frames()
    write_video(tmp_path / "at_once.mp4", frames, 12)
    write_video(tmp_path / "one_by_one.mp4", (image.transpose(2, 0, 1) for image in frames), 12)
    assert (tmp_path / "one_by_one.mp4").read_bytes() == (tmp_path / "at_once.mp4").read_bytes()


def test_images_one_by_one_are_checked_and_leave_nothing_half_written(tmp_path: Path) -> None:
    image = smooth_frames()[0]
    with pytest.raises(VideoError, match=r"bad\.mp4.*one size: the first is \[48, 64, 3\], frame 1 is \[46, 64, 3\]"):
        write_video(tmp_path / "bad.mp4", iter([image, image[:-2]]), 12)
    with pytest.raises(VideoError, match=r"bad\.mp4.*at least one image, got none"):
        write_video(tmp_path / "bad.mp4", iter([]), 12)
    with pytest.raises(VideoError, match=r"bad\.mp4.*must be uint8"):
        write_video(tmp_path / "bad.mp4", [image.astype(np.float32)], 12)
    assert list(tmp_path.iterdir()) == []


def test_intra_only_video_written_backwards_is_its_exact_reversal(tmp_path: Path) -> None:
    frames = smooth_frames()
    write_video(tmp_path / "forward.mp4", frames, 12, intra_only=True)
    write_video(tmp_path / "backward.mp4", frames[::-1], 12, intra_only=True)
    np.testing.assert_array_equal(decode(tmp_path / "forward.mp4")[0][::-1], decode(tmp_path / "backward.mp4")[0])


@pytest.mark.parametrize(
    ("frames", "rule"),
    [
        (np.zeros((4, 48, 64, 3), np.float32), "must be uint8"),
        (np.zeros((48, 64, 3), np.uint8), "must be uint8"),
        (np.zeros((0, 48, 64, 3), np.uint8), "T >= 1"),
        (np.zeros((4, 47, 64, 3), np.uint8), "even height and width"),
    ],
)
def test_wrong_frames_are_refused_by_name(tmp_path: Path, frames: np.ndarray, rule: str) -> None:
    with pytest.raises(VideoError, match=rf"bad\.mp4.*{rule}"):
        write_video(tmp_path / "bad.mp4", frames, 12)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(VideoError, match=r"taken\.mp4: cannot be written as video"):
        write_video(tmp_path / "taken.mp4", smooth_frames(), 12)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.mp4"]
