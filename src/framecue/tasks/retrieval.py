"""Text-video retrieval: the loss of a batch, embeddings of videos and captions, and what is measured of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from framecue.backbone import Backbone, TextPath
from framecue.config import RunConfig
from framecue.datasets.feature_set import FeatureSet, training_batch, view_batch
from framecue.losses import nce_loss
from framecue.metrics.retrieval import RetrievalScores, retrieval_scores
from framecue.models.prompt import PromptSlots
from framecue.models.video_text import VideoTextModel
from framecue.tasks.recognition import batches

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CaptionedSet:
    """Videos whose features lie in a store, and their captions.

    Attributes:
        features: the V videos; each is a class of its own, so that targets are row numbers.
        captions: of each video, one or more.
        groups: kind of caption of each video; None where the source does not say.
    """

    features: FeatureSet
    captions: tuple[tuple[str, ...], ...]
    groups: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def texts(self) -> list[str]:
        """All N captions, video by video."""
        return [text for captions in self.captions for text in captions]

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """Video of each caption in `texts`, [N]."""
        return np.repeat(np.arange(len(self)), [len(captions) for captions in self.captions])


class RetrievalTask:
    """Captions in place of class names, prompt vectors shared by all, the same temporal module (paper section 3.3).

    A step takes a batch of videos and one caption of each, drawn anew; the other captions of the batch are the
    negatives. The paper's loss goes from video to text; both directions are an option (CLIP4Clip has both).

    Args:
        model: trained parts over a frozen backbone.
        train_set, val_set: captions must fit the model (`fit_texts`); `val_set` may be empty.
    """

    def __init__(
        self, model: VideoTextModel, train_set: CaptionedSet, val_set: CaptionedSet, config: RunConfig
    ) -> None:
        self.model, self.train_set, self.val_set = model, train_set, val_set
        self._config = config
        self.path: TextPath = "shared" if config.train.text_path == "auto" else config.train.text_path

    def loss(self, iteration: int) -> Tensor:
        """NCE of the step's batch; all draws come from (seed, iteration)."""
        config, device = self._config, self.model.backbone.device
        batch = training_batch(
            self.train_set.features,
            iteration,
            batch_size=config.train.batch_size,
            window=config.model.num_frames,
            strides=config.train.strides,
            seed=config.seed,
            rule=config.train.windows,
        )
        draw = np.random.default_rng((config.seed, 3, iteration))
        texts = [str(draw.choice(self.train_set.captions[row])) for row in batch.targets.tolist()]
        different = list(dict.fromkeys(texts))
        targets = torch.tensor([different.index(text) for text in texts])
        return batch_loss(
            self.model,
            batch.frame_features.to(device),
            self.model.slots(different),
            targets.to(device),
            config,
            path=self.path,
        )

    def validate(self) -> Mapping[str, float]:
        """`mean_recall` of the validation part, and R@1 of both directions."""
        if not len(self.val_set):
            return {}
        scores = retrieval_scores(similarity(self.model, self.val_set, self._config), self.val_set.truth)
        return {"mean_recall": mean_recall(scores), "t2v_r1": scores.t2v.r1 / 100, "v2t_r1": scores.v2t.r1 / 100}


def batch_loss(
    model: VideoTextModel,
    frame_features: Tensor,
    slots: PromptSlots,
    targets: Tensor,
    config: RunConfig,
    *,
    path: TextPath = "shared",
) -> Tensor:
    """NCE of videos [B, T, D] among M different captions, with the caption of each video in `targets` [B].

    A caption that several videos of the batch have counts once, so that no video is its own caption's negative. With
    `retrieval.symmetric` the mean of both directions; a caption's positives are all its videos. `train.distill_text`
    and `distill_video` as in recognition; off by default.
    """
    learned = model.embed_learned_text(slots, path=path)
    text = learned if slots.handcrafted is None else model.mix_text(learned, slots.handcrafted)
    video = model.embed_video(frame_features)
    logits = model.logits(video, text)
    loss = nce_loss(logits, targets)
    if config.retrieval.symmetric:
        own = F.one_hot(targets, logits.shape[1]).bool()
        positives = logits.masked_fill(~own, -torch.inf).logsumexp(dim=0)
        loss = (loss + (logits.logsumexp(dim=0) - positives).mean()) / 2
    if slots.handcrafted is not None and config.train.distill_text:
        loss = loss + config.train.distill_text * (1 - F.cosine_similarity(learned, slots.handcrafted, dim=-1)).mean()
    if config.train.distill_video:
        distance = 1 - F.cosine_similarity(video, frame_features.mean(dim=1), dim=-1)
        loss = loss + config.train.distill_video * distance.mean()
    return loss


