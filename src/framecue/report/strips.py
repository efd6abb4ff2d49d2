"""Which test videos a report shows, and what the models say of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.datasets.feature_set import FeatureSet
from framecue.datasets.world import order_pairs
from framecue.models.handcrafted import Handcrafted
from framecue.models.video_text import VideoTextModel
from framecue.report.page import Strip
from framecue.tasks.baselines import zero_shot_scores
from framecue.tasks.recognition import average_views, predict_logits
from framecue.tasks.recognition_data import RecognitionData
from framecue.tasks.rejection import RejectionRule, apply_rejection
from framecue.video.reader import read_video
from framecue.video.sampling import Sampling

Probabilities = npt.NDArray[np.floating[Any]]

TOP_K = 3
NUM_FRAMES = 8
NUM_RIGHT, NUM_WRONG = 3, 3


@dataclass(frozen=True, eq=False)
class _Judged:
    """Probabilities [B, N] of the two models for the videos of a part, and which A5 holds for none of the names."""

    part: FeatureSet
    a5: Probabilities
    bi: Probabilities
    is_rejected: npt.NDArray[np.bool_]

    def right(self, scores: Probabilities) -> npt.NDArray[np.bool_]:
        return scores.argmax(axis=1) == self.part.targets

    def strip(self, row: int) -> Strip:
        names, record = self.part.class_names, self.part.records[row]
        answers = {}
        for method, scores in (("A5", self.a5), ("B-I", self.bi)):
            best = np.argsort(-scores[row], kind="stable")[:TOP_K]
            answers[method] = [(names[index], float(scores[row, index])) for index in best]
        rejecting = ("A5",) if self.is_rejected[row] else ()
        return Strip(record.label or "", film_frames(record.path), answers, record.path.name, rejecting)


def pick_strips(
    data: RecognitionData,
    model: VideoTextModel,
    templates: Sequence[str],
    *,
    rule: RejectionRule | None = None,
    window: int = 16,
) -> tuple[list[Strip], list[Strip]]:
    """With the answers of a trained A5 and of B-I: one order pair's twin videos, and other test videos.

    The twins are the first that A5 tells apart, or the first ones; the others are right and wrong ones of many classes.

    Args:
        rule: of the adapter, so that the page says of a video what `classify` does.
    """
    part = data.test
    names = part.class_names
    logits = predict_logits(model, part, names, window=window, num_views=1)
    a5: Probabilities = average_views(logits)
    rejected = np.zeros(len(part), dtype=bool)
    if rule is not None:
        a5, rejected = apply_rejection(rule, logits)
    judged = _Judged(
        part,
        a5,
        zero_shot_scores(Handcrafted(model.backbone, templates), part, names, window=window, num_views=1),
        rejected & (rule is not None and rule.is_usable),
    )
    a5_right, bi_right = judged.right(judged.a5), judged.right(judged.bi)
    twins = _twins(part)
    twin = next((rows for rows in twins if a5_right[list(rows)].all()), twins[0] if twins else ())
    order = np.random.default_rng(0).permutation(len(part))  # else all would be of the first classes
    right = _of_distinct_classes(part, order[a5_right[order] & ~bi_right[order]], NUM_RIGHT)
    wrong = _of_distinct_classes(part, order[~a5_right[order]], NUM_WRONG)
    return [judged.strip(row) for row in twin], [judged.strip(row) for row in (*right, *wrong)]


def film_frames(path: Path) -> npt.NDArray[np.uint8]:
    """Frames spread evenly over the video, uint8 [8, H, W, 3]."""
    return read_video(path, Sampling("uniform", NUM_FRAMES)).frames.transpose(0, 2, 3, 1)


def _twins(part: FeatureSet) -> list[tuple[int, int]]:
    """Rows of a test video and its reversal: the same number under the two names of a pair."""
    row_of = {(record.label, record.path.stem.rpartition("_")[2]): row for row, record in enumerate(part.records)}
    return [
        (row, row_of[backward, number])
        for forward, backward in order_pairs(part.class_names)
        for (label, number), row in row_of.items()
        if label == forward and (backward, number) in row_of
    ]


def _of_distinct_classes(part: FeatureSet, rows: npt.NDArray[np.int64], count: int) -> list[int]:
    first = {int(part.targets[row]): int(row) for row in rows[::-1]}
    return sorted(first.values(), key=list(rows).index)[:count]
