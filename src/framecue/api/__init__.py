"""The Python behind every verb: load once, ask many times."""

from framecue.api.predictor import Predictor, load

__all__ = ["Predictor", "load"]
