"""Parts for captioned videos that come without, and files that several entries name."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from framecue.datasets.naming import shorten
from framecue.datasets.retrieval.caption_set import CaptionSet
from framecue.datasets.splits import Unit, draw_part, drawn_note
from framecue.errors import DatasetError
from framecue.types import CaptionedVideo


def split_videos(
    captions: CaptionSet,
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    test_seed: int = 0,
    staying: Collection[Path] = (),
) -> tuple[CaptionSet, str | None]:
    """The set with a part for each video, and one line of what was parted; None where nothing was.

    A source without parts is split into train, val and test. One with parts but without val, as MSR-VTT's 9k and 7k,
    gives up a part of its training videos for it, never of the test. All captions and segments of a video are in one
    part. Sizes are those of `draw_part`.

    Args:
        val_fraction: of the videos that are not tested; 0 = no val.
        test_fraction: used only where the source has no parts at all.
        test_seed: the test part does not depend on the seed of a run: all runs are measured on the same videos.
        staying: files that are not drawn.

    Raises:
        DatasetError: some videos have a part and some have none, or there are fewer videos than parts.
    """
    given = {video.split for video in captions.videos}
    if None in given and len(given) > 1:
        example = next(video for video in captions.videos if video.split is None)
        number = sum(video.split is None for video in captions.videos)
        raise DatasetError(
            f"{example.origin}: {number} of {len(captions.videos)} videos are in no part while others are, first "
            f"'{example.video_id}'. Name the part of every video, or of none."
        )
    whole = None if given == {None} else "train"
    if whole is not None and ("val" in given or "train" not in given or val_fraction == 0):
        return captions, None
    stay = {video.video_id for video in captions.videos if video.path in staying}
    part_of = {video.video_id: "train" for video in captions.videos if video.split == whole}
    shares = {"test": (test_fraction, test_seed), "val": (val_fraction, seed)}
    asked = [part for part, (share, _) in shares.items() if share > 0 and (part == "val" or whole is None)]
    if len(part_of) <= len(asked):
        raise DatasetError(
            f"{captions.source}: {len(part_of)} videos cannot be parted into {' and '.join([*asked, 'train'])}, each "
            "needs one. Add videos, or name their parts in the file."
        )
    for number, part in enumerate(asked, start=1):
        share, part_seed = shares[part]
        least_left = len(asked) - number + 1  # one for each part to come, and for training
        units = [Unit(name, {"": 1}, stays=name in stay) for name, known in part_of.items() if known == "train"]
        drawn = draw_part(units, share, seed=part_seed, purpose=part, least_left=least_left)
        part_of |= dict.fromkeys(drawn, part)
    videos = tuple(
        replace(video, split=part_of[video.video_id]) if video.split == whole else video for video in captions.videos
    )
    note = drawn_note(captions.source, Counter(part_of.values()), seed=seed, whole=whole)
    return replace(captions, videos=videos), note


def once_each(captions: CaptionSet, file_of: Mapping[Path, str]) -> CaptionSet:
    """The set with each part of each file once, with all captions that its entries give it; noted where several did.

    Args:
        file_of: of each path what tells its file from others: the path behind all links, or the hash of its content.

    Raises:
        DatasetError: one file is in two parts.
    """
    kept: dict[tuple[str, float | None, float | None], CaptionedVideo] = {}
    first: dict[str, CaptionedVideo] = {}
    repeated: list[str] = []
    for video in captions.videos:
        file = file_of.get(video.path, str(video.path)) if video.path is not None else f"\0{video.video_id}"
        other = first.setdefault(file, video)
        if other.split != video.split:
            raise DatasetError(
                f"{video.origin}: {video.video_id} in {video.split} is the same video as {other.video_id} in "
                f"{other.split} ({other.origin}). Keep each video in one part, or results will be too good."
            )
        if other.video_id != video.video_id:
            repeated.append(f"{video.video_id} as {other.video_id}")
            video = replace(video, video_id=other.video_id, path=other.path)
        same = kept.get(key := (file, video.start_seconds, video.end_seconds))
        kept[key] = video if same is None else replace(same, captions=(*same.captions, *video.captions))
    if not repeated:
        return captions
    note = f"Videos given under two names, which count once: {len(repeated)} ({shorten(repeated, 3)})."
    return replace(captions, videos=tuple(kept.values()), notes=(*captions.notes, note))
