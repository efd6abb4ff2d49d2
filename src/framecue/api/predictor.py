"""Load once, ask many times: `framecue.load(...)` gives a `Predictor` for one's own files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from framecue.backbone import Backbone, Channels, Precision, channels_of, load_backbone
from framecue.config import EvaluateConfig
from framecue.datasets.feature_set import features_to_views
from framecue.datasets.naming import class_key, is_text, spoken
from framecue.errors import AdapterError, UsageError, VideoError
from framecue.features.encode import SecondsDone, encode_video
from framecue.files import name_form
from framecue.models.adapter import CARD, AdapterCard, load_whole_adapter, read_card
from framecue.models.handcrafted import Handcrafted
from framecue.models.localization import LocalizationModel
from framecue.models.video_text import VideoTextModel
from framecue.tasks.evaluation import rejection_rule
from framecue.tasks.localization import TwoStage
from framecue.tasks.localization_evaluation import trained_localizer
from framecue.tasks.localize_video import localize_video
from framecue.tasks.recognition import average_views, score_views
from framecue.tasks.rejection import RejectionRule, apply_rejection
from framecue.tasks.spotting import adapter_localizer, frozen_localizer
from framecue.tasks.streaming import GatherSettings
from framecue.types import Classification, FrameFeatures, Localization, ScoredSegment, Skipped
from framecue.video.source import Decoding

DEFAULT_BACKBONE = "openai/clip-vit-base-patch16"
ZERO_SHOT_SAMPLING = "uniform:16"
ZERO_SHOT_WINDOW = 16
MAX_SEGMENTS = GatherSettings().max_segments
DEFAULT_TEMPLATES = EvaluateConfig().templates


def load(
    adapter: str | Path | None = None,
    *,
    backbone: str | Path | Backbone | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    decoding: Decoding | None = None,
) -> "Predictor":
    """Load an adapter, or a bare backbone for use without training.

    Args:
        adapter: folder, or hub id, of a trained adapter; None = frozen CLIP with handcrafted prompts.
        backbone: "tiny", hub id, folder or file; None = the adapter's own, or openai/clip-vit-base-patch16.
        device, precision: of both towers, where `backbone` is not loaded already; None = bf16 on a GPU, else fp32.
        decoding: how video files are read; None = the usual way.

    Raises:
        AdapterError: no adapter there, or a damaged one.
        MakerMismatchError: `backbone` is not the one that the adapter was trained on.
        BackboneError: the backbone cannot be loaded.

    Example:
        >>> import framecue
        >>> predictor = framecue.load(backbone="tiny")
        >>> predictor.classify("clip.mp4", labels=["growing", "shrinking"]).labels[0]  # doctest: +SKIP
        'growing'
    """
    if adapter is None:
        return Predictor(_backbone(backbone or DEFAULT_BACKBONE, device, precision), decoding=decoding)
    folder = adapter_folder(adapter)
    card = read_card(folder)
    frozen = _backbone(backbone or card.backbone, device, precision, channels_of(card.preprocessing))
    return Predictor(frozen, load_whole_adapter(folder, frozen, card), card, decoding=decoding)


class Predictor:
    """Answers about video files, from a frozen backbone alone or with a trained adapter.

    Args:
        backbone: the frozen CLIP.
        model, card: of an adapter; both or neither.
        templates: handcrafted prompts, used where there is no adapter.
        decoding: how video files are read; None = the usual way.
    """

    def __init__(
        self,
        backbone: Backbone,
        model: VideoTextModel | LocalizationModel | None = None,
        card: AdapterCard | None = None,
        *,
        templates: Sequence[str] = DEFAULT_TEMPLATES,
        decoding: Decoding | None = None,
    ) -> None:
        self.decoding = decoding
        self.backbone, self.card, self.templates = backbone, card, tuple(templates)
        self._localization = model if isinstance(model, LocalizationModel) else None
        self.model = model.classifier if isinstance(model, LocalizationModel) else model
        self._handcrafted = Handcrafted(backbone, self.templates)
        if card is not None and card.localization is not None and not card.localization.trains_classifier:
            self.model = None
            self._handcrafted = Handcrafted(backbone, card.templates, card.descriptions)
        self._text: dict[tuple[str, ...], torch.Tensor] = {}
        self._localizers: dict[tuple[tuple[str, ...], bool], TwoStage] = {}
        self._rejection = rejection_rule(card) if card else None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names the adapter was trained on; empty without one."""
        return self.card.class_names if self.card else ()

    def frame_features(self, path: str | Path) -> FrameFeatures:
        """Decode and encode the frames that the adapter was trained on, or 16 evenly spread ones.

        Raises:
            VideoError: the file cannot be read.
        """
        sampling = self.card.sampling if self.card else ZERO_SHOT_SAMPLING
        return encode_video(Path(path), self.backbone, sampling, self.decoding)

    def embed_text(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Normalized text embeddings [N, D], with the adapter's prompt vectors or the templates.

        Raises:
            UsageError: a single text instead of a list.
            PromptTooLongError: a text does not fit the text tower.
        """
        return F.normalize(self._text_embedding(_as_names(texts, "texts")), dim=-1).cpu().numpy()

    def embed_video(self, path: str | Path) -> npt.NDArray[np.float32]:
        """Normalized video embedding [D]: the mean of its views' embeddings.

        Raises:
            VideoError: the file cannot be read.
        """
        views = self._views(self.frame_features(path)).to(self.backbone.device)
        with torch.no_grad():
            embedded = views.mean(dim=1) if self.model is None else self.model.embed_video(views)
        return F.normalize(F.normalize(embedded, dim=-1).mean(dim=0), dim=-1).cpu().numpy()

    def classify(
        self, path: str | Path, labels: Iterable[str] | None = None, *, top_k: int | None = 5
    ) -> Classification:
        """Probabilities of `labels` for one video, best first.

        Asked for its own classes, an adapter that had enough validation videos gives calibrated probabilities, and says
        when the video shows none of them, if it learned to tell. The answer says which it was.

        Args:
            labels: any names; None = the adapter's own classes.
            top_k: how many to return; None = all.

        Raises:
            UsageError: no labels and no adapter with classes, or a label twice.
            VideoError: the file cannot be read.
            PromptTooLongError: a label does not fit the text tower.
        """
        names = self._labels(labels)
        features = self.frame_features(path)
        views = self._views(features)
        logits = self._logits(views[None], names)
        unknown = False
        own = set(self._own_words(names)) == set(self.class_names)
        if own and self._rejection is not None:
            probabilities, rejected = apply_rejection(self._rejection, logits)
            scores, unknown = probabilities[0], bool(rejected[0]) and self._rejection.is_usable
        else:
            scores = average_views(logits)[0]
        best = np.argsort(-scores, kind="stable")[:top_k]
        labels, best_scores = [names[i] for i in best], [float(scores[i]) for i in best]
        return Classification(Path(path), labels, best_scores, unknown, features.notes, self._calibration(own=own))

    def _calibration(self, *, own: bool) -> str:
        """What `Classification.calibration` says; `own`: the adapter's own classes were asked for."""
        if self.card is None:
            return "not calibrated: no adapter"
        if not own:
            return "not calibrated: other names than the adapter's"
        return self.card.calibration or "not calibrated: the adapter does not say on how many videos"

    def classify_many(
        self, paths: Iterable[str | Path], labels: Iterable[str] | None = None, *, top_k: int | None = 5
    ) -> Iterator[Classification | Skipped]:
        """`classify` for each file in turn; an unreadable one gives a `Skipped` with the reason, and the rest go on."""
        names = self._labels(labels)
        self._text_embedding(names)  # a name that does not fit is refused before the first video is decoded
        for path in paths:
            try:
                yield self.classify(path, names, top_k=top_k)
            except VideoError as error:
                yield Skipped.because(Path(path), error)

    def localize(
        self,
        path: str | Path,
        labels: Iterable[str] | None = None,
        *,
        min_score: float | None = None,
        max_segments: int = MAX_SEGMENTS,
        proposals: Sequence[ScoredSegment] | None = None,
        curves: bool = False,
        on_progress: SecondsDone | None = None,
    ) -> Localization:
        """Where in a video, however long, the named actions are; segments best first, none where none is seen.

        Args:
            labels: any names; None = the adapter's own classes.
            min_score: segments whose score is not above it are left out; None = what was found to be sure enough, and
                none that an adapter's rule holds for something else; 0 to take all, as scorers of mAP need them. Of
                somebody else's proposals all are taken by default.
            proposals: segments to be named, scored in [0, 1]; None = they are looked for.
            curves: keep the score of each label over time.
            on_progress: called with the seconds of the video that are done, and its length.

        Raises:
            UsageError: as `classify`; proposals with other scores, or numbers that mean nothing.
            VideoError: the file cannot be read.
            PromptTooLongError: a label does not fit the text tower.
        """
        if min_score is not None and not np.isfinite(min_score):
            raise UsageError(f"min_score must be a finite number, found {min_score}; 0 takes all segments.")
        if max_segments < 1:
            raise UsageError(f"max_segments must be at least 1, found {max_segments}.")
        localizer = self._localizer(self._labels(labels), judged=min_score is None and proposals is None)
        if min_score is None:
            min_score = localizer.min_score if proposals is None else 0.0
        settings = GatherSettings(min_score=min_score, max_segments=max_segments, sigma=localizer.sigma)
        return localize_video(
            Path(path),
            self.backbone,
            localizer,
            settings=settings,
            proposals=proposals,
            curves=curves,
            on_progress=on_progress,
            decoding=self.decoding,
        )

    def localize_many(
        self,
        paths: Iterable[str | Path],
        labels: Iterable[str] | None = None,
        *,
        min_score: float | None = None,
        max_segments: int = MAX_SEGMENTS,
        proposals: Mapping[Path, Sequence[ScoredSegment]] | None = None,
        curves: bool = False,
        on_progress: Callable[[Path, float, float | None], None] | None = None,
    ) -> Iterator[Localization | Skipped]:
        """`localize` for each file in turn; an unreadable one gives a `Skipped` with the reason, and the rest go on.

        Args:
            proposals: by the file's path; a video that is not there has none.
            on_progress: called with the file, the seconds of it that are done, and its length.
        """
        names = self._labels(labels)
        # A name that does not fit is refused before the first video is decoded.
        self._localizer(names, judged=min_score is None and proposals is None)
        for path in map(Path, paths):
            try:
                yield self.localize(
                    path,
                    names,
                    min_score=min_score,
                    max_segments=max_segments,
                    proposals=None if proposals is None else proposals.get(path, ()),
                    curves=curves,
                    on_progress=partial(on_progress, path) if on_progress else None,
                )
            except VideoError as error:
                yield Skipped.because(path, error)

    def _localizer(self, names: tuple[str, ...], *, judged: bool) -> TwoStage:
        if (names, judged) not in self._localizers:
            self._localizers = {(names, judged): self._build_localizer(names, judged=judged)}
        return self._localizers[names, judged]

    def _build_localizer(self, names: tuple[str, ...], *, judged: bool) -> TwoStage:
        if self.card is None:
            return frozen_localizer(self.backbone, names, self.templates)
        words = self._own_words(names)
        if self._localization is not None and self.card.localization is not None:
            others = [name for name in self.class_names if name not in words]
            localizer = trained_localizer(
                self._localization,
                self.card.localization,
                words,
                num_frames=self.card.model.num_frames,
                sampling=self.card.sampling,
                fusion_weight=self.card.fusion_weight,
                min_score=self.card.min_score,
                others=others,
                rejection=self._rule_for([*words, *others]) if judged else None,
            )
            return replace(localizer, labels=names)
        assert self.model is not None  # of a recognition adapter, as the card says
        localizer = adapter_localizer(
            self.model,
            words,
            class_names=self.class_names,
            num_frames=self.card.model.num_frames,
            sampling=self.card.sampling,
        )
        return replace(localizer, labels=names)

    def _own_words(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, an adapter's own classes as it was trained on them, however they are spelled here."""
        own = {class_key(name): name for name in self.class_names}
        return tuple(name if name in self.class_names else own.get(class_key(name), name) for name in names)

    def _rule_for(self, names: Sequence[str]) -> RejectionRule | None:
        """The adapter's rule for "none of these", where it has one that is worth something and `names` are its own."""
        usable = (
            self._rejection is not None
            and self._rejection.is_usable
            and set(self._own_words(names)) == set(self.class_names)
        )
        return self._rejection if usable else None

    def _labels(self, labels: Iterable[str] | None) -> tuple[str, ...]:
        names = self.class_names if labels is None else _different(_as_names(labels, "labels"))
        if not names:
            raise UsageError("There are no names to choose from; give labels, such as 'walking' and 'running'.")
        unfit = next((name for name in names if not name.strip() or not is_text(name)), None)
        if unfit is not None:
            raise UsageError(f"labels must be names in UTF-8 text, found {unfit!r}; write it anew or remove it.")
        return names

    def _views(self, features: FrameFeatures) -> torch.Tensor:
        """[V, T, D]"""
        window = self.card.model.num_frames if self.card else ZERO_SHOT_WINDOW
        views = self.card.num_views if self.card else 1
        return features_to_views(features.frame_features, window=window, num_views=views)

    def _logits(self, views: torch.Tensor, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Views [B, V, T, D] -> logits [B, V, N]."""
        text = self._text_embedding(names)
        if self.model is not None:
            return score_views(self.model, views, text)
        video = F.normalize(views.mean(dim=2), dim=-1)
        return (self.backbone.logit_scale * video @ text.cpu().T).numpy()

    def _text_embedding(self, names: tuple[str, ...]) -> torch.Tensor:
        if names not in self._text:
            with torch.no_grad():
                words = self._own_words(names)
                if self._localization is not None:
                    words = tuple(spoken(name) for name in words)  # as they were trained
                if self.model is None:
                    embedded = self._handcrafted(words)
                else:
                    embedded = self.model.embed_text(self.model.slots(words))
            self._text = {names: embedded}  # one set of names is asked again and again; older ones are not
        return self._text[names]

    def __repr__(self) -> str:
        what = f"adapter of {len(self.class_names)} classes" if self.card else "no adapter"
        return f"Predictor({self.backbone.name}, {what})"


def _as_names(texts: Iterable[str], argument: str) -> tuple[str, ...]:
    if isinstance(texts, str):
        raise UsageError(f"{argument} must be a list of names, found the text {texts!r}; write {argument}=[{texts!r}].")
    return tuple(texts)


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, none of them another spelling of another one: two of a kind would share the probability.

    Raises:
        UsageError: two are the same.
    """
    seen: dict[str, str] = {}
    for name in names:
        key = class_key(name)
        if key in seen:
            found = (
                f"{name!r} twice"
                if name_form(name) == name_form(seen[key])
                else f"{seen[key]!r} and {name!r}, which are one name"
            )
            raise UsageError(f"labels must differ, found {found}; remove one.")
        seen[key] = name
    return names


def _backbone(
    source: str | Path | Backbone, device: str, precision: Precision | None, channels: Channels = "rgb"
) -> Backbone:
    if isinstance(source, Backbone):
        return source
    return load_backbone(source, device=device, precision=precision, text_precision=precision, channels=channels)


def adapter_folder(source: str | Path) -> Path:
    """The folder itself, or a model hub's snapshot of it.

    Raises:
        AdapterError: the hub does not give it.
    """
    folder = Path(source)
    hub_like = isinstance(source, str) and source.count("/") == 1 and not source.startswith((".", "/"))
    if folder.exists() or not hub_like:
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=[CARD, "adapter.safetensors"]))
    except Exception as error:  # network, permission, offline, no such repository: one line for all
        reason: Any = " ".join(str(error).split())[:160]
        raise AdapterError(
            f"Adapter {source}: no such folder, and the model hub did not give it ({reason}); check the path or the id."
        ) from error
