"""Checked dataclasses that cross the borders between rooms.

Shape alphabet, here and everywhere: B batch, T time, L tokens, D embedding, N texts, K segments, C channels, H W
pixels.
Times are seconds on the player's axis, 0 where a player starts the file; intervals are half-open `[start, end)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Decoded frames of one video.

    Attributes:
        frames: uint8 RGB [T, C=3, H, W].
        pts_seconds: float64 [T], presentation time of each frame, not decreasing.
    """

    frames: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 [T, 3, H, W], got {self.frames.dtype} {list(self.frames.shape)}.")
        if self.pts_seconds.shape != (len(self.frames),):
            raise ValueError(f"pts_seconds must be [{len(self.frames)}], got {list(self.pts_seconds.shape)}.")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        span = f"{self.pts_seconds[0]:.3f}..{self.pts_seconds[-1]:.3f} s" if len(self) else "empty"
        return f"FrameBatch(frames={list(self.frames.shape)}, {span})"


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """Image-tower outputs for sampled frames of one video, before any temporal modelling, not normalised.

    Attributes:
        frame_features: float32 [T, D].
        pts_seconds: float64 [T], presentation time of each frame.
        duration_seconds: end of the whole video.
        origin_seconds: what the file's own clock says where the player's axis begins.
        notes: what a user should know of how the file was read, a sentence each.
    """

    frame_features: npt.NDArray[np.float32]
    pts_seconds: npt.NDArray[np.float64]
    duration_seconds: float
    origin_seconds: float = 0.0
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.frame_features.ndim != 2:
            raise ValueError(f"frame_features must be [T, D], got {list(self.frame_features.shape)}.")
        if self.pts_seconds.shape != (len(self.frame_features),):
            raise ValueError(f"pts_seconds must be [{len(self.frame_features)}], got {list(self.pts_seconds.shape)}.")

    def __len__(self) -> int:
        return len(self.frame_features)

    def __repr__(self) -> str:
        shape = list(self.frame_features.shape)
        return f"FrameFeatures(frame_features={shape}, duration_seconds={self.duration_seconds:.3f})"


@dataclass(frozen=True)
class Record:
    """One labelled video, or one labelled `[start_seconds, end_seconds)` part of it.

    Attributes:
        path: the video file.
        label: class name as a person would say it ("brush hair"), or None when unlabelled.
        split: "train", "val", "test", or None when the source does not say.
        start_seconds, end_seconds: the part that is meant; None = from the beginning, to the end.
        origin: where this record was read, "file:line" or the folder, for error messages.
    """

    path: Path
    label: str | None
    split: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Noted:
    """A file that was read, and what a user should know of how: what is missing, where its clock jumps."""

    path: Path
    sentence: str


@dataclass(frozen=True)
class Skipped:
    """An input that was left out, and the one-line reason.

    Attributes:
        passed_over: nobody asked for it, so it is told and no failure.
    """

    path: Path
    reason: str
    passed_over: bool = False

    @classmethod
    def because(cls, path: Path, error: Exception) -> "Skipped":
        """The error's message as the reason; lists print it behind the path, so the path is not said twice."""
        return cls(path, str(error).removeprefix(f"{path}: ").removeprefix(f"{str(path)!r}: "))


@dataclass(frozen=True)
class Classification:
    """What `classify` says of one video: `labels` and their probabilities, best first.

    Attributes:
        none_of_these: the adapter's rule holds the video for one of another class; always False without such a rule, or
            when it was asked for other names than it was fitted on.
        notes: what a user should know of how the file was read, a sentence each.
        calibration: on how many videos the probabilities were calibrated, or why they are the model's own.
    """

    path: Path
    labels: Sequence[str]
    scores: Sequence[float]
    none_of_these: bool = False
    notes: Sequence[str] = ()
    calibration: str = ""


@dataclass(frozen=True)
class Segment:
    """A labelled `[start_seconds, end_seconds)` part of a video.

    Attributes:
        origin: where it was read, for error messages; it tells no segment from another.
    """

    start_seconds: float
    end_seconds: float
    label: str
    origin: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class ScoredSegment:
    """A part of a video that was found in it, not annotated.

    Attributes:
        label: its class name; None for a proposal, which has none.
        score: the higher, the surer; comparable among the segments of one program's one run.
    """

    start_seconds: float
    end_seconds: float
    label: str | None
    score: float


@dataclass(frozen=True)
class AnnotatedVideo:
    """An untrimmed video and the actions in it.

    Attributes:
        video_id: its name in annotation and prediction files.
        duration_seconds: None where the annotation does not say.
        subset: as the annotation file names it ("validation", "Test"), or None.
        segments: actions in the order of the file.
        path: the video file, None where there is none at hand.
        origin: where it was read, for error messages.
    """

    video_id: str
    duration_seconds: float | None
    subset: str | None
    segments: tuple[Segment, ...]
    path: Path | None = None
    origin: str = ""


@dataclass(frozen=True, eq=False)
class ScoreCurves:
    """How strongly each label is seen at each time of a video, for pictures.

    Attributes:
        edges_seconds: float64 [T + 1], bounds of the T cells, increasing.
        scores: float32 [T, N] in [0, 1].
        labels: the N names.
    """

    edges_seconds: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    labels: Sequence[str]

    def __post_init__(self) -> None:
        shape = (len(self.edges_seconds) - 1, len(self.labels))
        if self.scores.shape != shape:
            raise ValueError(f"scores must be {list(shape)}, got {list(self.scores.shape)}.")


