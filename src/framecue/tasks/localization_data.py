"""From a run config to annotated videos with stored features, by use; what was left out is listed, always."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.localization import check_span
from framecue.datasets.naming import find_class, name_notes, shorten
from framecue.datasets.part_times import TimedPart, refuse_most_outside
from framecue.datasets.splits import Unit, draw_part, drawn_note, small_part_notes
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.errors import DatasetError
from framecue.features.extract import ExtractionProgress
from framecue.models.seen import Said, SeenVideo, in_order
from framecue.tasks.localization_source import LocalizationSource, ground_truth_path, read_localization_source
from framecue.tasks.recognition_data import StoredFeatures, content_hashes, stored_features
from framecue.types import AnnotatedVideo, Segment, Skipped


@dataclass(frozen=True, eq=False)
class LocalizationParts:
    """Annotated videos by use, before any feature is looked at.

    Attributes:
        train, val, test: with the segments of seen names.
        novel: test videos with segments of held-out names, and these alone; they choose nothing and train nothing.
        ignored: of each training video, segments of names that are not trained on.
        class_names, novel_names: in score order.
        skipped: videos without a file.
        notes: a line for each kind of thing that was left out or changed.
        parting: how the parts came about, and which are too small for their purpose; to be said before the first step.
    """

    train: list[AnnotatedVideo]
    val: list[AnnotatedVideo]
    test: list[AnnotatedVideo]
    novel: list[AnnotatedVideo]
    ignored: list[tuple[Segment, ...]]
    class_names: tuple[str, ...]
    novel_names: tuple[str, ...]
    skipped: list[Skipped]
    notes: list[str]
    parting: list[str]


@dataclass(frozen=True, eq=False)
class LocalizationData:
    """The parts with their features; `val`, `test` and `novel` may be empty.

    Attributes:
        parting: how the parts came about, and which are too small for their purpose; to be said before the first step.
        present: every video of the data, in a part or not.
    """

    train: UntrimmedSet
    val: UntrimmedSet
    test: UntrimmedSet
    novel: UntrimmedSet
    skipped: list[Skipped]
    notes: list[str]
    parting: list[str] = field(default_factory=list)
    present: list[SeenVideo] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, trained on or held out."""
        return self.train.class_names + self.novel.class_names


def read_localization_parts(config: RunConfig) -> LocalizationParts:
    """As `part_localization`, of what is listed, readable or not."""
    return part_localization(config, read_localization_source(config))


def part_localization(
    config: RunConfig,
    source: LocalizationSource,
    hashes: Mapping[Path, str] | None = None,
    *,
    staying: Collection[Path] = (),
) -> LocalizationParts:
    """Annotated videos of a run, parted. A video belongs to one part.

    Of `data.held_out` (and, with `data.classes`, of all names not in it) segments in training videos are neither action
    nor background; training videos with no others, and validation videos that show any, are left out.

    Args:
        hashes: content hash of every readable file: the others are left out before parts are drawn, and copies are
            told; None = every file counts.
        staying: files that are not drawn for validation.

    Raises:
        DatasetError: nothing is left to train on, or files of the same content are in two subsets.
    """
    wanted, notes = config.localization, list(source.notes)
    files = source.videos
    if hashes is not None:
        files, repeated = source.readable(hashes)
        notes += repeated
    novel_names = sorted({find_class(name, source.known, asked_by="data.held_out") for name in config.data.held_out})
    chosen = source.known
    if config.data.classes is not None:
        chosen = sorted({find_class(name, source.known, asked_by="data.classes") for name in config.data.classes})
    seen = set(chosen) - set(novel_names)

    learned = [video for video in files[wanted.train_subset] if _learnable(video, seen)]
    parting = []
    if wanted.val_subset is not None:
        train, val = learned, files[wanted.val_subset]
    else:
        train, val = _split_off_val(config, learned, seen, staying)
        if val:
            counts = {"train": len(train), "val": len(val)}
            parting.append(drawn_note(ground_truth_path(config), counts, seed=config.seed, whole="train"))
    test = files[wanted.test_subset] if wanted.test_subset is not None else []
    class_names = tuple(sorted({s.label for video in train for s in video.segments} & seen))
    if not class_names:
        absent = f" ({len(source.skipped)} of its videos are missing, see data.source)" if source.skipped else ""
        unread = len(source.videos[wanted.train_subset]) - len(files[wanted.train_subset])
        absent += f" ({unread} of its videos cannot be read)" if unread else ""
        raise DatasetError(
            f"{ground_truth_path(config)}: no segment of '{wanted.train_subset}' is left to train on{absent}"
            f"{_why_none_is_left(config, source)}"
        )
    measured = set(class_names)
    kept = [video for video in val if all(segment.label in measured for segment in video.segments)]
    ignored = [tuple(s for s in video.segments if s.label not in measured) for video in train]
    _note_left_out(notes, "training videos", files[wanted.train_subset], learned, "show other names alone: left out")
    _note_left_out(notes, "validation videos", val, kept, "show names not trained on: left out")
    num_ignored = sum(map(len, ignored))
    if num_ignored:
        notes.append(f"Segments of other names in training videos, neither action nor background: {num_ignored}.")
    tested = with_names(test, measured, set(novel_names), notes)
    return LocalizationParts(
        train=[only_names(video, measured) for video in train],
        val=kept,
        test=tested,
        novel=[video for video in (only_names(video, set(novel_names)) for video in test) if video.segments],
        ignored=ignored,
        class_names=class_names,
        novel_names=tuple(novel_names),
        skipped=source.skipped,
        notes=notes,
        parting=[
            *parting,
            *small_part_notes(val=len(kept), test=len(tested)),
            *name_notes((*class_names, *novel_names)),
        ],
    )


