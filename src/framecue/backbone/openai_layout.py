"""OpenAI's original CLIP state-dict layout, converted to transformers' (Vision Transformer checkpoints).

The layout is that of github.com/openai/CLIP `clip/model.py`; sizes are read off the tensors, as its `build_model` does.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framecue.errors import BackboneError

_TOP = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # the spelling is transformers'
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BLOCK_KEY = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)$")
_IN_PROJECTION = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")
_BUFFERS = {"input_resolution", "context_length", "vocab_size"}  # numbers that TorchScript archives carry along


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, a pickled state dict (tensors only), or OpenAI's TorchScript archive.

    Pickles are opened with `weights_only`, so that no code of theirs runs. A TorchScript archive's code is loaded but
    its forward is never called.

    Raises:
        BackboneError: the file is missing or none of the three.
    """
    if not path.is_file():
        raise BackboneError(f"Backbone {path}: no such file; give a hub id, a folder, or a checkpoint file.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:
            raise BackboneError(f"Backbone {path}: not a readable safetensors file ({_first_line(error)}).") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "TorchScript" not in str(error):
            reason = _first_line(error)
            raise BackboneError(
                f"Backbone {path}: not a checkpoint of plain tensors ({reason}); save its state_dict() anew."
            ) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated; OpenAI's files are what they are
            loaded = torch.jit.load(str(path), map_location="cpu").state_dict()
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BackboneError(f"Backbone {path}: expected a state dict of tensors, found {type(state).__name__}.")
    return dict(state)


def is_openai_layout(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensor names are those of OpenAI's Vision Transformer CLIP."""
    return "visual.conv1.weight" in state and "visual.proj" in state and "text_projection" in state


def config_from_state(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes of both towers, as keyword arguments of transformers' CLIPConfig."""
    width, _, patch, _ = state["visual.conv1.weight"].shape
    grid = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    text_width, embed_dim = state["text_projection"].shape
    vocab_size = len(state["token_embedding.weight"])
    common = {"hidden_act": "quick_gelu", "projection_dim": embed_dim}
    vision = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": _num_layers(state, "visual.transformer."),
        "num_attention_heads": width // 64,
        "image_size": patch * grid,
        "patch_size": patch,
    }
    text = {
        "hidden_size": text_width,
        "intermediate_size": 4 * text_width,
        "num_hidden_layers": _num_layers(state, "transformer."),
        "num_attention_heads": text_width // 64,
        "max_position_embeddings": len(state["positional_embedding"]),
        "vocab_size": vocab_size,
        "bos_token_id": vocab_size - 2,
        "eos_token_id": vocab_size - 1,
        "pad_token_id": 0,
    }
    return {"vision_config": common | vision, "text_config": common | text, "projection_dim": embed_dim}


def to_transformers_layout(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename every tensor; fused query-key-value projections are split, projection matrices transposed.

    Raises:
        BackboneError: a tensor has no place in the layout.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        value = tensor.float()
        if name in _TOP:
            converted[_TOP[name]] = value
        elif name == "visual.proj":
            converted["visual_projection.weight"] = value.T.contiguous()
        elif name == "text_projection":
            converted["text_projection.weight"] = value.T.contiguous()
        elif match := _IN_PROJECTION.match(name):
            tower, layer, kind = match.groups()
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                converted[f"{_layer(tower, layer)}.self_attn.{part}_proj.{kind}"] = piece.contiguous()
        elif (match := _BLOCK_KEY.match(name)) and match[3] in _BLOCK:
            tower, layer, module, kind = match.groups()
            converted[f"{_layer(tower, layer)}.{_BLOCK[module]}.{kind}"] = value
        elif name not in _BUFFERS:
            raise BackboneError(f"OpenAI-layout checkpoint: tensor {name!r} is not of a Vision Transformer CLIP.")
    return converted


def _layer(tower: str | None, layer: str) -> str:
    return f"{'vision_model' if tower else 'text_model'}.encoder.layers.{layer}"


def _num_layers(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.split(".resblocks.")[1].split(".")[0] for name in state if name.startswith(f"{prefix}resblocks.")})


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
