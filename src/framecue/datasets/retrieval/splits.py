"""Parts for captioned videos that come without: by the hash of each video's id, so that no video ever changes sides."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from framecue.errors import DatasetError, UsageError
from framecue.types import CaptionedVideo


def split_videos(
    videos: Iterable[CaptionedVideo], *, seed: int = 0, val_share: float = 0.1, test_share: float = 0.1
) -> tuple[CaptionedVideo, ...]:
    """The videos, those without a part given one. All captions and segments of one video are in one part.

    Each id's place between 0 and 1 follows from the seed and the id alone, so that videos added later move none of the
    others from training to the test. A part that is asked for has at least one video: the one nearest to its places.

    Raises:
        DatasetError: there are fewer videos than parts.
        UsageError: the shares are negative, or leave nothing for training.
    """
    videos = list(videos)
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise UsageError(
            f"val_share and test_share must be 0 or more and below 1 together, found {val_share:g} and {test_share:g}."
        )
    ids = {video.video_id for video in videos if video.split is None}
    parts = _parts(ids, seed, {"test": test_share, "val": val_share}) if ids else {}
    return tuple(replace(video, split=parts[video.video_id]) if video.split is None else video for video in videos)


def hold_out(
    videos: Iterable[CaptionedVideo], *, share: float, seed: int = 0, out_of: str = "train", part: str = "val"
) -> tuple[CaptionedVideo, ...]:
    """The videos with a share of those of one part moved to another, as 9k and 7k of MSR-VTT need for validation.

    Raises:
        DatasetError: `out_of` has fewer than two videos.
        UsageError: the share is not between 0 and 1.
    """
    videos = list(videos)
    if not 0 <= share < 1:
        raise UsageError(f"share must be from 0 up to but not 1, found {share:g}.")
    ids = {video.video_id for video in videos if video.split == out_of}
    held = {video_id for video_id, name in _parts(ids, seed, {part: share}).items() if name == part}
    return tuple(
        replace(video, split=part) if video.split == out_of and video.video_id in held else video for video in videos
    )


def _parts(ids: Iterable[str], seed: int, shares: dict[str, float]) -> dict[str, str]:
    """The part of each id: the shares lie side by side from 0 up, "train" has the rest."""
    places = sorted((_place(video_id, seed), video_id) for video_id in ids)
    asked = {name: share for name, share in shares.items() if share > 0}
    if len(places) <= len(asked):
        raise DatasetError(
            f"{len(places)} videos cannot be parted into {' and '.join([*asked, 'train'])}: each needs one. Add videos, "
            "or name their parts in the file."
        )
    found: dict[str, str] = {}
    first, bound = 0, 0.0
    for number_left, (name, share) in zip(range(len(asked), 0, -1), asked.items(), strict=True):
        bound += share
        last = sum(place < bound for place, _ in places)
        last = min(max(last, first + 1), len(places) - number_left)
        found |= {video_id: name for _, video_id in places[first:last]}
        first = last
    return found | {video_id: "train" for _, video_id in places[first:]}


def _place(video_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\0{video_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
