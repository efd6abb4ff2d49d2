"""The newest committed version of an index, kept in memory and brought up to date by what changed only."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from framecue.features.store_errors import retrying
from framecue.search.answers import IndexSettings, Level
from framecue.search.catalog import Catalog
from framecue.search.lookup import Snapshot, load_blocks
from framecue.search.neighbours import Neighbours, read_neighbours, stamp_identity
from framecue.search.table import MomentTable
from framecue.search.trouble import table_errors


class SnapshotReader:
    """Hands out snapshots, which never change, so that threads may search one while the next is made."""

    def __init__(self, table: MomentTable, neighbours_folder: Path, settings: IndexSettings) -> None:
        self._table, self._folder, self._settings = table, neighbours_folder, settings
        self._refreshing = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._neighbours: Neighbours | None = None
        self._stamp: tuple[int, int] | None = None

    def latest(self, level: Level | None = None) -> Snapshot:
        """The newest version; with the vectors of `level` in memory, where they fit.

        Raises:
            MomentIndexError: none can be read.
        """
        with self._refreshing, table_errors(self._table.folder, "read"):
            # A writer may drop the version that is met while its parts are being read; then there is a newer one.
            self._snapshot = retrying(lambda: self._refreshed(level))
            return self._snapshot

    def _refreshed(self, level: Level | None) -> Snapshot:
        neighbours = self._latest_neighbours()
        known = self._snapshot
        view = self._table.latest(known.view if known else None)
        if known is None or view is not known.view:
            levels = known.blocks if known else {}
            known = self._with_blocks(Snapshot(view, Catalog(view.videos), levels, neighbours), levels)
        elif neighbours is not known.neighbours:
            known = self._with_blocks(replace(known, neighbours=neighbours), known.blocks)
        if level is not None and level not in known.blocks and self._fits(known, level):
            known = self._with_blocks(known, [*known.blocks, level])
        return known

    def _latest_neighbours(self) -> Neighbours | None:
        stamp = stamp_identity(self._folder)
        if stamp != self._stamp:
            table = self._table
            self._neighbours = read_neighbours(self._folder, table_id=table.table_id, embed_dim=table.binding.embed_dim)
            self._stamp = stamp
        return self._neighbours

    def _fits(self, snapshot: Snapshot, level: str) -> bool:
        return snapshot.num_bytes(level, self._table.binding.embed_dim) <= self._settings.memory_bytes

    def _with_blocks(self, snapshot: Snapshot, levels: Iterable[str]) -> Snapshot:
        known, blocks = snapshot.blocks, {}
        for level in levels:
            if self._fits(snapshot, level):
                keys = snapshot.keys_in_blocks(level)
                blocks[level] = load_blocks(snapshot.view, level, known.get(level, ()), keys)
        return replace(snapshot, blocks=blocks)
