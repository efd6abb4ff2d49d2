"""Annotated untrimmed videos from any file that the field uses, with its conventions as named switches."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from framecue.datasets.localization.blocked import Blocked, blocked_entries
from framecue.datasets.localization.json_forms import read_json_videos
from framecue.datasets.localization.notes import Invalid, Tally, one_line
from framecue.datasets.localization.raw import (
    RawVideo,
    clean_label,
    label_of,
    number_of,
    times_of,
    video_key,
)
from framecue.datasets.localization.tables import read_table_videos
from framecue.datasets.localization.thumos import (
    AMBIGUOUS,
    THUMOS_TEST_LEFT_OUT,
    ThumosTest,
    read_thumos_text,
    thumos_subset,
)
from framecue.datasets.naming import ClassNames, class_key, find_class, part_name, shorten
from framecue.datasets.part_times import TimedPart
from framecue.errors import DatasetError, UsageError
from framecue.files import name_form
from framecue.types import AnnotatedVideo, Segment

_SAME_SECONDS = 1e-3  # ActionFormer's tolerance for two entries of one segment


@dataclass(frozen=True)
class GroundTruth:
    """Annotated videos and what became of the file's entries.

    Attributes:
        path: where it was read.
        videos: in the order of the file; those without actions too.
        labels: classes of these videos' segments, sorted. The classes of other subsets are not among them, as in the
            official evaluator.
        subsets: videos of each subset in the file, before any was left out.
        notes: a line for each kind of thing that was left out, changed or doubtful, with its count.
        outside: id of the video, and segment, of all that lie wholly outside the duration that the file gives.
    """

    path: Path
    videos: tuple[AnnotatedVideo, ...]
    labels: tuple[str, ...]
    subsets: dict[str, int]
    notes: tuple[str, ...]
    outside: Sequence[tuple[str, TimedPart]] = ()

    @property
    def num_segments(self) -> int:
        return sum(len(video.segments) for video in self.videos)


def read_ground_truth(
    path: str | Path,
    *,
    subset: str | None = None,
    deduplicate: bool = False,
    shortest_seconds: float = 0.0,
    clip: bool = False,
    invalid: Invalid = "drop",
    blocked: Blocked | None = None,
    thumos_test: ThumosTest = 213,
    separate_diving: bool = False,
    videos: Collection[str] | None = None,
    labels: Collection[str] | None = None,
    one_spelling: bool = False,
    video_info: str | Path | None = None,
) -> GroundTruth:
    """Ground truth of any of the known forms, told apart by what is in the file.

    JSON: official ActivityNet; ActionFormer, OpenTAD and AFSD for THUMOS14; BMN's and MMAction2's without `database`.
    CSV or JSON lines with a row a segment: `video,start,end,label` and, if wanted, `subset,duration`; AFSD's
    `val_Annotation.csv`, or the folder of both. A folder of THUMOS14's official text files. THUMOS14's mark "Ambiguous"
    is never a class.

    The defaults are those of the official ActivityNet evaluator, but for segments that end no later than they begin (12
    of ActivityNet 1.3's), which it counts, as `invalid` "keep" does.

    Args:
        subset: the one to read, in any case; "train", "val", "test" and their long forms mean the same. None = all.
        deduplicate: leave out all but the first of a video's segments of one label whose times agree to 1 ms, as
            ActionFormer and OpenTAD do.
        shortest_seconds: leave out shorter segments; ActionFormer's evaluator leaves out those below 1 ms.
        clip: move the ends of segments that reach out of the video to its ends; what lies beyond it wholly is left out.
        invalid: what happens to segments that end no later than they begin and to entries that cannot be understood;
            the latter are never kept.
        blocked: videos left out, see `blocked.blocked_entries`.
        thumos_test: how many of THUMOS14's test videos count, see `THUMOS_TEST_LEFT_OUT`.
        separate_diving: leave out the segments of THUMOS14's Diving that are ones of CliffDiving too. The official
            files give both labels to each CliffDiving segment.
        videos, labels: read these only, the labels in any spelling.
        one_spelling: refuse labels that differ only in case, spaces or punctuation, in whatever subset; the official
            evaluator takes them for two classes.
        video_info: BMN's table of videos with their subsets; by default the file of its usual name beside `path`.

    Raises:
        DatasetError: the file cannot be read or is of no known form, or holds no such subset or label; with `invalid`
            "refuse", an entry cannot be right; with `one_spelling`, a label is written in two ways.
    """
    path = Path(path)
    if thumos_test not in THUMOS_TEST_LEFT_OUT:
        raise UsageError(f"thumos_test must be 213, 212, 211 or 210, found {thumos_test}.")
    tally = Tally(path, invalid)
    raw = _read(path, tally, None if video_info is None else Path(video_info))
    if not raw:
        raise DatasetError(f"{path} holds no videos that can be used. Give a file with at least one.")
    spelled = _spelled_labels(raw, one_spelling)
    counts = Counter(video.subset for video in raw if video.subset is not None)
    raw = [video for video in raw if subset is None or _same_subset(video.subset, find_subset(subset, counts, path))]
    raw = _select(raw, blocked, thumos_test, videos, tally)
    outside: list[tuple[str, TimedPart]] = []
    found = [_check(video, spelled, shortest_seconds, clip, outside, tally) for video in raw]
    found = _select_labels(found, blocked, labels, separate_diving, path, tally)
    found = [_without_doubles(video, deduplicate, tally) for video in found]
    names = tuple(sorted({segment.label for video in found for segment in video.segments}))
    _count_spellings(names, tally)
    return GroundTruth(path, tuple(found), names, dict(counts), tally.lines(), outside)


def _read(path: Path, tally: Tally, video_info: Path | None) -> list[RawVideo]:
    tables = sorted(path.glob("*_Annotation.csv")) if path.is_dir() else []
    if tables:
        raw = [video for table in tables for video in read_table_videos(table, tally)]
    elif path.is_dir() or path.suffix.lower() == ".txt":
        raw = read_thumos_text(path, tally)
    elif path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raw = read_table_videos(path, tally)
    else:
        raw = read_json_videos(path, tally, video_info)
    for video in raw:
        if video.subset is None and (part := thumos_subset(video.video_id)):
            video.subset = part
            tally.add("subset", video.video_id)
    return raw


def find_subset(asked: str, known: Iterable[str], source: object) -> str:
    """The subset that `asked` means: the same text, the same but for case, or another name of the same part.

    Raises:
        DatasetError: there is none; those there are are named.
    """
    known = sorted(known)
    for same in (str.__eq__, _same_subset, _same_part):
        found = [name for name in known if same(name, asked)]
        if found:
            return found[0]
    there = one_line(f"there are {shorten(known)}") if known else "the file names none"
    raise DatasetError(f"{source}: no subset '{asked}'; {there}. Ask for one of these, or for all.")


def _same_part(first: str, second: str) -> bool:
    return part_name(first) is not None and part_name(first) == part_name(second)


def _same_subset(first: str | None, second: str) -> bool:
    return first is not None and name_form(first).lower() == name_form(second).lower()


def _select(
    raw: list[RawVideo],
    blocked: Blocked | None,
    thumos_test: ThumosTest,
    asked: Collection[str] | None,
    tally: Tally,
) -> list[RawVideo]:
    """Videos that are not blocked, left out by `thumos_test`, or not asked for."""
    asked = None if asked is None else {video_key(name) for name in asked}
    whole = {key for key, label in blocked_entries(blocked) if label is None}
    kept = []
    for video in raw:
        key = video_key(video.video_id)
        if key in whole:
            tally.add("blocked", video.video_id)
        elif video.video_id in THUMOS_TEST_LEFT_OUT[thumos_test]:
            tally.add("thumos", video.video_id)
        elif asked is not None and key not in asked:
            tally.add("unasked", video.video_id)
        else:
            kept.append(video)
    there = {video_key(video.video_id) for video in raw}
    for name in sorted(whole - there):
        tally.add("unblocked", name)
    for name in sorted(set(asked or ()) - there):
        tally.add("missing", name)
    return kept


def _spelled_labels(raw: Iterable[RawVideo], one_spelling: bool) -> dict[str, str]:
    """By its `name_form` each label of the file, whatever its subset, as it is written first."""
    names, spelled = ClassNames(tell=str.strip), dict[str, str]()
    for video in raw:
        for entry in video.segments:
            label = clean_label(entry.label)
            if label is None:
                continue
            spelled.setdefault(name_form(label), label)
            if one_spelling:
                names.add(label, video.origin_of(entry))
    return spelled


def _check(
    video: RawVideo,
    spelled: Mapping[str, str],
    shortest_seconds: float,
    clip: bool,
    outside: list[tuple[str, TimedPart]],
    tally: Tally,
) -> AnnotatedVideo:
    """The video with the segments that can be used; those that lie wholly outside are added to `outside`."""
    duration = number_of(video.duration)
    if not duration > 0:
        tally.add("duration", f"{video.video_id}: {video.duration!r}")
    segments = []
    for entry in video.segments:
        times, label = times_of(video, entry, tally), label_of(video, entry, tally)
        if times is None or label is None:
            continue
        label = spelled[name_form(label)]
        if label == AMBIGUOUS and thumos_subset(video.video_id):
            tally.add("ambiguous", f"{video.video_id}, {times[0]:g} to {times[1]:g} s")
            continue
        if shortest_seconds > 0 and times[1] - times[0] < shortest_seconds:
            tally.add("short", f"{video.video_id}, {times[0]} to {times[1]} s")
            continue
        part = TimedPart(video.origin_of(entry), *times, duration)
        if times[0] < times[1] and (times[0] >= duration or times[1] <= 0):
            outside.append((video.video_id, part))
        inside = _inside(times, part, clip, video.video_id, tally)
        if inside is not None:
            segments.append(Segment(*inside, label, part.origin))
    seconds = duration if duration > 0 else None
    return AnnotatedVideo(video.video_id, seconds, video.subset, tuple(segments), None, video.origin)


def _inside(
    times: tuple[float, float], part: TimedPart, clip: bool, video_id: str, tally: Tally
) -> tuple[float, float] | None:
    """The part within the video where it is to be clipped; a video without a duration has no end."""
    duration = part.duration_seconds
    start, end = max(times[0], 0.0), min(times[1], duration) if duration > 0 else times[1]
    if (start, end) == times:
        return times
    example = f"{video_id}, {times[0]:g} to {times[1]:g} s of {duration:g} s"
    if not clip:
        tally.add("beyond", example)
        return times
    if start < end:
        tally.add("clipped", example)
        return start, end
    tally.add("outside", part.told().removeprefix(f"{tally.source}, "))
    return None


def _select_labels(
    found: list[AnnotatedVideo],
    blocked: Blocked | None,
    asked: Collection[str] | None,
    separate_diving: bool,
    path: Path,
    tally: Tally,
) -> list[AnnotatedVideo]:
    """Videos without the segments of labels that are blocked, not asked for, or Diving beside CliffDiving."""
    pairs = {(key, label) for key, label in blocked_entries(blocked) if label is not None}
    known = {segment.label for video in found for segment in video.segments}
    wanted = known if asked is None else {find_class(name, known, asked_by=str(path)) for name in asked}
    selected = []
    for video in found:
        cliff = {(s.start_seconds, s.end_seconds) for s in video.segments if s.label == "CliffDiving"}
        segments = []
        for segment in video.segments:
            example = f"{video.video_id}, {segment.label}"
            if pairs and (video_key(video.video_id), name_form(segment.label)) in pairs:
                tally.add("blocked label", example)
            elif segment.label not in wanted:
                tally.add("other label", example)
            elif (
                separate_diving
                and segment.label == "Diving"
                and (segment.start_seconds, segment.end_seconds) in cliff
                and thumos_subset(video.video_id)
            ):
                tally.add("diving", example)
            else:
                segments.append(segment)
        selected.append(replace(video, segments=tuple(segments)))
    return selected


def _without_doubles(video: AnnotatedVideo, deduplicate: bool, tally: Tally) -> AnnotatedVideo:
    segments: list[Segment] = []
    near: dict[tuple[str, int], list[Segment]] = {}  # by label and start in steps as long as the tolerance
    for segment in video.segments:
        step = math.floor(segment.start_seconds / _SAME_SECONDS)
        others = (other for i in (step - 1, step, step + 1) for other in near.get((segment.label, i), ()))
        if any(_same(segment, other) for other in others):
            times = f"{segment.start_seconds:g} to {segment.end_seconds:g} s"
            tally.add("deduplicated" if deduplicate else "double", f"{video.video_id}, {segment.label}, {times}")
            if deduplicate:
                continue
        near.setdefault((segment.label, step), []).append(segment)
        segments.append(segment)
    return replace(video, segments=tuple(segments))


def _same(first: Segment, second: Segment) -> bool:
    return (
        abs(first.start_seconds - second.start_seconds) <= _SAME_SECONDS
        and abs(first.end_seconds - second.end_seconds) <= _SAME_SECONDS
    )


def _count_spellings(names: Iterable[str], tally: Tally) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(class_key(name), name)
        if other != name:
            tally.add("spelling", f"'{name}' and '{other}'")
