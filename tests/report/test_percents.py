import pytest

from framecue.report.percents import few_items_remark, mean_with_interval, percent_with_interval, score_percent


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0 %"),
        (0.004, "<1 %"),
        (0.29, "29 %"),  # 0.29 * 100 is below 29
        (0.499_999, "49 %"),  # of what is no match it never says 50 %
        (0.999_999, "99 %"),  # nor 100 % of less than that
        (1.0, "100 %"),
        (1.2, "100 %"),
    ],
)
def test_scores_are_rounded_down(score, text):
    assert score_percent(score) == text


def test_every_mean_has_its_interval():
    assert percent_with_interval(0.9217, [0.888, 0.9461]) == "92.2 (88.8–94.6)"
    over_seeds = {"mean": 0.9217, "std": 0.003, "half_width_95": 0.0075, "ci95_items": [0.88, 0.95]}
    assert mean_with_interval(over_seeds) == "92.2 ± 0.8"
    for std in (0.0, None):  # seeds that agree say nothing of how far to trust the figure
        assert mean_with_interval(over_seeds | {"std": std, "half_width_95": std}) == "92.2 (88.0–95.0)"
    wild = over_seeds | {"mean": 0.39, "std": 0.12, "half_width_95": 1.07}  # of two seeds
    assert mean_with_interval(wild) == "39.0 (0.0–100.0)"
    one_map = {"mean": 0.425, "std": None, "half_width_95": None}
    assert mean_with_interval(one_map) == "42.5"
    assert mean_with_interval({"mean": 3.5, "std": 0.5, "half_width_95": 1.24, "unit": "rank"}) == "3.5 ± 1.2"


def test_few_items_are_remarked_upon():
    assert few_items_remark(30, "test videos") == few_items_remark(0, "test videos") == ""
    assert few_items_remark(22, "test videos") == (
        "Only 22 test videos, fewer than 30: one is 4.5 points, so read the intervals, not the figures."
    )
