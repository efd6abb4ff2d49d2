"""From a run config to feature sets: read records, part them, extract what is missing."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.config.departures import Departure, departures
from framecue.datasets.feature_set import FeatureCache, FeatureSet, ViewDraw
from framecue.datasets.naming import NAME_NUMBERS, name_notes, shorten
from framecue.datasets.part_times import TOLERANCE_SECONDS, TimedPart, refuse_most_outside
from framecue.datasets.records import load_data, once_each, require_trainable
from framecue.datasets.splits import drawn_note, held_out_classes, partition, small_part_notes
from framecue.errors import DatasetError
from framecue.features.extract import ExtractionProgress, extract, make_maker
from framecue.features.identity import hash_file
from framecue.features.store import FeatureStore
from framecue.models.seen import Said, SeenVideo, seen_video
from framecue.types import Record, Skipped


@dataclass(frozen=True)
class RecognitionParts:
    """Records by use. `novel` are videos of held-out classes; they choose nothing and train nothing.

    Attributes:
        class_names, novel_names: in score order.
        parting: how the parts came about, and which are too small for their purpose; to be said before the first step.
    """

    train: list[Record]
    val: list[Record]
    test: list[Record]
    novel: list[Record]
    class_names: tuple[str, ...]
    novel_names: tuple[str, ...]
    parting: list[str]


@dataclass(frozen=True, eq=False)
class RecognitionData:
    """Feature sets by use; `val`, `test` and `novel` may be empty.

    Attributes:
        skipped: what the source listed and could not give.
        present: every video of the data, in a part or not.
        parting: as that of `RecognitionParts`.
    """

    train: FeatureSet
    val: FeatureSet
    test: FeatureSet
    novel: FeatureSet
    skipped: list[Skipped]
    parting: list[str] = field(default_factory=list)
    present: list[SeenVideo] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, trained on or held out."""
        return self.train.class_names + self.novel.class_names


def part_records(config: RunConfig, records: Sequence[Record], *, staying: Collection[Path] = ()) -> RecognitionParts:
    """The labelled videos of a run, parted; a validation part is split from train where the source has none.

    Of held-out classes the test videos are kept, or all of them where the source has no test part. `staying` files are
    never drawn for validation.

    Raises:
        DatasetError: the videos cannot be trained on.
    """
    unlabelled = next((record for record in records if record.label is None), None)
    if unlabelled is not None:
        raise DatasetError(f"{unlabelled.origin}: {unlabelled.path} has no label, which training and evaluation need.")
    seen, novel = held_out_classes(records, config.data.held_out) if config.data.held_out else (records, [])
    parts = partition(seen, val_fraction=config.data.val_fraction, seed=config.seed, staying=staying)
    require_trainable(parts.train)
    if any(record.split == "test" for record in records):
        novel = [record for record in novel if record.split == "test"]
    class_names = _names(parts.train)
    for name, part in (("val", parts.val), ("test", parts.test)):
        unseen = sorted({record.label or "" for record in part} - set(class_names))
        if unseen:
            raise DatasetError(
                f"The {name} part has classes without training videos ({', '.join(unseen[:3])}); "
                "name them in data.held_out to test them as novel, or add training videos."
            )
    notes = small_part_notes(val=len(parts.val), test=len(parts.test))
    notes += name_notes((*class_names, *_names(novel)), NAME_NUMBERS)
    if parts.val and not any(record.split == "val" for record in records):
        whole = None if all(record.split is None for record in records) else "train"
        counts = {"train": len(parts.train), "val": len(parts.val)}
        notes.insert(0, drawn_note(config.data.source, counts, seed=config.seed, whole=whole))
        unchecked = sorted(set(class_names) - {record.label or "" for record in parts.val})
        if unchecked:
            notes.append(
                f"The val part has no video of {len(unchecked)} of {len(class_names)} classes: {shorten(unchecked, 3)}."
            )
    return RecognitionParts(parts.train, parts.val, parts.test, novel, class_names, _names(novel), notes)


