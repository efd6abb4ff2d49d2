"""Tables of the reference files, read here in the plainest way: these tests are of the scorers, not of the readers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from framecue.metrics.segment_table import SegmentTable, segment_table
from framecue.types import ScoredSegment, Segment

Tables = tuple[list[str], SegmentTable, SegmentTable]


def read_tables(truth_path: Path, results_path: Path, subset: str = "validation") -> Tables:
    """Label names, ground truth of the subset, and predictions or proposals."""
    database = json.loads(truth_path.read_text())["database"]
    truth = {
        video: [Segment(*item["segment"], item["label"]) for item in entry["annotations"]]
        for video, entry in database.items()
        if entry["subset"] == subset
    }
    results = {
        video: [ScoredSegment(*item["segment"], item.get("label"), item["score"]) for item in items]
        for video, items in json.loads(results_path.read_text())["results"].items()
    }
    labels = sorted({segment.label for segments in truth.values() for segment in segments})
    videos = {video: number for number, video in enumerate(truth)}
    numbers = {label: number for number, label in enumerate(labels)}
    return labels, segment_table(truth, videos, numbers), segment_table(results, videos, numbers)


@pytest.fixture
def reference_tables(shared_data: Path) -> Callable[[str, str], Tables]:
    """Tables of two files of the reference folder, named from there."""
    golden = shared_data / "golden"
    return lambda truth, results: read_tables(golden / truth, golden / results)
