"""Import of the authors' checkpoints (github.com/ju-chen/Efficient-Prompt, `.pth.tar`).

Their file holds {state_dict, optimizer, iteration}, and the state dict the whole frozen CLIP beside the trained
tensors. Only these are kept; the rest is used to check that they are put together as they were trained. The pickle is
opened with `weights_only`, so that no code of it ever runs.
"""

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from framecue.backbone import Backbone
from framecue.backbone.openai_layout import is_openai_layout, to_transformers_layout
from framecue.config import ModelConfig
from framecue.errors import AdapterError, BackboneError
from framecue.models.builders import build_model
from framecue.models.efficient_prompt_flags import FLAGS, Told, TrainingFlags, told_flags
from framecue.models.video_text import VideoTextModel

PROMPTS, POSITIONS = "embedding.weight", "temporalEmbedding.weight"
_BLOCK = re.compile(r"^temporalModelling\.resblocks\.(\d+)\.(.+)$")
_CLIP = "clipmodel."
_MOVE = "Give what it was trained with, or move the checkpoint away from what is not its own."
_CLIP_TOLERANCE = 1e-3  # relative; twice the rounding of float16, in which CLIP's weights were published


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: of the file.
        trained: the trained tensors, under the authors' names.
        clip: the frozen CLIP beside them, in OpenAI's layout; empty where the file leaves it out.
        prompt_sizes: vectors before a name, and the most there can be after it, as the optimizer's state shows by the
            rows of the prompt table that were trained; None where the file holds no such state.
        told: flags of the training, as far as the file and what lies beside it tell.
    """

    path: Path
    trained: Mapping[str, Tensor]
    clip: Mapping[str, Tensor] = field(default_factory=dict)
    prompt_sizes: tuple[int, int] | None = None
    told: Mapping[str, Told] = field(default_factory=dict)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint: the authors' `.pth.tar`, a bare state dict, or safetensors.

    Raises:
        AdapterError: the file is missing, holds more than tensors and numbers, has no prompt table, or has tensors
            that the authors' model has not.
    """
    path = Path(path)
    loaded = _load(path)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping):
        raise AdapterError(f"Checkpoint {path}: expected a state dict, found {type(loaded).__name__}.")
    named = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    if PROMPTS not in named:
        raise AdapterError(
            f"Checkpoint {path}: the authors' prompt table {PROMPTS} must be there, "
            f"found {', '.join(sorted(named)[:4]) or 'nothing'}."
        )
    clip = {name.removeprefix(_CLIP): value for name, value in named.items() if name.startswith(_CLIP)}
    trained = {name: value for name, value in named.items() if not name.startswith(_CLIP)}
    ours = {name: value for name, value in trained.items() if name in (PROMPTS, POSITIONS) or _BLOCK.match(name)}
    other = sorted(name for name in trained.keys() - ours.keys() if isinstance(trained[name], Tensor))
    if other:
        raise AdapterError(
            f"Checkpoint {path}: {', '.join(other[:3])} is not part of the authors' model, which has a prompt table, "
            "temporal positions and temporal blocks. Another model cannot be converted."
        )
    broken = next((key for key, value in ours.items() if not _is_finite_tensor(value)), None)
    if broken is not None:
        raise AdapterError(f"Checkpoint {path}: {broken} is no tensor of finite numbers; fetch the file again.")
    args = loaded.get("args")
    args = vars(args) if isinstance(args, argparse.Namespace) else args
    told = told_flags(path, args if isinstance(args, Mapping) else {})
    sizes = _prompt_sizes(_trained_rows(loaded.get("optimizer"), ours[PROMPTS]))
    if sizes is not None:
        told.setdefault("n_prefix", Told(sizes[0], "the optimizer's state in it"))
    return Checkpoint(path, ours, clip, sizes, told)


