"""Average precision against the official evaluator's stored answers, a plain loop, and hand computation."""

import json
import math

import numpy as np
import pytest

from framecue.metrics.detection import ACTIVITYNET_TIOU, THUMOS14_TIOU, detection_map
from framecue.metrics.segment_table import UNKNOWN, SegmentTable, overlapping_pairs, segment_table
from framecue.types import ScoredSegment, Segment


def truth_of(*rows: tuple[int, int, float, float]) -> SegmentTable:
    """Rows of video, label, start, end."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return SegmentTable(columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64), columns[:, 2:])


def predicted(*rows: tuple[int, int, float, float, float]) -> SegmentTable:
    """Rows of video, label, start, end, score."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5)
    plain = truth_of(*columns[:, :4])
    return SegmentTable(plain.video, plain.label, plain.segments, columns[:, 4].copy())


def ap(truth: SegmentTable, predictions: SegmentTable, tiou: float = 0.5, num_classes: int = 1) -> list[float]:
    return detection_map(truth, predictions, num_classes=num_classes, tiou_thresholds=[tiou]).per_class[0].tolist()


@pytest.mark.parametrize("name", ["small", "clean"])
@pytest.mark.parametrize("thresholds", ["activitynet", "thumos14"])
def test_official_answers(reference_tables, shared_data, name, thresholds):
    folder = "synthetic_detection"
    labels, truth, predictions = reference_tables(
        f"{folder}/{name}_ground_truth.json", f"{folder}/{name}_predictions.json"
    )
    expected = json.loads((shared_data / "golden" / folder / f"{name}_expected.json").read_text())[thresholds]
    tious = {"activitynet": ACTIVITYNET_TIOU, "thumos14": THUMOS14_TIOU}[thresholds]
    assert list(tious) == expected["tiou_thresholds"]
    result = detection_map(truth, predictions, num_classes=len(labels), tiou_thresholds=tious)
    np.testing.assert_allclose(result.mean_ap, expected["mAP"], rtol=0, atol=1e-9)
    assert result.average == pytest.approx(expected["average_mAP"], abs=1e-9)
    assert set(labels) == set(expected["AP_per_class"])
    for column, label in enumerate(labels):
        np.testing.assert_allclose(result.per_class[:, column], expected["AP_per_class"][label], rtol=0, atol=1e-9)


def test_official_answer_on_activitynet(reference_tables, shared_data):
    folder = "tad_official_eval"
    labels, truth, predictions = reference_tables(f"{folder}/anet_val400_gt.json", f"{folder}/anet_val400_pred.json")
    expected = json.loads((shared_data / "golden" / folder / "anet_val400_official_result.json").read_text())
    assert (len(truth), len(predictions)) == (expected["n_gt"], expected["n_pred"])
    result = detection_map(truth, predictions, num_classes=len(labels))
    np.testing.assert_allclose(result.mean_ap, expected["mAP"], rtol=0, atol=1e-9)
    assert result.average == pytest.approx(expected["average_mAP"], abs=1e-9)
    first = [result.per_class[0, labels.index(label)] for label in expected["classes"]]
    np.testing.assert_allclose(first, expected["per_class_AP_at_first_tiou"], rtol=0, atol=1e-9)


def test_whole_validation_set_against_itself(shared_data):
    """The official sample is all of ActivityNet 1.3's validation with score 1; three of its segments are empty."""
    path = shared_data / "golden" / "activitynet" / "sample_detection_prediction.json"
    results = json.loads(path.read_text())["results"]
    truth = {video: [Segment(*item["segment"], item["label"]) for item in items] for video, items in results.items()}
    guess = {
        video: [ScoredSegment(part.start_seconds, part.end_seconds, part.label, 1.0) for part in parts]
        for video, parts in truth.items()
    }
    labels = sorted({part.label for parts in truth.values() for part in parts})
    videos = {video: number for number, video in enumerate(truth)}
    numbers = {label: number for number, label in enumerate(labels)}
    table = segment_table(truth, videos, numbers)
    result = detection_map(table, segment_table(guess, videos, numbers), num_classes=len(labels))
    assert (len(videos), len(labels), len(table)) == (4926, 200, 7654)
    assert int((table.segments[:, 0] == table.segments[:, 1]).sum()) == 3
    np.testing.assert_array_equal(result.per_class, np.ones((10, 200)))
    assert result.average == 1.0


def plain_iou(first: np.ndarray, second: np.ndarray, least_union: float) -> float:
    """As the evaluators divide; infinite for their 0/0, which is not below any threshold."""
    overlap = max(min(first[1], second[1]) - max(first[0], second[0]), 0.0)
    union = max((second[1] - second[0]) + (first[1] - first[0]) - overlap, least_union)
    return overlap / union if union else math.inf


