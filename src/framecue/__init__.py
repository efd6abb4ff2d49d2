"""framecue: teach a frozen CLIP your videos.

The verbs of the command line, in Python:

    framecue.load(...)               a Predictor: classify, localize, embed_video, embed_text
    framecue.open_index(...)         a Collection of videos: add, remove, refresh, search
    framecue.extract(...)            videos to stored frame features
    framecue.load_config(...)        a typed run config
    framecue.train_recognition(...)  a whole run: features, training, results, adapter
    framecue.train_localization(...) the same for actions in untrimmed videos
    framecue.train_retrieval(...)    the same for videos and the sentences about them
    framecue.evaluate_adapter(...)   an adapter measured again
    framecue.score_detections(...)   anyone's predictions against ground truth; score_proposals likewise,
                                     score_retrieval and score_moments for searches
    framecue.load_backbone(...)      the frozen CLIP itself

Names are imported when they are first used, so that `import framecue` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from framecue.api import Collection, Predictor, load, open_index
    from framecue.backbone import Backbone, load_backbone
    from framecue.config import RunConfig, load_config
    from framecue.errors import FramecueError
    from framecue.features.extract import extract
    from framecue.tasks.score_files import score_detections, score_proposals
    from framecue.tasks.score_moments import score_moments
    from framecue.tasks.score_retrieval import score_retrieval
    from framecue.training.evaluate import evaluate_adapter
    from framecue.training.localization import train_localization
    from framecue.training.recognition import train_recognition
    from framecue.training.retrieval import train_retrieval
    from framecue.video.source import Decoding

_HOMES = {
    "Backbone": "framecue.backbone",
    "Collection": "framecue.api",
    "Decoding": "framecue.video.source",
    "FramecueError": "framecue.errors",
    "Predictor": "framecue.api",
    "RunConfig": "framecue.config",
    "evaluate_adapter": "framecue.training.evaluate",
    "extract": "framecue.features.extract",
    "load": "framecue.api",
    "load_backbone": "framecue.backbone",
    "load_config": "framecue.config",
    "open_index": "framecue.api",
    "score_detections": "framecue.tasks.score_files",
    "score_moments": "framecue.tasks.score_moments",
    "score_proposals": "framecue.tasks.score_files",
    "score_retrieval": "framecue.tasks.score_retrieval",
    "train_localization": "framecue.training.localization",
    "train_recognition": "framecue.training.recognition",
    "train_retrieval": "framecue.training.retrieval",
}

__all__ = [
    "Backbone",
    "Collection",
    "Decoding",
    "FramecueError",
    "Predictor",
    "RunConfig",
    "__version__",
    "evaluate_adapter",
    "extract",
    "load",
    "load_backbone",
    "load_config",
    "open_index",
    "score_detections",
    "score_moments",
    "score_proposals",
    "score_retrieval",
    "train_localization",
    "train_recognition",
    "train_retrieval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framecue' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
