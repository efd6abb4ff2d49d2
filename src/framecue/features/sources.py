"""What a user names on the command line -> video files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from framecue.errors import DatasetError
from framecue.files import backslash_hint
from framecue.video.files import DEFAULT, EVERYTHING, FolderRules, find_videos, walk_videos


def expand_sources(sources: Iterable[str | Path], rules: FolderRules = DEFAULT) -> list[Path]:
    """Files as they are named, whatever their ending, and the videos of folders at any depth.

    Each path is there once, and each file that is found in the folders, however many links lead to it.

    Raises:
        DatasetError: a source is not there, a folder holds no video, or all are excluded.
    """
    given = [Path(source) for source in sources]
    folders = [source for source in given if _is_folder(source)]
    named = [source for source in given if not rules.excludes_named(source)]
    if given and not named:
        raise all_excluded(given, rules)
    found: dict[Path, list[Path]] = {folder: [] for folder in folders}
    for folder, path in walk_videos([folder for folder in folders if folder in named], rules.admits):
        found[folder].append(path)
    paths: dict[Path, None] = {}
    for source in named:
        if source not in found:
            paths[source] = None
            continue
        if not found[source] and not find_videos(source, rules):  # they may be those of another source
            raise no_videos(source, rules)
        paths.update(dict.fromkeys(sorted(found[source])))
    return list(paths)


def all_excluded(sources: Sequence[Path], rules: FolderRules) -> DatasetError:
    return DatasetError(
        f"All {len(sources)} sources are left out by {_options(rules)}; exclude less, or take what is meant back in "
        "with --include."
    )


def no_videos(folder: Path, rules: FolderRules) -> DatasetError:
    """Why a folder gives none."""
    unfiltered = find_videos(folder, replace(rules, exclude=()))
    if unfiltered:
        return DatasetError(
            f"Folder {folder}: all {len(unfiltered)} videos in it are left out by {_options(rules)}; exclude less, or "
            "take what is meant back in with --include."
        )
    passed_over = find_videos(folder, EVERYTHING)
    if passed_over:
        return DatasetError(
            f"Folder {folder} holds {len(passed_over)} videos, but all are hidden or in folders that are passed over "
            f"(as {passed_over[0].relative_to(folder)}); name them themselves, or take them in with --include."
        )
    return DatasetError(
        f"Folder {folder} holds no file with a video ending (.mp4, .avi, .mkv, .webm, ...) at any depth; "
        "check the path, or name the files themselves."
    )


def _options(rules: FolderRules) -> str:
    return " ".join(f"--exclude {pattern!r}" for pattern in rules.exclude)


def _is_folder(source: Path) -> bool:
    """
    Raises:
        DatasetError: it is not there, or no path.
    """
    try:
        if source.is_dir():
            return True
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"Source {source} cannot be a path ({reason}); check it.") from None
    if source.exists():
        return False
    if source.is_symlink():
        raise DatasetError(f"Source {source} is a link to a file that is not there; mend the link or leave it out.")
    raise DatasetError(f"Source {source} is not there{backslash_hint(source)}; check the path.")