def plain_ap(truth: SegmentTable, predictions: SegmentTable, label: int, tiou: float, least_union: float) -> float:
    """One class, prediction by prediction."""
    rows = [row for row in np.argsort(predictions.score, kind="stable")[::-1] if predictions.label[row] == label]
    positives = [row for row in range(len(truth)) if truth.label[row] == label]
    taken: set[int] = set()
    precision, recall = [0.0], [0.0]
    for place, row in enumerate(rows, 1):
        candidates = [other for other in positives if truth.video[other] == predictions.video[row]]
        overlap = [plain_iou(predictions.segments[row], truth.segments[other], least_union) for other in candidates]
        for _, other in sorted(zip(overlap, candidates, strict=True), reverse=True):
            if overlap[candidates.index(other)] >= tiou and other not in taken:
                taken.add(other)
                break
        precision.append(len(taken) / place)
        recall.append(len(taken) / len(positives))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * best[1:]))


@pytest.mark.parametrize("convention", ["activitynet", "opentad"])
@pytest.mark.parametrize("seed", range(10))
def test_equals_the_plain_loop(seed, convention):
    """Few videos, small whole numbers: many ties of scores and overlaps, long chains of second choices."""
    draw = np.random.default_rng(seed)

    def segments(count):
        start = draw.integers(0, 12, count)
        return np.stack([start, start + draw.integers(-1, 7, count)], axis=1).astype(np.float64)

    truth = SegmentTable(draw.integers(0, 3, 40), draw.integers(0, 2, 40), segments(40))
    score = draw.integers(0, 30, 300) / 30
    guess = SegmentTable(draw.integers(-1, 4, 300), draw.integers(0, 3, 300), segments(300), score)
    result = detection_map(truth, guess, num_classes=3, tiou_thresholds=[0.2, 0.5, 1.0], convention=convention)
    least = {"activitynet": -math.inf, "opentad": 1e-8}[convention]
    expected = [[plain_ap(truth, guess, label, tiou, least) for label in range(2)] for tiou in (0.2, 0.5, 1.0)]
    np.testing.assert_allclose(result.per_class[:, :2], expected, rtol=0, atol=1e-12)
    assert np.isnan(result.per_class[:, 2]).all()


def test_by_hand():
    truth = truth_of((0, 0, 0, 10), (0, 0, 20, 30))
    guess = predicted((0, 0, 0, 10, 0.9), (0, 0, 0, 10, 0.8), (0, 0, 21, 30, 0.7))
    result = detection_map(truth, guess, num_classes=1, tiou_thresholds=[0.5, 0.95])
    np.testing.assert_allclose(result.mean_ap, [0.5 * 1 + 0.5 * 2 / 3, 0.5 * 1])
    assert result.average == pytest.approx((5 / 6 + 1 / 2) / 2)


def test_precision_is_interpolated():
    truth = truth_of((0, 0, 0, 10), (0, 0, 20, 30))
    guess = predicted((0, 0, 50, 60, 0.9), (0, 0, 0, 10, 0.8), (0, 0, 20, 30, 0.7))
    assert ap(truth, guess) == pytest.approx([2 / 3])


def test_overlap_may_equal_the_threshold():
    assert ap(truth_of((0, 0, 0, 10)), predicted((0, 0, 0, 5, 1.0))) == [1.0]


def test_a_taken_segment_leaves_the_second_choice():
    truth = truth_of((0, 0, 0, 10), (0, 0, 2, 12))
    guess = predicted((0, 0, 0, 10, 0.9), (0, 0, 0, 11, 0.8))  # the second overlaps [0, 10) more, which is taken
    assert ap(truth, guess) == [1.0]


def test_of_equal_scores_the_later_in_the_file_ranks_first():
    truth = truth_of((0, 0, 0, 10))
    right, wrong = (0, 0, 0, 10, 0.5), (0, 0, 50, 60, 0.5)
    assert ap(truth, predicted(wrong, right)) == [1.0]
    assert ap(truth, predicted(right, wrong)) == [0.5]
    assert ap(truth, predicted(*[wrong] * 40, right, *[wrong] * 60)) == [pytest.approx(1 / 61)]


def test_the_same_ground_truth_twice_must_be_found_twice():
    truth = truth_of((0, 0, 0, 10), (0, 0, 0, 10))
    assert ap(truth, predicted((0, 0, 0, 10, 0.9))) == [0.5]
    assert ap(truth, predicted((0, 0, 0, 10, 0.9), (0, 0, 0, 10, 0.8))) == [1.0]


def test_predictions_for_unknown_videos_are_wrong_ones():
    truth, right = truth_of((0, 0, 0, 10)), (0, 0, 0, 10, 0.5)
    for video in (UNKNOWN, 7):
        assert ap(truth, predicted((video, 0, 0, 10, 0.9), right)) == [0.5]