@dataclass(frozen=True, eq=False)
class Localization:
    """What `localize` says of one video: segments best first; none where nothing of the asked is in it.

    Attributes:
        labels: the names that were asked for.
        curves: score of each label over time; None unless asked for.
        notes: what a user should know of how the file was read, a sentence each.
    """

    path: Path
    duration_seconds: float
    labels: Sequence[str]
    segments: Sequence[ScoredSegment]
    curves: ScoreCurves | None = None
    notes: Sequence[str] = ()


MetadataValue = str | int | float | bool
"""What a metadata column of an index may hold."""


@dataclass(frozen=True)
class CaptionedVideo:
    """A video, or one `[start_seconds, end_seconds)` part of it, and the sentences that say what it shows.

    Attributes:
        video_id: its name in annotation files.
        captions: one or more; a paragraph is one caption.
        split: "train", "val", "test", or None when the source does not say.
        path: the video file, None where there is none at hand.
        start_seconds, end_seconds: the part that is meant; None = from the beginning, to the end.
        group: kind of caption, where the source has such a column ("group", or "label"); results are given for each.
        origin: where it was read, "file:line", for error messages.
    """

    video_id: str
    captions: tuple[str, ...]
    split: str | None = None
    path: Path | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    group: str | None = None
    origin: str = ""


@dataclass(frozen=True)
class IndexedVideo:
    """What a moment index knows of one video besides its vectors.

    Attributes:
        video_id: SHA-256 of the file's bytes in hexadecimal; the same file under another path keeps it.
        path: absolute; one of them where several files have this content.
        size_bytes, mtime_ns: of the file when it was indexed.
        date: when it was recorded as its container says, else the file's modification time; with a time zone.
        metadata: columns a user gave for it.
        origin_seconds: what the file's own clock says where the player's axis begins.
        stream_index: number of the stream that was asked for; None = the one that a player shows.
        notes: what a user should know of how the file was read, a sentence each.
    """

    video_id: str
    path: Path
    size_bytes: int
    mtime_ns: int
    duration_seconds: float
    date: datetime
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    origin_seconds: float = 0.0
    stream_index: int | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Moment:
    """A part of an indexed video that answers a query.

    Attributes:
        video: where it is.
        score: in [0, 1], how sure it is that this is what was asked for; comparable between queries.
        similarity: cosine of the query and the best vector in it; comparable within one query.
    """

    video: IndexedVideo
    start_seconds: float
    end_seconds: float
    score: float
    similarity: float


Verdict = Literal["match", "unsure", "nothing"]


@dataclass(frozen=True)
class SearchResult:
    """Moments best first, at most one of overlapping ones of a video.

    Attributes:
        query: in words, for people: the sentence, or "image cat.png", or "clip.mp4 at 3.0-5.0 s".
        min_score: moments below it are no match; they are listed all the same, as the nearest there is.
        num_videos: that passed the filters and were searched.
        exact: every vector was compared; False = the approximate neighbour structure was asked.
        absent_below: score that most queries about other things reach; with less nothing speaks for this one's being
            here at all.
    """

    query: str
    moments: Sequence[Moment]
    min_score: float
    num_videos: int
    exact: bool = True
    absent_below: float = 0.5

    def is_match(self, moment: Moment) -> bool:
        """Whether a moment reaches `min_score`."""
        return moment.score >= self.min_score

    @property
    def nothing_matches(self) -> bool:
        """No moment does."""
        return not any(map(self.is_match, self.moments))

    @property
    def verdict(self) -> Verdict:
        """What may be said: that there is a match, that nothing here matches, or neither."""
        if not self.nothing_matches:
            return "match"
        return "unsure" if any(moment.score >= self.absent_below for moment in self.moments) else "nothing"


@dataclass(frozen=True)
class Maker:
    """Everything that decides the numbers in a stored feature vector; vectors of different makers do not compare.

    Attributes:
        backbone: hub id or folder name, for people.
        weights_hash: SHA-256 over the backbone's tensors.
        preprocessing: canonical JSON of size, crop, interpolation, mean and standard deviation.
        decoding: how the pixels of a file come about: `video.frames.DECODING`.
        sampling: which frames were kept, as the sampler's text form: "all", "fps:8", "uniform:16".
        precision: arithmetic of the image tower: "fp32", "bf16", "fp16".
        dtype: storage type of the features: "float16" or "float32".
    """

    backbone: str
    weights_hash: str
    preprocessing: str
    sampling: str
    precision: str = "fp32"
    dtype: str = "float16"
    decoding: str = ""

    def difference(self, other: "Maker") -> list[str]:
        """Names of the deciding fields that differ (`backbone` is a display name and does not decide)."""
        deciding = ("weights_hash", "preprocessing", "decoding", "sampling", "precision", "dtype")
        return [name for name in deciding if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class ExtractionSummary:
    """Outcome of an extraction: counts of videos, and what was left out and why."""

    extracted: int
    already_stored: int
    skipped: Sequence[Skipped] = field(default_factory=tuple)
    noted: Sequence[Noted] = field(default_factory=tuple)
    num_frames: int = 0
    elapsed_seconds: float = 0.0
