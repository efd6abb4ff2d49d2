"""When a video was recorded, from hostile containers too."""

from datetime import UTC, datetime

import av
import numpy as np
import pytest

from framecue.video.recorded import date_of, parse_date, recording_date

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def write(path, **tags):
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_the_container_tells(tmp_path):
    path = write(tmp_path / "a.mp4", creation_time="2024-01-31T12:30:00Z")
    assert recording_date(path) == datetime(2024, 1, 31, 12, 30, tzinfo=UTC)
    assert date_of(path, 0) == datetime(2024, 1, 31, 12, 30, tzinfo=UTC)


def test_else_the_file_does(tmp_path):
    path = write(tmp_path / "a.mp4")
    assert recording_date(path) is None
    assert date_of(path, 86_400 * 10**9) == datetime(1970, 1, 2, tzinfo=UTC)
    assert date_of(path, 2**62) == datetime(2116, 2, 20, 23, 53, 38, 427388, tzinfo=UTC)
    assert date_of(path, 10**30) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-31T12:30:00.000000Z", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        ("2024-01-31 12:30:00", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        ("2024-01-31T12:30:00+0200", datetime(2024, 1, 31, 10, 30, tzinfo=UTC)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("1904-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2040-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_that_cannot_be_are_none(text, date):
    assert parse_date(text, now=NOW) == date
