"""What `framecue data check` finds: kinds of problems, most serious first, and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from framecue.datasets.near_copies import NearCopy
from framecue.errors import DatasetError


class Kind(NamedTuple):
    """A heading for one problem and for several; `to_fix` is False where it may well be meant."""

    one: str
    many: str
    to_fix: bool = True


KINDS: dict[str, Kind] = {
    "line": Kind("entry cannot be understood", "entries cannot be understood"),
    "class": Kind("label is not in the class list", "labels are not in the class list"),
    "missing": Kind("listed video is not there", "listed videos are not there"),
    "unreadable": Kind("video cannot be read", "videos cannot be read"),
    "empty": Kind("video has no length", "videos have no length"),
    "times": Kind("time range lies outside its video", "time ranges lie outside their videos"),
    "leak": Kind("video is in two parts", "videos are in two parts"),
    "labels": Kind("video has two labels", "videos have two labels"),
    "twice": Kind("video is listed twice", "videos are listed twice"),
    "spelling": Kind("class name is written in two ways", "class names are written in two ways"),
    "gone": Kind("class has no video that can be used", "classes have no video that can be used"),
    "untrained": Kind("class is tested but has no training video", "classes are tested but have no training video"),
    "unlabelled": Kind("part has no labels", "parts have no labels", False),
    "source": Kind("recording was cut into two parts", "recordings were cut into two parts", False),
    "near": Kind("pair of near copies", "pairs of near copies", False),
    "copy": Kind("video is a copy of another", "videos are copies of others", False),
    "absent": Kind("class is absent from a part", "classes are absent from a part", False),
    "unstored": Kind("gap in the stored features", "gaps in the stored features", False),
    "few": Kind("class has few training videos", "classes have few training videos", False),
    "folder": Kind("class folder has no videos", "class folders have no videos", False),
    "picture": Kind("kind of file is passed over", "kinds of files are passed over", False),
    "name": Kind("class name says little", "class names say little", False),
}
"""All kinds, most serious first. Those not `to_fix` are notes and leave the exit code alone."""


@dataclass(frozen=True)
class Problem:
    """One thing found: a line that names the file and, where there is one, the line."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: DatasetError) -> "Problem":
        return cls(getattr(error, "kind", "line"), str(error))

    @property
    def to_fix(self) -> bool:
        return KINDS[self.kind].to_fix


@dataclass(frozen=True)
class DataReport:
    """What is in a data source and what is wrong with it.

    Attributes:
        path, format: the folder of videos or manifest, and how it was read.
        annotations: the official files, or None.
        quick: whether files were only looked for, not opened.
        listed: part ("all" where the source has none) to class to number of entries.
        usable: the same for entries whose video is there and, unless `quick`, can be read.
        problems: most serious kind first, in the order of the source within a kind.
        near_copies: pairs of videos that show the same footage, most alike first; empty where no store was given.
    """

    path: Path
    format: str
    annotations: Path | None
    quick: bool
    listed: Mapping[str, Mapping[str, int]]
    usable: Mapping[str, Mapping[str, int]]
    problems: Sequence[Problem]
    near_copies: Sequence[NearCopy] = ()

    @property
    def num_to_fix(self) -> int:
        return sum(problem.to_fix for problem in self.problems)

    def by_kind(self) -> dict[str, list[str]]:
        """Texts of the problems of each kind that was found, most serious kind first."""
        found: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for problem in self.problems:
            found[problem.kind].append(problem.text)
        return {kind: texts for kind, texts in found.items() if texts}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": str(self.path),
            "format": self.format,
            "annotations": None if self.annotations is None else str(self.annotations),
            "quick": self.quick,
            "num_to_fix": self.num_to_fix,
            "num_notes": len(self.problems) - self.num_to_fix,
            "parts": {
                part: {
                    name: {"listed": number, "usable": self.usable[part].get(name, 0)}
                    for name, number in classes.items()
                }
                for part, classes in self.listed.items()
            },
            "problems": self.by_kind(),
            "near_copies": [_near_to_dict(near) for near in self.near_copies],
        }


def _near_to_dict(near: NearCopy) -> dict[str, Any]:
    return {
        "similarity": near.similarity,
        "shared_seconds": near.shared_seconds,
        "videos": [
            {"path": str(record.path), "part": record.split, "label": record.label, "shows_it_from_seconds": seconds}
            for record, seconds in ((near.first, near.first_seconds), (near.second, near.second_seconds))
        ],
    }
