"""The adapter folder: trained tensors in safetensors, and JSON that rebuilds the rest. Nothing in it is ever executed.

adapter.safetensors   the trained tensors, and nothing of the backbone
adapter.json          backbone id and hash, preprocessing, sampling, model config, class names, metrics, versions
parts.json            what it has seen (models.seen); adapters that were not trained here have none
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

import framecue
from framecue.backbone import Backbone
from framecue.config import LocalizationConfig, ModelConfig, SamplingText, TaskName
from framecue.errors import AdapterError, MakerMismatchError
from framecue.files import write_bytes, write_text
from framecue.models.builders import build_localization, build_model
from framecue.models.handcrafted import Handcrafted
from framecue.models.localization import LocalizationModel
from framecue.models.seen import PARTS, Seen
from framecue.models.video_text import VideoTextModel

TENSORS, CARD = "adapter.safetensors", "adapter.json"
FORMAT_VERSION: Literal[5] = 5


class AdapterCard(BaseModel):
    """Everything about an adapter but its tensors.

    Attributes:
        format_version: of this layout.
        task: what it was trained for.
        backbone: id that `load_backbone` takes; `backbone_hash`: of its weights.
        preprocessing: canonical JSON of the backbone's preprocessing.
        text_cleaning: name of what the backbone does to a text before its tokenizer.
        sampling: which frames the stored features came from.
        num_views: evaluation windows whose scores are averaged.
        model: prompt layout, temporal module, temperature.
        class_names: the names it was trained on, in score order; none where captions were.
        templates, descriptions: handcrafted texts, where the model's embeddings hold a part of them.
        rejection: calibration temperature and rule for "none of these", fitted on validation videos; None where these
            were too few.
        calibration: on how many videos that was, or why it was not; empty where nobody asked.
        matching: how sure a similarity makes a match, fitted on validation captions; of task retrieval alone.
        localization: sizes of the proposal network, windows, suppression; of task localization alone.
        fusion_weight: how much the class counts in a segment's score, chosen on validation.
        min_score: least score of a segment that is reported, chosen on validation; None = it could not be.
        started_from: the adapter whose weights the training started from: its folder, the hash of its tensors, its
            steps and how many videos it was trained on; None where it started anew.
        framecue_version, git_revision: of the code that wrote it; no revision outside a checkout.
        config: the resolved run config, as plain data.
        metrics: measured numbers, with how they were measured.
        converted: of an imported checkpoint: its file's name, the flags it was converted with, and who said so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[5] = FORMAT_VERSION
    task: TaskName = "recognition"
    backbone: str
    backbone_hash: str
    preprocessing: str
    text_cleaning: str
    sampling: SamplingText
    num_views: PositiveInt = 5
    model: ModelConfig
    class_names: tuple[str, ...]
    templates: tuple[str, ...] = ()
    descriptions: dict[str, tuple[str, ...]] = {}
    rejection: dict[str, Any] | None = None
    calibration: str = ""
    matching: dict[str, Any] | None = None
    localization: LocalizationConfig | None = None
    fusion_weight: float = Field(default=0.5, gt=0, le=1)
    min_score: float | None = None
    started_from: dict[str, Any] | None = None
    framecue_version: str = framecue.__version__
    git_revision: str | None = None
    config: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    converted: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> "AdapterCard":
        if (self.task == "localization") != (self.localization is not None):
            raise ValueError(f"the section localization belongs to task localization alone, found task {self.task}")
        return self


def save_adapter(folder: str | Path, model: nn.Module, card: AdapterCard, seen: Seen | None = None) -> None:
    """Write an adapter folder; an older card goes first, the new one comes last: a folder with a card is whole.

    Args:
        seen: what it was trained on; None where that is not known.
    """
    folder = Path(folder)
    for name in (CARD, PARTS):
        (folder / name).unlink(missing_ok=True)
    if seen is not None:
        write_text(folder / PARTS, seen.model_dump_json(exclude_none=True) + "\n")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / TENSORS, save(tensors, metadata={"format": "pt"}))
    write_text(folder / CARD, json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def read_card(folder: str | Path) -> AdapterCard:
    """Read adapter.json.

    Raises:
        AdapterError: not an adapter folder, or a card that does not hold what it must.
    """
    folder = Path(folder)
    missing = [name for name in (CARD, TENSORS) if not (folder / name).is_file()]
    if missing:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) if folder.is_dir() else "no such folder"
        raise AdapterError(
            f"Adapter {folder}: {' and '.join(missing)} must be there, found {found or 'an empty folder'}; "
            "give the folder that `framecue train` or `framecue convert` wrote."
        )
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
        _check_version(folder, text)
        return AdapterCard.model_validate_json(text)
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise AdapterError(f"Adapter {folder}: {CARD} is not valid at {where}: {first['msg']}.") from error


