"""The data of an adapter's run as they are now, parted as the adapter remembers them; nothing is drawn anew.

Of data that the run does not know, the test part is taken, or all of them where they have none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.localization import read_ground_truth
from framecue.datasets.localization.ground_truth import find_subset
from framecue.datasets.naming import class_key, shorten
from framecue.datasets.records import load_data, once_each
from framecue.datasets.retrieval import once_each as captions_once_each
from framecue.errors import DatasetError
from framecue.features.extract import ExtractionProgress
from framecue.models.seen import Seen
from framecue.tasks.held_out import HeldOut, find_held_out
from framecue.tasks.localization_data import (
    LocalizationData,
    note_spans,
    only_names,
    seen_annotated,
    untrimmed_set,
    with_names,
    without_unseen,
)
from framecue.tasks.localization_source import (
    LocalizationSource,
    ground_truth_path,
    named_subsets,
    read_localization_source,
)
from framecue.tasks.recognition_data import RecognitionData, content_hashes, seen_records, stored_features
from framecue.tasks.retrieval_data import (
    PARTS,
    RetrievalData,
    captioned_record,
    captioned_sets,
    read_present_captions,
    seen_captioned,
)
from framecue.types import AnnotatedVideo, CaptionedVideo, Record

Progress = Callable[[ExtractionProgress], None]


def recall_records(
    config: RunConfig, backbone: Backbone, seen: Seen, *, progress: Progress | None = None
) -> tuple[RecognitionData, HeldOut]:
    """Feature sets to measure on; those of training, which a linear probe is fitted on, only where all of it is there.

    Raises:
        DatasetError: the source cannot be used, or nothing of it may be measured.
    """
    records, skipped = load_data(config.data)
    spelling = _spelling(seen)
    records = [replace(record, label=spelling(record.label or "")) for record in records]
    hashes, unread = content_hashes(config, backbone, records)
    known, others = _told_apart(records, hashes, seen)
    known, repeated = once_each(known, hashes)
    present = [*known, *others]
    held_out = find_held_out(seen, seen_records(config, present, hashes), where=_where(config))
    novel_names = seen.novel_names
    if held_out.is_new:
        chosen = [record for record in others if record.split == "test"] or others
        stored = stored_features(config, backbone, chosen, progress=progress)
        readable, repeated = once_each(stored.readable(chosen), hashes)
        parts, novel_names = _new_records(config, seen, readable)
    else:
        parts = {name: [present[row] for row in held_out.rows[name]] for name in _looked_at(config, held_out)}
        needed = [record for part in parts.values() for record in part]
        stored = stored_features(config, backbone, needed, progress=progress)
    data = RecognitionData(
        train=stored.feature_set(parts.get("train", []), seen.class_names),
        val=stored.feature_set(parts.get("val", []), seen.class_names),
        test=stored.feature_set(parts.get("test", []), seen.class_names),
        novel=stored.feature_set(parts.get("novel", []), novel_names),
        skipped=[*skipped, *unread, *stored.skipped, *repeated],
    )
    return data, held_out


def recall_annotated(
    config: RunConfig, backbone: Backbone, seen: Seen, *, progress: Progress | None = None
) -> tuple[LocalizationData, HeldOut]:
    """Annotated videos to measure on; those of training, for the linear probe, only where all of it is there.

    Raises:
        DatasetError: the ground truth or the videos cannot be used, or nothing of them may be measured.
    """
    source = _spelled(read_localization_source(config, subsets=_subsets_there(config)), seen)
    hashes, unread = content_hashes(config, backbone, source.records)
    contents = seen.contents
    known, repeated = source.readable({path: content for path, content in hashes.items() if content in contents})
    others = _told_apart((video for part in source.videos.values() for video in part), hashes, seen)[1]
    present = [*(video for part in known.values() for video in part), *others]
    held_out = find_held_out(seen, seen_annotated([present], hashes), where=_where(config))
    notes, novel_names = [*source.notes, *repeated], seen.novel_names
    if held_out.is_new:
        source = source.only(config.localization.test_subset)
        stored = stored_features(config, backbone, source.records, progress=progress)
        readable, repeated = source.readable(stored.hashes)
        videos = [video for part in readable.values() for video in part]
        parts, novel_names = _new_annotated(config, seen, videos, notes)
        notes += repeated
    else:
        parts = {
            name: [only_names(present[row], {*(novel_names if name == "novel" else seen.class_names)}) for row in rows]
            for name, rows in ((name, held_out.rows[name]) for name in _looked_at(config, held_out))
        }
        stored = stored_features(config, backbone, LocalizationSource.of(parts).records, progress=progress)
    data = LocalizationData(
        train=untrimmed_set(parts.get("train", []), seen.class_names, stored),
        val=untrimmed_set(parts.get("val", []), seen.class_names, stored),
        test=untrimmed_set(parts.get("test", []), seen.class_names, stored),
        novel=untrimmed_set(parts.get("novel", []), novel_names, stored),
        skipped=[*source.skipped, *unread, *stored.skipped],
        notes=notes,
    )
    learned = without_unseen(data, note_spans(data))
    return replace(data, train=untrimmed_set(learned, seen.class_names, stored)), held_out


def recall_captioned(
    config: RunConfig, backbone: Backbone, seen: Seen, *, progress: Progress | None = None
) -> tuple[RetrievalData, HeldOut]:
    """Captioned videos to measure on; the training part is empty.

    Raises:
        DatasetError: the captions or the videos cannot be used, or nothing of them may be measured.
    """
    source = read_present_captions(config)
    there = [video for video in source.videos if video.path is not None]
    hashes, unread = content_hashes(config, backbone, map(captioned_record, there))
    known, others = _told_apart(there, hashes, seen)
    read = captions_once_each(replace(source, videos=tuple(known)), hashes)
    present = [*read.videos, *others]
    held_out = find_held_out(seen, seen_captioned(present, hashes), where=_where(config))
    if held_out.is_new:
        chosen = [video for video in others if video.split == "test"] or others
        stored = stored_features(config, backbone, [*map(captioned_record, chosen)], progress=progress)
        readable = [video for video in chosen if stored.has(captioned_record(video))]
        read = captions_once_each(replace(source, videos=tuple(readable)), hashes)
        parts = {"test": list(read.videos)}
    else:
        parts = {held_out.part: [present[row] for row in held_out.rows[held_out.part]]}
        needed = [captioned_record(video) for video in parts[held_out.part]]
        stored = stored_features(config, backbone, needed, progress=progress)
    notes = [*read.notes, *stored.notes]
    sets = captioned_sets(config, backbone, {name: parts.get(name, []) for name in PARTS}, stored, notes)
    skipped = [*unread, *stored.skipped]
    return RetrievalData(sets["train"], sets["val"], sets["test"], skipped, notes), held_out


def _spelling(seen: Seen) -> Callable[[str], str]:
    """From a label to the run's own spelling of it: moved from another system, folders have names in another form."""
    names = {class_key(name): name for name in (*seen.class_names, *seen.novel_names)}
    return lambda label: names.get(class_key(label), label)


