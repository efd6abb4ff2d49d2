"""What a reader left out or changed: counted by kind, one line each, with the first example."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, get_args

from framecue.errors import DatasetError, UsageError
from framecue.files import name_form

Invalid = Literal["drop", "keep", "refuse"]
"""What happens to an entry that cannot be right: it is left out and counted, kept where it can be (an official
evaluator looks at nothing), or the file is refused."""


class _Kind(NamedTuple):
    one: str
    many: str


KINDS: dict[str, _Kind] = {
    "entry": _Kind("entry cannot be understood: left out", "entries cannot be understood: left out"),
    "label": _Kind("label is not a text: left out", "labels are not texts: left out"),
    "time": _Kind("segment has no finite times: left out", "segments have no finite times: left out"),
    "score": _Kind("score is no finite number: left out", "scores are no finite numbers: left out"),
    "empty": _Kind("segment ends no later than it begins: left out", "segments end no later than they begin: left out"),
    "empty kept": _Kind("segment ends no later than it begins: kept", "segments end no later than they begin: kept"),
    "short": _Kind("segment is too short to count: left out", "segments are too short to count: left out"),
    "outside": _Kind("segment lies beyond the video: left out", "segments lie beyond their videos: left out"),
    "beyond": _Kind(
        "segment reaches out of its video: kept as it is", "segments reach out of their videos: kept as they are"
    ),
    "clipped": _Kind("segment was clipped to its video", "segments were clipped to their videos"),
    "double": _Kind("segment is given twice: both are kept", "segments are given twice: both are kept"),
    "deduplicated": _Kind("segment is given twice: left out once", "segments are given twice: left out once"),
    "ambiguous": _Kind(
        "segment is marked ambiguous, which is no class: left out",
        "segments are marked ambiguous, which is no class: left out",
    ),
    "diving": _Kind(
        "segment of Diving is one of CliffDiving too: left out",
        "segments of Diving are ones of CliffDiving too: left out",
    ),
    "blocked": _Kind("video is blocked: left out", "videos are blocked: left out"),
    "blocked label": _Kind(
        "segment is of a class that is blocked in its video: left out",
        "segments are of classes that are blocked in their videos: left out",
    ),
    "unblocked": _Kind(
        "blocked video is not in the ground truth: no effect", "blocked videos are not in the ground truth: no effect"
    ),
    "thumos": _Kind("test video is left out by thumos_test", "test videos are left out by thumos_test"),
    "unasked": _Kind("video was not asked for: left out", "videos were not asked for: left out"),
    "missing": _Kind("video that was asked for is not there", "videos that were asked for are not there"),
    "other label": _Kind(
        "segment is of a class not asked for: left out", "segments are of classes not asked for: left out"
    ),
    "duration": _Kind("video has no usable duration", "videos have no usable duration"),
    "undated": _Kind(
        "video has fractions for times and no known duration: left out",
        "videos have fractions for times and no known duration: left out",
    ),
    "spelling": _Kind(
        "label differs from another in case, spaces or hyphens only: a class of its own",
        "labels differ from others in case, spaces or hyphens only: classes of their own",
    ),
    "twice": _Kind("key is given twice: the last counts", "keys are given twice: the last counts"),
    "prefix": _Kind(
        "video id has the prefix v_, which ActivityNet's own ids have not: read without it",
        "video ids have the prefix v_, which ActivityNet's own ids have not: read without it",
    ),
    "subset": _Kind(
        "video has no subset: taken from its id or the list beside the file",
        "videos have no subset: taken from their ids or the list beside the file",
    ),
    "conflict": _Kind(
        "row contradicts an earlier one on its video's duration or subset: the earlier counts",
        "rows contradict earlier ones on their videos' duration or subset: the earlier count",
    ),
}
"""All kinds, in the order in which they are told."""


class Tally:
    """Counts by kind while one source is read."""

    kinds: ClassVar[Mapping[str, tuple[str, str]]] = KINDS

    def __init__(self, source: Path, invalid: Invalid = "drop") -> None:
        if invalid not in get_args(Invalid):
            raise UsageError(f"invalid must be {', '.join(get_args(Invalid))}, found {invalid!r}.")
        self.source, self.invalid = source, invalid
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._spelled: dict[str, str] = {}

    def spelled(self, name: str) -> str:
        """The name as this source writes it first; `files.name_form` says which are the same."""
        return self._spelled.setdefault(name_form(name), name)

    def add(self, kind: str, example: str) -> None:
        """One more of `kind`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, one_line(example))

    def fault(self, kind: str, origin: str, found: str) -> None:
        """One more that cannot be right.

        Raises:
            DatasetError: `invalid` is "refuse".
        """
        if self.invalid == "refuse":
            what = self.kinds[kind][0].partition(":")[0]
            raise DatasetError(
                one_line(f'{origin}: {what}, found {found}. Fix it, or let such entries be left out (invalid="drop").')
            )
        self.add(kind, f"{origin.removeprefix(f'{self.source}, ')}: {found}")

    def count(self, kind: str) -> int:
        return self._counts.get(kind, 0)

    def lines(self) -> tuple[str, ...]:
        """A line for each kind."""
        return tuple(
            f"{self.source}: {number} {one if number == 1 else many}"
            f" ({'' if number == 1 else 'first: '}{self._first[kind]})."
            for kind, (one, many) in self.kinds.items()
            if (number := self.count(kind))
        )


def one_line(text: str) -> str:
    """The text without line breaks, which names in a file may hold."""
    return " ".join(text.splitlines())
