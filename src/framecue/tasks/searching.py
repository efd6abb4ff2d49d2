"""From vectors that are near a query to moments a person can watch: windows merged, scored, and put in order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from framecue.tasks.matching import MATCH_SCORE, Array, MatchRule
from framecue.types import IndexedVideo, Moment, SearchResult

if TYPE_CHECKING:
    from framecue.search import Filter, MomentIndex

Vectors = npt.NDArray[np.float32]

SAME_HEIGHT = 0.75
"""A window belongs to a moment when it rises above the query's usual similarity at least this share of what the best
window of the moment does."""
TOUCH_SECONDS = 1e-3
HITS_PER_MOMENT = 4
GROWTH = 4


@dataclass(frozen=True)
class Span:
    """A `[start_seconds, end_seconds)` part of one video and the similarity of the best window in it."""

    start_seconds: float
    end_seconds: float
    similarity: float


def merge_hits(spans: Array, similarities: Array, *, usual: float, same_height: float = SAME_HEIGHT) -> list[Span]:
    """Moments of one video, best first, none overlapping another.

    The best window becomes a moment and takes in, as long as there are any, windows that touch or overlap it and are
    nearly as good: `similarity >= usual + same_height * (best - usual)`. It reaches from the start of the first to the
    end of the last. Other windows that overlap it are dropped, and what is left goes on in the same way. So a
    moment that goes through a whole video needs a video that is alike all through.

    Args:
        spans: [K, 2] seconds, in any order.
        similarities: [K].
        usual: similarity of the query to what was not asked for.
        same_height: 1 merges only what is as good as the best, 0 all that is better than usual.
    """
    order = np.lexsort((spans[:, 1], spans[:, 0], -similarities))
    starts, ends, values = spans[order, 0], spans[order, 1], similarities[order]
    left = np.ones(len(order), dtype=bool)
    moments: list[Span] = []
    while left.any():
        seed = int(left.argmax())
        best = float(values[seed])
        good = left & (values >= min(best, usual + same_height * (best - usual)))
        start, end = _grown(starts[good], ends[good], float(starts[seed]), float(ends[seed]))
        moments.append(Span(start, end, best))
        left &= (starts >= end) | (ends <= start)
        left[seed] = False
    return moments


def _grown(starts: Array, ends: Array, start: float, end: float) -> tuple[float, float]:
    """The span with all that touches or overlaps it, and all that touches or overlaps these."""
    while True:
        near = (starts <= end + TOUCH_SECONDS) & (ends >= start - TOUCH_SECONDS)
        wider = min(start, float(starts[near].min())), max(end, float(ends[near].max()))
        if wider == (start, end):
            return start, end
        start, end = wider


def find_moments(
    index: "MomentIndex",
    queries: Vectors,
    *,
    words: str,
    rule: MatchRule,
    top_k: int = 10,
    where: "Filter | None" = None,
    min_score: float | None = None,
    merge: bool = True,
    exclude: Sequence[str] = (),
) -> SearchResult:
    """The best moments of an index, as if all of it had been merged and put in order.

    Every video that is met is looked at whole, so that where its moments begin and end does not depend on `top_k`.

    Args:
        queries: [Q, D] unit length; a moment is as similar as it is to the most similar of them.
        words: the query for people.
        top_k: moments to give, fewer where there are fewer.
        min_score: least score of a match; None = as likely as not.
        merge: False = single windows.
        exclude: ids of videos not to be searched.

    Raises:
        ValueError: no query, or `top_k` below 1.
    """
    if queries.ndim != 2 or not len(queries):
        raise ValueError(f"queries must be [Q, D] with Q at least 1, got {list(queries.shape)}.")
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}.")
    background = _similarities(index.background(), queries)
    usual = float(np.median(background)) if len(background) else 0.0
    finder = _Finder(index, queries, usual, merge=merge)
    wanted = top_k * HITS_PER_MOMENT
    while True:
        found = index.search(queries, top_k=wanted, where=where, exclude=exclude)
        hits = sorted(((hit.video, hit.similarity) for row in found.hits for hit in row), key=lambda pair: -pair[1])
        exhausted = all(len(row) < wanted for row in found.hits)
        pairs = finder.best(hits, top_k, exhausted=exhausted)
        if exhausted or len(pairs) >= top_k:
            break
        wanted *= GROWTH
    scores = rule.score([span.similarity for _, span in pairs], background)
    moments = [
        Moment(video, span.start_seconds, span.end_seconds, float(score), span.similarity)
        for (video, span), score in zip(pairs, scores, strict=True)
    ]
    return SearchResult(words, moments, MATCH_SCORE if min_score is None else min_score, found.num_videos, found.exact)


def _similarities(vectors: Vectors, queries: Vectors) -> Array:
    """Of each vector to the most similar query, [K]."""
    if not len(vectors):
        return np.zeros(0)
    return (vectors.astype(np.float64) @ queries.astype(np.float64).T).max(axis=1)


class _Finder:
    """Merges each video once, when its first hit is met."""

    def __init__(self, index: "MomentIndex", queries: Vectors, usual: float, *, merge: bool) -> None:
        self._index, self._queries, self._usual, self._merge = index, queries, usual, merge
        self._moments: dict[str, list[tuple[IndexedVideo, Span]]] = {}

    def best(
        self, hits: Iterable[tuple[IndexedVideo, float]], top_k: int, *, exhausted: bool
    ) -> list[tuple[IndexedVideo, Span]]:
        met: set[str] = set()
        pairs: list[tuple[IndexedVideo, Span]] = []
        least = np.inf
        for video, similarity in hits:
            if sum(span.similarity > similarity for _, span in pairs) >= top_k:
                exhausted = True
                break
            least = similarity
            if video.video_id not in met:
                met.add(video.video_id)
                pairs += self._of(video)
        pairs.sort(key=lambda pair: (-pair[1].similarity, str(pair[0].path), pair[1].start_seconds))
        # What is worse than the worst hit may be worse than a moment that was not met yet.
        return pairs[:top_k] if exhausted else [pair for pair in pairs if pair[1].similarity >= least][:top_k]

    def _of(self, video: IndexedVideo) -> list[tuple[IndexedVideo, Span]]:
        if video.video_id not in self._moments:
            stored = self._index.vectors(video.video_id)
            values = _similarities(stored.vectors, self._queries)
            if self._merge:
                spans = merge_hits(stored.spans, values, usual=self._usual)
            else:
                spans = [Span(start, end, value) for (start, end), value in zip(stored.spans, values, strict=True)]
            self._moments[video.video_id] = [(video, span) for span in spans]
        return self._moments[video.video_id]
