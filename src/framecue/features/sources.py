"""What a user names on the command line -> video files."""

from collections.abc import Iterable
from pathlib import Path

from framecue.errors import DatasetError
from framecue.files import backslash_hint
from framecue.video.files import find_videos


def expand_sources(sources: Iterable[str | Path]) -> list[Path]:
    """Files as they are named, whatever their ending, and the videos of folders at any depth; each path once.

    Raises:
        DatasetError: a source is not there, or a folder holds no video.
    """
    found: dict[Path, None] = {}
    for source in map(Path, sources):
        try:
            is_folder = source.is_dir()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DatasetError(f"Source {source} cannot be a path ({reason}); check it.") from None
        if is_folder:
            videos = find_videos(source)
            if not videos:
                raise DatasetError(
                    f"Folder {source} holds no file with a video ending (.mp4, .avi, .mkv, .webm, ...) at any depth; "
                    "check the path, or name the files themselves."
                )
            found.update(dict.fromkeys(videos))
        elif source.exists():
            found[source] = None
        elif source.is_symlink():
            raise DatasetError(f"Source {source} is a link to a file that is not there; mend the link or leave it out.")
        else:
            raise DatasetError(f"Source {source} is not there{backslash_hint(source)}; check the path.")
    return list(found)
