"""AR@AN against the official evaluator's stored answers and hand computation."""

import json

import numpy as np
import pytest

from framecue.metrics.proposals import average_recall
from framecue.metrics.segment_table import SegmentTable


def table(*rows: tuple[float, ...]) -> SegmentTable:
    """Rows of video, start, end and, for proposals, score."""
    columns = np.array(rows, dtype=np.float64)
    video = columns[:, 0].astype(np.int64)
    score = columns[:, 3].copy() if columns.shape[1] == 4 else None
    return SegmentTable(video, np.zeros_like(video), columns[:, 1:3], score)


@pytest.mark.parametrize("name", ["small", "clean"])
def test_official_curve(reference_tables, shared_data, name):
    folder = "synthetic_detection"
    _, truth, proposals = reference_tables(f"{folder}/{name}_ground_truth.json", f"{folder}/{name}_proposals.json")
    expected = json.loads((shared_data / "golden" / folder / f"{name}_expected.json").read_text())["proposals"]
    result = average_recall(truth, proposals, tiou_thresholds=expected["tiou_thresholds"])
    np.testing.assert_allclose(result.proposals_per_video, expected["proposals_per_video"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.average_recall, expected["avg_recall"], rtol=0, atol=1e-9)
    assert 100 * result.auc == pytest.approx(expected["AUC_percent"], abs=1e-9)


def test_official_answer_on_activitynet(reference_tables, shared_data):
    folder = "tad_official_eval"
    _, truth, proposals = reference_tables(f"{folder}/anet_val400_gt.json", f"{folder}/anet_val400_proposals.json")
    path = shared_data / "golden" / folder / "anet_val400_official_result.json"
    expected = json.loads(path.read_text())["proposal"]
    numbers = [int(number) for number in expected["AR_at"]]
    limit = expected["max_avg_nr_proposals"]
    result = average_recall(truth, proposals, max_average_proposals=limit, reported_an=numbers)
    for number, recall in expected["AR_at"].items():
        assert result.average_recall_at[int(number)] == pytest.approx(recall, abs=1e-9)
    assert 100 * result.auc == pytest.approx(expected["AUC"], abs=1e-9)
    assert result.proposals_per_video[-1] == pytest.approx(expected["last_AN"], abs=1e-9)


def test_by_hand():
    """Two proposals: half of them is the better one, which finds the first of two segments at 0.5 but not at 0.9."""
    truth = table((0, 0, 10), (0, 20, 30))
    proposals = table((0, 20, 30, 0.1), (0, 0, 8, 0.9))
    result = average_recall(truth, proposals, tiou_thresholds=[0.5, 0.9], reported_an=(1, 2, 5))
    np.testing.assert_allclose(result.proposals_per_video, np.arange(1, 101) / 50)
    np.testing.assert_array_equal(result.recall[0], [0.0] * 49 + [0.5] * 50 + [1.0])
    np.testing.assert_array_equal(result.recall[1], [0.0] * 99 + [0.5])
    assert result.average_recall_at == {1: 0.25, 2: 0.75}
    # 98 steps of 0.02 between 0.02 and 1.98: 48 at 0, one up to 0.25, 49 at 0.25, one up to 0.75
    assert result.auc == pytest.approx((0.125 + 49 * 0.25 + 0.5) * 0.02 / 2)


def test_every_video_gives_the_same_share_of_its_own():
    """Two and four proposals, three per video: at half of them the second video gives two, of which one is right."""
    truth = table((0, 0, 10), (1, 0, 10))
    wrong = [(1, 50, 60, 0.1), (1, 51, 60, 0.2), (1, 52, 60, 0.9)]
    proposals = table((0, 50, 60, 0.9), (0, 0, 10, 0.8), *wrong, (1, 0, 10, 0.7))
    result = average_recall(truth, proposals, tiou_thresholds=[0.5])
    np.testing.assert_array_equal(result.recall[0], [0.0] * 49 + [0.5] * 50 + [1.0])
    assert result.proposals_per_video[49] == pytest.approx(1.5)


def test_a_limit_above_what_is_there_flattens_the_curve():
    truth, proposals = table((0, 0, 10)), table((0, 0, 10, 0.9))
    result = average_recall(truth, proposals, max_average_proposals=4, tiou_thresholds=[0.5])
    np.testing.assert_array_equal(result.recall[0], [0.0] * 24 + [1.0] * 76)
    assert result.proposals_per_video[-1] == pytest.approx(4)


def test_videos_without_proposals_and_proposals_without_video():
    truth = table((0, 0, 10), (1, 0, 10))
    result = average_recall(truth, table((0, 0, 10, 0.9), (-1, 0, 10, 0.9), (5, 0, 10, 0.9)), tiou_thresholds=[0.5])
    assert result.recall[0, -1] == 0.5
    assert result.proposals_per_video[-1] == pytest.approx(1.5)


def test_of_equal_scores_the_later_in_the_file_ranks_first():
    truth = table((0, 0, 10))
    right, wrong = (0, 0, 10, 0.5), (0, 50, 60, 0.5)
    assert average_recall(truth, table(wrong, right), tiou_thresholds=[0.5]).average_recall_at[1] == 1.0
    assert average_recall(truth, table(right, wrong), tiou_thresholds=[0.5]).average_recall_at[1] == 0.0


@pytest.mark.parametrize("convention", ["activitynet", "opentad"])
def test_an_empty_segment_neither_finds_nor_is_found(convention):
    truth = table((0, 5, 5), (0, 0, 10))
    proposals = table((0, 5, 5, 0.9), (0, 0, 10, 0.8))
    result = average_recall(truth, proposals, tiou_thresholds=[0.5], convention=convention)
    assert result.recall[0, -1] == 0.5


def test_the_curve_of_opentad_has_a_point_for_each_proposal():
    truth = table((0, 0, 10), (1, 0, 10))
    proposals = table((0, 0, 10, 0.9), (0, 50, 60, 0.8), (1, 50, 60, 0.9), (1, 0, 10, 0.8))
    result = average_recall(truth, proposals, tiou_thresholds=[0.5], convention="opentad")
    assert len(result.proposals_per_video) == 100
    assert result.average_recall_at == {number: 0.5 if number == 1 else 1.0 for number in (1, 5, 10, 50, 100)}
    short = average_recall(truth, proposals, tiou_thresholds=[0.5], convention="opentad", max_average_proposals=2)
    np.testing.assert_allclose(short.proposals_per_video, [1, 2])
    np.testing.assert_array_equal(short.recall, [[0.5, 1.0]])


def test_refused():
    with pytest.raises(ValueError, match="needs ground truth, got no segment"):
        average_recall(SegmentTable(*(np.zeros(0, np.int64),) * 2, np.zeros((0, 2))), table((0, 0, 1, 1.0)))
    with pytest.raises(ValueError, match="no proposals for the 1 annotated videos within 1 per video"):
        average_recall(table((0, 0, 10)), table((3, 0, 10, 1.0)))