def _why_none_is_left(config: RunConfig, source: LocalizationSource) -> str:
    """What reading left out, which mostly is the reason; else what may be asked for wrongly."""
    left_out = _left_out(source.notes, ground_truth_path(config))
    if not left_out:
        return "; check localization.train_subset, data.classes and data.held_out."
    asked = config.data.classes is not None or config.data.held_out
    return f": {'; '.join(left_out)}.{' Check data.classes and data.held_out too.' if asked else ''}"


def _left_out(notes: Iterable[str], path: Path) -> list[str]:
    """The notes of what was left out, without the path and the stop."""
    return [note.removeprefix(f"{path}: ").rstrip(".") for note in notes if "left out" in note]


def prepare_localization(
    config: RunConfig,
    backbone: Backbone,
    *,
    trained_before: Collection[str] = (),
    progress: Callable[[ExtractionProgress], None] | None = None,
) -> LocalizationData:
    """The parts of a run with their features; what is not stored yet is extracted first.

    Unreadable videos are left out and listed before parts are drawn. Features that do not span what was annotated are
    noted, and left out of training, where they would teach wrong places; so are actions that lie wholly beyond their
    video's features.

    Args:
        trained_before: content hashes of videos that are not drawn for validation.

    Raises:
        DatasetError: as `read_localization_source` and `part_localization`, or no training video is readable.
        MakerMismatchError: the store holds features of another maker.
    """
    source = read_localization_source(config)
    listed = part_localization(config, source).class_names  # a list that will not do is refused before extraction
    stored = stored_features(config, backbone, source.records, progress=progress)
    skipped = [*source.skipped, *stored.skipped]
    parts = part_localization(config, source, stored.hashes, staying=stored.of_content(trained_before))
    data = LocalizationData(
        untrimmed_set(parts.train, parts.class_names, stored, parts.ignored),
        untrimmed_set(parts.val, parts.class_names, stored),
        untrimmed_set(parts.test, parts.class_names, stored),
        untrimmed_set(parts.novel, parts.novel_names, stored),
        skipped,
        [*parts.notes],
        parts.parting,
        seen_annotated(
            [*source.readable(stored.hashes)[0].values(), *source.videos.values()],
            content_hashes(config, backbone, source.records)[0],
        ),
    )
    fitting = note_spans(data)
    videos = without_unseen(data, fitting)
    data = replace(
        data,
        train=untrimmed_set(videos, parts.class_names, stored, [data.train.ignored[row] for row in fitting]),
    )
    lost = sorted(set(listed) - {segment.label for video in data.train.videos for segment in video.segments})
    if lost:
        reason = "".join(f"; {note}" for note in _left_out(data.notes, ground_truth_path(config))[:1])
        raise DatasetError(
            f"No usable training video is left of {shorten(lost, 3)}; {len(data.skipped)} were skipped{reason}. "
            "Replace the files or leave the classes out (data.classes)."
        )
    return data


def seen_annotated(parts: Iterable[Sequence[AnnotatedVideo]], hashes: Mapping[Path, str]) -> list[SeenVideo]:
    """The annotated videos as an adapter remembers them, by their names in the ground truth."""
    return [
        SeenVideo(
            content_hash=hashes[video.path],
            name=video.video_id,
            annotation=in_order(Said(s.label, s.start_seconds, s.end_seconds) for s in video.segments),
        )
        for part in parts
        for video in part
        if video.path is not None and video.path in hashes
    ]


def _learnable(video: AnnotatedVideo, seen: set[str]) -> bool:
    """Whether there is something to learn from it: a seen action, or that there is none at all."""
    return not video.segments or any(segment.label in seen for segment in video.segments)


