"""Parts for captioned videos that come without: by the hash of each video's id, so that no video ever changes sides."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from framecue.datasets.retrieval.caption_set import CaptionSet
from framecue.errors import DatasetError, UsageError


def split_videos(
    captions: CaptionSet, *, val_fraction: float = 0.1, test_fraction: float = 0.1, seed: int = 0
) -> CaptionSet:
    """The set with a part for each video, and a note of what was parted.

    A source without parts is split into train, val and test. One with parts but without val, as MSR-VTT's 9k and 7k,
    gives up a part of its training videos for it, never of the test. All captions and segments of a video are in one
    part. Each id's place between 0 and 1 follows from the seed and the id alone, so that videos added later move no
    other from training to the test; a part that is asked for has at least one video, the one nearest to its places.

    Args:
        val_fraction: of the videos that are parted; 0 = no val.
        test_fraction: used only where the source has no parts at all.

    Raises:
        DatasetError: some videos have a part and some have none, or there are fewer videos than parts.
        UsageError: the fractions are negative, or leave nothing for training.
    """
    if not (val_fraction >= 0 and test_fraction >= 0 and val_fraction + test_fraction < 1):
        raise UsageError(
            "val_fraction and test_fraction must be 0 or more and below 1 together, found "
            f"{val_fraction:g} and {test_fraction:g}."
        )
    given = {video.split for video in captions.videos}
    if None in given and len(given) > 1:
        example = next(video for video in captions.videos if video.split is None)
        number = sum(video.split is None for video in captions.videos)
        raise DatasetError(
            f"{example.origin}: {number} of {len(captions.videos)} videos are in no part while others are, first "
            f"'{example.video_id}'. Name the part of every video, or of none."
        )
    if given == {None}:
        return _parted(captions, None, {"test": test_fraction, "val": val_fraction}, seed)
    if "val" in given or "train" not in given or val_fraction == 0:
        return captions
    return _parted(captions, "train", {"val": val_fraction}, seed)


def _parted(captions: CaptionSet, whole: str | None, shares: Mapping[str, float], seed: int) -> CaptionSet:
    """The set with the videos of the part `whole` parted by the shares; the rest of them is for training."""
    ids = {video.video_id for video in captions.videos if video.split == whole}
    try:
        part_of = _parts(ids, seed, {part: share for part, share in shares.items() if share > 0})
    except DatasetError as error:
        raise DatasetError(f"{captions.source}: {error}") from None
    videos = tuple(
        replace(video, split=part_of[video.video_id]) if video.split == whole else video for video in captions.videos
    )
    count = Counter(part_of.values())
    what = "no video is in a part" if whole is None else "there is no part for validation"
    parts = ", ".join(f"{part} {count[part]:,}" for part in ("train", "val", "test") if count[part])
    note = f"{captions.source}: {what}: {len(ids):,} videos were parted by seed {seed} into {parts}."
    return replace(captions, videos=videos, notes=(*captions.notes, note))


def _parts(ids: Iterable[str], seed: int, shares: Mapping[str, float]) -> dict[str, str]:
    """The part of each id: the shares lie side by side from 0 up, "train" has the rest."""
    places = sorted((_place(video_id, seed), video_id) for video_id in ids)
    if len(places) <= len(shares):
        raise DatasetError(
            f"{len(places)} videos cannot be parted into {' and '.join([*shares, 'train'])}, each needs one. Add "
            "videos, or name their parts in the file."
        )
    found: dict[str, str] = {}
    first, bound = 0, 0.0
    for number_left, (name, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        bound += share
        last = sum(place < bound for place, _ in places)
        last = min(max(last, first + 1), len(places) - number_left)
        found |= {video_id: name for _, video_id in places[first:last]}
        first = last
    return found | {video_id: "train" for _, video_id in places[first:]}


def _place(video_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\0{video_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
