"""Plots of ordinary and of odd numbers: one seed, two classes, classes without videos."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from framecue.report.plots import INK, accuracy_bars, confusion_heatmap, learning_curves, series


def check(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'what "it" says of <b>&'
    assert root.get("viewBox")
    assert INK not in svg
    assert "currentColor" in svg
    assert "<metadata" not in svg
    return svg


LABEL = 'what "it" says of <b>&'


def cell(*values):
    mean = float(np.mean(values))
    spread = {"std": None, "half_width_95": None} if len(values) == 1 else {"std": 0.1, "half_width_95": 0.2}
    return {"values": list(values), "mean": mean, **spread, "ci95_items": [mean - 0.05, mean + 0.05]}


@pytest.mark.parametrize("values", [(0.5,), (0.4, 0.6), (0.0, 0.0), (1.0, 1.0, 1.0), (float("nan"),)])
def test_bars(values):
    table = {"B-I": {"seen": cell(*values), "held_out": None}, "A5": {"seen": cell(0.9), "held_out": cell(*values)}}
    names = {"seen": "all seen", "held_out": "held out <b>&"}
    svg = check(accuracy_bars(table, names, {"seen": 0.65, "held_out": None}, label=LABEL))
    assert svg == accuracy_bars(table, names, {"seen": 0.65, "held_out": None}, label=LABEL), "not deterministic"


def test_bars_show_the_value_the_ceiling_and_a_missing_answer():
    names = {"seen": "all"}

    def size(limit, answer):
        return len(accuracy_bars({"A5": {"seen": answer}}, names, {"seen": limit}, label=LABEL))

    assert size(0.5, cell(0.5, 0.6)) > size(1.0, cell(0.5, 0.6))
    assert size(None, None) != size(None, cell(0.0))


@pytest.mark.parametrize("count", [1, 2, 17])
def test_confusion_with_a_class_without_videos(count):
    matrix = np.eye(count) * 3
    matrix[0] = 0
    check(confusion_heatmap(matrix, [f"class <{i}>" for i in range(count)], color="#12967f", label=LABEL))


def test_confusion_draws_one_cell_for_each_share():
    def cells(matrix):
        return confusion_heatmap(np.array(matrix), ["a", "b"], color="#12967f", label=LABEL).count("fill: #12967f")

    assert cells([[2.0, 0], [0, 2]]) == 2
    assert cells([[1.0, 1], [0, 2]]) == 3
    assert cells([[0.0, 0], [0, 0]]) == 0


def test_learning_curves_of_one_seed_of_none_and_without_validation():
    lines = [{"iteration": step, "loss": 1 / step} for step in (1, 2, 3)]
    check(learning_curves({"A3": [lines], "A5": [lines, lines[:2]]}, limit=0.5, label=LABEL))
    check(learning_curves({"A3": [], "A5": [[]]}, label=LABEL))


def test_series_takes_the_steps_that_all_seeds_have():
    seeds = [[{"iteration": 2, "loss": 1.0}, {"iteration": 1, "val": 0.1}], [{"iteration": 2, "loss": 3.0}]]
    steps, values = series(seeds, "loss")
    assert steps.tolist() == [2]
    assert values.tolist() == [[1.0], [3.0]]
    assert series([], "loss")[1].size == 0
