"""Which files of a folder are taken for videos."""

import os
from pathlib import Path

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf", ".m1v", ".m2ts",
    ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
# fmt: on
"""File endings, in lower case, that are taken for videos in a folder. A file named outright may have any ending."""


def has_video_extension(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_EXTENSIONS


def find_videos(folder: Path) -> list[Path]:
    """Files with a video ending at any depth, sorted; links are followed, hidden files and folders passed over."""
    found: list[Path] = []
    visited: set[str] = set()
    for current, subfolders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in visited:  # a link that leads back
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(current, name) for name in files if not name.startswith(".") and has_video_extension(Path(name))]
    return sorted(found)
