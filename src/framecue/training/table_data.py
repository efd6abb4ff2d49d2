"""The labelled videos of a recognition table; of HMDB-51 and UCF-101 those of each official split that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from framecue.config import DataConfig
from framecue.datasets.formats import find_source
from framecue.datasets.records import load_data
from framecue.errors import DatasetError
from framecue.types import Record, Skipped

SPLIT_FORMATS = ("hmdb51", "ucf101")
SPLITS = (1, 2, 3)
MEASURED_OVER_SPLITS = ("closed-set", "cross-dataset")
"""Tables whose published figures on these sets are the mean over the three splits."""


@dataclass(frozen=True)
class TableData:
    """What a table is trained and measured on.

    Attributes:
        by_split: records by official split; under None those of a source that has none.
        other: of the second data set of a cross-data-set table, likewise; else empty.
        skipped: what the sources listed and could not give.
    """

    by_split: Mapping[int | None, Sequence[Record]]
    other: Mapping[int | None, Sequence[Record]] = field(default_factory=dict)
    skipped: Sequence[Skipped] = ()

    @property
    def records(self) -> Sequence[Record]:
        """Of the first split, of which every other table is."""
        return next(iter(self.by_split.values()))

    @property
    def measured_splits(self) -> list[int]:
        """The official splits that are measured on; empty where there are none."""
        return [number for number in self.other or self.by_split if number is not None]

    @property
    def everything(self) -> list[Record]:
        """All records of all splits and sets."""
        return [record for part in (self.by_split, self.other) for records in part.values() for record in records]


def load_table_data(table: str, data: DataConfig, other: DataConfig | None = None) -> TableData:
    """Read what a table needs: all official splits where published figures are their mean, unless data.split is set.

    Raises:
        DatasetError: as `load_data`; or a video has no label.
    """
    over_splits = table in MEASURED_OVER_SPLITS
    by_split, skipped = _by_split(data, over_splits=over_splits and other is None)
    others, more = _by_split(other, over_splits=over_splits) if other is not None else ({}, [])
    read = TableData(by_split, others, list(dict.fromkeys([*skipped, *more])))
    unlabelled = next((record for record in read.everything if record.label is None), None)
    if unlabelled is not None:
        raise DatasetError(f"{unlabelled.origin}: {unlabelled.path} has no label, which every table needs. Label it.")
    return read


def _by_split(data: DataConfig, *, over_splits: bool) -> tuple[dict[int | None, list[Record]], list[Skipped]]:
    source = find_source(data.source, format=data.format, annotations=data.annotations, labels=data.labels)
    if source.format not in SPLIT_FORMATS:
        records, skipped = load_data(data)
        return {None: records}, skipped
    numbers = SPLITS if over_splits and "split" not in data.model_fields_set else (data.split,)
    found: dict[int | None, list[Record]] = {}
    left_out: list[Skipped] = []
    for number in numbers:
        try:
            found[number], skipped = load_data(data.model_copy(update={"split": number}))
        except DatasetError as error:
            if len(numbers) == 1:
                raise
            raise DatasetError(f"{error} To measure one official split alone, say data.split=1.") from error
        left_out += skipped
    return found, left_out
