"""What one version of an index knows of its videos, and which of them a filter lets through."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from framecue.errors import MomentIndexError
from framecue.files import name_form
from framecue.search.filters import Filter, metadata_test, path_test, type_name, with_zone
from framecue.search.rows import stored_path
from framecue.types import IndexedVideo, MetadataValue

_MAX_SELECTIONS = 16


class Catalog:
    """The videos of one version. `keys`: int64 [V], which vectors are whose."""

    def __init__(self, videos: Any) -> None:
        self._table = videos.combine_chunks()
        self.keys: npt.NDArray[np.int64] = self._table.column("key").to_numpy()
        self._by_key = np.argsort(self.keys)
        self.sorted_keys: npt.NDArray[np.int64] = self.keys[self._by_key]
        self.durations: npt.NDArray[np.float64] = self._table.column("duration_seconds").to_numpy()
        self.num_moments: npt.NDArray[np.int64] = self._table.column("num_moments").to_numpy()
        self._selected: dict[str, npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def metadata(self) -> list[dict[str, MetadataValue]]:
        return [json.loads(text) for text in self._column("metadata")]

    @cached_property
    def columns(self) -> dict[str, str]:
        """Type of each metadata column."""
        types: dict[str, set[str]] = {}
        for metadata in self.metadata:
            for name, value in metadata.items():
                types.setdefault(name, set()).add(type(value).__name__)
        return {name: type_name(types[name]) for name in sorted(types)}

    @cached_property
    def _dates_us(self) -> npt.NDArray[np.int64]:
        return np.asarray(self._table.column("date").to_numpy()).astype("datetime64[us]").astype(np.int64)

    def find(self, video_ids: Iterable[str]) -> list[int | None]:
        """Where each of these videos is, None where it is not."""
        wanted, there = list(video_ids), self._table.column("video_id")
        if len(wanted) == 1:  # without a table of all that are there
            return [place if (place := pc.index(there, wanted[0]).as_py()) >= 0 else None]
        return cast(list[int | None], pc.index_in(pa.array(wanted, pa.string()), value_set=there).to_pylist())

    def places(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the video of each key is; all of them are there."""
        return self._by_key[np.searchsorted(self.sorted_keys, keys)]

    def videos(self, places: npt.NDArray[np.int64]) -> list[IndexedVideo]:
        """What is known of the videos at these places."""
        return [
            IndexedVideo(
                video_id=row["video_id"],
                path=stored_path(row["path"], row["path_bytes"]),
                size_bytes=row["size_bytes"],
                mtime_ns=row["mtime_ns"],
                duration_seconds=row["duration_seconds"],
                date=row["date"],
                metadata=json.loads(row["metadata"]),
                origin_seconds=row["origin_seconds"],
                stream_index=row["stream_index"],
                notes=tuple(json.loads(row["notes"])),
            )
            for row in self._table.take(places).to_pylist()
        ]

    def select(self, where: Filter | None, exclude: Collection[str] = ()) -> npt.NDArray[np.int64]:
        """Keys of the videos that pass, increasing; the same array for the same filter.

        Raises:
            MomentIndexError: a condition names a column that no video has, or a value of another type.
        """
        keys = self.sorted_keys if where is None else self._select(where)
        places = [place for place in self.find(exclude) if place is not None]
        return keys if not places else np.setdiff1d(keys, self.keys[places], assume_unique=True)

    def _select(self, where: Filter) -> npt.NDArray[np.int64]:
        name = repr(where)
        found = self._selected.get(name)
        if found is None:
            found = np.sort(self.keys[self._evaluate(where)])
            if len(self._selected) >= _MAX_SELECTIONS:
                self._selected.clear()
            self._selected[name] = found
        return found

    def _evaluate(self, where: Filter) -> npt.NDArray[np.bool_]:
        passes = np.ones(len(self), dtype=bool)
        if where.after is not None:
            passes &= self._dates_us >= _microseconds(where.after)
        if where.before is not None:
            passes &= self._dates_us < _microseconds(where.before)
        if where.min_duration_seconds is not None:
            passes &= self.durations >= where.min_duration_seconds
        if where.max_duration_seconds is not None:
            passes &= self.durations <= where.max_duration_seconds
        for condition in where.all_conditions():
            if len(self):
                name = self._column_named(condition.name)
                test = metadata_test(replace(condition, name=name), self.columns[name])
                _keep(passes, self.metadata, test)
        if where.path is not None:
            _keep(passes, self._column("path"), path_test(where.path))
        return passes

    def _column_named(self, asked: str) -> str:
        if asked in self.columns:
            return asked
        name = next((name for name in self.columns if name_form(name) == name_form(asked)), None)
        if name is None:
            there = ", ".join(self.columns) or "none"
            raise MomentIndexError(f"No video has a metadata column {asked!r:.60}; columns there are: {there:.200}.")
        return name

    def _column(self, name: str) -> list[Any]:
        return list(self._table.column(name).to_pylist())


def same_description(first: IndexedVideo, second: IndexedVideo) -> bool:
    """Whether nothing that the index holds of them differs."""
    return _described(first) == _described(second)


def _described(video: IndexedVideo) -> tuple[object, ...]:
    metadata: Mapping[str, MetadataValue] = video.metadata
    typed = sorted((name, type(value).__name__, value) for name, value in metadata.items())
    return (video.path, video.size_bytes, video.mtime_ns, video.duration_seconds, video.date, typed)


def _keep(passes: npt.NDArray[np.bool_], values: list[Any], test: Any) -> None:
    """Asks of those that pass so far only."""
    for position in np.flatnonzero(passes).tolist():
        passes[position] = test(values[position])


def _microseconds(date: Any) -> int:
    return round(with_zone(date).timestamp() * 1e6)
