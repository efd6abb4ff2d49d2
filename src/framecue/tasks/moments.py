"""Videos, sentences and images as unit vectors of one space, moment by moment: what an index holds and is asked with.

A video is decoded once. Its sampled frames go by in windows, each of which becomes one vector as a classifier sees a
short clip (with an adapter: the temporal module over evenly spread frames), and the whole video becomes one more.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError

from framecue.backbone import Backbone
from framecue.datasets.feature_set import features_to_views
from framecue.datasets.naming import is_text
from framecue.errors import PromptTooLongError, UsageError, VideoError
from framecue.features.encode import CHUNK_FRAMES, FeatureStream, SecondsDone
from framecue.models.video_text import VideoTextModel
from framecue.pictures.picture import Picture
from framecue.tasks.moment_windows import Thinned, TimedWindow, cut_windows, shown_at, spread_times
from framecue.tasks.streaming import Chunk, EndOfVideo, end_of
from framecue.video.reader import Reading, read_frames
from framecue.video.sampling import parse_sampling
from framecue.video.source import Decoding

Vectors: TypeAlias = npt.NDArray[np.float32]

WINDOW_SECONDS, HOP_SECONDS, NUM_FRAMES = 4.0, 2.0, 16
MAX_TEXT_LETTERS = 10_000

_BATCH_WINDOWS = 64
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, eq=False)
class MomentVectors:
    """The vectors of one video.

    Attributes:
        spans: float64 [K, 2], `[start, end)` of each moment in seconds; they overlap, the last ends with the video.
        vectors: float32 [K, D], unit length.
        whole: float32 [D], of the whole video as it is classified, unit length.
        duration_seconds: end of the video.
        origin_seconds: what the file's own clock says where the player's axis begins.
        notes: what a user should know of how the file was read, a sentence each.
    """

    spans: npt.NDArray[np.float64]
    vectors: Vectors
    whole: Vectors
    duration_seconds: float
    origin_seconds: float = 0.0
    notes: tuple[str, ...] = ()


class MomentEncoder:
    """Embeds moments of videos, sentences and images with one model.

    Args:
        backbone: the frozen CLIP.
        model: of an adapter; None = mean frame feature against the bare sentence.
        sampling: the adapter's; taken where it is "fps:NUMBER", else so many frames a second as make `num_frames` in a
            window, as the adapter saw evenly spread frames of a whole clip.
        num_frames: evenly spread frames that stand for each window, as the model was trained.
        num_views: windows of a whole video whose embeddings are averaged.
        window_seconds, hop_seconds: length of a moment, and from one's start to the next one's.

    Raises:
        UsageError: a window or a hop that means nothing.
    """

    def __init__(
        self,
        backbone: Backbone,
        model: VideoTextModel | None = None,
        *,
        sampling: str = "all",
        num_frames: int = NUM_FRAMES,
        num_views: int = 1,
        window_seconds: float = WINDOW_SECONDS,
        hop_seconds: float = HOP_SECONDS,
    ) -> None:
        check_windows(window_seconds, hop_seconds)
        self.backbone, self.model = backbone, model
        self.sampling = moment_sampling(sampling, num_frames=num_frames, window_seconds=window_seconds)
        self.num_frames, self.num_views = num_frames, num_views
        self.window_seconds, self.hop_seconds = window_seconds, hop_seconds

    def video(
        self,
        path: str | Path,
        *,
        on_progress: SecondsDone | None = None,
        decoding: Decoding | None = None,
    ) -> MomentVectors:
        """All moments of a file, however long: held are a window, a chunk, 1024 features and the vectors.

        The whole-video vector is of evenly spread views, as `Predictor.embed_video` takes them; of a video with more
        than 1024 sampled frames, of every second one, fourth one, and so on.

        Args:
            on_progress: called with the seconds that are done and the video's length, None where the file does not say;
                what it raises ends the work.

        Raises:
            VideoError: the file cannot be read, or its features are no numbers.
        """
        stream = FeatureStream(Path(path), self.backbone, self.sampling, decoding=decoding)
        moments = self.stream(stream.reported(on_progress), stream.end_seconds, name=str(path))
        return replace(moments, origin_seconds=stream.summary.origin_seconds, notes=stream.summary.notes)

    def stream(self, chunks: Iterable[Chunk], duration_seconds: EndOfVideo, *, name: str = "video") -> MomentVectors:
        """The same of frame features that are there already, sampled at this encoder's rate.

        Args:
            name: for error messages.

        Raises:
            VideoError: no features, or some that are no numbers.
        """
        batches, thinned = _Batches(self._embed), Thinned()
        for window in cut_windows(
            thinned.passed(chunks),
            duration_seconds,
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            num_frames=self.num_frames,
        ):
            batches.add(window)
        spans, vectors = batches.finish()
        if not len(spans):
            raise VideoError(f"{name}: cannot be indexed: it has no frame features; extract them again.")
        views = features_to_views(thinned.features(), window=self.num_frames, num_views=self.num_views)
        whole = _unit(self._embed(views.numpy()).mean(axis=0, keepdims=True))[0]
        lengths = np.linalg.norm(np.vstack([vectors, whole]), axis=-1)
        if not (np.abs(lengths - 1) < 1e-3).all():  # features that are not numbers, or all zero
            raise VideoError(f"{name}: cannot be indexed: its features have no direction; leave it out.")
        return MomentVectors(spans, vectors, whole, max(end_of(duration_seconds) or 0.0, float(spans[-1, 1])))

    def segment(self, path: str | Path, start_seconds: float = 0.0, end_seconds: float | None = None) -> Vectors:
        """One vector [D] of `[start_seconds, end_seconds)` of a file; None = to its end. Frames before are not encoded.

        Raises:
            VideoError: the file cannot be read.
            UsageError: an empty segment, or one that begins behind the end of the video.
        """
        path = Path(path)
        if not (0 <= start_seconds < (np.inf if end_seconds is None else end_seconds)):
            raise UsageError(
                f"A segment must begin at 0 or later and before it ends, found {start_seconds:g} to {end_seconds} s."
            )
        end = np.inf if end_seconds is None else end_seconds
        held: list[Chunk] = []
        reading = read_frames(
            path,
            parse_sampling(self.sampling),
            chunk_frames=CHUNK_FRAMES,
            resize=self.backbone.preprocessing.resize_crop,
        )
        for chunk in self._part(reading, start_seconds, end):
            held = _thin([*held, chunk])
        [(features, pts)] = held
        duration_seconds = reading.summary.duration_seconds if reading.is_done else end
        if start_seconds >= duration_seconds and start_seconds > pts[-1]:
            raise UsageError(
                f"{path} is {duration_seconds:.2f} s long, found a segment from {start_seconds:g} s on; "
                "name a part of it."
            )
        end = max(min(end, duration_seconds), float(pts[-1]))
        shown = shown_at(spread_times(start_seconds, end, self.num_frames), pts)
        return self._embed(features[shown][None])[0]

    def image(self, image: str | Path | Image.Image) -> Vectors:
        """One vector [D] of an upright RGB image, as a video of which it is every frame.

        Raises:
            VideoError: the file cannot be read as an image.
        """
        pixels = self.backbone.preprocessing.resize_crop(Picture(_pixels(image)))
        frames = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        frame = self.backbone.encode_frames(frames).float().cpu().numpy()
        return self._embed(np.repeat(frame[None], self.num_frames, axis=1))[0]

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Vectors:
        """Sentences [N, D], with the adapter's prompt vectors around them where there is one, else as they are.

        Raises:
            UsageError: an empty text, or one that is no UTF-8.
            PromptTooLongError: a text does not fit the text tower.
        """
        if isinstance(texts, str):
            raise UsageError(f"texts must be a list, found the text {texts!r}; write [{texts!r}].")
        if not texts:
            return np.empty((0, self.backbone.embed_dim), dtype=np.float32)
        for text in texts:
            self._check_text(text)
        if self.model is None:
            embedded = self.backbone.encode_text(texts)
        else:
            embedded = self.model.embed_text(self.model.slots(texts))
        return F.normalize(embedded.float(), dim=-1).cpu().numpy()

    def _check_text(self, text: str) -> None:
        if not text.strip() or not is_text(text):
            raise UsageError(f"A query must be a sentence in UTF-8 text, found {shorten(text)!r}; write what is shown.")
        prompt = 0 if self.model is None else self.model.prompt.n_prefix + self.model.prompt.n_suffix
        most = self.backbone.text_tower.context_length - prompt
        if len(text) > MAX_TEXT_LETTERS:  # not worth counting its tokens
            found = f"{len(text)} letters"
        else:
            num_tokens = int(self.backbone.tokenize([text]).eos_index[0]) + 1
            if num_tokens <= most:
                return
            found = f"{num_tokens} tokens"
        raise PromptTooLongError(
            f"Query {shorten(text)!r} has {found}, {self.backbone.name} takes at most {most} tokens; shorten it."
        )

    def _part(self, reading: Reading, start_seconds: float, end_seconds: float) -> Iterator[Chunk]:
        """Features of the frames shown in the part; at least one, however short it is."""

        def encode(frames: npt.NDArray[np.uint8]) -> Vectors:
            return self.backbone.encode_frames(torch.from_numpy(frames)).float().cpu().numpy()

        given = False
        frames = pts = None
        for batch in reading:
            # How long a frame is shown is told by the next one: the last waits for the next batch.
            frames = batch.frames if frames is None else np.concatenate([frames[-1:], batch.frames])
            pts = batch.pts_seconds if pts is None else np.concatenate([pts[-1:], batch.pts_seconds])
            shown = (pts[:-1] < end_seconds) & (pts[1:] > start_seconds)
            if shown.any():
                yield encode(frames[:-1][shown]), pts[:-1][shown]
                given = True
            if pts[-1] >= end_seconds:
                break
        if frames is None or pts is None:
            return  # not with this reader: a video without frames is refused
        if pts[-1] < end_seconds:
            yield encode(frames[-1:]), pts[-1:]
        elif not given:  # the part ends before the first frame
            yield encode(frames[:1]), pts[:1]

    @torch.no_grad()
    def _embed(self, features: Vectors) -> Vectors:
        """Frame features [B, T, D] -> unit vectors [B, D]."""
        frames = torch.from_numpy(np.ascontiguousarray(features)).float().to(self.backbone.device)
        embedded = frames.mean(dim=1) if self.model is None else self.model.embed_video(frames)
        return F.normalize(embedded.float(), dim=-1).cpu().numpy()


def check_windows(window_seconds: float, hop_seconds: float) -> None:
    """Raises UsageError where moments of such windows mean nothing."""
    if not (np.isfinite(window_seconds) and 0 < hop_seconds <= window_seconds):
        raise UsageError(
            "A window must be a number of seconds above 0 and the hop above 0 and at most the window, found window "
            f"{window_seconds:g} and hop {hop_seconds:g}; 4 and 2 are the usual ones."
        )


def moment_sampling(sampling: str, *, num_frames: int, window_seconds: float) -> str:
    """The sampling itself where it is a rate, else `num_frames` in a window: windows of seconds need a rate."""
    return sampling if parse_sampling(sampling).kind == "fps" else f"fps:{num_frames / window_seconds:.6g}"


def shorten(text: str, limit: int = 60) -> str:
    """The beginning of a long text, for messages."""
    return text if len(text) <= limit else f"{text[:limit]}..."


class _Batches:
    """Embeds windows a batch at a time."""

    def __init__(self, embed: Callable[[Vectors], Vectors]) -> None:
        self._embed = embed
        self._waiting: list[TimedWindow] = []
        self._spans: list[tuple[float, float]] = []
        self._vectors: list[Vectors] = []

    def add(self, window: TimedWindow) -> None:
        self._waiting.append(window)
        if len(self._waiting) == _BATCH_WINDOWS:
            self._flush()

    def finish(self) -> tuple[npt.NDArray[np.float64], Vectors]:
        if self._waiting:
            self._flush()
        spans = np.array(self._spans, dtype=np.float64).reshape(-1, 2)
        return spans, np.concatenate(self._vectors) if self._vectors else np.empty((0, 0), dtype=np.float32)

    def _flush(self) -> None:
        self._vectors.append(self._embed(np.stack([window.frame_features for window in self._waiting])))
        self._spans += [(window.start_seconds, window.end_seconds) for window in self._waiting]
        self._waiting = []


def _thin(chunks: list[Chunk], most: int = 2048) -> list[Chunk]:
    """One chunk, of every second frame where there are too many: a segment may be hours long."""
    features, pts = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return [(features[::2], pts[::2])] if len(pts) > most else [(features, pts)]


def _unit(vectors: Vectors) -> Vectors:
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _pixels(image: str | Path | Image.Image) -> npt.NDArray[np.uint8]:
    """Upright RGB [H, W, 3]."""
    try:
        if not isinstance(image, Image.Image):
            if Path(image).exists() and not Path(image).is_file():
                raise OSError("it is not a regular file")  # opening a pipe would wait for a writer
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than any camera's
                with Image.open(image) as opened:
                    return _pixels(opened)
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, *_BOMBS) as error:
        what = image if not isinstance(image, Image.Image) else "the given picture"
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise VideoError(f"{what}: cannot be read as an image: {why}; name a PNG or JPEG file.") from None
