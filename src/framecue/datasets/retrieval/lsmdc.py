"""LSMDC: clips of movies with the sentences of their audio description."""

import re
from collections.abc import Iterator
from pathlib import Path

from framecue.datasets.manifests import read_text
from framecue.datasets.naming import part_in_file_name
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError

LSMDC_FILES = ("LSMDC16_annos_training.csv", "LSMDC16_annos_val.csv", "LSMDC16_challenge_1000_publictect.csv")
"""The files of published retrieval; the release's further ones are other tasks' or the whole test's."""

_CLIP = re.compile(r"\S.*_\d\d\.\d\d\.\d\d\.\d{3}-\d\d\.\d\d\.\d\d\.\d{3}")


def read_lsmdc(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """One of `LSMDC_FILES`: 101,079 sentences for training, 7,408 for validation, 1,000 of the test.

    Lines of six columns, separated by tabs and without quotes: clip, start and end (aligned), start and end
    (extracted), sentence. The times are the movie's and no part of the clip, so they are not used. A clip of several
    sentences has several captions. Published tests use the 1,000; much published validation does too, here it does not.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        cells = line.rstrip("\r").split("\t")
        if not line.strip():
            continue
        if len(cells) != 6:
            notes.report(
                DatasetError(
                    f"{path}:{number}: a line must have 6 columns separated by tabs, found {len(cells)}. "
                    "Restore the official file."
                )
            )
            continue
        yield RawEntry(cells[0], cells[5], f"{path}:{number}")


def is_lsmdc(path: Path) -> bool:
    """Whether the first line is a clip's."""
    line = next((line for line in read_text(path).split("\n") if line.strip()), "")
    cells = line.split("\t")
    return len(cells) == 6 and _CLIP.fullmatch(cells[0].strip()) is not None


def lsmdc_part(path: Path) -> str | None:
    """The part that the file is: the challenge's public test is "test"."""
    return "test" if "publictect" in path.stem.lower() else part_in_file_name(path.stem)