def test_classes_never_predicted_and_labels_without_ground_truth():
    truth = truth_of((0, 0, 0, 10), (0, 1, 0, 10))
    guess = predicted((0, 0, 0, 10, 0.5), (0, UNKNOWN, 0, 10, 0.9), (0, 2, 0, 10, 0.9))
    result = detection_map(truth, guess, num_classes=3, tiou_thresholds=[0.5])
    np.testing.assert_array_equal(result.per_class, [[1.0, 0.0, np.nan]])
    assert result.average == 0.5


def test_no_predictions():
    assert detection_map(truth_of((0, 0, 0, 1)), predicted(), num_classes=1).average == 0.0


def test_an_end_before_the_start_overlaps_nothing():
    truth = truth_of((0, 0, 0, 10), (0, 0, 9, 5))
    guess = predicted((0, 0, 9, 0, 0.9), (0, 0, 9, 5, 0.8), (0, 0, 0, 10, 0.7))
    assert ap(truth, guess, tiou=0.01) == [pytest.approx(0.5 / 3)]


@pytest.mark.parametrize(("convention", "found"), [("activitynet", 1.0), ("opentad", 0.0), ("actionformer", 1.0)])
@pytest.mark.parametrize(("segment", "guess"), [((5, 5), (5, 5)), ((5, 5), (6, 6)), ((3, 1), (0, 2)), ((0, 2), (3, 1))])
def test_lengths_that_add_up_to_nothing_match_where_0_over_0_does(segment, guess, convention, found):
    guess = predicted((0, 0, *guess, 1.0))
    result = detection_map(truth_of((0, 0, *segment)), guess, num_classes=1, convention=convention)
    np.testing.assert_array_equal(result.mean_ap, [found] * 10)


def test_an_empty_prediction_takes_an_empty_segment_of_its_own_video_and_class():
    truth = truth_of((0, 0, 0, 10), (0, 0, 5, 5))
    assert ap(truth, predicted((0, 0, 2, 2, 0.9), (0, 0, 3, 3, 0.8))) == [0.5]
    assert ap(truth, predicted((1, 0, 5, 5, 0.9), (0, 1, 5, 5, 0.8))) == [0.0]


def test_unions_below_ten_nanoseconds_count_as_such_in_opentad():
    truth, guess = truth_of((0, 0, 0, 4e-9)), predicted((0, 0, 0, 4e-9, 1.0))
    thresholds = [0.3, 0.5]
    assert detection_map(truth, guess, num_classes=1, tiou_thresholds=thresholds).mean_ap.tolist() == [1.0, 1.0]
    result = detection_map(truth, guess, num_classes=1, tiou_thresholds=thresholds, convention="opentad")
    assert result.mean_ap.tolist() == [1.0, 0.0]


def test_pairs_are_made_in_parts(monkeypatch):
    draw = np.random.default_rng(0)
    start = draw.uniform(0, 10, 200)
    table = SegmentTable(draw.integers(0, 5, 200), draw.integers(0, 2, 200), np.stack([start, start + 3], 1), start)
    whole = overlapping_pairs(table, table, 0.3)
    monkeypatch.setattr("framecue.metrics.segment_table._CHUNK_PAIRS", 50)
    parts = overlapping_pairs(table, table, 0.3)
    assert len(whole.iou) > 500
    np.testing.assert_array_equal(parts.prediction, whole.prediction)
    np.testing.assert_array_equal(parts.truth, whole.truth)


def test_table_of_segments():
    parts = {
        "a": [ScoredSegment(0, 1, "run", 0.5), ScoredSegment(1, 2, "fly", 0.4)],
        "b": [ScoredSegment(2, 3, "run", 1)],
    }
    table = segment_table(parts, {"a": 4}, {"run": 0})
    np.testing.assert_array_equal(table.video, [4, 4, UNKNOWN])
    np.testing.assert_array_equal(table.label, [0, UNKNOWN, 0])
    np.testing.assert_array_equal(table.segments, [[0, 1], [1, 2], [2, 3]])
    np.testing.assert_array_equal(table.score, [0.5, 0.4, 1.0])
    assert segment_table({"a": [Segment(0, 1, "run")]}, {"a": 0}).score is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: predicted((0, 0, 0, 1, np.nan)), "score must not be NaN, found 1."),
        (lambda: truth_of((0, 0, 0, np.inf)), "segments must be finite, found 1 that are not."),
        (lambda: ap(truth_of(), predicted()), "the mean average precision needs ground truth, got no segment."),
        (lambda: ap(truth_of((0, 0, 0, 1)), truth_of((0, 0, 0, 1))), "predictions need scores, this table has none."),
        (lambda: ap(truth_of((0, 3, 0, 1)), predicted()), r"labels of the ground truth must lie in \[0, 1\), found 3."),
        (
            lambda: ap(truth_of((0, 0, 0, 1)), predicted(), 0.0),
            r"tiou_thresholds must be numbers in \(0, 1\], got \[0.0\].",
        ),
    ],
)
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()
