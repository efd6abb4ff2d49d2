"""Faults of a data set: told one at a time by raising, or gathered so that `data check` can list them all."""

from collections.abc import Callable

from framecue.errors import DatasetError

Report = Callable[[DatasetError], None]
"""What a reader does with a fault it can read on after: `refuse` raises it, `data check` gathers it."""


class DataFaultError(DatasetError):
    """A fault of one of the kinds that `data check` groups by; a plain `DatasetError` is of kind "line"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def refuse(error: DatasetError) -> None:
    """The reaction of everything but `data check`: no data set with a fault is used."""
    raise error
