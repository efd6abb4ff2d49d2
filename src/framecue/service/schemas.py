"""What the routes take and give, as OpenAPI shows it. Times are seconds, scores lie in [0, 1]."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from framecue.types import MetadataValue, Verdict

VIDEO_ID = r"^[0-9a-f]{64}$"
LABELS_TEXT = "Names with commas between them; names that hold commas in quotes, as in CSV."
VideoId = Annotated[str, Field(pattern=VIDEO_ID, description="SHA-256 of the file's bytes.")]


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: str


class Video(BaseModel):
    """What the index holds of a video.

    Times are on the player's axis, 0 where a player starts the file. `origin_seconds`: what the file's own clock says
    there. `notes`: how it was read, where that is worth knowing.
    """

    video_id: str
    name: str
    path: str
    duration_seconds: float
    origin_seconds: float
    notes: list[str]
    date: str
    metadata: dict[str, MetadataValue]
    video_url: str


class VideoAnswer(Video):
    """A video of the index.

    `playable`: browsers play it as it is; where not, ask for moments of it with `?as=mp4`. `missing`: the file is gone
    or may not be served. `changed`: it is another file than was indexed, not served until a refresh of the index.
    """

    playable: bool
    missing: bool
    changed: bool


class ListedVideo(Video):
    """A video in a list; whether it plays is not looked up there."""

    thumbnail_url: str


class VideoList(BaseModel):
    """`total` counts all that pass the filters."""

    total: int
    videos: list[ListedVideo]


class MomentAnswer(ListedVideo):
    """A part `[start_seconds, end_seconds)` of a video. `score` compares between queries, `similarity` within one.

    `is_match`: the score reaches the answer's `min_score`.
    """

    start_seconds: float
    end_seconds: float
    score: float
    similarity: float
    is_match: bool


class SearchAnswer(BaseModel):
    """Moments best first; those below `min_score` are no matches, and are the nearest there is.

    `verdict` is "nothing" only where most sentences about other things find nearer moments, and "unsure" between that
    and a match.
    """

    query: str
    nothing_matches: bool
    verdict: Verdict
    min_score: float
    num_videos: int
    exact: bool
    took_seconds: float
    moments: list[MomentAnswer]


class CurvesAnswer(BaseModel):
    """`scores[i][t]` is of label i between `edges_seconds[t]` and `edges_seconds[t + 1]`."""

    labels: list[str]
    edges_seconds: list[float]
    scores: list[list[float]]


class ClassifyAnswer(BaseModel):
    """Labels best first; `none_of_these` where the adapter's rule holds the video for something else.

    The scores add up to 1 over the labels asked for, so that where it is none of these they mean nothing. `calibration`
    says on how many videos they were calibrated, or why they are the model's own.
    """

    labels: list[str]
    scores: list[float]
    none_of_these: bool
    calibration: str


class SegmentAnswer(BaseModel):
    start_seconds: float
    end_seconds: float
    label: str | None
    score: float


class LocalizeAnswer(BaseModel):
    """Segments best first; none where nothing of the asked is seen."""

    duration_seconds: float
    labels: list[str]
    segments: list[SegmentAnswer]


class BuildingAnswer(BaseModel):
    """An index that is being added to right now, by any process."""

    videos_done: int
    num_videos: int
    current: str
    elapsed_seconds: float
    seconds_left: float | None


class StatusAnswer(BaseModel):
    """What the index in `folder` holds, and of what it was made."""

    folder: str
    num_videos: int
    num_moments: int
    total_seconds: float
    size_bytes: int
    neighbours: str
    recall_at_10: float | None
    roots: list[str]
    metadata_columns: dict[str, str]
    backbone: str
    adapter: str | None
    building: BuildingAnswer | None
    version: str


class HealthAnswer(BaseModel):
    status: str = "ok"


class VideoQuestion(BaseModel):
    """Labels to look for in an indexed video; without any, the adapter's own classes."""

    model_config = ConfigDict(extra="forbid")

    video_id: VideoId
    labels: list[str] | str | None = Field(None, description=f"A list, or a text: {LABELS_TEXT}")
