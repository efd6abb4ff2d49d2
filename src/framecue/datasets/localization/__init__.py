"""Files of temporal action localization: ground truth, predictions, proposals, outside scores, protocols."""

from framecue.datasets.localization.class_splits import (
    ClassSplit,
    SplitVideos,
    draw_class_splits,
    read_class_splits,
    split_by_labels,
)
from framecue.datasets.localization.detections import DetectionFile, read_detections
from framecue.datasets.localization.external_scores import ExternalScores, read_external_scores
from framecue.datasets.localization.ground_truth import GroundTruth, read_ground_truth
from framecue.datasets.localization.submission import submission
from framecue.datasets.localization.video_files import check_span, files_by_id, match_files, meet_ids

__all__ = [
    "ClassSplit",
    "DetectionFile",
    "ExternalScores",
    "GroundTruth",
    "SplitVideos",
    "check_span",
    "draw_class_splits",
    "files_by_id",
    "match_files",
    "meet_ids",
    "read_class_splits",
    "read_detections",
    "read_external_scores",
    "read_ground_truth",
    "split_by_labels",
    "submission",
]
