"""Lists of videos that an evaluation leaves out."""

from collections.abc import Collection
from pathlib import Path

from framecue.datasets.localization.notes import Tally
from framecue.datasets.localization.raw import read_json, video_key
from framecue.datasets.manifests import read_text
from framecue.errors import DatasetError
from framecue.files import name_form

Blocked = str | Path | Collection[str]
"""A file, or the ids themselves."""


def blocked_entries(blocked: Blocked | None) -> set[tuple[str, str | None]]:
    """`video_key` and `name_form` of the label of each entry; the label is None where the whole video is blocked.

    Read are a JSON list of ids (ActivityNet's blocked videos), a JSON object whose keys are ids, and text with a line
    `video` or `video label` for each, as THUMOS14's `test_avoid_videos.txt`, where an entry blocks that class of the
    video alone.

    Raises:
        DatasetError: the file cannot be read or is of none of these forms.
    """
    if blocked is None:
        return set()
    if not isinstance(blocked, str | Path):
        return {(video_key(name), None) for name in blocked}
    path = Path(blocked)
    if path.suffix.lower() != ".json":
        lines = [line.split(maxsplit=1) for line in read_text(path).splitlines() if line.strip()]
        return {(video_key(words[0]), name_form(words[1].strip()) if len(words) > 1 else None) for words in lines}
    content = read_json(path, Tally(path))
    if not isinstance(content, list | dict) or not all(isinstance(name, str) for name in content):
        raise DatasetError(f"{path} is no list of blocked videos. Give a JSON list of ids, or text with one a line.")
    return {(video_key(name), None) for name in content}