def _spelled(source: LocalizationSource, seen: Seen) -> LocalizationSource:
    spelling = _spelling(seen)
    videos = {
        name: [
            replace(video, segments=tuple(replace(one, label=spelling(one.label)) for one in video.segments))
            for video in part
        ]
        for name, part in source.videos.items()
    }
    return replace(source, videos=videos)


Item = TypeVar("Item", Record, AnnotatedVideo, CaptionedVideo)


def _told_apart(items: Iterable[Item], hashes: Mapping[Path, str], seen: Seen) -> tuple[list[Item], list[Item]]:
    """Those of content that the run used, and the others; what has no hash is left out."""
    contents = seen.contents
    there = [(item, hashes[item.path]) for item in items if item.path is not None and item.path in hashes]
    return [item for item, content in there if content in contents], [i for i, c in there if c not in contents]


def _where(config: RunConfig) -> str:
    return str(config.data.annotations or config.data.source)


def _looked_at(config: RunConfig, held_out: HeldOut) -> list[str]:
    """The parts that a measurement needs; those of training for the linear probe."""
    probe = "B-II" in config.evaluate.baselines and held_out.is_whole("train") and held_out.is_whole("val")
    return list(dict.fromkeys([held_out.part, "novel", *(("train", "val") if probe else ())]))