def _split_off_val(
    config: RunConfig, learned: list[AnnotatedVideo], seen: set[str], staying: Collection[Path]
) -> tuple[list[AnnotatedVideo], list[AnnotatedVideo]]:
    """A part of the training videos for model selection; only videos of nothing but seen names are drawn."""
    units = []
    for video in learned:
        labels = frozenset(segment.label for segment in video.segments)
        stays = not labels <= seen or video.path in staying
        units.append(Unit(video.video_id, {"": 1}, labels, stays=stays))
    drawn = draw_part(units, config.data.val_fraction, seed=config.seed, purpose="val")
    train = [video for video in learned if video.video_id not in drawn]
    return train, [video for video in learned if video.video_id in drawn]


def with_names(
    videos: Sequence[AnnotatedVideo], names: set[str], novel: set[str], notes: list[str]
) -> list[AnnotatedVideo]:
    """Test videos with a segment of `names`, and those without any segment, where nothing is to be found."""
    kept = [video for video in videos if not video.segments or any(s.label in names for s in video.segments)]
    _note_left_out(notes, "test videos", videos, kept, "show other names alone and do not count")
    unknown = [s.label for video in videos for s in video.segments if s.label not in names | novel]
    if unknown:
        notes.append(
            f"Segments in test videos of names neither trained on nor held out, which do not count: {len(unknown)} "
            f"({shorten(sorted(set(unknown)), 3)})."
        )
    return [only_names(video, names) for video in kept]


def _note_left_out(notes: list[str], what: str, videos: Sequence[Any], kept: Sequence[Any], why: str) -> None:
    if len(kept) < len(videos):
        notes.append(f"{len(videos) - len(kept)} of {len(videos)} {what} {why}.")


def only_names(video: AnnotatedVideo, names: set[str]) -> AnnotatedVideo:
    return replace(video, segments=tuple(segment for segment in video.segments if segment.label in names))


def untrimmed_set(
    videos: Sequence[AnnotatedVideo],
    names: Sequence[str],
    stored: StoredFeatures,
    ignored: Sequence[tuple[Segment, ...]] | None = None,
) -> UntrimmedSet:
    rows = [row for row, video in enumerate(videos) if video.path in stored.hashes]
    kept = [videos[row] for row in rows]
    hashes = [stored.hashes[video.path] for video in kept if video.path is not None]
    return UntrimmedSet(kept, hashes, names, stored.fetch, [ignored[row] for row in rows] if ignored else None)


def without_unseen(data: LocalizationData, rows: Sequence[int]) -> list[AnnotatedVideo]:
    """These training videos without the actions that none of their features shows; how many there were is noted."""
    videos, unseen = [], []
    for row in rows:
        video = data.train.videos[row]
        grid = data.train.grid_segments(row, data.train.features([row])[0])
        shown = (grid[:, 1] > grid[:, 0]).tolist()
        videos.append(replace(video, segments=tuple(s for s, kept in zip(video.segments, shown, strict=True) if kept)))
        duration = data.train.features([row])[0].duration_seconds
        unseen += [_timed(video, s, duration) for s, kept in zip(video.segments, shown, strict=True) if not kept]
    if unseen:
        told = unseen[0].told()
        data.notes.append(
            f"Actions beyond the features of their training videos, left out: {len(unseen)} (first: {told})."
        )
    return videos


def note_spans(data: LocalizationData) -> list[int]:
    """Notes every video whose features do not span what was annotated; gives the training rows where they do.

    Raises:
        DatasetError: most segments lie outside their videos.
    """
    fitting, learned, measured, number = [], list[TimedPart](), list[TimedPart](), 0
    for part in (data.train, data.val, data.test, data.novel):
        for row, video in enumerate(part.videos):
            features = part.features([row])[0]
            timed = [_timed(video, segment, features.duration_seconds) for segment in video.segments]
            outside = learned if part is data.train else measured
            outside += [one for one in timed if one.start_seconds >= one.duration_seconds]
            number += len(timed)
            line = check_span(video, features.duration_seconds)
            if line is not None and line not in data.notes:
                data.notes.append(line + (" It is left out of training." if part is data.train else ""))
            if line is None and part is data.train:
                fitting.append(row)
    refuse_most_outside([*learned, *measured], number, "segments")
    if measured:
        data.notes.append(
            f"Actions beyond the features of videos to be measured, which count and cannot be found: {len(measured)} "
            f"(first: {measured[0].told()})."
        )
    return fitting


def _timed(video: AnnotatedVideo, segment: Segment, duration_seconds: float) -> TimedPart:
    origin = segment.origin or f"{video.origin}, {segment.label}"
    return TimedPart(origin, segment.start_seconds, segment.end_seconds, duration_seconds, video.path)
