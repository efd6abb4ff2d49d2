"""The arithmetic between single runs and reported numbers."""

import math

import numpy as np
import pytest

from framecue.report.summary import Names, accuracy_table, collect, group_accuracy, headline, per_class_table

NAMES = Names(("blinking", "growing", "shrinking"), ("swinging",))


def run(method, seen, novel=None, **others):
    """Results of one run: confusion matrices of the trained method and of the baselines measured beside it."""
    test = {name: {"confusion": matrix} for name, matrix in {method: seen, **others}.items()}
    held_out = {} if novel is None else {name: {"confusion": novel} for name in test if name != "B-II"}
    return {"protocol": {"part": "test"}, "test": test, "novel": held_out}


def test_groups_ceiling_and_rows():
    assert NAMES.group("order_pairs") == ["growing", "shrinking"]
    assert NAMES.rows("order_pairs") == [1, 2]
    assert NAMES.rows("other_seen") == [0]
    assert NAMES.rows("held_out") == [0]
    assert NAMES.ceilings() == {"seen": pytest.approx(2 / 3), "order_pairs": 0.5, "other_seen": 1.0, "held_out": 1.0}
    assert Names(("blinking", "growing"), ()).ceilings()["order_pairs"] is None


def test_group_accuracy_counts_videos_among_all_names():
    confusion = np.array([[4.0, 0, 0], [1, 2, 1], [0, 2, 0]])
    assert group_accuracy(confusion, [0, 1, 2]) == pytest.approx(6 / 10)
    assert group_accuracy(confusion, [1, 2]) == pytest.approx(2 / 6)
    assert math.isnan(group_accuracy(np.zeros((2, 2)), [0]))


def test_table_over_seeds():
    right, half = np.eye(3) * 2, np.array([[2, 0, 0], [0, 1, 1], [0, 1, 1]])
    runs = {
        "A3": [run("A3", half, [[1]], **{"B-I": half, "B-II": right}), run("A3", half, [[1]], **{"B-I": half})],
        "A5": [run("A5", right, [[1]]), run("A5", half, [[1]])],
    }
    matrices = collect(runs)
    assert {method: len(parts["seen"]) for method, parts in matrices.items()} == {"B-I": 2, "B-II": 1, "A3": 2, "A5": 2}
    table = accuracy_table(matrices, NAMES)
    assert table["A5"]["order_pairs"]["values"] == [1.0, 0.5]
    assert table["A5"]["order_pairs"]["mean"] == pytest.approx(0.75)
    assert table["A5"]["order_pairs"]["std"] == pytest.approx(math.sqrt(0.125))
    assert table["A3"]["seen"]["std"] == 0
    assert table["B-II"]["held_out"] is None
    assert table["B-II"]["seen"]["std"] is None
    classes = per_class_table(matrices, NAMES)
    assert classes["A5"]["seen"]["growing"] == [1.0, 0.5]
    assert classes["A5"]["held_out"] == {"swinging": [1.0, 1.0]}
    assert "held_out" not in classes["B-II"]


def cells(**means):
    return {group: None if mean is None else {"mean": mean} for group, mean in means.items()}


@pytest.mark.parametrize(
    ("a5_pairs", "expected"), [(0.956, "only A5 does, with 95.6%"), (0.4, "A5 has 40% there"), (None, None)]
)
def test_headline_says_what_the_numbers_say(a5_pairs, expected):
    table = {
        "B-I": cells(seen=0.1, order_pairs=0.08),
        "B-II": cells(seen=0.5, order_pairs=0.5),
        "A3": cells(seen=0.3, order_pairs=0.45),
        "A5": cells(seen=0.9, order_pairs=a5_pairs),
    }
    sentence, about_order = headline(table, {"order_pairs": 0.5})
    assert "named 10%" in sentence
    assert "30%" in sentence
    assert "90%" in sentence
    assert expected is None or expected in about_order
    assert bool(about_order) == (a5_pairs is not None)


@pytest.mark.parametrize("passing", ["B-I", "B-II", "A3"])
def test_headline_does_not_praise_a5_where_a_blind_model_passes_too(passing):
    table = {
        method: cells(seen=0.9, order_pairs=0.9 if method in ("A5", passing) else 0.4)
        for method in ("B-I", "B-II", "A3", "A5")
    }
    assert "only" not in headline(table, {"order_pairs": 0.5})[1]
