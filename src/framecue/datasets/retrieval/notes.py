"""What a reader of captions left out or changed: counted by kind, one line each, with the first example."""

from collections.abc import Mapping
from typing import ClassVar

from framecue.datasets.localization.notes import Tally, one_line
from framecue.errors import DatasetError

KINDS: dict[str, tuple[str, str]] = {
    "entry": ("entry cannot be understood: left out", "entries cannot be understood: left out"),
    "empty": ("caption is empty: left out", "captions are empty: left out"),
    "nothing": (
        "caption may stand for an empty cell: kept, and better left out",
        "captions may stand for empty cells: kept, and better left out",
    ),
    "silent": ("video has no caption: left out", "videos have no caption: left out"),
    "unlisted": ("video is in no list: left out", "videos are in no list: left out"),
    "unasked": ("video is of another part: left out", "videos are of other parts: left out"),
    "missing": ("video has no file: left out", "videos have no file: left out"),
    "tidied": (
        "caption held stray white space or control characters: tidied",
        "captions held stray white space or control characters: tidied",
    ),
    "markup": ("caption holds what looks like markup: kept as it is", "captions hold what looks like markup: kept"),
    "double": (
        "caption is given twice for its video: both kept",
        "captions are given twice for one video: all kept",
    ),
    "twice": ("key is given twice: the captions are joined", "keys are given twice: the captions are joined"),
    "times": (
        "sentence has times that are none: kept without its segment",
        "sentences have times that are none: kept without their segments",
    ),
    "group": (
        "video has captions of several groups: the first counts",
        "videos have captions of several groups: the first counts",
    ),
    "folder": ("entry's part is told by a folder's name", "entries' parts are told by folders' names"),
    "file": ("file's part is told by its name", "files' parts are told by their names"),
    "unread": (
        "file is no part of the published protocol: not read",
        "files are no part of the published protocol: not read",
    ),
}
"""All kinds, in the order in which they are told."""


class CaptionNotes(Tally):
    """Counts by kind while one source of captions is read."""

    kinds: ClassVar[Mapping[str, tuple[str, str]]] = KINDS

    def add(self, kind: str, example: str) -> None:
        """One more of `kind`; of an example's origin the part is told that the source's path does not."""
        for prefix, told in ((f"{self.source}:", "line "), (f"{self.source}/", ""), (f"{self.source}, ", "")):
            if example.startswith(prefix):
                example = told + example.removeprefix(prefix)
        super().add(kind, example)

    def report(self, error: DatasetError) -> None:
        """One entry more that cannot be understood.

        Raises:
            DatasetError: this one, where entries are not to be left out.
        """
        message = one_line(str(error))
        if self.invalid != "drop":
            raise DatasetError(message) from None
        self.add("entry", message.removesuffix("."))
