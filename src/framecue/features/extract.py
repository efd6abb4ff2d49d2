"""Videos to stored frame features: decode and encode overlap, finished videos are committed as the run goes."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from framecue.errors import StoreError
from framecue.features.decoding import DecodedVideo, DecoderPool, Ended, Failed, Frames, Known, Message
from framecue.features.store import FeatureStore, StoredVideo
from framecue.types import ExtractionSummary, Maker, Noted, Skipped
from framecue.video.frames import DECODING
from framecue.video.reader import Resize, VideoSummary
from framecue.video.sampling import parse_sampling
from framecue.video.source import Decoding

StorageType = Literal["float16", "float32"]

_CHUNK_FRAMES = 16
_COMMIT_VIDEOS, _COMMIT_SECONDS, _COMMIT_BYTES = 64, 10.0, 2**26


class FramePreprocessing(Protocol):
    """What extraction needs of a backbone's preprocessing."""

    @property
    def text(self) -> str: ...

    @property
    def resize_crop(self) -> Resize: ...


class FrameEncoder(Protocol):
    """What extraction needs of a backbone; `framecue.backbone.Backbone` has it, and whatever else embeds frames may."""

    @property
    def name(self) -> str: ...
    @property
    def weights_hash(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def preprocessing(self) -> FramePreprocessing: ...

    def encode_frames(self, frames: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class ExtractionProgress:
    """Where an extraction stands.

    Attributes:
        num_videos: all that were asked for.
        videos_done: finished, stored before, or skipped.
        num_frames: frames encoded so far.
        noted: what a user should know of how files were read, so far.
    """

    num_videos: int
    videos_done: int
    num_frames: int
    elapsed_seconds: float
    noted: Sequence[Noted] = ()


def make_maker(
    backbone: FrameEncoder,
    sampling: str = "fps:8",
    dtype: StorageType = "float16",
    decoding: Decoding | None = None,
) -> Maker:
    """What decides the numbers that `extract` stores with these settings.

    Raises:
        UsageError: the sampling is not understood.
    """
    return Maker(
        backbone=backbone.name,
        weights_hash=backbone.weights_hash,
        preprocessing=backbone.preprocessing.text,
        decoding=DECODING + ("" if decoding is None or decoding.stream is None else f" stream:{decoding.stream}"),
        sampling=parse_sampling(sampling).text,
        precision=backbone.precision,
        dtype=dtype,
    )


def extract(
    paths: Sequence[Path],
    *,
    backbone: FrameEncoder,
    store: FeatureStore | str | os.PathLike[str],
    sampling: str = "fps:8",
    dtype: StorageType = "float16",
    batch_frames: int = 64,
    decode_workers: int | None = None,
    decoding: Decoding | None = None,
    on_progress: Callable[[ExtractionProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> ExtractionSummary:
    """Stores the frame features of videos that are not stored yet, and lists those that cannot be read.

    Finished videos are committed every few seconds, so that a run killed at any moment loses the last few at most; the
    next run skips what is stored. Ctrl-C commits what is finished before it goes on its way. Memory is bounded by the
    batch, the queue between decoding and encoding, and the features of the videos in flight.

    Args:
        store: a store, or its folder, which is created if it is not there.
        batch_frames: frames encoded at a time, of as many videos as it takes.
        decode_workers: decoding threads; None = one less than there are processors, 1 to 16.
        decoding: how files are read; None = the usual way. Features of another stream have a store of their own.
        on_progress: called in this thread, after each chunk of frames.
        stop: set it in another thread to end the run early, with the summary of what was done.

    Raises:
        MakerMismatchError: the store holds features of another maker.
        StoreError: the store cannot be written; what was committed is kept.
        UsageError: the sampling is not understood.
    """
    started = time.perf_counter()
    paths = list(dict.fromkeys(map(Path, paths)))
    maker = make_maker(backbone, sampling, dtype, decoding)
    if not isinstance(store, FeatureStore):
        store = FeatureStore.open(store, maker)
    elif store.maker.difference(maker):
        store = FeatureStore.open(store.path, maker)  # raises, with the reason
    known = store.lookup(paths)
    decoders = DecoderPool(
        [path for path in paths if path not in known],
        parse_sampling(sampling),
        contains=store.contains,
        resize=backbone.preprocessing.resize_crop,
        num_workers=decode_workers or min(max((os.cpu_count() or 1) - 1, 1), 16),
        chunk_frames=min(_CHUNK_FRAMES, batch_frames),
        max_chunks=4 + 2 * batch_frames // _CHUNK_FRAMES,
        decoding=decoding,
    )
    packer = _Packer(backbone.encode_frames, batch_frames, np.dtype(dtype))
    run = _Run(store, decoders, packer, already_stored=len(known))

    def after_each() -> bool:
        if on_progress is not None:
            elapsed_seconds = time.perf_counter() - started
            on_progress(ExtractionProgress(len(paths), run.videos_done, packer.num_frames, elapsed_seconds, run.noted))
        return stop is None or not stop.is_set()

    _drive(run, decoders, after_each)
    _tidy(store)
    return ExtractionSummary(
        extracted=run.extracted,
        already_stored=run.already_stored,
        skipped=tuple(run.skipped),
        noted=tuple(run.noted),
        num_frames=run.num_frames,
        elapsed_seconds=time.perf_counter() - started,
    )


def _drive(run: "_Run", decoders: DecoderPool, after_each: Callable[[], bool]) -> None:
    """Handles every message, or those until `after_each` says no; whatever happens, finished videos are committed."""
    with decoders:
        try:
            for message in decoders:
                run.handle(message)
                if not after_each():
                    break
            else:
                run.flush()
                after_each()
            run.commit()
        except StoreError:
            raise  # the store itself failed; a second try would only hide why
        except BaseException:
            run.commit()
            raise


def _tidy(store: FeatureStore) -> None:
    # Every feature is committed: what keeps the store from being tidied now must not fail the run.
    with suppress(StoreError):
        store.compact()


@dataclass(eq=False)
class _InFlight:
    """Features of a video so far; complete when it has ended and no frame of it waits to be encoded."""

    video: DecodedVideo
    pieces: list[npt.NDArray[Any]] = field(default_factory=list)
    pts_seconds: list[npt.NDArray[np.float64]] = field(default_factory=list)
    num_waiting: int = 0
    is_finite: bool = True
    summary: VideoSummary | None = None

    @property
    def is_complete(self) -> bool:
        return self.summary is not None and not self.num_waiting

    def to_stored(self) -> StoredVideo:
        assert self.summary is not None
        return StoredVideo(
            content_hash=self.video.content_hash,
            stamp=self.video.stamp,
            frame_features=np.concatenate(self.pieces),
            pts_seconds=np.concatenate(self.pts_seconds),
            duration_seconds=self.summary.duration_seconds,
            origin_seconds=self.summary.origin_seconds,
            notes=self.summary.notes,
        )


class _Packer:
    """Packs frames of several videos into full batches for the encoder."""

    def __init__(self, encode: Callable[[Tensor], Tensor], batch_frames: int, dtype: np.dtype[Any]) -> None:
        self._encode, self._batch_frames, self._dtype = encode, batch_frames, dtype
        self._buffer: Tensor | None = None
        self._owners: list[tuple[_InFlight, int]] = []
        self._filled = 0
        self.num_frames = 0

    def add(self, owner: _InFlight, frames: npt.NDArray[np.uint8]) -> list[_InFlight]:
        """Takes frames [T, 3, S, S]; gives the videos whose frames were encoded by that."""
        if self._buffer is None:
            self._buffer = torch.empty((self._batch_frames, *frames.shape[1:]), dtype=torch.uint8)
        touched: list[_InFlight] = []
        rest = torch.from_numpy(frames)
        while len(rest):
            part = rest[: self._batch_frames - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._owners.append((owner, len(part)))
            self._filled += len(part)
            owner.num_waiting += len(part)
            rest = rest[len(part) :]
            if self._filled == self._batch_frames:
                touched += self.flush()
        return touched

    def flush(self) -> list[_InFlight]:
        """Encodes what waits; gives the videos it was of."""
        if self._buffer is None or not self._filled:
            return []
        with np.errstate(over="ignore"):  # seen by _Run as an infinite feature
            features = self._encode(self._buffer[: self._filled]).cpu().numpy().astype(self._dtype)
        owners, start = self._owners, 0
        self.num_frames += self._filled
        self._owners, self._filled = [], 0
        for owner, count in owners:
            owner.pieces.append(features[start : start + count])
            owner.is_finite = owner.is_finite and bool(np.isfinite(owner.pieces[-1]).all())
            owner.num_waiting -= count
            start += count
        return [owner for owner, _ in owners]


class _Run:
    """What became of each video of a run; finished ones are committed now and then."""

    def __init__(self, store: FeatureStore, decoders: DecoderPool, packer: _Packer, *, already_stored: int) -> None:
        self._store, self._decoders, self._packer = store, decoders, packer
        self._in_flight: dict[DecodedVideo, _InFlight] = {}
        self._finished: dict[DecodedVideo, StoredVideo] = {}
        self._last_commit = time.monotonic()
        self.extracted, self.already_stored, self.num_frames = 0, already_stored, 0
        self.skipped: list[Skipped] = []
        self.noted: list[Noted] = []

    @property
    def videos_done(self) -> int:
        return self.extracted + self.already_stored + len(self.skipped) + len(self._finished)

    def handle(self, message: Message) -> None:
        match message:
            case Known():
                self.already_stored += 1
            case Failed(path=path, reason=reason, video=video):
                self._skip(path, reason, video)
            case Frames(video=video, batch=batch):
                owner = self._in_flight.setdefault(video, _InFlight(video))
                owner.pts_seconds.append(batch.pts_seconds)
                self._finish(self._packer.add(owner, batch.frames))
            case Ended(video=video, summary=summary):
                owner = self._in_flight[video]
                owner.summary = summary
                self.noted += [Noted(video.path, sentence) for sentence in summary.notes]
                self._finish([owner])
        if self._is_commit_due():
            self.commit()

    def flush(self) -> None:
        """Encodes the last, incomplete batch."""
        self._finish(self._packer.flush())

    def commit(self) -> None:
        """Stores the videos that are finished."""
        self._last_commit = time.monotonic()
        if not self._finished:
            return
        # Another run on the same store, or this one when interrupted inside a commit, may have been quicker.
        stored = self._store.among(video.content_hash for video in self._finished)
        self._store.append([row for row in self._finished.values() if row.content_hash not in stored])
        while self._finished:
            video, row = self._finished.popitem()
            self.extracted += 1
            self.num_frames += len(row.pts_seconds)
            self.already_stored += len(self._decoders.release(video))

    def _is_commit_due(self) -> bool:
        return (
            len(self._finished) >= _COMMIT_VIDEOS
            or time.monotonic() - self._last_commit >= _COMMIT_SECONDS
            or sum(row.frame_features.nbytes for row in self._finished.values()) >= _COMMIT_BYTES
        )

    def _finish(self, candidates: Sequence[_InFlight]) -> None:
        for owner in candidates:
            if not owner.is_complete or self._in_flight.pop(owner.video, None) is None:
                continue
            if owner.is_finite:
                self._finished[owner.video] = owner.to_stored()
            else:
                reason = f"its features are not all finite numbers in {owner.pieces[0].dtype}; try float32"
                self._skip(owner.video.path, reason, owner.video)

    def _skip(self, path: Path, reason: str, video: DecodedVideo | None) -> None:
        same_content = []
        if video is not None:
            self._in_flight.pop(video, None)
            same_content = self._decoders.release(video)
        self.skipped += [Skipped(skipped, reason) for skipped in (path, *same_content)]
