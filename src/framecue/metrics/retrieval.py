"""Text-to-video and video-to-text retrieval from a similarity matrix. Pure NumPy, a block of queries at a time.

Who competes. Text to video: the video of the text is ranked among all videos. Video to text: the best of the video's
own captions is ranked among all captions of other videos, so its other captions are no competitors (the convention of
Collaborative Experts, Liu et al. 2019). A video without captions is a competitor, but no query.

Tie policy: equal similarities count as randomly ordered, and the expectation is returned, exactly and without drawing.
A rank is the mean of the places that it may take, R@K the chance to be among the first K, the median is that of such
ranks. A constant matrix so scores chance; scorers that look the rank up by equality count tied ranks more than once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.number]

TIE_POLICY = "expected rank: equal similarities count as randomly ordered"

_BLOCK_VALUES = 2_000_000


@dataclass(frozen=True)
class DirectionScores:
    """How well the queries of one direction find what belongs to them.

    Attributes:
        r1, r5, r10: percent of the queries whose match is among the first 1, 5, 10.
        median_rank, mean_rank: of the match; the best is 1.
    """

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float
    num_queries: int


@dataclass(frozen=True)
class RetrievalScores:
    """Both directions: texts look for their video (t2v), videos for the best of their captions (v2t)."""

    t2v: DirectionScores
    v2t: DirectionScores

    def to_json(self) -> dict[str, float]:
        """{"t2v/R1": 29.7, "t2v/R5": ..., "t2v/R10", "t2v/MdR", "t2v/MnR", "t2v/queries", "v2t/R1", ...}"""
        names = ("R1", "R5", "R10", "MdR", "MnR", "queries")
        sides = {"t2v": self.t2v, "v2t": self.v2t}
        return {f"{side}/{n}": v for side, scores in sides.items() for n, v in zip(names, _values(scores), strict=True)}


def _values(scores: DirectionScores) -> tuple[float, ...]:
    return scores.r1, scores.r5, scores.r10, scores.median_rank, scores.mean_rank, scores.num_queries


def retrieval_scores(similarity: npt.ArrayLike, truth: npt.ArrayLike | None = None) -> RetrievalScores:
    """R@1, R@5, R@10, median and mean rank of both directions.

    Args:
        similarity: [N, V], rows texts, columns videos, larger is more alike; any number type, never copied whole.
        truth: int [N], the video of each text; several texts may have one video. None is the diagonal.

    Raises:
        ValueError: shapes, types or the range of `truth` do not fit, or a similarity is not finite.
    """
    matrix, videos = checked_similarity(similarity, truth)
    texts = np.arange(len(videos))
    t2v = _direction(matrix, texts, videos)
    by_video = np.argsort(videos, kind="stable")
    v2t = _direction(matrix.T, videos[by_video], by_video)
    return RetrievalScores(t2v, v2t)


def checked_similarity(similarity: npt.ArrayLike, truth: npt.ArrayLike | None) -> tuple[Matrix, Integers]:
    """The matrix as it is and the video of each text as int64 [N].

    Raises:
        ValueError: as `retrieval_scores`.
    """
    matrix = np.asarray(similarity)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"similarity must be [texts, videos] and not empty, got {list(matrix.shape)}.")
    if not (np.issubdtype(matrix.dtype, np.integer) or np.issubdtype(matrix.dtype, np.floating)):
        raise ValueError(f"similarity must be real numbers, got {matrix.dtype}.")
    check_finite(matrix, "similarity")
    if truth is None:
        if matrix.shape[0] != matrix.shape[1]:
            raise ValueError(
                f"similarity is {matrix.shape[0]} texts x {matrix.shape[1]} videos and has no diagonal; "
                "give the video of each text as truth."
            )
        return matrix, np.arange(len(matrix))
    videos = np.asarray(truth)
    if videos.shape != matrix.shape[:1]:
        raise ValueError(f"truth must hold a video for each of the {len(matrix)} texts, got {list(videos.shape)}.")
    if not np.issubdtype(videos.dtype, np.integer):
        raise ValueError(f"truth must be integers, the columns of the videos, got {videos.dtype}.")
    if videos.min() < 0 or videos.max() >= matrix.shape[1]:
        raise ValueError(f"truth must lie in [0, {matrix.shape[1]}), found {videos.min()} to {videos.max()}.")
    return matrix, videos.astype(np.int64)


def check_finite(matrix: Matrix, name: str) -> None:
    """Raises:
    ValueError: a value is NaN or infinite; says how many and where the first is.
    """
    bad, first = 0, None
    for rows in _row_blocks(matrix):
        wrong = ~np.isfinite(matrix[rows])
        bad += int(np.count_nonzero(wrong))
        if bad and first is None:
            row, column = np.argwhere(wrong)[0]
            first = f"row {rows.start + row}, column {column}"
    if bad:
        raise ValueError(f"{name} must be finite, found {bad} values that are NaN or infinite, the first at {first}.")


def _direction(matrix: Matrix, query: Integers, item: Integers) -> DirectionScores:
    """Scores of the rows of `matrix` [Q, G] as queries for its columns; rows without a match are no queries.

    Args:
        query, item: int [P], the pairs that belong together; `query` does not decrease.
    """
    begin = np.searchsorted(query, np.arange(len(matrix) + 1))
    better, own_tied, others_tied = (np.zeros(len(matrix), dtype=np.int64) for _ in range(3))
    for rows in _row_blocks(matrix):
        block = np.ascontiguousarray(matrix[rows])
        pairs = slice(begin[rows.start], begin[rows.stop])
        row, own = query[pairs] - rows.start, block[query[pairs] - rows.start, item[pairs]]
        best = np.full(len(block), block.min(), dtype=block.dtype)
        np.maximum.at(best, row, own)
        better[rows] = np.count_nonzero(block > best[:, None], axis=1)
        own_tied[rows] = np.bincount(row[own == best[row]], minlength=len(block))
        others_tied[rows] = np.count_nonzero(block == best[:, None], axis=1) - own_tied[rows]
    asked = np.diff(begin) > 0
    return _expected(better[asked], own_tied[asked], others_tied[asked])


def _expected(better: Integers, own: Integers, others: Integers) -> DirectionScores:
    """Expectation over all orders in which each query's `own` matches and `others`, all equal, may follow `better`.

    Of m equal competitors m / (own + 1) come before the first match on average, and the first j places after the better
    ones hold no match with chance C(m, j) / C(m + own, j).
    """
    ranks = 1 + better + others / (own + 1)
    recalls = [100 * float(_chance_within(k - better, own, others).sum()) / len(ranks) for k in (1, 5, 10)]
    return DirectionScores(recalls[0], recalls[1], recalls[2], float(np.median(ranks)), float(ranks.mean()), len(ranks))


def _chance_within(places: Integers, own: Integers, others: Integers) -> Array:
    """Chance that one of the first `places` of own + others, randomly ordered, is an own one, [Q]."""
    missed = np.ones(len(places))
    for drawn in range(int(places.max(initial=0))):
        left = np.maximum(others - drawn, 0)
        missed *= np.where(drawn < places, left / (left + own), 1.0)
    return 1 - missed


def _row_blocks(matrix: Matrix) -> list[slice]:
    """Consecutive rows that together hold about `_BLOCK_VALUES` values."""
    step = max(1, _BLOCK_VALUES // matrix.shape[1])
    return [slice(start, min(start + step, len(matrix))) for start in range(0, len(matrix), step)]