def _load(path: Path) -> Any:  # Any: whatever the file holds
    if not path.is_file():
        raise AdapterError(f"Checkpoint {path}: no such file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # attributes and nothing else
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AdapterError(
            f"Checkpoint {path}: it asks for code to be run on loading, which framecue refuses; "
            "save its state_dict() as plain tensors."
        ) from error
    except Exception as error:  # whatever a damaged archive provokes
        raise AdapterError(f"Checkpoint {path}: cannot be read ({type(error).__name__}).") from error


def _is_finite_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and bool(value.isfinite().all())


def _trained_rows(optimizer: object, table: Tensor) -> list[int]:
    """Rows with a second moment, which is exactly zero where there never was a gradient; none where it is not told."""
    moments = optimizer.get("state") if isinstance(optimizer, Mapping) else None
    for _, moment in sorted(moments.items()) if isinstance(moments, Mapping) else ():
        squares = moment.get("exp_avg_sq") if isinstance(moment, Mapping) else None
        if isinstance(squares, Tensor) and squares.shape == table.shape:  # the table comes before all else trained
            rows: list[int] = (squares != 0).any(dim=1).nonzero().flatten().tolist()
            return rows
    return []


def _prompt_sizes(rows: list[int]) -> tuple[int, int] | None:
    """Prompt vectors before a name, and the most there can be after it.

    Trained are rows 1 to `n_prefix`, never the next one, where each name's first token stands, and then for each length
    of a name a window of `n_suffix` rows (prompt.py, layout "absolute"). Windows may join, so that the shortest run of
    rows is a bound and no more.
    """
    if not rows:
        return None
    runs = [[row for _, row in run] for _, run in groupby(enumerate(rows), lambda item: item[1] - item[0])]
    prefix = runs.pop(0) if runs[0][0] == 1 else []
    return len(prefix), min(map(len, runs), default=0)


def convert_checkpoint(
    checkpoint: Checkpoint, backbone: Backbone, flags: TrainingFlags, *, temperature: float = 0.07
) -> tuple[VideoTextModel, ModelConfig]:
    """Build our model from the authors' trained tensors, in the "absolute" suffix layout.

    Args:
        flags: what the checkpoint was trained with; `settle_flags` finds it, or says that it was assumed.
        temperature: a constant of their program.

    Raises:
        AdapterError: the tensors do not fit each other, the flags, or the backbone.
    """
    trained, positions = checkpoint.trained, checkpoint.trained.get(POSITIONS)
    layers = _num_layers(checkpoint, flags)
    if layers and positions is None:
        raise AdapterError(f"Checkpoint {checkpoint.path} has temporal blocks but no {POSITIONS}; it is not whole.")
    if positions is not None and flags.num_frames not in (None, len(positions)):
        raise AdapterError(
            f"Checkpoint {checkpoint.path}: {POSITIONS} has a row for each of {len(positions)} frames, "
            f"{flags.sources.get('num_frames')} says {flags.num_frames}. {_MOVE}"
        )
    _check_prompt_sizes(checkpoint, flags)
    try:
        config = ModelConfig(
            n_prefix=flags.n_prefix,
            n_suffix=flags.n_suffix,
            suffix_layout="absolute",
            temporal_layers=layers,
            temporal_heads=flags.heads,
            num_frames=(flags.num_frames or 16) if positions is None else len(positions),
            temperature=temperature,
            normalize=flags.normalize,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise AdapterError(f"Checkpoint asks for {first['loc'][0]} {first['input']}: {first['msg']}.") from error
    _check_backbone(checkpoint, backbone, config)
    model = build_model(config, backbone, seed=0)
    ours = {"prompt.table": trained[PROMPTS].float()}
    if layers:
        ours["temporal.positions"] = trained[POSITIONS].float()
        for name, tensor in trained.items():
            if match := _BLOCK.match(name):
                ours[f"temporal.blocks.{match[1]}.{match[2]}"] = tensor.float()
    try:
        model.load_state_dict(ours, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:240]
        raise AdapterError(f"Checkpoint does not fit backbone {backbone.name} ({reason}).") from error
    return model.eval(), config


def _num_layers(checkpoint: Checkpoint, flags: TrainingFlags) -> int:
    """Temporal layers, as the blocks tell them.

    Raises:
        AdapterError: blocks are missing between others, or the flags say otherwise.
    """
    found = {int(match[1]) for name in checkpoint.trained if (match := _BLOCK.match(name))}
    missing = sorted(set(range(len(found))) - found)
    if missing:
        raise AdapterError(
            f"Checkpoint {checkpoint.path}: temporal block {missing[0]} is missing; fetch the file again."
        )
    for name, said, wanted in (
        ("temporal", flags.temporal, bool(found)),
        ("layers", flags.layers if found else None, len(found)),  # without the module their --tfm_layers means nothing
    ):
        if said not in (None, wanted):
            raise AdapterError(
                f"Checkpoint {checkpoint.path} has {len(found) or 'no'} temporal blocks, {flags.sources.get(name)} "
                f"says --{FLAGS[name].theirs} {int(said)}. {_MOVE}"
            )
    return len(found)


def _check_prompt_sizes(checkpoint: Checkpoint, flags: TrainingFlags) -> None:
    """Raises AdapterError where other rows of the prompt table were trained than so many vectors would need."""
    if checkpoint.prompt_sizes is None:
        return
    prefix, most = checkpoint.prompt_sizes
    if flags.n_prefix == prefix and min(most, 1) <= flags.n_suffix <= most:
        return
    raise AdapterError(
        f"Checkpoint {checkpoint.path}: by the optimizer's state in it, --n-prefix must be {prefix} and --n-suffix "
        f"{f'1 to {most}' if most > 1 else most}, found {flags.n_prefix} and {flags.n_suffix}. "
        "Give what it was trained with."
    )


def _check_backbone(checkpoint: Checkpoint, backbone: Backbone, config: ModelConfig) -> None:
    """Sizes, and the weights of the CLIP in the checkpoint: ViT-B/32 has all the sizes of ViT-B/16's text side.

    Raises:
        AdapterError: the checkpoint was trained on another backbone.
    """
    tower, table = backbone.text_tower, checkpoint.trained[PROMPTS]
    wanted = {PROMPTS: (table, (tower.context_length, tower.width))}
    if config.temporal_layers:
        wanted[POSITIONS] = (checkpoint.trained[POSITIONS], (config.num_frames, backbone.embed_dim))
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != shape:
            raise AdapterError(
                f"Checkpoint {checkpoint.path} does not fit backbone {backbone.name}: {name} must be "
                f"{list(shape)}, found {list(tensor.shape)}. Name the backbone it was trained on."
            )
    room = tower.context_length - 3 - config.n_prefix - config.n_suffix  # SOS, EOS, and a name of one token
    if room < 0:
        raise AdapterError(
            f"Checkpoint {checkpoint.path}: {config.n_prefix} and {config.n_suffix} prompt vectors leave no room for a "
            f"name in {tower.context_length} positions. Give the flags that it was trained with."
        )
    if config.temporal_layers and backbone.embed_dim % config.temporal_heads:
        raise AdapterError(
            f"Checkpoint {checkpoint.path}: the heads must divide the {backbone.embed_dim} features of backbone "
            f"{backbone.name}, found {config.temporal_heads}. Give the number that it was trained with (theirs: 8)."
        )
    if is_openai_layout(checkpoint.clip):
        _check_same_clip(checkpoint, backbone)


def _check_same_clip(checkpoint: Checkpoint, backbone: Backbone) -> None:
    try:
        theirs = to_transformers_layout(checkpoint.clip)
    except BackboneError as error:
        raise AdapterError(f"Checkpoint {checkpoint.path}: the CLIP in it is not understood. {error}") from error
    ours = backbone.model.state_dict()
    for name, value in theirs.items():
        other = ours.get(name)
        if other is None or other.shape != value.shape or not _is_close(other.cpu().float(), value):
            raise AdapterError(
                f"Checkpoint {checkpoint.path} was trained on another CLIP than {backbone.name}: the one in it has "
                f"another {name}. Name the backbone it was trained on."
            )


def _is_close(ours: Tensor, theirs: Tensor) -> bool:
    return bool(torch.isclose(ours, theirs, rtol=_CLIP_TOLERANCE, atol=1e-6).all())
