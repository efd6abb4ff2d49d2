"""The model of an index: what its vectors were made with, loaded when it is needed first."""

import threading
from pathlib import Path
from typing import Any

from framecue.api.index_folder import ADAPTER, CollectionSettings, hash_adapter
from framecue.api.predictor import Predictor, adapter_folder, load
from framecue.backbone import Backbone, Precision
from framecue.errors import MakerMismatchError
from framecue.features.extract import make_maker
from framecue.features.store import FeatureStore
from framecue.models.adapter import read_card
from framecue.search import Binding
from framecue.tasks.moments import NUM_FRAMES, MomentEncoder
from framecue.video.sampling import parse_sampling

_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}


def make_binding(
    predictor: Predictor, settings: CollectionSettings, adapter: Path | None, *, sampling: str | None = None
) -> Binding:
    """What decides the vectors that a predictor makes for an index.

    Args:
        adapter: its folder; None without one.
        sampling: as `make_encoder`.
    """
    return Binding(
        maker=make_maker(predictor.backbone, make_encoder(predictor, settings, sampling=sampling).sampling),
        text_cleaning=predictor.backbone.text_cleaning,
        adapter_id=Path(settings.adapter).name,
        adapter_hash="" if adapter is None else hash_adapter(adapter, read_card(adapter)),
        windows=settings.windows,
        embed_dim=predictor.backbone.embed_dim,
    )


def make_encoder(predictor: Predictor, settings: CollectionSettings, *, sampling: str | None = None) -> MomentEncoder:
    """With the adapter's number of frames and views, and its sampling where that is a rate.

    Args:
        sampling: a rate, where the adapter asks for none; None = by the windows.
    """
    card = predictor.card
    own = card.sampling if card else "all"
    return MomentEncoder(
        predictor.backbone,
        predictor.model,
        sampling=own if sampling is None or parse_sampling(own).kind == "fps" else sampling,
        num_frames=card.model.num_frames if card else NUM_FRAMES,
        num_views=card.num_views if card else 1,
        window_seconds=settings.window_seconds,
        hop_seconds=settings.hop_seconds,
    )


def check_store(store: FeatureStore, binding: Binding, index: Path) -> None:
    """
    Raises:
        MakerMismatchError: the index is made of other features.
    """
    ours, theirs = binding.maker, store.maker
    differing = [name for name in ours.difference(theirs) if name != "dtype"]  # an index rounds itself
    if differing:
        found = ", ".join(
            f"{name} {getattr(theirs, name):.40} there, {getattr(ours, name):.40} here" for name in differing
        )
        raise MakerMismatchError(
            f"Feature store {store.path} holds other features than moment index {index} is made of: {found}; "
            "leave the store out, or extract such as the index has."
        )


def backbone_id(backbone: str | Path) -> str:
    """As it can be loaded again from anywhere: files and folders by their absolute path."""
    path = Path(backbone)
    return str(path.absolute()) if path.exists() else str(backbone)


class IndexModel:
    """Loads the backbone and the adapter of an index, in the precision its vectors were made in.

    Args:
        folder: of the index; its copy of the adapter lies in it.
        predictor: where it is loaded already.
    """

    def __init__(
        self,
        folder: Path,
        binding: Binding,
        settings: CollectionSettings,
        *,
        device: str = "auto",
        predictor: Predictor | None = None,
    ) -> None:
        self._folder, self._binding, self._settings, self._device = folder, binding, settings, device
        self._backbone: str | Backbone = settings.backbone
        self._predictor, self._encoder = predictor, None if predictor is None else self._make_encoder(predictor)
        self._loading = threading.RLock()

    @property
    def predictor(self) -> Predictor:
        """
        Raises:
            BackboneError, AdapterError: it cannot be loaded.
            MakerMismatchError: what is there under its name now makes other vectors.
        """
        with self._loading:
            if self._predictor is None:
                self._predictor = self._load()
            return self._predictor

    @property
    def encoder(self) -> MomentEncoder:
        """
        Raises:
            BackboneError, AdapterError, MakerMismatchError: as `predictor`.
        """
        with self._loading:
            if self._encoder is None:
                self._encoder = self._make_encoder(self.predictor)
            return self._encoder

    def _make_encoder(self, predictor: Predictor) -> MomentEncoder:
        return make_encoder(predictor, self._settings, sampling=self._binding.maker.sampling)

    def check(self, *, adapter: str | Path | None, backbone: str | Path | Backbone | None) -> None:
        """
        Raises:
            MakerMismatchError: one of these is given and is not what the index was made with.
        """
        if adapter is not None:
            folder = adapter_folder(adapter)
            if hash_adapter(folder, read_card(folder)) != self._binding.adapter_hash:
                raise self._refused(f"adapter {adapter}", "--adapter")
        if backbone is None or (
            not isinstance(backbone, Backbone) and backbone_id(backbone) == self._settings.backbone
        ):
            return
        given = load(backbone=backbone, device=self._device, precision=self._precision).backbone
        if given.weights_hash != self._binding.maker.weights_hash:
            raise self._refused(f"backbone {given.name}", "--backbone")
        self._backbone = given

    def learned_rule(self) -> dict[str, Any] | None:
        """How sure a similarity makes a match, as the adapter learned it; None without one, or where it did not."""
        return read_card(self._folder / ADAPTER).matching if self._binding.adapter_hash else None

    @property
    def _precision(self) -> Precision:
        return _PRECISIONS[self._binding.maker.precision]

    def _load(self) -> Predictor:
        adapter = self._folder / ADAPTER if self._binding.adapter_hash else None
        predictor = load(adapter, backbone=self._backbone, device=self._device, precision=self._precision)
        made = make_binding(predictor, self._settings, adapter, sampling=self._binding.maker.sampling)
        differing = self._binding.difference(made)
        if differing:
            raise MakerMismatchError(
                f"Moment index {self._folder} was made with {self._words()}; what is loaded now differs in "
                f"{', '.join(differing)}: give --backbone as it was then, or make another index."
            )
        return predictor

    def _refused(self, given: str, option: str) -> MakerMismatchError:
        return MakerMismatchError(
            f"Moment index {self._folder} was made with {self._words()}, not with {given}, and their vectors do not "
            f"compare; leave {option} out, or name another --index."
        )

    def _words(self) -> str:
        adapter = f"adapter {self._settings.adapter}" if self._settings.adapter else "no adapter"
        return f"backbone {self._settings.backbone} and {adapter}"
