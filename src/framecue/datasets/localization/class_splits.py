"""The open-set protocol: classes that are trained on, and others that are tested by their names alone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from framecue.datasets.class_lists import find_classes, read_class_list, refuse_shared
from framecue.datasets.draws import check_seeds, ranked_classes
from framecue.datasets.list_reader import numbered_lists
from framecue.datasets.localization.ground_truth import find_subset
from framecue.datasets.naming import find_class
from framecue.errors import DatasetError, UsageError
from framecue.types import AnnotatedVideo, Segment


@dataclass(frozen=True)
class ClassSplit:
    """Classes of one trial, sorted; no class is in both."""

    name: str
    train_labels: tuple[str, ...]
    test_labels: tuple[str, ...]


@dataclass(frozen=True)
class SplitVideos:
    """A ground truth as one trial sees it.

    Attributes:
        train: videos of the training subset with a segment of a training class, and these segments alone.
        ignored: by id of a training video, the segments of other classes, which are not annotated in this trial: they
            are neither an action nor background. Where one covers a segment in `train`, that is an action all the same.
        test: videos of the test subset with a segment of a test class, and these segments alone.
        notes: a line for each kind of thing that was left out, with its count.
    """

    train: tuple[AnnotatedVideo, ...]
    ignored: Mapping[str, tuple[Segment, ...]]
    test: tuple[AnnotatedVideo, ...]
    notes: tuple[str, ...]


def read_class_splits(folder: str | Path, labels: Collection[str]) -> tuple[ClassSplit, ...]:
    """Published lists `train/split_0.list` ... and `test/split_0.list` ..., a class a line.

    Those of Efficient-Prompt (Ju et al. 2022) are 10 trials for each of THUMOS14 and ActivityNet 1.3 with 75 % or 50 %
    of the classes for training.

    Args:
        labels: the classes of the ground truth, whose spelling is given back.

    Raises:
        DatasetError: a list is missing, names a class that is not in `labels`, or one that is in the other list too.
    """
    splits = []
    for number, train_file, test_file in numbered_lists(Path(folder)):
        if test_file is None:
            raise DatasetError(f"{folder} holds no test/split_{number}.list. Restore the missing files.")
        train = find_classes(read_class_list(train_file), labels, asked_by=str(train_file))
        test = find_classes(read_class_list(test_file), labels, asked_by=str(test_file))
        refuse_shared(train, test, "train and test")
        splits.append(ClassSplit(f"split {number}", tuple(sorted(train)), tuple(sorted(test))))
    return tuple(splits)


def draw_class_splits(
    labels: Collection[str], *, train_fraction: float = 0.75, seeds: Iterable[int] = range(10)
) -> tuple[ClassSplit, ...]:
    """Seeded splits of any classes; they depend on names and seeds alone, not on the order of the names.

    Args:
        train_fraction: of the classes, rounded to the nearest count, at least one on either side.

    Raises:
        UsageError: the fraction is not between 0 and 1, or the seeds are not different numbers.
        DatasetError: there are fewer than two classes.
    """
    if not 0 < train_fraction < 1:
        raise UsageError(f"train_fraction must be between 0 and 1, found {train_fraction:g}.")
    names = sorted(set(labels))
    if len(names) < 2:
        raise DatasetError(f"A split needs at least two classes, found {len(names)}. Give more.")
    count = min(max(round(train_fraction * len(names)), 1), len(names) - 1)
    splits = []
    for seed in check_seeds(seeds):
        ranked = ranked_classes(names, seed, "open-set localization")
        train, test = sorted(ranked[:count]), sorted(ranked[count:])
        splits.append(ClassSplit(f"seed {seed}", tuple(train), tuple(test)))
    return tuple(splits)


def split_by_labels(
    videos: Sequence[AnnotatedVideo],
    train_labels: Iterable[str],
    test_labels: Iterable[str],
    *,
    train_subset: str,
    test_subset: str,
) -> SplitVideos:
    """The training and test videos of a trial.

    A training video may show a test class too. As in published work its annotation is left out; unlike there it is
    given back as `ignored`, for a network that is told that an unseen action is background learns not to find it.

    Args:
        train_subset, test_subset: as `read_ground_truth` understands them; they may be the same.

    Raises:
        DatasetError: there is no such subset, a label is in no video, a label is in both lists, or nothing is left to
            train or to test on.
    """
    known = {segment.label for video in videos for segment in video.segments}
    train_names = {find_class(name, known, asked_by="train_labels") for name in train_labels}
    test_names = {find_class(name, known, asked_by="test_labels") for name in test_labels}
    if shared := sorted(train_names & test_names):
        raise DatasetError(f"Class '{shared[0]}' is in train_labels and test_labels both. Remove it from one.")
    train_videos, test_videos = _of_subset(videos, train_subset), _of_subset(videos, test_subset)
    train, test = _with_labels(train_videos, train_names), _with_labels(test_videos, test_names)
    for part, kept in (("train", train), ("test", test)):
        if not kept:
            raise DatasetError(f"No video of the {part} subset has a segment of the {part} classes. Choose others.")
    kept_ids = {video.video_id for video in train}
    ignored = {
        video.video_id: others
        for video in train_videos
        if video.video_id in kept_ids and (others := tuple(s for s in video.segments if s.label not in train_names))
    }
    notes = _notes(train_videos, train, train_subset, "training") + _notes(test_videos, test, test_subset, "test")
    return SplitVideos(train, ignored, test, (*notes, *_double_notes(train, ignored, test_names)))


def _of_subset(videos: Sequence[AnnotatedVideo], asked: str) -> list[AnnotatedVideo]:
    subset = find_subset(asked, {video.subset for video in videos if video.subset is not None}, "the ground truth")
    return [video for video in videos if video.subset == subset]


def _with_labels(videos: Iterable[AnnotatedVideo], labels: Collection[str]) -> tuple[AnnotatedVideo, ...]:
    kept = (replace(video, segments=tuple(s for s in video.segments if s.label in labels)) for video in videos)
    return tuple(video for video in kept if video.segments)


def _notes(before: Sequence[AnnotatedVideo], after: Sequence[AnnotatedVideo], subset: str, what: str) -> list[str]:
    segments = [sum(len(video.segments) for video in part) for part in (before, after)]
    if segments[0] == segments[1] and len(before) == len(after):
        return []
    return [
        f"Of {len(before)} videos and {segments[0]} segments of '{subset}', {len(after)} and {segments[1]} are of "
        f"{what} classes."
    ]


def _double_notes(
    train: Iterable[AnnotatedVideo], ignored: Mapping[str, tuple[Segment, ...]], test_names: Collection[str]
) -> list[str]:
    """Says where a training class and a test class share their very segments, as CliffDiving and Diving do."""
    pairs = [
        (segment.label, other.label)
        for video in train
        for other in ignored.get(video.video_id, ())
        for segment in video.segments
        if other.label in test_names
        and (segment.start_seconds, segment.end_seconds) == (other.start_seconds, other.end_seconds)
    ]
    if not pairs:
        return []
    first = f"'{pairs[0][0]}' and '{pairs[0][1]}'"
    return [f"{len(pairs)} training segments are segments of a test class too (first: {first}): it is not unseen."]
