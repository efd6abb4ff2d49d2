"""A small sample of an index's moments, read without reading all of them."""

import numpy as np
import numpy.typing as npt

from framecue.search.table import TableView


def draw_sample(
    view: TableView, keys: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.float16]:
    """Vectors of `n` moments (all, where there are fewer), of the first `n` videos at most: [n, D].

    Args:
        keys: int64 [V], of the videos, in the order in which they are preferred.
        counts: int64 [V], moments of each.
    """
    keys, counts = keys[: max(n, 0)], counts[: max(n, 0)]
    each = _share(counts, n)
    wanted = {
        key: np.unique(np.linspace(0, count - 1, min(count, each)).round().astype(np.int64))
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True)
    }
    found: dict[int, list[npt.NDArray[np.float16]]] = {key: [] for key in wanted}
    seen = dict.fromkeys(wanted, 0)
    for batch in view.batches("moment", np.sort(keys)):
        for key in np.unique(batch.keys).tolist():
            rows = np.flatnonzero(batch.keys == key)
            picked = wanted[key][(wanted[key] >= seen[key]) & (wanted[key] < seen[key] + len(rows))] - seen[key]
            found[key].append(batch.vectors[rows[picked]])
            seen[key] += len(rows)
    embed_dim = view.dataset.schema.field("vector").type.list_size
    parts = [part for key in wanted for part in found[key]]
    return np.concatenate([np.zeros((0, embed_dim), dtype=np.float16), *parts])[: max(n, 0)]


def _share(counts: npt.NDArray[np.int64], n: int) -> int:
    """The least number of moments per video with which `n` are reached, or the most there are."""
    each = 1
    while each < counts.max(initial=1) and np.minimum(counts, each).sum() < n:
        each += 1
    return each
