"""The Python behind every verb: load once, ask many times."""

from framecue.api.collection import Collection, CollectionStatus, open_index
from framecue.api.predictor import Predictor, load

__all__ = ["Collection", "CollectionStatus", "Predictor", "load", "open_index"]
