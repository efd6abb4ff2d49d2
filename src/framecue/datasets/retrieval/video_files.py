"""Finds the files of captioned videos."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from framecue.datasets.localization.video_files import files_by_id
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError
from framecue.files import name_form
from framecue.types import CaptionedVideo, Skipped
from framecue.video.files import find_videos, one_each


def match_videos(
    videos: Iterable[CaptionedVideo], folder: str | Path
) -> tuple[tuple[CaptionedVideo, ...], list[Skipped]]:
    """The videos whose file is at any depth below `folder`, with its path, and the others with the reason.

    An id is a path below `folder`, or the file's name with or without its ending and with or without ActivityNet's
    `v_`; of an id with folders as much counts as lies below `folder`. Names are compared as `files.name_form` says. No
    file outside `folder` is ever matched, but for links in it.

    Raises:
        DatasetError: there is no such folder, or two files go by one id.
    """
    folder, videos = Path(folder), list(videos)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder. Give the folder that holds the videos, at any depth.")
    paths = find_videos(folder, each_link=True)
    exact = {name_form(path.relative_to(folder)): path for path in paths}
    files = files_by_id({video.video_id for video in videos}, paths)
    matched, skipped = [], []
    for video in videos:
        named = exact.get(name_form(PurePosixPath(video.video_id)))
        found = [named] if named else one_each(files[video.video_id])
        if len(found) > 1:
            names = shorten([str(path.relative_to(folder)) for path in found], 3)
            raise DatasetError(
                f"{video.origin}: {len(found)} files below {folder} go by the id '{video.video_id}': {names}. "
                "Give a folder that holds one of them."
            )
        if found:
            matched.append(replace(video, path=found[0]))
        else:
            skipped.append(Skipped(folder / Path(video.video_id).name, f"no video of this name below {folder}"))
    return tuple(matched), skipped
