"""Every kind of error, made by hand; gains by removing predictions from the file."""

import numpy as np
import pytest

from framecue.metrics.detection import detection_map
from framecue.metrics.detection_errors import (
    PREDICTION_KINDS,
    SECONDS_EDGES,
    SHARE_EDGES,
    TRUTH_KINDS,
    DetectionErrors,
    detection_errors,
)
from framecue.metrics.segment_table import UNKNOWN, SegmentTable

RUN, SIT = 0, 1


def table(*rows: tuple[float, ...]) -> SegmentTable:
    """Rows of video, label, start, end and, for predictions, score."""
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    numbers = columns[:, :2].astype(np.int64)
    score = columns[:, 4].copy() if columns.shape[1] == 5 else None
    return SegmentTable(numbers[:, 0].copy(), numbers[:, 1].copy(), columns[:, 2:4].copy(), score)


def kinds_of(result: DetectionErrors) -> list[str]:
    names = list(PREDICTION_KINDS)
    return [names[kind] if kind >= 0 else "not judged" for kind in result.prediction_kind]


def fates_of(result: DetectionErrors) -> list[str]:
    return [list(TRUTH_KINDS)[kind] for kind in result.truth_kind]


@pytest.mark.parametrize(
    ("start", "end", "label", "kind"),
    [
        (0, 10, RUN, "true positive"),
        (0, 5, RUN, "true positive"),  # overlap 0.5 reaches the threshold
        (0, 4, RUN, "bad boundary"),
        (0, 1, RUN, "bad boundary"),  # 0.1 is no background yet
        (0, 0.9, RUN, "background"),
        (0, 10, SIT, "wrong label"),
        (0, 4, SIT, "confusion"),
        (0, 0.9, SIT, "background"),
        (50, 60, RUN, "background"),
    ],
)
def test_kinds_of_predictions(start, end, label, kind):
    truth = table((0, RUN, 0, 10), (1, SIT, 0, 10))
    assert kinds_of(detection_errors(truth, table((0, label, start, end, 0.9)), num_classes=2)) == [kind]


def test_a_segment_found_twice_is_a_double_detection_for_the_lower_rank():
    truth = table((0, RUN, 0, 10), (1, RUN, 0, 10))
    guesses = table((0, RUN, 1, 10, 0.4), (0, RUN, 0, 10, 0.3), (0, RUN, 0, 9, 0.9))
    assert kinds_of(detection_errors(truth, guesses, num_classes=1)) == [
        "double detection",
        "double detection",
        "true positive",
    ]


def test_the_kinder_of_several_overlaps_counts():
    """Half over a segment of its own label, wholly over one of another."""
    truth = table((0, RUN, 0, 10), (0, SIT, 0, 6))
    result = detection_errors(truth, table((0, RUN, 0, 6, 0.9)), num_classes=2, tiou=0.5)
    assert kinds_of(result) == ["true positive"]
    result = detection_errors(truth, table((0, RUN, 0, 6, 0.9)), num_classes=2, tiou=0.7)
    assert kinds_of(result) == ["wrong label"]


@pytest.mark.parametrize(
    ("guess", "fate"),
    [
        ((0, RUN, 0, 10, 0.9), "found"),
        ((0, SIT, 0, 10, 0.9), "wrong label"),
        ((0, UNKNOWN, 0, 10, 0.9), "wrong label"),
        ((0, RUN, 0, 4, 0.9), "bad boundary"),
        ((0, SIT, 0, 4, 0.9), "confusion"),
        ((0, RUN, 50, 60, 0.9), "never proposed"),
        ((1, RUN, 0, 10, 0.9), "never proposed"),
    ],
)
def test_fates_of_the_ground_truth(guess, fate):
    truth = table((0, RUN, 0, 10), (7, SIT, 0, 1))
    result = detection_errors(truth, table(guess), num_classes=2)
    assert fates_of(result) == [fate, "never proposed"]


def test_one_prediction_cannot_find_two_segments():
    truth = table((0, RUN, 0, 10), (0, RUN, 0, 10))
    assert sorted(fates_of(detection_errors(truth, table((0, RUN, 0, 10, 1)), num_classes=1))) == ["found", "taken"]


