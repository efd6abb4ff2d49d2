"""What is particular to THUMOS14: its text files, its classes, and the test videos that not everyone counts."""

import re
from pathlib import Path
from typing import Literal

from framecue.datasets.localization.notes import Tally
from framecue.datasets.localization.raw import RawSegment, RawVideo, number_of
from framecue.datasets.manifests import read_text
from framecue.errors import DatasetError

# fmt: off
THUMOS14_CLASSES = (
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling", "CricketShot",
    "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump", "JavelinThrow", "LongJump", "PoleVault",
    "Shotput", "SoccerPenalty", "TennisSwing", "ThrowDiscus", "VolleyballSpiking",
)
# fmt: on
"""The 20 classes of the detection task."""

AMBIGUOUS = "Ambiguous"
"""THUMOS14's mark for segments that are hard to tell; the official evaluation does not count it as a class."""

ThumosTest = Literal[213, 212, 211, 210]
"""How many test videos count."""

THUMOS_TEST_LEFT_OUT: dict[ThumosTest, tuple[str, ...]] = {
    213: (),
    212: ("video_test_0001292",),
    211: ("video_test_0000270", "video_test_0001292"),
    210: ("video_test_0000270", "video_test_0001292", "video_test_0001496"),
}
"""213 are in the official files. ActionFormer leaves out ...1292, which has ambiguous segments only (212); G-TAD and
OpenTAD also ...0270, whose annotations reach to 714 s of a video of 176 s (211); AFSD also ...1496, which is in the
official list of videos to avoid (210)."""

_FILE = re.compile(r"(.+)_(val|test)")
_ID = re.compile(r"video_(validation|test)_\d+")


def thumos_subset(video_id: str) -> str | None:
    """ "validation" or "test" by THUMOS14's id, None for other ids."""
    match = _ID.fullmatch(video_id)
    return match[1] if match else None


def text_files(folder: Path) -> list[Path]:
    """The files CLASS_val.txt and CLASS_test.txt of a folder, or of its folders `validation` and `test`."""
    found = []
    for part in (folder, folder / "validation", folder / "test"):
        found += [path for path in sorted(part.glob("*.txt")) if _FILE.fullmatch(path.stem)]
    return found


def read_thumos_text(path: Path, tally: Tally) -> list[RawVideo]:
    """Videos of the official text files, lines `video start end`, a file a class.

    Durations are read from `validation_durations.txt` and `test_durations.txt` in the folder or up to two above it.

    Args:
        path: the folder, one above `validation` and `test`, or a single file.

    Raises:
        DatasetError: there is no such file.
    """
    files = text_files(path) if path.is_dir() else [path]
    if not files or not _FILE.fullmatch(files[0].stem):
        raise DatasetError(f"{path} holds no files CLASS_val.txt or CLASS_test.txt. Give THUMOS14's annotation folder.")
    durations = _durations(files[0].parent)
    segments: dict[str, list[RawSegment]] = {}
    for file in files:
        label = file.stem.rpartition("_")[0]
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 3:
                tally.fault("entry", f"{file}:{number}", line.strip()[:60])
                continue
            found = segments.setdefault(cells[0], [])
            found.append(RawSegment(cells[1], cells[2], label, None, f"{file}:{number}"))
    return [
        RawVideo(video_id, durations.get(video_id), thumos_subset(video_id), segments[video_id], f"{path}, {video_id}")
        for video_id in sorted(segments)
    ]


def _durations(folder: Path) -> dict[str, float]:
    """Seconds by video, from pairs of lines `video_test_0000764.mp4` and `51.328000`."""
    found: dict[str, float] = {}
    for name in ("validation_durations.txt", "test_durations.txt"):
        for parent in (folder, folder.parent, folder.parent.parent):
            if (parent / name).is_file():
                lines = read_text(parent / name).split()
                found |= {Path(key).stem: number_of(value) for key, value in zip(lines[::2], lines[1::2], strict=False)}
                break
    return found
