"""What is in a set of captions, in numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

from framecue.types import CaptionedVideo


@dataclass(frozen=True)
class PartSummary:
    """One part of a set of captions.

    Attributes:
        split: None for the videos of no part.
        num_entries: videos, or parts of them, that have captions of their own.
        longest_caption_words: words between white space, of the longest caption.
        longest_video_id: the video it is of.
        num_files: entries whose file is known.
    """

    split: str | None
    num_videos: int
    num_entries: int
    num_captions: int
    fewest_captions: int
    most_captions: int
    longest_caption_words: int
    longest_video_id: str
    num_files: int

    def line(self) -> str:
        """One line for people."""
        each = f"{self.fewest_captions}"
        if self.most_captions > self.fewest_captions:
            each += f" to {self.most_captions}"
        entries = "" if self.num_entries == self.num_videos else f", parts of them {self.num_entries:,}"
        return (
            f"{self.split or 'no part'}: videos {self.num_videos:,}{entries}, captions {self.num_captions:,} ({each} "
            f"each), words of the longest {self.longest_caption_words} ({self.longest_video_id}), files "
            f"{self.num_files:,}"
        )


def summarize(videos: Iterable[CaptionedVideo]) -> tuple[PartSummary, ...]:
    """A summary for each part that has videos: train, val, test, and those of none."""
    by_split: dict[str | None, list[CaptionedVideo]] = {"train": [], "val": [], "test": [], None: []}
    for video in videos:
        by_split[video.split].append(video)
    return tuple(_summary(split, part) for split, part in by_split.items() if part)


def _summary(split: str | None, videos: list[CaptionedVideo]) -> PartSummary:
    counts = [len(video.captions) for video in videos]
    longest, video_id = max(
        (max(len(caption.split()) for caption in video.captions), video.video_id) for video in videos
    )
    return PartSummary(
        split=split,
        num_videos=len({video.video_id for video in videos}),
        num_entries=len(videos),
        num_captions=sum(counts),
        fewest_captions=min(counts),
        most_captions=max(counts),
        longest_caption_words=longest,
        longest_video_id=video_id,
        num_files=sum(video.path is not None for video in videos),
    )