def _check_version(folder: Path, text: str) -> None:
    """
    Raises:
        AdapterError: the card is of another version of framecue; what else is wrong with it is found later.
    """
    try:
        found = json.loads(text).get("format_version")
    except (json.JSONDecodeError, AttributeError, RecursionError):
        return
    if found != FORMAT_VERSION:
        raise AdapterError(
            f"Adapter {folder}: {CARD} has format_version {found!r:.20}, this framecue reads {FORMAT_VERSION}; train "
            "or convert it again."
        )


def load_adapter(folder: str | Path, backbone: Backbone, card: AdapterCard | None = None) -> VideoTextModel:
    """Rebuild the model of an adapter on its backbone; of a localization adapter, the part that names segments.

    Raises:
        AdapterError, MakerMismatchError: as `load_whole_adapter`.
    """
    model = load_whole_adapter(folder, backbone, card)
    return model.classifier if isinstance(model, LocalizationModel) else model


def load_whole_adapter(
    folder: str | Path, backbone: Backbone, card: AdapterCard | None = None
) -> VideoTextModel | LocalizationModel:
    """Rebuild all of an adapter on its backbone; which of the two follows from its task.

    Raises:
        AdapterError: tensors missing, damaged, not finite, or of other shapes than the card says.
        MakerMismatchError: the adapter was trained on another backbone, preprocessing or text cleaning.
    """
    folder = Path(folder)
    card = card or read_card(folder)
    check_maker(folder, card, backbone)
    handcrafted = Handcrafted(backbone, card.templates, card.descriptions) if card.templates else None
    frozen_names = card.localization is not None and not card.localization.trains_classifier
    if (card.model.handcrafted_weight or frozen_names) and handcrafted is None:
        raise AdapterError(
            f"Adapter {folder}: {CARD} must name templates where model.handcrafted_weight is above 0 or no classifier "
            "was trained, found none; fetch or train it again."
        )
    model: VideoTextModel | LocalizationModel
    if card.localization is not None:
        model = build_localization(card.model, card.localization, backbone, seed=0, handcrafted=handcrafted)
    else:
        model = build_model(card.model, backbone, seed=0, handcrafted=handcrafted)
    try:
        model.load_state_dict(load_tensors(folder), strict=True)
    except RuntimeError as error:
        raise _other_tensors(folder, error) from error
    return model.eval()


def check_maker(folder: Path, card: AdapterCard, backbone: Backbone) -> None:
    """
    Raises:
        MakerMismatchError: the adapter was trained on another backbone, preprocessing or cleaning of texts.
    """
    if card.backbone_hash != backbone.weights_hash:
        raise MakerMismatchError(
            f"Adapter {folder} was trained on backbone {card.backbone} (weights {card.backbone_hash[:12]}), this is "
            f"{backbone.name} (weights {backbone.weights_hash[:12]}); load the backbone it was trained on."
        )
    if card.preprocessing != backbone.preprocessing.text:
        raise MakerMismatchError(
            f"Adapter {folder} was trained with preprocessing {card.preprocessing}, backbone {backbone.name} has "
            f"{backbone.preprocessing.text}; use the checkpoint's own preprocessor_config.json."
        )
    if card.text_cleaning != backbone.text_cleaning:
        raise MakerMismatchError(
            f"Adapter {folder} was trained on texts cleaned by {card.text_cleaning}, backbone {backbone.name} cleans "
            f"them by {backbone.text_cleaning}; use the checkpoint's own tokenizer, or train the adapter again."
        )


def load_tensors(folder: Path) -> dict[str, Tensor]:
    """The trained tensors of an adapter.

    Raises:
        AdapterError: they are missing, damaged, or not finite.
    """
    try:
        tensors = load_file(folder / TENSORS)
    except (SafetensorError, OSError) as error:
        raise _other_tensors(folder, error) from error
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise AdapterError(
            f"Adapter {folder}: {broken} in {TENSORS} is not all finite numbers; fetch or train it again."
        )
    return tensors


def _other_tensors(folder: Path, error: Exception) -> AdapterError:
    reason = " ".join(str(error).split())[:240]
    return AdapterError(f"Adapter {folder}: {TENSORS} does not hold what {CARD} says ({reason}).")


def make_card(
    backbone: Backbone, model: ModelConfig, class_names: Sequence[str], *, backbone_id: str, sampling: str, **more: Any
) -> AdapterCard:
    """A card for a model on `backbone`; `more` are further fields of AdapterCard."""
    return AdapterCard(
        backbone=backbone_id,
        backbone_hash=backbone.weights_hash,
        preprocessing=backbone.preprocessing.text,
        text_cleaning=backbone.text_cleaning,
        sampling=sampling,
        model=model,
        class_names=tuple(class_names),
        git_revision=git_revision(),
        **more,
    )


def git_revision() -> str | None:
    """Revision of the checkout this code runs from, "-dirty" if changed; None when it is an installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
