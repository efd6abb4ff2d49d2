"""Where the published evaluators of temporal localization differ, by the name of the program.

ActivityNet: activitynet/ActivityNet, Evaluation/eval_detection.py and eval_proposal.py. OpenTAD: sming256/OpenTAD,
opentad/evaluations/mAP.py and recall.py. ActionFormer: happyharrycn/actionformer_release, libs/utils/metrics.py, which
measures no recall of proposals.

They agree on the rest: of equal scores, and of equally overlapped ground truth, the later in the file counts first.
Their sort puts equal values in an order that depends on the processor; ours is theirs made stable, then reversed.
"""

from dataclasses import dataclass
from typing import Literal

DetectionConvention = Literal["activitynet", "opentad", "actionformer"]
ProposalConvention = Literal["activitynet", "opentad"]


@dataclass(frozen=True)
class Convention:
    """What one program does.

    Attributes:
        deduplicate: ground truth that is empty or repeats a segment of its video and label (to 1 ms) does not count.
        shortest_seconds: ground truth below this length does not count either.
        least_union_seconds: the union of two segments counts as at least so long. With 0, overlap over union is 0/0
            where the lengths of two segments add up to 0: the mAP takes them for a match, before any other; the recall
            does not.
        max_average_proposals: where the curve of recall ends unless told otherwise; None = with all proposals.
        point_per_proposal: the curve of recall has a point for each proposal per video; else 100 points.
    """

    deduplicate: bool = False
    shortest_seconds: float = 0.0
    least_union_seconds: float = 0.0
    max_average_proposals: float | None = None
    point_per_proposal: bool = False


CONVENTIONS: dict[DetectionConvention, Convention] = {
    "activitynet": Convention(),
    "opentad": Convention(
        deduplicate=True, least_union_seconds=1e-8, max_average_proposals=100, point_per_proposal=True
    ),
    "actionformer": Convention(deduplicate=True, shortest_seconds=1e-3),
}
