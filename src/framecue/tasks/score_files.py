"""Anyone's prediction files against ground truth: files in, figures and a line for all that was left out, out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from framecue.datasets.localization import DetectionFile, GroundTruth, meet_ids, read_detections, read_ground_truth
from framecue.datasets.localization.blocked import blocked_entries
from framecue.datasets.localization.notes import Invalid
from framecue.datasets.localization.raw import video_key
from framecue.datasets.localization.thumos import THUMOS_TEST_LEFT_OUT, ThumosTest
from framecue.datasets.naming import shorten
from framecue.datasets.part_times import TimedPart
from framecue.errors import DatasetError, UsageError
from framecue.files import name_form
from framecue.metrics.conventions import CONVENTIONS, DetectionConvention
from framecue.metrics.detection import ACTIVITYNET_TIOU, detection_map
from framecue.metrics.detection_errors import (
    PREDICTION_KINDS,
    TRUTH_KINDS,
    DetectionErrors,
    LengthTable,
    detection_errors,
)
from framecue.metrics.proposals import average_recall
from framecue.metrics.segment_table import Array, Integers, SegmentTable, segment_table
from framecue.types import ScoredSegment


@dataclass(frozen=True)
class ScoringRules:
    """Conventions on which evaluators differ; the defaults are the official ActivityNet evaluator's.

    Attributes:
        subset: the one to score; "all" takes every subset; None is for files of one subset.
        convention: whose evaluator decides where those of the field differ, see `metrics.conventions`.
        deduplicate: count segments that the ground truth gives twice (to 1 ms) once and empty ones not at all, whatever
            the convention.
        blocked: list of videos to leave out, with the predictions for them.
        thumos_test: how many of THUMOS14's test videos count.
        invalid: what happens to segments that end no later than they begin.
        unknown_videos: predictions for videos outside the ground truth are wrong ones, or skipped.
    """

    subset: str | None = None
    convention: DetectionConvention = "activitynet"
    deduplicate: bool = False
    blocked: Path | None = None
    thumos_test: ThumosTest = 213
    invalid: Invalid = "keep"
    unknown_videos: Literal["wrong", "skip"] = "wrong"


OFFICIAL = ScoringRules()


@dataclass(frozen=True)
class _Match:
    """What was read, ready to be tabulated; `notes` say what was left out or is doubtful."""

    truth: GroundTruth
    found: DetectionFile
    results: Mapping[str, Sequence[ScoredSegment]]
    rules: ScoringRules
    notes: tuple[str, ...]

    def tables(self, labels: Sequence[str] | None) -> tuple[SegmentTable, SegmentTable]:
        """Ground truth and predictions; without `labels` as if there were one class."""
        videos = {video.video_id: number for number, video in enumerate(self.truth.videos)}
        numbers = None if labels is None else {label: number for number, label in enumerate(labels)}
        truth = segment_table({video.video_id: video.segments for video in self.truth.videos}, videos, numbers)
        return truth, segment_table(self.results, videos, numbers)

    def durations(self) -> Array:
        return np.array([video.duration_seconds or math.nan for video in self.truth.videos], dtype=np.float64)

    def described(self, what: str) -> dict[str, Any]:
        """The head of a result: what was scored, by which rules."""
        rules = asdict(self.rules) | {"blocked": None if self.rules.blocked is None else str(self.rules.blocked)}
        return {
            "ground_truth": {
                "file": str(self.truth.path),
                "videos": len(self.truth.videos),
                "segments": self.truth.num_segments,
                "labels": len(self.truth.labels),
                "subsets": self.truth.subsets,
            },
            what: {
                "file": str(self.found.path),
                "videos": len(self.results),
                "segments": sum(map(len, self.results.values())),
                "external_data": self.found.external_data,
            },
            "rules": rules,
            "notes": list(self.notes),
        }


def score_detections(
    ground_truth: str | Path,
    predictions: str | Path,
    *,
    tiou_thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    rules: ScoringRules = OFFICIAL,
    class_agnostic: bool = False,
    errors: bool = False,
) -> dict[str, Any]:
    """mAP of a prediction file, for JSON: per threshold, per class, and if wanted where it goes wrong.

    Args:
        class_agnostic: as if all segments had one label, so only place and score count.
        errors: add the error analysis, see `metrics.detection_errors`.

    Raises:
        DatasetError: a file cannot be read, there is no ground truth to score against, or the predictions have no
            labels.
        UsageError: the ground truth has several subsets and none was asked for.
    """
    matched = _read(Path(ground_truth), Path(predictions), rules)
    labels = ["any label"] if class_agnostic else list(matched.truth.labels)
    notes = [] if class_agnostic else _label_notes(matched)
    truth, guesses = matched.tables(None if class_agnostic else labels)
    result = detection_map(
        truth, guesses, num_classes=len(labels), tiou_thresholds=tiou_thresholds, convention=rules.convention
    )
    counts = [_per_label(table.label, len(labels)) for table in (truth, guesses)]
    head = matched.described("predictions")
    scored = {
        "tiou_thresholds": result.tiou_thresholds.tolist(),
        "mean_ap": result.mean_ap.tolist(),
        "average_mean_ap": result.average,
        "class_agnostic": class_agnostic,
        "per_class": {
            label: {
                "ap": result.per_class[:, number].tolist(),
                "average_ap": float(result.per_class[:, number].mean()),
                "segments": counts[0][number],
                "predictions": counts[1][number],
            }
            for number, label in enumerate(labels)
        },
    }
    if errors:
        found = detection_errors(
            truth,
            guesses,
            num_classes=len(labels),
            tiou_thresholds=tiou_thresholds,
            duration_seconds=matched.durations(),
            convention=rules.convention,
        )
        scored["errors"] = errors_json(found)
    return {**head, "notes": head["notes"] + notes, **scored}


def score_proposals(
    ground_truth: str | Path,
    proposals: str | Path,
    *,
    tiou_thresholds: Sequence[float] = ACTIVITYNET_TIOU,
    rules: ScoringRules = OFFICIAL,
    max_average_proposals: float | None = None,
) -> dict[str, Any]:
    """AR@AN and AUC of a file of proposals, for JSON; predictions with labels do too, their labels do not count.

    Raises:
        DatasetError: a file cannot be read, or there is no ground truth or no proposal for its videos.
        UsageError: the ground truth has several subsets and none was asked for, or the convention measures no recall.
    """
    if rules.convention == "actionformer":
        raise UsageError("ActionFormer's evaluator measures no recall of proposals; take activitynet or opentad.")
    matched = _read(Path(ground_truth), Path(proposals), rules)
    truth, guesses = matched.tables(None)
    try:
        result = average_recall(
            truth,
            guesses,
            tiou_thresholds=tiou_thresholds,
            max_average_proposals=max_average_proposals,
            convention=rules.convention,
        )
    except ValueError as error:
        raise DatasetError(f"{proposals} cannot be scored: {error} Check the video ids and the limit.") from None
    return {
        **matched.described("proposals"),
        "tiou_thresholds": result.tiou_thresholds.tolist(),
        "average_recall_at": {str(number): value for number, value in result.average_recall_at.items()},
        "auc": result.auc,
        "proposals_per_video": result.proposals_per_video.tolist(),
        "average_recall": result.average_recall.tolist(),
        "recall_with_all": result.recall[:, -1].tolist(),
    }


def _read(ground_truth: Path, predictions: Path, rules: ScoringRules) -> _Match:
    convention = CONVENTIONS[rules.convention]
    deduplicate = rules.deduplicate or convention.deduplicate
    truth = read_ground_truth(
        ground_truth,
        subset=None if rules.subset == "all" else rules.subset,
        deduplicate=deduplicate,
        shortest_seconds=convention.shortest_seconds,
        invalid="drop" if deduplicate and rules.invalid == "keep" else rules.invalid,
        blocked=rules.blocked,
        thumos_test=rules.thumos_test,
    )
    if rules.subset is None and len(truth.subsets) > 1:
        there = ", ".join(f"{name} ({count} videos)" for name, count in sorted(truth.subsets.items()))
        raise UsageError(
            f"{ground_truth} holds the subsets {there}; say which to score with --subset, or --subset all."
        )
    if truth.num_segments == 0:
        left_out = [note.removeprefix(f"{ground_truth}: ") for note in truth.notes if "left out" in note]
        reason = f": {left_out[0]}" if left_out else ". Check the subset."
        raise DatasetError(f"{ground_truth} has no segment to be found in what was asked for{reason}")
    durations = {video.video_id: video.duration_seconds for video in truth.videos if video.duration_seconds}
    found = read_detections(predictions, durations=durations, invalid=rules.invalid)
    if found.notes and not any(found.results.values()):
        raise DatasetError(f"{predictions} holds no prediction that can be used: {found.notes[0]}")
    results, notes = _select(truth, found, rules)
    outside = [
        TimedPart(f"video {video!r}", segment.start_seconds, segment.end_seconds, durations[video])
        for video, segments in results.items()
        if video in durations
        for segment in segments
        if segment.start_seconds >= durations[video]
    ]
    notes += _outside_note(truth.path, [part for _, part in truth.outside], truth.num_segments, "segments")
    notes += _outside_note(found.path, outside, sum(map(len, results.values())), "predictions")
    return _Match(truth, found, results, rules, (*truth.notes, *found.notes, *notes))


def _outside_note(path: Path, outside: Sequence[TimedPart], number: int, what: str) -> list[str]:
    """A line of what lies wholly outside its video, which no evaluator looks at, with the guess what was meant."""
    if not outside:
        return []
    first = outside[0].told().removeprefix(f"{path}, ")
    return [f"{path}: {len(outside)} of the {number} {what} lie wholly outside their videos: kept (first: {first})."]


def _select(
    truth: GroundTruth, found: DetectionFile, rules: ScoringRules
) -> tuple[dict[str, list[ScoredSegment]], list[str]]:
    """Predictions that count, in the order of the file, and a line for each kind that is doubtful or does not."""
    known = {video.video_id for video in truth.videos}
    meant = meet_ids(found.results, known)
    labels = {name_form(label): label for label in truth.labels}
    blocked = blocked_entries(rules.blocked)
    blocked |= {(video, None) for video in THUMOS_TEST_LEFT_OUT[rules.thumos_test]}
    results: dict[str, list[ScoredSegment]] = {}
    excluded, unknown = Counter[str](), Counter[str]()
    for name, segments in found.results.items():
        video = meant.get(name, name)
        kept = [_spelled(segment, labels) for segment in segments]
        if blocked:
            key = video_key(video)
            kept = [s for s in kept if not {(key, None), (key, s.label and name_form(s.label))} & blocked]
        excluded[video] = len(segments) - len(kept)
        if video not in known and kept:
            unknown[video] = len(kept)
            kept = kept if rules.unknown_videos == "wrong" else []
        if kept:
            results[video] = kept
    fate = "left out" if rules.unknown_videos == "skip" else "counted as wrong, as the official evaluator does"
    missing = [video.video_id for video in truth.videos if video.segments and video.video_id not in results]
    first = next((f"{name} for {meant[name]}" for name in found.results if name in meant), "")
    lines = [
        f"{found.path}: {len(meant)} video ids taken for the files of that name (first: {first})." if meant else "",
        _line(found.path, excluded, ("video that is blocked", "videos that are blocked"), "left out"),
        _line(found.path, unknown, ("video outside the ground truth", "videos outside the ground truth"), fate),
        f"{found.path}: nothing for {len(missing)} of the annotated videos ({shorten(missing)})." if missing else "",
    ]
    return results, [line for line in lines if line]


def _spelled(segment: ScoredSegment, labels: Mapping[str, str]) -> ScoredSegment:
    """The segment with its label as the ground truth writes it, where the two differ in form alone."""
    label = segment.label
    if label is None or label.isascii():
        return segment
    return replace(segment, label=labels.get(name_form(label), label))


def _line(path: Path, counts: Counter[str], one_or_many: tuple[str, str], fate: str) -> str:
    """ "p.json: 12 predictions for 2 videos that are blocked (a, b): left out."; empty where there are none."""
    names = [name for name, count in counts.items() if count]
    predictions = "1 prediction" if counts.total() == 1 else f"{counts.total()} predictions"
    what = f"{len(names)} {one_or_many[len(names) != 1]}"
    return f"{path}: {predictions} for {what} ({shorten(names)}): {fate}." if names else ""


def _label_notes(matched: _Match) -> list[str]:
    """Labels on one side only.

    Raises:
        DatasetError: no prediction has a label.
    """
    path, known = matched.found.path, set(matched.truth.labels)
    counts = Counter(segment.label for segments in matched.results.values() for segment in segments)
    bare = counts.pop(None, 0)
    if bare and not counts:
        raise DatasetError(f"{path}: no prediction has a label. Score it as proposals, or with --class-agnostic.")
    unknown = Counter({label: count for label, count in counts.items() if label is not None and label not in known})
    never = sorted(known - set(counts))
    words = "label that the ground truth has not", "labels that the ground truth has not"
    fate = "left out; the official evaluator stops at them"
    lines = [
        f"{path}: {bare} of the predictions have no label: left out." if bare else "",
        _line(path, unknown, words, fate if matched.rules.convention == "activitynet" else "left out"),
        f"{path}: {len(never)} of {len(known)} classes never predicted, AP 0 ({shorten(never)})." if never else "",
    ]
    return [line for line in lines if line]


def _per_label(labels: Integers, num_labels: int) -> list[int]:
    return np.bincount(labels[labels >= 0], minlength=num_labels).tolist()


def errors_json(errors: DetectionErrors) -> dict[str, Any]:
    """An error analysis as plain data, kinds by name."""
    judged = errors.by_rank.sum(axis=0)
    return {
        "tiou": errors.tiou,
        "background_below_tiou": errors.min_tiou,
        "judged_per_segment": errors.per_instance,
        "meaning": {"predictions": dict(PREDICTION_KINDS), "segments": dict(TRUTH_KINDS)},
        "predictions": _named(PREDICTION_KINDS, judged),
        "predictions_by_rank": [_named(PREDICTION_KINDS, row) for row in errors.by_rank],
        "gain_if_removed": errors.gain,
        "segments": _named(TRUTH_KINDS, np.bincount(errors.truth_kind, minlength=len(TRUTH_KINDS))),
        "by_seconds": _lengths_json(errors.by_seconds),
        "by_share_of_video": _lengths_json(errors.by_share),
    }


def _lengths_json(table: LengthTable) -> list[dict[str, Any]]:
    """A row for each bin that is not empty; without bounds where the length is not known, without `below` the last."""
    bounds = [
        (low, high if math.isfinite(high) else None) for low, high in zip(table.edges, table.edges[1:], strict=False)
    ]
    return [
        {
            "from": low,
            "below": high,
            "segments": _named(TRUTH_KINDS, truth),
            "predictions": _named(PREDICTION_KINDS, predictions),
        }
        for (low, high), truth, predictions in zip([*bounds, (None, None)], table.truth, table.predictions, strict=True)
        if truth.sum() or predictions.sum()
    ]


def _named(kinds: Iterable[str], counts: Integers) -> dict[str, int]:
    return dict(zip(kinds, counts.tolist(), strict=True))
