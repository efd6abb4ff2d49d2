"""From a retrieval run's config to captioned sets: read captions, part them, extract what is missing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.naming import shorten
from framecue.datasets.presence import real_paths
from framecue.datasets.retrieval import CaptionSet, once_each, read_captions, split_videos
from framecue.datasets.splits import small_part_notes
from framecue.errors import DatasetError
from framecue.features.extract import ExtractionProgress
from framecue.models.seen import Said, SeenVideo
from framecue.tasks.recognition_data import StoredFeatures, content_hashes, first_reason, stored_features
from framecue.tasks.retrieval import CaptionedSet, caption_room, fit_texts
from framecue.types import CaptionedVideo, Record, Skipped

PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class RetrievalData:
    """Captioned sets by use; `val` and `test` may be empty.

    Attributes:
        skipped: videos that could not be read.
        notes: what was changed or left out, one line per kind.
        parting: how the parts came about, and which are too small for their purpose; to be said before the first step.
        present: every video of the data.
    """

    train: CaptionedSet
    val: CaptionedSet
    test: CaptionedSet
    skipped: list[Skipped]
    notes: list[str]
    parting: list[str] = field(default_factory=list)
    present: list[SeenVideo] = field(default_factory=list)


def prepare_retrieval(
    config: RunConfig,
    backbone: Backbone,
    source: CaptionSet | None = None,
    *,
    trained_before: Collection[str] = (),
    progress: Callable[[ExtractionProgress], None] | None = None,
) -> RetrievalData:
    """Captioned sets of a run; videos whose features are not stored yet are extracted first.

    Captions that do not fit beside the prompt vectors are cut, and counted in the notes; unreadable videos are left out
    and listed.

    Args:
        source: as `read_run_captions` gave it; None = read now.
        trained_before: content hashes of videos that are not drawn for validation or the test.

    Raises:
        DatasetError: the captions cannot be used, or no readable training video is left.
        MakerMismatchError: the store holds features of another maker.
        PromptTooLongError: a caption does not fit, and `retrieval.truncate` is off.
    """
    source = source or read_run_captions(config)
    _parted(config, source)  # a list that will not do is refused before hours of extraction
    _check_paths(source, config)
    records = [captioned_record(video) for video in source.videos]
    stored = stored_features(config, backbone, records, progress=progress)
    readable = replace(source, videos=tuple(video for video in source.videos if stored.has(captioned_record(video))))
    if not readable.videos:
        raise DatasetError(f"{_where(config)}: no video of it can be used, {first_reason(stored.skipped)}.")
    captions, parting = _parted(
        config,
        once_each(readable, stored.hashes),
        skipped=stored.skipped,
        staying=stored.of_content(trained_before),
    )
    notes = [*captions.notes, *stored.notes]
    parts = {name: list(captions.part(name)) for name in PARTS}
    sets = captioned_sets(config, backbone, parts, stored, notes)
    present = seen_captioned((*captions.videos, *source.videos), content_hashes(config, backbone, records)[0])
    return RetrievalData(sets["train"], sets["val"], sets["test"], stored.skipped, notes, parting, present)


def captioned_sets(
    config: RunConfig,
    backbone: Backbone,
    parts: Mapping[str, Sequence[CaptionedVideo]],
    stored: StoredFeatures,
    notes: list[str],
) -> dict[str, CaptionedSet]:
    """The videos of each part with their features; captions that are too long are cut, and counted in `notes`."""
    if config.retrieval.truncate:
        parts = _cut_captions(parts, backbone, config, notes)
    return {name: _captioned(videos, stored) for name, videos in parts.items()}


def seen_captioned(videos: Iterable[CaptionedVideo], hashes: Mapping[Path, str]) -> list[SeenVideo]:
    """The captioned videos as an adapter remembers them, by their names in the caption file."""
    return [
        SeenVideo(
            content_hash=hashes[video.path],
            name=video.video_id,
            start_seconds=video.start_seconds,
            end_seconds=video.end_seconds,
            annotation=(Said(sha256("\0".join(sorted(video.captions)).encode()).hexdigest()[:32]),),
        )
        for video in videos
        if video.path is not None and video.path in hashes
    ]


def read_run_captions(config: RunConfig) -> CaptionSet:
    """The captioned videos of a run, each file once, in the parts that the source names.

    Raises:
        DatasetError: the captions cannot be used, or cannot be parted.
    """
    source = read_present_captions(config)
    _parted(config, source)
    return source


def read_present_captions(config: RunConfig) -> CaptionSet:
    """The same, whether they can be parted or not.

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
    return once_each(source, real_paths(video.path for video in source.videos if video.path is not None))


def _parted(
    config: RunConfig, source: CaptionSet, *, skipped: Sequence[Skipped] = (), staying: Collection[Path] = ()
) -> tuple[CaptionSet, list[str]]:
    """The captions in parts, and how these came about.

    A source without parts is split by video into train, val and test; one without a validation part gives up a part of
    its training videos for it, never of the test.
    """
    captions, drawn = split_videos(
        source,
        val_fraction=config.data.val_fraction,
        test_fraction=config.retrieval.test_fraction,
        seed=config.seed,
        staying=staying,
    )
    count = Counter(video.split for video in captions.videos)
    if count["train"] < 2:
        unread = f" ({first_reason(skipped)})" if skipped else ""
        raise DatasetError(
            f"{_where(config)}: retrieval needs at least 2 videos to train on, found {count['train']} among "
            f"{len(captions.videos)}{unread}; check the split column, or the files."
        )
    return captions, [*filter(None, [drawn]), *small_part_notes(val=count["val"], test=count["test"])]


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
    parts: Mapping[str, Sequence[CaptionedVideo]], backbone: Backbone, config: RunConfig, notes: list[str]
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


def captioned_record(video: CaptionedVideo) -> Record:
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


def _captioned(videos: Sequence[CaptionedVideo], stored: StoredFeatures) -> CaptionedSet:
    records = [captioned_record(video) for video in videos]
    features = stored.feature_set(records, [record.label or "" for record in records])
    return CaptionedSet(features, tuple(video.captions for video in videos), tuple(video.group for video in videos))
