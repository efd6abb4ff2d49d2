"""From vectors that are near a query to moments a person can watch: windows merged, scored, and put in order."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framecue.errors import MomentIndexError, UsageError
from framecue.search import Filter, Found, MomentIndex
from framecue.tasks.matching import MATCH_SCORE, Array, MatchRule
from framecue.types import IndexedVideo, Moment, SearchResult

Vectors = npt.NDArray[np.float32]

NEARLY_AS_GOOD = 1.0
"""A window belongs to a moment where the odds of a match are lower than in its best window by e at most. In validation
videos of the built-in world that is where moments meet their scenes best (docs/log.md)."""

_TOUCH_SECONDS = 1e-3
_HITS_PER_MOMENT = 4


@dataclass(frozen=True)
class Span:
    """A `[start_seconds, end_seconds)` part of one video and the similarity of the best window in it."""

    start_seconds: float
    end_seconds: float
    similarity: float


def merge_hits(
    spans: npt.ArrayLike, similarities: npt.ArrayLike, *, margin: float, most: int | None = None
) -> list[Span]:
    """Moments of one video, best first, none overlapping another; the order of the windows does not matter.

    The best window becomes a moment and takes in windows that touch or overlap it and are nearly as good, as long as
    there are any: it reaches from the start of the first to the end of the last. What else overlaps it is dropped, and
    the rest goes on in the same way. So only a video that is alike all through becomes one moment.

    Args:
        spans: [K, 2] seconds.
        similarities: [K].
        margin: windows less similar than the best by more are not nearly as good; 0 merges only what is as good.
        most: moments to give, the best ones; None = all. A day of video has many thousands.
    """
    times = np.asarray(spans, dtype=np.float64).reshape(-1, 2)
    values = np.asarray(similarities, dtype=np.float64)
    order = np.lexsort((times[:, 1], times[:, 0], -values))
    starts, ends, values = times[order, 0], times[order, 1], values[order]
    left = np.ones(len(order), dtype=bool)
    moments: list[Span] = []
    while left.any() and len(moments) != most:
        seed = int(left.argmax())
        best = float(values[seed])
        good = left & (values >= best - margin)
        start, end = _grown(starts[good], ends[good], float(starts[seed]), float(ends[seed]))
        moments.append(Span(start, end, best))
        left &= (starts >= end) | (ends <= start)
        left[seed] = False
    return moments


def _grown(starts: Array, ends: Array, start: float, end: float) -> tuple[float, float]:
    """The span with all that touches or overlaps it, and all that touches or overlaps these."""
    while True:
        near = (starts <= end + _TOUCH_SECONDS) & (ends >= start - _TOUCH_SECONDS)
        wider = min(start, float(starts[near].min())), max(end, float(ends[near].max()))
        if wider == (start, end):
            return start, end
        start, end = wider


def find_moments(
    index: MomentIndex,
    queries: Vectors,
    *,
    words: str,
    rule: MatchRule,
    top_k: int = 10,
    where: Filter | None = None,
    min_score: float | None = None,
    absent_below: float = MATCH_SCORE,
    merge: bool = True,
    exclude: Sequence[str] = (),
) -> SearchResult:
    """The best moments of an index, as if all of it had been merged and put in order.

    A video that is met is looked at whole, so where its moments begin and end does not depend on `top_k`. Equally
    similar moments are in the order of their paths and times.

    Args:
        queries: [Q, D] unit length; a moment is as similar as it is to the most similar of them.
        words: the query for people.
        top_k: moments to give, fewer where there are fewer.
        min_score: least score of a match; None = as likely as not.
        absent_below: as in `SearchResult`.
        merge: False = single windows.
        exclude: ids of videos not to be searched.

    Raises:
        UsageError: `top_k` below 1, or `min_score` outside [0, 1].
        MomentIndexError: as `MomentIndex.search`.
    """
    if top_k < 1:
        raise UsageError(f"top_k must be at least 1, got {top_k}.")
    if min_score is not None and not 0 <= min_score <= 1:
        raise UsageError(f"min_score must be in [0, 1], got {min_score}.")
    gatherer = _Gatherer(index, queries, top_k, NEARLY_AS_GOOD / rule.slope if merge else None)
    wanted = top_k * _HITS_PER_MOMENT
    first = found = index.search(queries, top_k=wanted, where=where, exclude=exclude)
    exact = found.exact
    while not gatherer.take(found, wanted):
        wanted *= 2
        found = index.search(queries, top_k=wanted, where=where, exclude=[*exclude, *gatherer.met])
        exact = exact and found.exact
    num_moments = index.status().num_moments
    moments = [
        Moment(
            video,
            span.start_seconds,
            span.end_seconds,
            float(rule.score(span.similarity, num_moments)),
            float(np.clip(span.similarity, -1, 1)),
        )
        for video, span in gatherer.best()
    ]
    least = MATCH_SCORE if min_score is None else min_score
    return SearchResult(words, moments, least, first.num_videos, exact, absent_below)


class _Gatherer:
    """Takes hits until the best moments are known."""

    def __init__(self, index: MomentIndex, queries: Vectors, top_k: int, margin: float | None) -> None:
        self._index, self._queries, self._top_k, self._margin = index, queries, top_k, margin
        self.met: set[str] = set()
        self._moments: list[tuple[IndexedVideo, Span]] = []
        self._similarities: list[float] = []  # of the moments, increasing

    def best(self) -> list[tuple[IndexedVideo, Span]]:
        """Moments in order."""
        in_order = sorted(
            self._moments, key=lambda pair: (-pair[1].similarity, str(pair[0].path), pair[1].start_seconds)
        )
        return in_order[: self._top_k]

    def take(self, found: Found, wanted: int) -> bool:
        """Merges the videos of the hits, best first; whether nothing better is left in the index."""
        hits = sorted((hit for row in found.hits for hit in row), key=lambda hit: -hit.similarity)
        for hit in hits:
            if self._knows_enough_above(hit.similarity):
                return True
            if hit.video.video_id not in self.met:
                self._meet(hit.video)
        cut_off = [row[-1].similarity for row in found.hits if len(row) >= wanted]
        return not cut_off or self._knows_enough_above(max(cut_off))

    def _knows_enough_above(self, similarity: float) -> bool:
        return len(self._similarities) - bisect_left(self._similarities, similarity) >= self._top_k

    def _meet(self, video: IndexedVideo) -> None:
        """Takes the video's best moments, as many as could be among the best of all."""
        self.met.add(video.video_id)
        try:
            stored = self._index.vectors(video.video_id)
        except MomentIndexError:
            return  # removed since it was found
        values = (stored.vectors.astype(np.float64) @ self._queries.astype(np.float64).T).max(axis=1)
        if self._margin is not None:
            spans = merge_hits(stored.spans, values, margin=self._margin, most=self._top_k)
        else:
            best = np.argsort(-values, kind="stable")[: self._top_k]
            spans = [Span(float(stored.spans[row, 0]), float(stored.spans[row, 1]), float(values[row])) for row in best]
        for span in spans:
            self._moments.append((video, span))
            insort(self._similarities, span.similarity)
