"""A run that starts from an adapter's weights instead of random ones, and what that adapter has seen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.naming import class_key, shorten
from framecue.errors import AdapterError, DatasetError, UsageError
from framecue.features.identity import hash_file
from framecue.models.adapter import TENSORS, AdapterCard, check_maker, load_tensors, read_card
from framecue.models.seen import PARTS, Seen, read_seen

STARTED_FROM = "started_from"
_CHOSEN_LATER = ("preset", "temporal_weight", "handcrafted_weight")
"""Fields of a model's config that name others, or that validation chooses after the last step."""


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        seen: what the adapter's run used; None where it is not known: the adapter was not trained here.
    """

    folder: Path
    card: AdapterCard
    weights_hash: str
    seen: Seen | None

    @property
    def trained(self) -> set[str]:
        """Content hashes of what the adapter, and those before it, were trained on."""
        return set() if self.seen is None else self.seen.trained

    def to_json(self) -> dict[str, Any]:
        """For the card and the results file."""
        return {
            "adapter": str(self.folder),
            "weights_hash": self.weights_hash,
            "iterations": self.card.config.get("train", {}).get("iterations"),
            "num_train_videos": None if self.seen is None else len(self.trained),
        }

    def load_into(self, model: nn.Module) -> None:
        """
        Raises:
            AdapterError: its tensors are not those of the model; the first that differ are named.
        """
        tensors = load_tensors(self.folder)
        ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        differing = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        if differing:
            some = shorten(
                [f"{name} {theirs.get(name, 'none')} there, {ours.get(name, 'none')} here" for name in differing], 2
            )
            raise AdapterError(f"train.init_from: the model of {self.folder} has other sizes ({some}); {_ADVICE}")
        model.load_state_dict(tensors)


_ADVICE = "give the run the adapter's model section, or start without it."


def read_start(config: RunConfig, backbone: Backbone) -> Start | None:
    """The adapter that a run starts from; None where it starts anew.

    Raises:
        AdapterError: it cannot be read, or is of another task or another model.
        MakerMismatchError: it is of another backbone.
        DatasetError: names that the run holds out were trained on.
    """
    folder = config.train.init_from
    if folder is None:
        return None
    card = read_card(folder)
    if card.task != config.task:
        raise AdapterError(
            f"train.init_from: {folder} was trained for {card.task}, this run is of {config.task}; name one of it."
        )
    check_maker(folder, card, backbone)
    ours, theirs = (model.model_dump(exclude=set(_CHOSEN_LATER)) for model in (config.model, card.model))
    differing = [f"model.{name} {theirs[name]} there, {ours[name]} here" for name in ours if ours[name] != theirs[name]]
    if differing:
        raise AdapterError(f"train.init_from: {folder} holds another model ({'; '.join(differing)}); {_ADVICE}")
    seen = read_seen(folder) if (folder / PARTS).exists() else None
    start = Start(folder, card, hash_file(folder / TENSORS), seen)
    named = {class_key(name) for name in (*card.class_names, *(seen.names_before if seen else ()))}
    trained = [name for name in config.data.held_out if class_key(name) in named]
    if trained:
        raise DatasetError(
            f"data.held_out: the adapter that train.init_from names was trained on {shorten(trained, 3)}; hold out "
            "other names, or start without it."
        )
    return start


def require_fresh(config: RunConfig) -> None:
    """For tables, whose trials hold out other videos and names than one adapter could have left alone.

    Raises:
        UsageError: the config starts from an adapter.
    """
    if config.train.init_from is not None:
        raise UsageError(
            "train.init_from is for a single run (`framecue train`), the trials of a table start anew. Leave it out."
        )


def refuse_trained(seen: Seen) -> None:
    """
    Raises:
        DatasetError: of what a run is to hold out, something was trained on by the adapter that it starts from.
    """
    before = set(seen.trained_before)
    held_out = (*seen.val, *seen.test, *seen.novel)
    met = list(dict.fromkeys(video.name for video in held_out if video.content_hash in before))
    if met:
        raise DatasetError(
            f"The adapter that train.init_from names was trained on {len(met)} of the videos to be held out "
            f"({shorten(met, 3)}); put them into the train part, or start without it."
        )


def trained_before(start: Start | None) -> set[str]:
    """Content hashes of what must not be held out."""
    return set() if start is None else start.trained


def told(start: Start | None) -> dict[str, Any]:
    """What a results file says of the start; nothing of a run that starts anew."""
    return {} if start is None else {STARTED_FROM: start.to_json()}