def _subsets_there(config: RunConfig) -> list[str] | None:
    """Those of the run's subsets that the ground truth has; None where it has none of them, which reading explains."""
    path = ground_truth_path(config)
    known = read_ground_truth(path).subsets
    return [name for name in named_subsets(config) if _is_there(name, known, path)] or None


def _is_there(name: str, known: Iterable[str], path: Path) -> bool:
    try:
        find_subset(name, known, path)
    except DatasetError:
        return False
    return True


def _new_records(
    config: RunConfig, seen: Seen, records: Iterable[Record]
) -> tuple[dict[str, list[Record]], tuple[str, ...]]:
    """Parts of new data, with the labels as the adapter spells them, and those labels that are held out.

    Raises:
        DatasetError: a label is neither trained on nor held out.
    """
    names = _Names(config, seen)
    parts: dict[str, list[Record]] = {"test": [], "novel": []}
    for record in records:
        part, label = names.part_of(record.label or "")
        parts[part].append(replace(record, label=label))
    names.refuse_unknown()
    return parts, tuple(sorted(names.novel))


def _new_annotated(
    config: RunConfig, seen: Seen, videos: Iterable[AnnotatedVideo], notes: list[str]
) -> tuple[dict[str, list[AnnotatedVideo]], tuple[str, ...]]:
    """As `_new_records`; actions of other names do not count, which is noted.

    Raises:
        DatasetError: no action counts.
    """
    names = _Names(config, seen)
    spelled = [
        replace(video, segments=tuple(replace(s, label=names.part_of(s.label)[1]) for s in video.segments))
        for video in videos
    ]
    novel = [video for video in (only_names(v, names.novel) for v in spelled) if video.segments]
    parts = {"test": with_names(spelled, set(seen.class_names), names.novel, notes), "novel": novel}
    if not any(video.segments for part in parts.values() for video in part):
        raise DatasetError(
            f"{_where(config)}: no action of the adapter's {len(seen.class_names)} names is in its {len(spelled)} "
            "videos. Name other data, or what is to be found as novel in data.held_out."
        )
    return parts, tuple(sorted(names.novel))


class _Names:
    """Labels of new data as the adapter knows them, in whatever case and with underscores or spaces."""

    def __init__(self, config: RunConfig, seen: Seen) -> None:
        self._known = {class_key(name): name for name in seen.class_names}
        self._held_out = {class_key(name) for name in config.data.held_out}
        self.novel: set[str] = set()
        self._unknown: set[str] = set()
        trained = [name for name in config.data.held_out if class_key(name) in self._known]
        if trained:
            raise DatasetError(
                f"data.held_out: the adapter was trained on {shorten(trained, 3)}; leave them out there."
            )

    def part_of(self, label: str) -> tuple[str, str]:
        """The part of a video of this label, and the label as it is to be written."""
        key = class_key(label)
        if key in self._known:
            return "test", self._known[key]
        (self.novel if key in self._held_out else self._unknown).add(label)
        return "novel", label

    def refuse_unknown(self) -> None:
        """
        Raises:
            DatasetError: there were labels that are neither trained on nor held out.
        """
        if self._unknown:
            raise DatasetError(
                f"The adapter was trained on {len(self._known)} classes, {shorten(sorted(self._unknown), 3)} not among "
                "them; name them in data.held_out to measure them as novel, or choose others in data.classes."
            )
