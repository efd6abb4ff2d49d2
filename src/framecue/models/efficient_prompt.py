"""Import of the authors' checkpoints (github.com/ju-chen/Efficient-Prompt, `.pth.tar`).

Their file holds {state_dict, optimizer, iteration}, and the state dict the whole frozen CLIP beside the trained
tensors. Only these are kept. The pickle is opened with `weights_only`, so that no code of it ever runs.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from framecue.backbone import Backbone
from framecue.config import ModelConfig
from framecue.errors import AdapterError
from framecue.models.builders import build_model
from framecue.models.video_text import VideoTextModel

_BLOCK = re.compile(r"^temporalModelling\.resblocks\.(\d+)\.(.+)$")


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The trained tensors of a checkpoint, under the authors' names.

    Accepts their `.pth.tar`, a bare state dict, and safetensors.

    Raises:
        AdapterError: the file is missing, holds more than tensors and numbers, or has no prompt table.
    """
    path = Path(path)
    if not path.is_file():
        raise AdapterError(f"Checkpoint {path}: no such file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AdapterError(
            f"Checkpoint {path}: it asks for code to be run on loading, which framecue refuses; "
            "save its state_dict() as plain tensors."
        ) from error
    except Exception as error:  # whatever a damaged archive provokes
        raise AdapterError(f"Checkpoint {path}: cannot be read ({type(error).__name__}).") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping):
        raise AdapterError(f"Checkpoint {path}: expected a state dict, found {type(loaded).__name__}.")
    named = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    wanted = ("embedding.weight", "temporalEmbedding.weight")
    trained = {name: tensor for name, tensor in named.items() if name in wanted or _BLOCK.match(name)}
    if "embedding.weight" not in trained:
        raise AdapterError(
            f"Checkpoint {path}: the authors' prompt table embedding.weight must be there, "
            f"found {', '.join(sorted(named)[:4]) or 'nothing'}."
        )
    broken = next((key for key, value in trained.items() if not _is_finite_tensor(value)), None)
    if broken is not None:
        raise AdapterError(f"Checkpoint {path}: {broken} is no tensor of finite numbers; fetch the file again.")
    return trained


def _is_finite_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and bool(value.isfinite().all())


def convert_checkpoint(
    state: Mapping[str, Tensor], backbone: Backbone, *, n_prefix: int, n_suffix: int, temporal: bool | None = None
) -> tuple[VideoTextModel, ModelConfig]:
    """Build our model from the authors' trained tensors, in the "absolute" suffix layout.

    Args:
        state: as `read_checkpoint` gives it.
        n_prefix, n_suffix: the flags the checkpoint was trained with; the file does not say.
        temporal: their `--temporal`; None = on if the file has temporal blocks.

    Raises:
        AdapterError: tensors do not fit the backbone.
    """
    layers = {int(match[1]) for name in state if (match := _BLOCK.match(name))}
    use_temporal = bool(layers) if temporal is None else temporal
    positions = state.get("temporalEmbedding.weight")
    try:
        config = ModelConfig(
            n_prefix=n_prefix,
            n_suffix=n_suffix,
            suffix_layout="absolute",
            temporal_layers=max(layers) + 1 if use_temporal and layers else 0,
            num_frames=16 if positions is None else len(positions),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise AdapterError(f"Checkpoint asks for {first['loc'][0]} {first['input']}: {first['msg']}.") from error
    model = build_model(config, backbone, seed=0)
    ours = {"prompt.table": state["embedding.weight"].float()}
    if config.temporal_layers:
        if positions is None:
            raise AdapterError("Checkpoint has temporal blocks but no temporalEmbedding.weight; it is not whole.")
        ours["temporal.positions"] = positions.float()
        for name, tensor in state.items():
            if match := _BLOCK.match(name):
                ours[f"temporal.blocks.{match[1]}.{match[2]}"] = tensor.float()
    try:
        model.load_state_dict(ours, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:240]
        raise AdapterError(f"Checkpoint does not fit backbone {backbone.name} ({reason}).") from error
    return model.eval(), config
