"""From a retrieval run's config to captioned sets: read captions, part them, extract what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.naming import shorten
from framecue.datasets.retrieval import CaptionSet, read_captions, split_videos
from framecue.errors import DatasetError
from framecue.features.extract import ExtractionProgress
from framecue.tasks.recognition_data import StoredFeatures, stored_features
from framecue.tasks.retrieval import CaptionedSet, caption_room, fit_texts
from framecue.types import CaptionedVideo, Record, Skipped

PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class RetrievalData:
    """Captioned sets by use; `val` and `test` may be empty.

    Attributes:
        skipped: videos that could not be read.
        notes: what was changed or left out, one line per kind.
    """

    train: CaptionedSet
    val: CaptionedSet
    test: CaptionedSet
    skipped: list[Skipped]
    notes: list[str]


def prepare_retrieval(
    config: RunConfig,
    backbone: Backbone,
    source: CaptionSet | None = None,
    *,
    progress: Callable[[ExtractionProgress], None] | None = None,
) -> RetrievalData:
    """Captioned sets of a run; videos whose features are not stored yet are extracted first.

    Captions that do not fit beside the prompt vectors are cut, and counted in the notes; unreadable videos are left out
    and listed.

    Args:
        source: as `read_run_captions` gave it; None = read now.

    Raises:
        DatasetError: the captions cannot be used, or no readable training video is left.
        MakerMismatchError: the store holds features of another maker.
        PromptTooLongError: a caption does not fit, and `retrieval.truncate` is off.
    """
    source = source or read_run_captions(config)
    notes = list(source.notes)
    parts = {name: [video for video in source.videos if video.split == name] for name in PARTS}
    if len(parts["train"]) < 2:
        raise DatasetError(
            f"{_where(config)}: retrieval needs at least 2 videos to train on, found {len(parts['train'])} among "
            f"{len(source.videos)}; check the split column, or the files."
        )
    if config.retrieval.truncate:
        parts = _cut_captions(parts, backbone, config, notes)
    _check_paths(source, config)
    records = {name: [_record(video) for video in videos] for name, videos in parts.items()}
    stored = stored_features(config, backbone, [row for part in records.values() for row in part], progress=progress)
    sets = {name: _captioned(parts[name], records[name], stored) for name in PARTS}
    if len(sets["train"]) < 2:
        first = stored.skipped[0]
        raise DatasetError(
            f"{_where(config)}: {len(sets['train'])} readable training videos are left of {len(parts['train'])}, first "
            f"{first.path.name}: {first.reason.rstrip('.')}. Replace the files."
        )
    return RetrievalData(sets["train"], sets["val"], sets["test"], stored.skipped, notes)


def read_run_captions(config: RunConfig) -> CaptionSet:
    """The captioned videos of a run, each in a part.

    A source without parts is split by video into train, val and test; one without a validation part gives up a part of
    its training videos for it, never of the test.

    Raises:
        DatasetError: the captions cannot be used.
    """
    wanted, data = config.retrieval, config.data
    folder = data.source if data.annotations is not None else None
    source = read_captions(
        _where(config),
        format=wanted.format,
        videos=folder,
        protocol=wanted.protocol or "9k",
        missing=data.missing,
    )
    # The test part does not depend on the run's seed: all runs are measured on the same videos.
    tested = split_videos(source, val_fraction=0, test_fraction=wanted.test_fraction)
    return split_videos(tested, val_fraction=data.val_fraction, test_fraction=0, seed=config.seed)


def _where(config: RunConfig) -> Path:
    return config.data.annotations or config.data.source


def _check_paths(source: CaptionSet, config: RunConfig) -> None:
    absent = [video for video in source.videos if video.path is None]
    if absent:
        raise DatasetError(
            f"{_where(config)}: every video must have a file, found none for {len(absent)} of {len(source.videos)} "
            f"({shorten([video.video_id for video in absent], 3)}); name their folder in data.source, or say "
            "data.missing=skip."
        )


def _cut_captions(
    parts: dict[str, list[CaptionedVideo]], backbone: Backbone, config: RunConfig, notes: list[str]
) -> dict[str, list[CaptionedVideo]]:
    room = caption_room(backbone, n_prefix=config.model.n_prefix, n_suffix=config.model.n_suffix)
    if room < 1:
        raise DatasetError(
            f"model: {config.model.n_prefix} prefix and {config.model.n_suffix} suffix vectors leave no room for "
            f"captions in the text tower's {backbone.text_tower.context_length} positions; use fewer."
        )
    fitted = {}
    for name, videos in parts.items():
        texts, num_cut = fit_texts(backbone, [text for video in videos for text in video.captions], room=room)
        rest = iter(texts)
        fitted[name] = [replace(video, captions=tuple(next(rest) for _ in video.captions)) for video in videos]
        if num_cut:
            notes.append(f"{num_cut} of {len(texts)} captions of {name} were cut to {room} tokens, as many as fit.")
    return fitted


def _record(video: CaptionedVideo) -> Record:
    """Each video, or part of one, is a class of its own."""
    assert video.path is not None  # _check_paths
    return Record(
        video.path,
        f"{video.video_id}\0{video.start_seconds}\0{video.end_seconds}",
        video.split,
        video.start_seconds,
        video.end_seconds,
        video.origin,
    )


def _captioned(videos: Sequence[CaptionedVideo], records: Sequence[Record], stored: StoredFeatures) -> CaptionedSet:
    kept = [row for row, record in enumerate(records) if record.path in stored.hashes]
    names = [records[row].label or "" for row in kept]
    features = stored.feature_set([records[row] for row in kept], names)
    return CaptionedSet(features, tuple(videos[row].captions for row in kept), tuple(videos[row].group for row in kept))
