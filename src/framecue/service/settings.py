"""What a service allows: sizes, numbers and times."""

from dataclasses import dataclass
from pathlib import Path

MAX_TEXT_LETTERS = 1000
"""Of a query, a path pattern or a condition; text towers take far less and say so themselves."""
MAX_LABELS = 100
MAX_LABEL_LETTERS = 200
MAX_TOP_K = 200


@dataclass(frozen=True)
class ServiceSettings:
    """Bounds that keep one client from taking all of a machine.

    Attributes:
        max_upload_bytes: of one uploaded file.
        max_uploads: that are received or worked on at a time.
        max_upload_pixels: of all frames of an uploaded video together; about an hour of 1080p at 30 frames per second.
        upload_seconds: for receiving one upload.
        job_seconds: for one classify, localize or search by an uploaded example, from its start.
        query_seconds: for any other question.
        max_moment_seconds: of video transcoded for one request.
        max_cache_bytes: thumbnails and transcoded moments together.
        cache_folder: where they are kept; None = `cache` in the index folder, from which those of removed videos go.
        picture_workers: thumbnails and moments made at a time.
        max_waiting: requests that wait for one kind of work; more are sent away.
    """

    max_upload_bytes: int = 256 * 2**20
    max_uploads: int = 4
    max_upload_pixels: int = 250 * 10**9
    upload_seconds: float = 120.0
    job_seconds: float = 300.0
    query_seconds: float = 30.0
    max_moment_seconds: float = 60.0
    max_cache_bytes: int = 2**30
    cache_folder: Path | None = None
    picture_workers: int = 2
    max_waiting: int = 64
