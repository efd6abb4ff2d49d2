"""When a video was recorded, as its container says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from framecue.errors import VideoError
from framecue.video.guard import guarded_call
from framecue.video.source import Decoding, open_video

_KEYS = ("com.apple.quicktime.creationdate", "creation_time", "date_utc", "datetimeoriginal")
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
"""Cameras without a set clock write the year 1904 or 1970."""


def recording_date(path: Path, *, now: datetime | None = None) -> datetime | None:
    """The creation time in the file's header, with a time zone; None where there is none, or one that cannot be.

    Args:
        now: nothing is recorded later than this, a day aside for clocks and time zones.

    Raises:
        VideoError: the file cannot be read.
    """
    tags = guarded_call(_tags, path, None)
    return parse_date(next((tags[key] for key in _KEYS if tags.get(key)), None), now=now)


def _tags(path: Path, decoding: Decoding | None) -> dict[str, str]:
    with open_video(path, decoding) as source:
        return {key.lower(): value for key, value in {**source.stream.metadata, **source.container.metadata}.items()}


def parse_date(text: str | None, *, now: datetime | None = None) -> datetime | None:
    """ISO 8601 to a time; without a time zone it is UTC. None where that is no plausible time of a recording."""
    try:
        date = datetime.fromisoformat((text or "").strip())
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return date if _EARLIEST <= date <= (now or datetime.now(UTC)) + timedelta(days=1) else None


def date_of(path: Path, mtime_ns: int) -> datetime:
    """The recording date, else the file's modification time."""
    try:
        recorded = recording_date(path)
    except VideoError:
        recorded = None
    if recorded is not None:
        return recorded
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):  # a time stamp of absurd size
        return datetime.fromtimestamp(0, UTC)
