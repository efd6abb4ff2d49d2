"""From which score a segment is reported, chosen on validation; and what the reported ones are worth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.config import LocalizationConfig
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.metrics.detection import Ranking, match
from framecue.metrics.intervals import wilson_interval
from framecue.metrics.segment_table import SegmentTable
from framecue.tasks.calibration import LEAST_CALIBRATION_VIDEOS
from framecue.tasks.localization_evaluation import MakeLocalizer, detect, detection_table, truth_table

Scores = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]

AT_TIOU = 0.5
"""Overlap from which a reported segment is right."""


def choose_min_score(
    data: UntrimmedSet,
    make: Callable[[Sequence[str], Sequence[str]], MakeLocalizer],
    config: LocalizationConfig,
) -> dict[str, float] | None:
    """The score from which a segment is reported: the highest F1 on the validation part, asked for half of its names.

    Either half is asked for without the other, so that half of the actions are of names that were not asked for: a
    score that suits videos where everything was asked for would report something in videos of nothing that was.

    Args:
        make: the localizer of the names asked for, with the names not asked for beside them.

    Returns:
        min_score, and its f1, precision and recall at an overlap of `AT_TIOU`; None with fewer actions than
        LEAST_CALIBRATION_VIDEOS, with one name, or where nothing is right.
    """
    names = data.class_names
    halves = names[::2], names[1::2]
    if not halves[1] or len(data.targets) < LEAST_CALIBRATION_VIDEOS:
        return None
    scores, hits, num_true = [], [], 0
    for asked, others in (halves, halves[::-1]):
        found, hit, count = _judge(data, make(asked, others), config, asked)
        scores.append(found)
        hits.append(hit)
        num_true += count
    return _best_f1(np.concatenate(scores), np.concatenate(hits), num_true)


def measure_reporting(
    data: UntrimmedSet, other: UntrimmedSet, make: MakeLocalizer, config: LocalizationConfig, *, min_score: float
) -> dict[str, Any]:
    """What reported segments are worth on videos of the names asked for, and on videos of none of them.

    Of `data` the videos without any action are measured by themselves, too.

    Args:
        other: videos with actions of other names alone; may be empty.
        make: the localizer of `data`'s names.
    """
    scores, hits, num_true = _judge(data, make, config, data.class_names)
    reported = scores > min_score
    right, num_reported = int(hits[reported].sum()), int(reported.sum())
    precision, recall = right / max(num_reported, 1), right / max(num_true, 1)
    measured: dict[str, Any] = {
        "tiou": AT_TIOU,
        "min_score": min_score,
        "precision": precision,
        "recall": recall,
        # Over segments; those of one video may fail together, and the intervals are too narrow then.
        "ci95": {
            "precision": list(wilson_interval(precision, max(num_reported, 1))),
            "recall": list(wilson_interval(recall, max(num_true, 1))),
        },
        "reported_per_video": num_reported / len(data),
    }
    idle = [row for row, video in enumerate(data.videos) if not video.segments]
    if idle:
        measured["idle"] = _alarms(data.subset(idle), make, config, min_score)
    if len(other):
        measured["none_of_these"] = _alarms(other, make, config, min_score)
    return measured


def _alarms(data: UntrimmedSet, make: MakeLocalizer, config: LocalizationConfig, min_score: float) -> dict[str, Any]:
    """What is reported of videos in which nothing is to be found."""
    found = detect(data, make, config)
    counts = [sum(segment.score > min_score for segment in segments) for segments in found.values()]
    silent = sum(count == 0 for count in counts) / len(counts)
    return {
        "num_videos": len(data),
        "videos_without_report": silent,
        "ci95": {"videos_without_report": list(wilson_interval(silent, len(counts)))},
        "reported_per_video": sum(counts) / len(counts),
    }


def _judge(
    data: UntrimmedSet, make: MakeLocalizer, config: LocalizationConfig, asked: Sequence[str]
) -> tuple[Scores, Hits, int]:
    """Score of each segment found, whether it is right, and how many there are to be found."""
    found = detection_table(data, detect(data, make, config))
    wanted = [number for number, name in enumerate(data.class_names) if name in asked]
    truth = _with_labels(truth_table(data), wanted)
    hits = np.zeros(len(found), dtype=bool)
    if len(truth) and len(found):
        matched = match(truth, found, Ranking.of(found).ranks(), [AT_TIOU])[0]
        hits[matched[matched >= 0]] = True
    return found.ranked_scores(), hits, len(truth)


def _with_labels(table: SegmentTable, labels: Sequence[int]) -> SegmentTable:
    kept = np.isin(table.label, labels)
    return SegmentTable(table.video[kept], table.label[kept], table.segments[kept])


def _best_f1(scores: Scores, hits: Hits, num_true: int) -> dict[str, float] | None:
    if not hits.any():
        return None
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    taken = np.arange(1, len(order) + 1)
    following = np.append(scores[order][1:], 0.0)
    # Between equal scores no least score can cut.
    f1 = np.where(scores[order] > following, 2 * found / (taken + num_true), 0.0)
    best = int(f1.argmax())
    return {
        "min_score": float((scores[order[best]] + following[best]) / 2),
        "f1": float(f1[best]),
        "precision": float(found[best] / taken[best]),
        "recall": float(found[best] / num_true),
    }
