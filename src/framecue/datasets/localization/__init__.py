"""Files of temporal action localization: ground truth, predictions, proposals, outside scores, protocols."""

from framecue.datasets.localization.detections import DetectionFile, read_detections
from framecue.datasets.localization.ground_truth import GroundTruth, read_ground_truth

__all__ = ["DetectionFile", "GroundTruth", "read_detections", "read_ground_truth"]
