"""Both stages in one module: who finds segments, and who names them."""

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from framecue.models.proposals import ProposalNetwork
from framecue.models.video_text import VideoTextModel


class LocalizationModel(nn.Module):
    """The trained parts of localization; `state_dict()` holds those of both stages.

    Args:
        classifier: names segments, exactly as it names whole videos.
        proposals: finds segments; None = they come from elsewhere.
    """

    def __init__(self, classifier: VideoTextModel, proposals: ProposalNetwork | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.proposals = proposals

    def embed_segments(self, frame_features: Tensor) -> Tensor:
        """Frame features inside K segments, evenly spread, [K, T, D] -> segment embeddings [K, D].

        The temporal module sees the segment alone, its first and last frame at its own first and last position, then
        the mean is taken: as in recognition, where a trimmed video is such a segment.
        """
        return self.classifier.embed_video(frame_features)


def segment_frames(
    segments: npt.NDArray[np.float64],
    num_features: int,
    *,
    num_frames: int,
    context: float = 0.0,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.int64]:
    """Evenly spread features inside each segment: grid [K, 2] -> indices [K, num_frames], not decreasing.

    A segment shorter than `num_frames` features repeats some; one that holds no feature's middle takes the nearest.

    Args:
        num_features: T of the features that the grid belongs to.
        context: widening at each end, as a part of the segment's length.
        rng: draws where in its share of the segment each feature is taken; None = in the middle.
    """
    margin = context * (segments[:, 1:] - segments[:, :1])
    start, end = segments[:, :1] - margin, segments[:, 1:] + margin
    phase = 0.5 if rng is None else rng.uniform(0, 1, (len(segments), 1))
    places = start + (np.arange(num_frames) + phase) / num_frames * (end - start)
    return np.clip(np.floor(places), 0, num_features - 1).astype(np.int64)
