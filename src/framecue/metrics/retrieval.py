"""Text-to-video and video-to-text retrieval from a similarity matrix. Pure NumPy, a block of queries at a time.

Who competes. Text to video: the video of the text is ranked among all videos. Video to text: the best of the video's
own captions is ranked among all captions of other videos, so its other captions are no competitors (the convention of
Collaborative Experts, Liu et al. 2019). CLIP4Clip (Luo et al. 2021, `tensor_video_to_text_sim`) instead ranks it among
the best captions of the other videos, which is easier where videos have many captions; that is the option
"caption sets". With one caption a video the two are the same. A video without captions competes, but asks nothing.

Tie policy: equal similarities count as randomly ordered, and the expectation is returned, exactly and without drawing.
A rank is the mean of the places that it may take, R@K the chance to be among the first K, the median is that of such
ranks. A constant matrix so scores chance. Scorers that look the rank up by equality count a tied query once for each
place; those that count only what is strictly better are the policy "optimistic".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from framecue.metrics.intervals import Interval, wilson_interval
from framecue.metrics.query_sets import Array, Integers, Matrix, Revision, Side, check_matrix

Ties = Literal["expected", "optimistic", "pessimistic"]
Rivals = Literal["captions", "caption sets"]

_LEVELS = (1, 5, 10)


@dataclass(frozen=True)
class DirectionScores:
    """How well the queries of one direction find what belongs to them.

    Attributes:
        r1, r5, r10: percent of the queries whose match is among the first 1, 5, 10.
        median_rank, mean_rank: of the match; the best is 1.
        tied_queries: how many have a competitor that is exactly as similar as their match.
    """

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float
    num_queries: int
    tied_queries: int = 0


@dataclass(frozen=True)
class RetrievalScores:
    """Both directions: texts look for their video (t2v), videos for the best of their captions (v2t)."""

    t2v: DirectionScores
    v2t: DirectionScores

    def to_json(self) -> dict[str, float]:
        """{"t2v/R1": 29.7, "t2v/R5", "t2v/R10", "t2v/MdR", "t2v/MnR", "t2v/queries", "t2v/tied_queries", "v2t/R1"}"""
        return {
            f"{direction}/{name}": value
            for direction, scores in (("t2v", self.t2v), ("v2t", self.v2t))
            for name, value in {
                "R1": scores.r1,
                "R5": scores.r5,
                "R10": scores.r10,
                "MdR": scores.median_rank,
                "MnR": scores.mean_rank,
                "queries": scores.num_queries,
                "tied_queries": scores.tied_queries,
            }.items()
        }

    def intervals(self) -> dict[str, Interval]:
        """95 % Wilson intervals of the recalls over queries, in percent: {"t2v/R1": (26.9, 32.6), ...}.

        Captions of one video count as queries of their own, so that the intervals are too narrow where videos have
        many.
        """
        found = {}
        for direction, scores in (("t2v", self.t2v), ("v2t", self.v2t)):
            for name, percent in (("R1", scores.r1), ("R5", scores.r5), ("R10", scores.r10)):
                low, high = wilson_interval(min(percent / 100, 1.0), scores.num_queries)
                found[f"{direction}/{name}"] = (100 * low, 100 * high)
        return found


def retrieval_scores(
    similarity: npt.ArrayLike,
    truth: npt.ArrayLike | None = None,
    *,
    revision: Revision | None = None,
    ties: Ties = "expected",
    rivals: Rivals = "captions",
    about: npt.ArrayLike | None = None,
) -> RetrievalScores:
    """R@1, R@5, R@10, median and mean rank of both directions.

    Args:
        similarity: [N, V], rows texts, columns videos, larger is more alike; any number type, never copied whole.
        truth: int [N], the video of each text; several texts may have one video. None is the diagonal.
        revision: DSL or QB-Norm, which use a set of queries at test time; such figures are to be marked.
        ties, rivals: see the head of this module.
        about: bool [V]; only these videos and their texts ask, all the others still compete. None is all.

    Raises:
        ValueError: shapes, types or the range of `truth` do not fit, or a similarity is not finite.
    """
    matrix, videos = checked_similarity(similarity, truth)
    wanted = _wanted(about, matrix.shape[1], videos)
    t2v, v2t = Side.of(matrix), Side.of(matrix.T)
    if revision is not None:
        t2v, v2t = revision.revised(t2v, "t2v"), revision.revised(v2t, "v2t")
    by_video = np.argsort(videos, kind="stable")
    asking, matching = videos[by_video], by_video
    if rivals == "caption sets":
        asking, groups = np.unique(videos, return_inverse=True)
        v2t, matching = v2t.best_of(groups), np.arange(len(asking))
    texts, kept = np.flatnonzero(wanted[videos]), wanted[asking]
    return RetrievalScores(_scores(t2v, texts, videos[texts], ties), _scores(v2t, asking[kept], matching[kept], ties))


def _wanted(about: npt.ArrayLike | None, num_videos: int, videos: Integers) -> npt.NDArray[np.bool_]:
    if about is None:
        return np.ones(num_videos, dtype=bool)
    wanted = np.asarray(about)
    if wanted.dtype != bool or wanted.shape != (num_videos,):
        raise ValueError(f"about must be bool [{num_videos}], found {wanted.dtype} {list(wanted.shape)}.")
    if not wanted[videos].any():
        raise ValueError("about must hold for a video with a text, found none.")
    return wanted


def checked_similarity(similarity: npt.ArrayLike, truth: npt.ArrayLike | None) -> tuple[Matrix, Integers]:
    """The matrix as it is and the video of each text as int64 [N].

    Raises:
        ValueError: as `retrieval_scores`.
    """
    matrix = np.asarray(similarity)
    check_matrix(matrix, "similarity")
    num_texts, num_videos = matrix.shape
    if truth is None:
        if num_texts != num_videos:
            raise ValueError(
                f"similarity of {num_texts} texts and {num_videos} videos has no diagonal; give the video of each text."
            )
        return matrix, np.arange(num_texts)
    videos = np.asarray(truth)
    if videos.shape != (num_texts,):
        raise ValueError(f"truth must name a video for each of the {num_texts} texts, found {list(videos.shape)}.")
    if videos.dtype.kind not in "iu":
        raise ValueError(f"truth must be whole numbers, the columns of the videos, found {videos.dtype}.")
    if videos.min() < 0 or videos.max() >= num_videos:
        raise ValueError(
            f"truth must be columns from 0 to {num_videos - 1}, found {videos.min()} to {videos.max()}; "
            "count the videos from 0."
        )
    return matrix, videos.astype(np.int64)


def _scores(side: Side, query: Integers, item: Integers, ties: Ties) -> DirectionScores:
    """Scores of the pairs [P] of query and item that belong together; `query` does not decrease."""
    better, own, others = _places(side, query, item)
    tied = int(np.count_nonzero(others))
    if ties == "optimistic":
        others = np.zeros_like(others)
    if ties == "pessimistic":
        better, others = better + others, np.zeros_like(others)
    ranks = 1 + better + others / (own + 1)
    count = len(ranks)
    r1, r5, r10 = (100 * float(_chance_within(level - better, own, others).sum()) / count for level in _LEVELS)
    return DirectionScores(r1, r5, r10, float(np.median(ranks)), float(ranks.mean()), count, tied)


def _places(side: Side, query: Integers, item: Integers) -> tuple[Integers, Integers, Integers]:
    """For each query that has a match: items better than its best match, matches as good, and others as good."""
    begin = np.searchsorted(query, np.arange(side.num_queries + 1))
    better, own, others = (np.zeros(side.num_queries, dtype=np.int64) for _ in range(3))
    for rows, block in side.blocks():
        pairs = slice(begin[rows.start], begin[rows.stop])
        row = query[pairs] - rows.start
        matches = block[row, item[pairs]]
        best = np.full(len(block), block.min())
        np.maximum.at(best, row, matches)
        better[rows] = np.count_nonzero(block > best[:, None], axis=1)
        own[rows] = np.bincount(row[matches == best[row]], minlength=len(block))
        others[rows] = np.count_nonzero(block == best[:, None], axis=1) - own[rows]
    asked = np.diff(begin) > 0
    return better[asked], own[asked], others[asked]


def _chance_within(places: Integers, own: Integers, others: Integers) -> Array:
    """Chance that one of the first `places` of own + others, randomly ordered, is an own one, [Q].

    Of m competitors m / (own + 1) come before the first own one on average, and the first j places hold none of the own
    with chance C(m, j) / C(m + own, j), which is multiplied up here.
    """
    missed = np.ones(len(places))
    for drawn in range(int(places.max(initial=0))):
        left = np.maximum(others - drawn, 0)
        missed *= np.where(drawn < places, left / (left + own), 1.0)
    return 1 - missed
