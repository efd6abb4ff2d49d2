"""The third file of a trained adapter's folder: which videos its run used and for what, each known by its content.

parts.json            videos of the train, val, test and novel parts: content, name, annotation; names of classes

Names and places of files change; what a model was trained on does not. Whoever measures the adapter later asks here.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from framecue.config import TaskName
from framecue.errors import AdapterError
from framecue.files import name_form

PARTS = "parts.json"


class Said(NamedTuple):
    """One thing that is said of a video: a label or an action from here to there, or a hash of its captions."""

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None


Key = tuple[str, float | None, float | None]
"""Content hash, start and end: equal for the same part of the same content."""


class SeenVideo(BaseModel):
    """A video, or a part of one, as a run met it.

    Attributes:
        content_hash: SHA-256 of the file's bytes.
        name: as the source named it then, for people: the path below the folder of the data, or the id in annotations.
        start_seconds, end_seconds: the part that is meant; None = from the beginning, to the end.
        annotation: what was said of it, in an order that does not depend on the source's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    content_hash: str
    name: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    annotation: tuple[Said, ...] = ()

    @property
    def key(self) -> Key:
        return self.content_hash, self.start_seconds, self.end_seconds


class Seen(BaseModel):
    """What a run used.

    Attributes:
        class_names, novel_names: of the trained and of the held-out classes, in score order; none where there were
            captions.
        train, val, test, novel: the videos of each part, in the order they were measured in.
        unused: videos of the data in no part: of names that were left out, or of no use in training.
        trained_before: content hashes of what the adapter that the run started from, and those before it, were trained
            on; names_before: their class names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    task: TaskName
    class_names: tuple[str, ...] = ()
    novel_names: tuple[str, ...] = ()
    train: tuple[SeenVideo, ...]
    val: tuple[SeenVideo, ...]
    test: tuple[SeenVideo, ...]
    novel: tuple[SeenVideo, ...] = ()
    unused: tuple[SeenVideo, ...] = ()
    trained_before: tuple[str, ...] = ()
    names_before: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, tuple[SeenVideo, ...]]:
        """What was used, by name."""
        return {"train": self.train, "val": self.val, "test": self.test, "novel": self.novel}

    @property
    def contents(self) -> set[str]:
        """Content hashes of everything that was used."""
        return {video.content_hash for part in self.parts.values() for video in part} | self.trained

    @property
    def trained(self) -> set[str]:
        """Content hashes of everything that was ever trained on."""
        return {*self.trained_before, *(video.content_hash for video in self.train)}


def remember(
    task: TaskName,
    present: Iterable[SeenVideo],
    parts: Mapping[str, Iterable[Key]],
    *,
    class_names: Sequence[str] = (),
    novel_names: Sequence[str] = (),
    before: Seen | None = None,
) -> Seen:
    """What a run used, for its adapter's folder.

    Args:
        present: every video of its data, used or not; of those with one key the first counts.
        parts: keys of the videos of each part.
        before: what the adapter that it started from has seen.
    """
    known: dict[Key, SeenVideo] = {}
    for video in present:
        known.setdefault(video.key, video)
    used = {name: tuple(known[key] for key in keys) for name, keys in parts.items()}
    of_a_part = {video.key for part in used.values() for video in part}
    return Seen(
        task=task,
        class_names=tuple(class_names),
        novel_names=tuple(novel_names),
        train=used["train"],
        val=used["val"],
        test=used["test"],
        novel=used.get("novel", ()),
        unused=tuple(video for key, video in known.items() if key not in of_a_part),
        trained_before=tuple(sorted(before.trained)) if before else (),
        names_before=tuple(sorted({*before.class_names, *before.names_before})) if before else (),
    )


def seen_video(
    content_hash: str,
    path: Path,
    source: Path,
    annotation: Iterable[Said],
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> SeenVideo:
    """A video of a data source, which is a folder or a file in one; the name is the path below that folder."""
    folder = source if source.is_dir() else source.parent
    absolute = Path(os.path.abspath(path))
    name = absolute.relative_to(folder.absolute()) if absolute.is_relative_to(folder.absolute()) else absolute
    return SeenVideo(
        content_hash=content_hash,
        name=name_form(name),
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        annotation=in_order(annotation),
    )


def in_order(annotation: Iterable[Said]) -> tuple[Said, ...]:
    """Whatever order the source has."""
    return tuple(sorted(annotation, key=lambda said: (said.start_seconds or 0.0, said.end_seconds or 0.0, said.text)))


def read_seen(folder: str | Path) -> Seen:
    """What the run of an adapter used.

    Raises:
        AdapterError: the folder does not say it, or not in this form.
    """
    path = Path(folder) / PARTS
    try:
        return Seen.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterError(
            f"Adapter {folder} does not say which videos it was trained on ({PARTS} is not there), so that nothing can "
            "be measured as held out; train it again."
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        where, reason = _first(error)
        raise AdapterError(f"Adapter {folder}: {PARTS} is not valid at {where}: {reason}; train it again.") from error


def _first(error: ValidationError | UnicodeDecodeError) -> tuple[str, Any]:
    if isinstance(error, UnicodeDecodeError):
        return "the file", error
    detail = error.errors()[0]
    return ".".join(str(part) for part in detail["loc"]) or "the file", detail["msg"]
