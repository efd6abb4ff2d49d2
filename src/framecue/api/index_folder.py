"""What lies in an index folder beside the vectors: how it was made, of what, and a copy of its adapter.

collection.json   backbone, adapter, windows, roots
adapter/          the adapter's two files, where there is one
copies.json       files with the content of an indexed video, so that they are not read again
progress.json     while a writer is at work (api.progress)
cache/            pictures and moments that the service made; each file's name begins with the id of its video and a dot
purge.due         from the removal of videos until all traces of them are cleared (api.forget)
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from framecue.errors import MomentIndexError
from framecue.files import write_bytes, write_text
from framecue.models.adapter import CARD, TENSORS, AdapterCard, read_card
from framecue.search import MomentIndex
from framecue.search.table import TABLE_FOLDER
from framecue.tasks.indexing import KnownCopy, Stamp
from framecue.tasks.scanning import Sources
from framecue.video.files import FolderRules

SETTINGS, COPIES, ADAPTER, CACHE = "collection.json", "copies.json", "adapter", "cache"
_FORMAT_VERSION = 2
CACHED_FILE = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{64}\..*")
"""Name of a file in the cache; the first group is the id of its video."""
_LEFT_BY_A_KILLED_START = {ADAPTER, TABLE_FOLDER, "writer.lock", "neighbours"}
_SAYS_NOTHING_OF_VECTORS = {
    "metrics",
    "config",
    "git_revision",
    "framecue_version",
    "rejection",
    "min_score",
    "matching",
    "started_from",
}


@dataclass(frozen=True)
class CollectionSettings:
    """How an index was made, and of what.

    Attributes:
        backbone: id that `load_backbone` takes.
        adapter: where the adapter came from, for people; "" without one.
        window_seconds, hop_seconds: of its moments.
        sources: what belongs to it.
    """

    backbone: str
    adapter: str
    window_seconds: float
    hop_seconds: float
    sources: Sources = field(default_factory=Sources)

    @property
    def windows(self) -> str:
        """As the index's binding says it."""
        return f"{self.window_seconds:g}s/{self.hop_seconds:g}s"


def has_collection(folder: Path) -> bool:
    return (folder / SETTINGS).is_file()


def check_new_folder(folder: Path) -> None:
    """What a start that was killed has left is cleared away; anything else is not touched.

    Raises:
        MomentIndexError: the folder holds other things.
    """
    if folder.exists() and not folder.is_dir():
        raise MomentIndexError(f"{folder} is a file, not a moment index; name a folder.")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if there - _LEFT_BY_A_KILLED_START:
        some = ", ".join(sorted(there - _LEFT_BY_A_KILLED_START)[:3])
        raise MomentIndexError(
            f"{folder} exists and is no moment index, found {some!r:.120}; name a folder of its own."
        )
    if TABLE_FOLDER in there:
        if MomentIndex.open(folder).status().num_videos:
            raise MomentIndexError(
                f"Moment index {folder} has lost its {SETTINGS}, which says how it was made; restore that file, or "
                "make another index."
            )
        shutil.rmtree(folder / TABLE_FOLDER)


def write_settings(folder: Path, settings: CollectionSettings) -> None:
    sources = {
        "roots": [os.fspath(root) for root in settings.sources.roots],
        "excluded": [os.fspath(path) for path in settings.sources.excluded],
        "rules": {os.fspath(root): asdict(rules) for root, rules in settings.sources.rules.items()},
    }
    told = {**asdict(replace(settings, sources=Sources())), "format_version": _FORMAT_VERSION, "sources": sources}
    # All but ASCII is escaped: paths may hold bytes that are no UTF-8.
    write_text(folder / SETTINGS, json.dumps(told, indent=2) + "\n")


def read_settings(folder: Path) -> CollectionSettings:
    """
    Raises:
        MomentIndexError: there is no index, or its settings are damaged.
    """
    if not has_collection(folder):
        raise MomentIndexError(
            f"There is no moment index in {folder}; make one with: framecue index add VIDEOS --index {folder}."
        )
    try:
        told = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if told["format_version"] != _FORMAT_VERSION:
            raise MomentIndexError(
                f"Moment index {folder} has settings of format {told['format_version']!r:.20}, this framecue reads "
                f"{_FORMAT_VERSION}; "
                "use the framecue that wrote it."
            )
        sources = Sources(
            tuple(map(Path, told["sources"]["roots"])),
            tuple(map(Path, told["sources"]["excluded"])),
            {
                Path(root): FolderRules(tuple(rules["exclude"]), tuple(rules["include"]))
                for root, rules in told["sources"]["rules"].items()
            },
        )
        return CollectionSettings(
            str(told["backbone"]),
            str(told["adapter"]),
            float(told["window_seconds"]),
            float(told["hop_seconds"]),
            sources,
        )
    except OSError as error:
        raise MomentIndexError(
            f"Moment index {folder}: {SETTINGS} cannot be read: {error.strerror}; let this user read the folder."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise MomentIndexError(
            f"Moment index {folder}: {SETTINGS} is damaged ({type(error).__name__}: {error}); restore it, or delete "
            "the folder and add again."
        ) from None


def hash_adapter(folder: Path, card: AdapterCard) -> str:
    """SHA-256 over the tensors and what of the card decides embeddings; measured numbers do not."""
    digest = hashlib.sha256((folder / TENSORS).read_bytes())
    deciding = card.model_dump(mode="json", exclude=_SAYS_NOTHING_OF_VECTORS)
    digest.update(json.dumps(deciding, sort_keys=True).encode())
    return digest.hexdigest()


def copy_adapter(source: Path, folder: Path) -> None:
    """Into the index; the card comes last, so that a folder with a card is whole."""
    read_card(source)
    for name in (TENSORS, CARD):
        write_bytes(folder / ADAPTER / name, (source / name).read_bytes())


def read_copies(folder: Path) -> dict[Path, KnownCopy]:
    """None at all where the file is lost or damaged: it only saves reading."""
    try:
        told: Mapping[str, Any] = json.loads((folder / COPIES).read_text(encoding="utf-8"))
        return {
            Path(path): KnownCopy(Stamp(int(size), int(mtime)), str(video_id))
            for path, (size, mtime, video_id) in told.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_copies(folder: Path, copies: Mapping[Path, KnownCopy]) -> None:
    rows = {
        os.fspath(path): (copy.stamp.size_bytes, copy.stamp.mtime_ns, copy.video_id)
        for path, copy in sorted(copies.items())
    }
    if rows or (folder / COPIES).exists():
        write_text(folder / COPIES, json.dumps(rows))
