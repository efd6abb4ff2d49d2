"""Files of text-video retrieval: videos and the captions that say what they show."""

from framecue.datasets.retrieval.caption_set import CaptionSet
from framecue.datasets.retrieval.reader import CaptionFormat, read_captions
from framecue.datasets.retrieval.video_files import match_videos

__all__ = ["CaptionFormat", "CaptionSet", "match_videos", "read_captions"]
