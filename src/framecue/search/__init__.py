"""The moment index: a Lance table as the truth, a FAISS structure derived from it. Numbers and files only."""

from framecue.search.answers import Found, Hit, IndexSettings, IndexStatus
from framecue.search.binding import Binding
from framecue.search.filters import Condition, Filter, parse_condition
from framecue.search.moment_index import MomentIndex
from framecue.search.rows import VideoVectors

__all__ = [
    "Binding",
    "Condition",
    "Filter",
    "Found",
    "Hit",
    "IndexSettings",
    "IndexStatus",
    "MomentIndex",
    "VideoVectors",
    "parse_condition",
]
