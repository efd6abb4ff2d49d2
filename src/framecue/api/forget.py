"""Forgetting: each place of an index folder in which something of a removed video can lie, and how it is cleared.

moments.lance/, neighbours/   all versions and pieces of the table, and what is derived: `MomentIndex.purge`
copies.json                   paths of further copies: the writer leaves out those of what is not indexed
cache/                        pictures and moments that the service cut, each named by its video
progress.json, .*.tmp         what a writer or server that was killed left behind

What is forgotten is not known by name: everything that is not of an indexed video goes, so that it may be done at any
time, and again. `collection.json` keeps the path of what was taken out of a folder, which is what keeps it out.
"""

from pathlib import Path

from framecue.api.index_folder import CACHE, CACHED_FILE, read_copies, write_copies
from framecue.api.progress import PROGRESS
from framecue.search import MomentIndex

_DUE = "purge.due"


def call_for_purge(folder: Path) -> None:
    """Whatever becomes of this writer, it or the next one purges. To be called before anything is removed."""
    (folder / _DUE).touch()


def purge_if_due(index: MomentIndex) -> None:
    """For the one writer, as the last thing that it does.

    Raises:
        MomentIndexError: the disk is full; it stays due.
    """
    due = index.path / _DUE
    if due.exists():
        purge(index)
        due.unlink()


def purge(index: MomentIndex) -> None:
    """Leaves nothing in the folder of what is not indexed now. For the one writer.

    Raises:
        MomentIndexError: the disk is full or cannot be written.
    """
    index.purge()
    kept = {video.video_id for video in index.videos()}
    write_copies(index.path, {path: copy for path, copy in read_copies(index.path).items() if copy.video_id in kept})
    (index.path / PROGRESS).unlink(missing_ok=True)
    for file in (index.path / CACHE).glob("*"):
        cached = CACHED_FILE.fullmatch(file.name)
        if cached and cached[1] not in kept:
            file.unlink(missing_ok=True)
    for folder in (index.path, index.path / CACHE):
        for file in folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)
