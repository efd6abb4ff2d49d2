"""What browsers play, and what is taken from strangers."""

import numpy as np
import pytest
from PIL import Image

from framecue.errors import VideoError
from framecue.video.containers import OTHER_MEDIA_TYPE, count_pixels, media_type
from framecue.video.writer import write_video


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.dat"  # what it is, its content says
    write_video(path.with_suffix(".mp4"), np.zeros((10, 32, 48, 3), np.uint8), 10)
    return path.with_suffix(".mp4").rename(path)


def test_a_written_video_plays_and_is_counted(film):
    assert media_type(film) == "video/mp4"
    assert count_pixels(film) == 10 * 32 * 48


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("video_sample.webm", "video/webm"),
        ("video_sample.avi", OTHER_MEDIA_TYPE),
        ("av1_video.mkv", "video/webm"),
        ("h265_video.mp4", OTHER_MEDIA_TYPE),
        ("h264_10bits.mp4", OTHER_MEDIA_TYPE),
        ("nasa_13013.mp4", "video/mp4"),
    ],
)
def test_real_files(shared_data, name, expected):
    assert media_type(next((shared_data / "videos").rglob(name))) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfilm.dat\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'film.dat'\n",
        b"a diary\n" * 100,
        b"",
    ],
)
def test_playlists_and_other_files_are_not_taken(film, content):
    """A playlist may name a video beside it that does decode."""
    path = film.with_name("list.mp4")
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"list\.mp4: cannot be read as video"):
        count_pixels(path)


def test_pictures_are_not_taken(tmp_path):
    for ending in ("png", "jpg", "bmp", "webp"):
        path = tmp_path / f"a.{ending}"
        Image.new("RGB", (16, 16)).save(path)
        with pytest.raises(VideoError, match="it is a still image"):
            count_pixels(path)