def prepare(
    config: RunConfig,
    backbone: Backbone,
    *,
    trained_before: Collection[str] = (),
    progress: Callable[[ExtractionProgress], None] | None = None,
) -> RecognitionData:
    """Feature sets of a run; videos whose features are not stored yet are extracted first.

    Unreadable videos are left out and listed before parts are drawn, and so are copies of others.

    Args:
        trained_before: content hashes of videos that are not drawn for validation.

    Raises:
        DatasetError: the source cannot be used, nothing readable is left of a class to train on, or files of the same
            content are in two parts or have two labels.
        MakerMismatchError: the store holds features of another maker.
    """
    records, skipped = load_data(config.data)
    listed = part_records(config, records)  # what is wrong with the list is told before hours of extraction
    stored = stored_features(config, backbone, records, progress=progress)
    readable, repeated = once_each(stored.readable(records), stored.hashes)
    skipped += [*stored.skipped, *repeated]
    trained = {record.label for record in readable if record.split in (None, "train")}
    lost = sorted(set(listed.class_names) - trained)
    if lost:
        raise DatasetError(
            f"No readable training video is left of {', '.join(lost[:3])}; "
            f"{first_reason(skipped)}. Replace the files or leave the class out (data.classes)."
        )
    parts = part_records(config, readable, staying=stored.of_content(trained_before))
    return RecognitionData(
        stored.feature_set(parts.train, parts.class_names),
        stored.feature_set(parts.val, parts.class_names),
        stored.feature_set(parts.test, parts.class_names),
        stored.feature_set(parts.novel, parts.novel_names),
        skipped,
        [*parts.parting, *stored.notes],
        seen_records(config, [*readable, *records], content_hashes(config, backbone, records)[0]),
    )


def recognition_departures(config: RunConfig, backbone: Backbone, data: RecognitionData) -> list[Departure]:
    """Where a run on these data departs from the authors' program."""
    return departures(
        config,
        on_gpu=backbone.on_gpu,
        num_train=len(data.train),
        num_val=len(data.val),
        own_val=any(record.split == "val" for record in data.val.records),
    )


def seen_records(config: RunConfig, records: Iterable[Record], hashes: Mapping[Path, str]) -> list[SeenVideo]:
    """The labelled videos as an adapter remembers them."""
    return [
        seen_video(
            hashes[record.path],
            record.path,
            config.data.source,
            [Said(record.label or "")],
            start_seconds=record.start_seconds,
            end_seconds=record.end_seconds,
        )
        for record in records
        if record.path in hashes
    ]


