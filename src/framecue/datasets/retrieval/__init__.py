"""Files of text-video retrieval: videos and the captions that say what they show."""

from framecue.datasets.retrieval.caption_set import CaptionSet
from framecue.datasets.retrieval.reader import read_captions
from framecue.datasets.retrieval.splits import once_each, split_videos
from framecue.datasets.retrieval.video_files import match_videos

__all__ = ["CaptionSet", "match_videos", "once_each", "read_captions", "split_videos"]
