"""The model of an index: what its vectors were made with, loaded when it is needed first."""

import threading
from pathlib import Path
from typing import Any

from framecue.api.index_folder import ADAPTER, CollectionSettings, hash_adapter
from framecue.api.predictor import Predictor, adapter_folder, load
from framecue.backbone import Backbone, Precision
from framecue.errors import MakerMismatchError
from framecue.features.extract import make_maker
from framecue.models.adapter import read_card
from framecue.search import Binding
from framecue.tasks.moments import NUM_FRAMES, MomentEncoder

_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}


def make_binding(predictor: Predictor, settings: CollectionSettings, adapter: Path | None) -> Binding:
    """What decides the vectors that a predictor makes for an index.

    Args:
        adapter: its folder; None without one.
    """
    return Binding(
        maker=make_maker(predictor.backbone, make_encoder(predictor, settings).sampling),
        adapter_id=Path(settings.adapter).name,
        adapter_hash="" if adapter is None else hash_adapter(adapter, read_card(adapter)),
        windows=settings.windows,
        embed_dim=predictor.backbone.embed_dim,
    )


def make_encoder(predictor: Predictor, settings: CollectionSettings) -> MomentEncoder:
    """With the adapter's sampling, number of frames and views."""
    card = predictor.card
    return MomentEncoder(
        predictor.backbone,
        predictor.model,
        sampling=card.sampling if card else "all",
        num_frames=card.model.num_frames if card else NUM_FRAMES,
        num_views=card.num_views if card else 1,
        window_seconds=settings.window_seconds,
        hop_seconds=settings.hop_seconds,
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
        self._predictor, self._encoder = predictor, None if predictor is None else make_encoder(predictor, settings)
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
                self._encoder = make_encoder(self.predictor, self._settings)
            return self._encoder

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
        made = make_binding(predictor, self._settings, adapter)
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