@dataclass(frozen=True, eq=False)
class StoredFeatures:
    """Features of videos in a store, shared in memory by all sets cut from them.

    Attributes:
        hashes: content hash of every readable video.
        skipped: the others, and the records of `outside`, with reasons.
        view_draw: how evaluation windows are drawn; None = evenly spread.
        outside: records about parts of readable videos in which no frame is shown.
        notes: a line for what was changed.
    """

    hashes: Mapping[Path, str]
    fetch: FeatureCache
    skipped: list[Skipped]
    view_draw: ViewDraw | None = None
    outside: frozenset[Record] = frozenset()
    notes: Sequence[str] = ()

    def has(self, record: Record) -> bool:
        """Whether there are features of the record's part of its video."""
        return record.path in self.hashes and record not in self.outside

    def of_content(self, hashes: Collection[str]) -> set[Path]:
        """The videos of these contents."""
        return {path for path, content in self.hashes.items() if content in hashes}

    def readable(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records whose features are there."""
        return [record for record in records if self.has(record)]

    def feature_set(self, part: Sequence[Record], names: Sequence[str]) -> FeatureSet:
        """The readable ones of `part`."""
        kept = self.readable(part)
        return FeatureSet(kept, [self.hashes[record.path] for record in kept], names, self.fetch, self.view_draw)


def stored_features(
    config: RunConfig,
    backbone: Backbone,
    records: Sequence[Record],
    *,
    progress: Callable[[ExtractionProgress], None] | None = None,
) -> StoredFeatures:
    """Extract what is not stored yet of these videos, and give access to all of them.

    Raises:
        DatasetError: most records are about parts of their videos in which no frame is shown.
    """
    summary = extract(
        list(dict.fromkeys(record.path for record in records)),
        backbone=backbone,
        store=store_path(config),
        sampling=config.features.sampling,
        dtype=config.features.dtype,
        on_progress=progress,
    )
    maker = make_maker(backbone, sampling=config.features.sampling, dtype=config.features.dtype)
    store = FeatureStore.open(store_path(config), maker)
    unreadable = {skipped.path for skipped in summary.skipped}
    hashes = store.resolve([record.path for record in records if record.path not in unreadable])
    outside, notes = _check_times(records, hashes, store)
    changed = sorted({record.path for record in records} - unreadable - hashes.keys())
    skipped = [*summary.skipped, *(Skipped(path, "the file changed meanwhile") for path in changed)]
    skipped += [Skipped(record.path, f"left out, {part.told()}") for record, part in outside.items()]
    draw = ViewDraw(config.train.strides, config.train.windows, config.seed) if config.evaluate.random_views else None
    return StoredFeatures(hashes, FeatureCache(store.get_many), skipped, draw, frozenset(outside), notes)


def content_hashes(
    config: RunConfig, backbone: Backbone, records: Iterable[Record]
) -> tuple[dict[Path, str], list[Skipped]]:
    """Content hash of each file, whether it is a video or not; and those that cannot be read.

    Raises:
        MakerMismatchError: the store holds features of another maker.
    """
    paths = list(dict.fromkeys(record.path for record in records))
    maker = make_maker(backbone, sampling=config.features.sampling, dtype=config.features.dtype)
    hashes = FeatureStore.open(store_path(config), maker).lookup(paths)
    skipped = []
    for path in paths:
        if path not in hashes:
            try:
                hashes[path] = hash_file(path)
            except OSError as error:
                skipped.append(Skipped.because(path, error))
    return hashes, skipped


def _check_times(
    records: Sequence[Record], hashes: Mapping[Path, str], store: FeatureStore
) -> tuple[dict[Record, TimedPart], list[str]]:
    """The records about parts of their videos in which no frame is shown, and a line for those that end beyond them.

    Raises:
        DatasetError: more than half of the readable ones show no frame.
    """
    readable = [record for record in records if record.path in hashes]
    parts = [record for record in readable if record.start_seconds or record.end_seconds]
    spans = store.shown_spans(hashes[record.path] for record in parts)
    outside, cut = dict[Record, TimedPart](), list[TimedPart]()
    for record in parts:
        (first, duration), start, end = spans[hashes[record.path]], record.start_seconds or 0.0, record.end_seconds
        part = TimedPart(record.origin, start, end, duration, record.path)
        if start >= duration or (end is not None and end <= first):
            outside[record] = part
        elif end is not None and end > duration + TOLERANCE_SECONDS:
            cut.append(part)
    refuse_most_outside([*outside.values()], len(readable))
    if not cut:
        return outside, []
    told = f"(first: {cut[0].told()})."
    return outside, [f"Parts that reach beyond their videos, and end with them: {len(cut)} of {len(readable)} {told}"]


def store_path(config: RunConfig) -> Path:
    """Where a run's features are kept."""
    return config.features.store or config.out / "features.lance"


def _names(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(sorted({record.label for record in records if record.label is not None}))


def first_reason(skipped: Sequence[Skipped]) -> str:
    """How many videos were left out, and why the first was."""
    skipped = [item for item in skipped if not item.passed_over] or skipped
    return f"{len(skipped)} were left out, first {Path(skipped[0].path).name}: {skipped[0].reason.rstrip('.')}"
