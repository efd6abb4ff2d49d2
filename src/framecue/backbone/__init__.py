"""The frozen CLIP: image tower, prompted text tower, preprocessing, and the loading of any CLIP-family checkpoint."""

from framecue.backbone.backbone import Backbone, Precision
from framecue.backbone.load import TINY, load_backbone
from framecue.backbone.preprocess import Channels, Preprocessing, channels_of
from framecue.backbone.text_tower import TextEmbeddings, TextPath, TextTower
from framecue.backbone.tokenize import TokenizedText

__all__ = [
    "TINY",
    "Backbone",
    "Channels",
    "Precision",
    "Preprocessing",
    "TextEmbeddings",
    "TextPath",
    "TextTower",
    "TokenizedText",
    "channels_of",
    "load_backbone",
]