def test_only_the_best_ranked_of_each_class_are_judged():
    """One segment, so two predictions are judged; the third finds it."""
    truth = table((0, RUN, 0, 10), (0, SIT, 20, 30))
    wrong = [(0, RUN, 50 + row, 60 + row, 0.9 - row / 10) for row in range(2)]
    guesses = table(*wrong, (0, RUN, 0, 10, 0.1), (0, SIT, 20, 30, 0.05))
    result = detection_errors(truth, guesses, num_classes=2, per_instance=2)
    assert kinds_of(result) == ["background", "background", "not judged", "true positive"]
    assert fates_of(result) == ["ranked too low", "found"]
    names = list(PREDICTION_KINDS)
    assert result.by_rank[:, names.index("background")].tolist() == [1, 1]
    assert result.by_rank[:, names.index("true positive")].tolist() == [1, 0]
    assert fates_of(detection_errors(truth, guesses, num_classes=2)) == ["found", "found"]


def test_by_length():
    truth = table((0, RUN, 0, 3), (0, RUN, 10, 12), (1, RUN, 0, 200))
    guesses = table((0, RUN, 0, 3, 0.9), (1, RUN, 0, 190, 0.8), (UNKNOWN, RUN, 0, 1, 0.7))
    result = detection_errors(truth, guesses, num_classes=1, duration_seconds=np.array([100.0, np.nan]))
    found, missed = list(TRUTH_KINDS).index("found"), list(TRUTH_KINDS).index("never proposed")
    seconds = result.by_seconds
    assert seconds.truth.sum() == 3
    assert seconds.truth[SECONDS_EDGES.index(0.0), missed] == 1
    assert seconds.truth[SECONDS_EDGES.index(3.0), found] == 1  # bins hold their lower bound
    assert seconds.truth[SECONDS_EDGES.index(180.0), found] == 1
    share = result.by_share
    assert share.truth[SHARE_EDGES.index(0.02)].sum() == 2  # 2 % and 3 %
    assert share.truth[-1, found] == 1  # of the video without a duration
    assert share.predictions[-1].sum() == 2


@pytest.mark.parametrize("seed", range(3))
def test_gain_is_that_of_a_file_without_the_kind(seed):
    draw = np.random.default_rng(seed)

    def segments(count):
        start = draw.uniform(0, 30, count)
        return np.stack([start, start + draw.uniform(1, 10, count)], axis=1)

    truth = SegmentTable(draw.integers(0, 20, 60), draw.integers(0, 3, 60), segments(60))
    guesses = SegmentTable(draw.integers(0, 22, 2000), draw.integers(0, 3, 2000), segments(2000), draw.random(2000))
    result = detection_errors(truth, guesses, num_classes=3, tiou_thresholds=[0.4], tiou=0.4, per_instance=10_000)
    whole = detection_map(truth, guesses, num_classes=3, tiou_thresholds=[0.4]).average
    assert result.average == whole
    for kind, name in enumerate(PREDICTION_KINDS):
        kept = result.prediction_kind != kind
        assert 0 < kept.sum() < len(kept), name
        rest = SegmentTable(guesses.video[kept], guesses.label[kept], guesses.segments[kept], guesses.score[kept])
        if name == "true positive":
            assert name not in result.gain
            continue
        gain = detection_map(truth, rest, num_classes=3, tiou_thresholds=[0.4]).average - whole
        assert result.gain[name] == pytest.approx(gain, abs=1e-12)
        assert gain > 0


def test_counts_add_up_on_activitynet(reference_tables):
    folder = "tad_official_eval"
    labels, truth, guesses = reference_tables(f"{folder}/anet_val400_gt.json", f"{folder}/anet_val400_pred.json")
    result = detection_errors(truth, guesses, num_classes=len(labels))
    judged = int((result.prediction_kind >= 0).sum())
    assert result.by_rank.sum() == result.by_seconds.predictions.sum() == result.by_share.predictions.sum() == judged
    assert result.by_seconds.truth.sum() == len(truth) == 602
    true_positives = int((result.prediction_kind == 0).sum())
    assert true_positives == int((result.truth_kind == 0).sum()) == 429
    assert result.average == pytest.approx(0.38436281467020567, abs=1e-9)
    assert all(gain > 0 for gain in result.gain.values())


def test_refused():
    with pytest.raises(ValueError, match="per_instance must be at least 1, got 0"):
        detection_errors(table((0, 0, 0, 1)), table((0, 0, 0, 1, 1)), num_classes=1, per_instance=0)
