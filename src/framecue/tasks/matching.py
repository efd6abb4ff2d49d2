"""How likely a moment is what was asked for, so that a search can say that nothing here is.

A similarity alone does not tell: its level differs between queries, backbones and adapters. It is compared with what
the same query has to moments that were not asked for: a sample of the index's own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MATCH_SCORE = 0.5
"""A moment as likely as not to be what was asked for; below it is no match."""


@dataclass(frozen=True)
class MatchRule:
    """Score 1 / (1 + exp(-slope (z - center))), z = (similarity - mean) / standard deviation of unrelated moments.

    Attributes:
        center: z of a moment that is a match as likely as not.
        slope: how fast a match grows likelier with z.
        mean, deviation: of similarities of unrelated pairs, where the index is too small to tell.
        weight: how many moments of the index count as much as these two.
    """

    center: float = 3.0
    slope: float = 2.0
    mean: float = 0.2
    deviation: float = 0.05
    weight: float = 20.0

    def score(self, similarities: npt.ArrayLike, background: npt.ArrayLike) -> Array:
        """Scores [K] in [0, 1], rising with similarity.

        Args:
            similarities: [K], cosine of the query and each moment.
            background: [M], cosines of the same query and a sample of the index's moments; may be empty.
        """
        sample = np.asarray(background, dtype=np.float64)
        total = len(sample) + self.weight
        mean = (sample.sum() + self.weight * self.mean) / total
        spread = (np.square(sample - mean).sum() + self.weight * self.deviation**2) / total
        z = (np.asarray(similarities, dtype=np.float64) - mean) / np.sqrt(spread)
        return 1 / (1 + np.exp(np.clip(-self.slope * (z - self.center), -500, 500)))
