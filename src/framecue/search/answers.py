"""What a moment index is asked with and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from framecue.search.binding import Binding
from framecue.types import IndexedVideo

Level = Literal["moment", "video"]


@dataclass(frozen=True)
class IndexSettings:
    """How much is held in memory, and from when on search is approximate.

    Attributes:
        exact_below: moments; fewer are always compared one by one.
        stale_fraction: of the moments; when more were added or removed since the neighbours were made, they are remade.
        recall_target: recall at 10 that the number of probed cells is chosen for.
        memory_bytes: of vectors held in memory by one process; more are read from the table for each query.
    """

    exact_below: int = 100_000
    stale_fraction: float = 0.1
    recall_target: float = 0.98
    memory_bytes: int = 2**30


@dataclass(frozen=True)
class Hit:
    """A moment, or a whole video, that answers a query. `similarity` is the cosine."""

    video: IndexedVideo
    start_seconds: float
    end_seconds: float
    similarity: float


@dataclass(frozen=True)
class Found:
    """Hits of each query, best first.

    Attributes:
        num_videos: that passed the filter and were searched.
        exact: every vector of these was compared.
    """

    hits: list[list[Hit]]
    num_videos: int
    exact: bool


@dataclass(frozen=True)
class IndexStatus:
    """What an index holds.

    Attributes:
        version: of the table; each commit makes another.
        neighbours: "exact": every vector is compared; "approximate": the neighbour structure is asked; "stale": as
            the structure is lost, damaged or too old, and the next writer or `rebuild` makes it anew.
        recall_at_10: of approximate search, measured when the structure was made; None without one.
        metadata_columns: name to type: "str", "int", "float", "bool", or "mixed".
    """

    path: Path
    binding: Binding
    num_videos: int
    num_moments: int
    total_seconds: float
    size_bytes: int
    version: int
    neighbours: Literal["exact", "approximate", "stale"]
    recall_at_10: float | None
    metadata_columns: Mapping[str, str] = field(default_factory=dict)