@torch.no_grad()
def embed_videos(model: VideoTextModel | None, data: FeatureSet, config: RunConfig) -> Array:
    """Normalized video embeddings [V, D]: the mean over evenly spread views; without a model, of mean frame features.

    Deterministic.
    """
    rows = []
    for part in batches(len(data), config.evaluate.batch_size):
        views = view_batch(data, part, window=config.model.num_frames, num_views=config.evaluate.views)
        rows.append(embed_views(model, views).cpu())
    return torch.cat(rows).numpy()


def embed_views(model: VideoTextModel | None, views: Tensor) -> Tensor:
    """Views [B, V, T, D] -> normalized video embeddings [B, D]."""
    if model is None:
        embedded = views.mean(dim=2)
    else:
        embedded = model.embed_video(views.flatten(0, 1).to(model.backbone.device)).unflatten(0, views.shape[:2])
    return F.normalize(F.normalize(embedded, dim=-1).mean(dim=1), dim=-1)


@torch.no_grad()
def embed_captions(model: VideoTextModel, texts: Sequence[str], *, batch_size: int = 256) -> Array:
    """Normalized embeddings [N, D] of captions between the model's prompt vectors."""
    parts = [
        F.normalize(model.embed_text(model.slots([texts[row] for row in part])), dim=-1).cpu()
        for part in batches(len(texts), batch_size)
    ]
    return torch.cat(parts).numpy()


@torch.no_grad()
def embed_plain(backbone: Backbone, texts: Sequence[str], *, batch_size: int = 256) -> Array:
    """Normalized embeddings [N, D] of captions as they are, by the frozen text tower."""
    parts = [
        F.normalize(backbone.encode_text([texts[row] for row in part]), dim=-1).cpu()
        for part in batches(len(texts), batch_size)
    ]
    return torch.cat(parts).numpy()


def similarity(model: VideoTextModel, data: CaptionedSet, config: RunConfig) -> Array:
    """Cosine of every caption and every video, [N, V]."""
    texts = embed_captions(model, data.texts, batch_size=4 * config.evaluate.batch_size)
    return texts @ embed_videos(model, data.features, config).T


def frozen_similarity(backbone: Backbone, data: CaptionedSet, config: RunConfig) -> tuple[Array, int]:
    """Cosine of every caption as it is and every video's mean frame feature, [N, V]; and how many captions were cut."""
    texts, num_cut = fit_texts(backbone, data.texts, room=caption_room(backbone))
    return embed_plain(backbone, texts) @ embed_videos(None, data.features, config).T, num_cut


def mean_recall(scores: RetrievalScores) -> float:
    """Mean of R@1, R@5 and R@10 in both directions, in [0, 1]: what weights are selected by.

    R@1 of a small validation part moves in steps; the sum of recalls is what the field selects by instead (VSE++).
    """
    recalls = [getattr(side, name) for side in (scores.t2v, scores.v2t) for name in ("r1", "r5", "r10")]
    return sum(recalls) / len(recalls) / 100


def caption_room(backbone: Backbone, *, n_prefix: int = 0, n_suffix: int = 0) -> int:
    """Tokens a caption may have beside the prompt vectors: 43 in CLIP's 77 positions with 16 + X + 16."""
    n_sos = backbone.tokenize(["a"]).n_sos
    return backbone.text_tower.context_length - n_sos - n_prefix - n_suffix - 1


def fit_texts(backbone: Backbone, texts: Sequence[str], *, room: int) -> tuple[list[str], int]:
    """Texts cut at the last word that fits into `room` tokens, and how many were cut.

    The paper's captions longer than 43 tokens must be cut (16 + X + 16 in CLIP's 77 positions); a first word that is
    itself too long is cut within.
    """
    if not texts:
        return [], 0
    lengths = _num_tokens(backbone, texts)
    fitted = list(texts)
    too_long = np.flatnonzero(lengths > room)
    for row in too_long.tolist():
        fitted[row] = _cut(backbone, texts[row], room)
    return fitted, len(too_long)


def _num_tokens(backbone: Backbone, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    tokenized = backbone.tokenize(texts)
    lengths: npt.NDArray[np.int64] = (tokenized.eos_index - tokenized.n_sos).numpy()
    return lengths


def _cut(backbone: Backbone, text: str, room: int) -> str:
    """The longest beginning that fits, of whole words; of characters where not even one word fits."""
    words = text.split()
    for pieces, glue in ((words, " "), (list(words[0][: 8 * room]), "")):
        low, high = 0, len(pieces)
        while low < high:  # invariant: `low` pieces fit
            middle = (low + high + 1) // 2
            if _num_tokens(backbone, [glue.join(pieces[:middle])])[0] <= room:
                low = middle
            else:
                high = middle - 1
        if low:
            return glue.join(pieces[:low])
    return ""
