"""Every way to a backbone: built in, transformers' folders (CLIP, MetaCLIP 2, SigLIP), OpenAI's files; and refusals."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
)

from framecue.backbone import load as load_module
from framecue.backbone import load_backbone
from framecue.config import ModelConfig
from framecue.errors import BackboneError
from framecue.models.builders import build_model

NAMES = ["run", "climb stairs"]


def save_random_checkpoint(folder, model_type: str, tiny_backbone) -> None:
    """A small random checkpoint in transformers' layout, with a tokenizer of its own kind."""
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = vision | {"vocab_size": len(tiny_backbone.tokenizer), "max_position_embeddings": 48, "projection_size": 32}
    sizes = {"image_size": 32, "patch_size": 8, "projection_dim": 32}
    ids = {"bos_token_id": tiny_backbone.tokenizer.bos_token_id, "eos_token_id": tiny_backbone.tokenizer.eos_token_id}
    config = AutoConfig.for_model(
        model_type, vision_config=vision | sizes, text_config=text | ids | {"projection_dim": 32}, projection_dim=32
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer = tiny_backbone.tokenizer
    if model_type == "siglip":  # no SOS; EOS is also the padding
        plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|endoftext|>")
        plain.pad_token = plain.eos_token
        tokenizer = plain
    tokenizer.save_pretrained(folder)
    processor = SiglipImageProcessorPil if model_type == "siglip" else CLIPImageProcessorPil
    size = {"height": 32, "width": 32} if model_type == "siglip" else {"shortest_edge": 32}
    processor(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


@pytest.mark.parametrize("model_type", ["clip", "metaclip_2", "siglip"])
def test_families(model_type, tiny_backbone, tmp_path):
    """Plain text equals transformers' own features, prompts get gradients, images come out right."""
    save_random_checkpoint(tmp_path, model_type, tiny_backbone)
    backbone = load_backbone(tmp_path, device="cpu")
    tower = backbone.text_tower
    assert tower.causal == (model_type != "siglip")
    tokenized = backbone.tokenize(NAMES)
    tokens = torch.nn.functional.pad(
        tokenized.tokens, (0, tower.context_length - tokenized.tokens.shape[1]), value=tokenized.pad_id
    )
    with torch.no_grad():
        expected = backbone.model.get_text_features(input_ids=tokens).pooler_output
    torch.testing.assert_close(backbone.encode_text(NAMES), expected, rtol=1e-4, atol=1e-5)
    no_prompts = build_model(ModelConfig(n_prefix=0, n_suffix=0, temporal_layers=0), backbone)
    torch.testing.assert_close(no_prompts.embed_text(no_prompts.slots(NAMES)), expected, rtol=1e-4, atol=1e-5)
    prompted = build_model(ModelConfig(n_prefix=4, n_suffix=3, temporal_layers=1), backbone, seed=0)
    prompted(torch.randn(2, 16, backbone.embed_dim), prompted.slots(NAMES)).logsumexp(1).sum().backward()
    assert prompted.prompt.prefix.grad.abs().min() > 0
    assert prompted.prompt.suffix.grad.abs().min() > 0
    assert backbone.encode_frames(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 32)


def test_a_config_that_asks_for_eager_attention_is_still_causal(tiny_backbone, tmp_path):
    """Eager attention takes no is_causal: the full path would let a name see what follows its EOS."""
    save_random_checkpoint(tmp_path, "clip", tiny_backbone)
    config = json.loads((tmp_path / "config.json").read_text())
    eager = {"attn_implementation": "eager"}
    config |= {"text_config": config["text_config"] | eager} | eager
    (tmp_path / "config.json").write_text(json.dumps(config))
    backbone = load_backbone(tmp_path, device="cpu")
    torch.testing.assert_close(backbone.encode_text(NAMES, path="full"), backbone.encode_text(NAMES, path="shared"))


def test_openai_layout_equals_transformers_layout(reference_checkpoint, reference_backbone, tmp_path, shared_data):
    """Same weights, two files, same features and the same weights hash."""
    reference_backbone.model.save_pretrained(tmp_path)
    reference_backbone.tokenizer.save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    other = load_backbone(tmp_path, device="cpu")
    assert other.weights_hash == reference_backbone.weights_hash
    assert other.preprocessing == reference_backbone.preprocessing
    frames = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(other.encode_frames(frames), reference_backbone.encode_frames(frames))
    assert torch.equal(other.encode_text(NAMES), reference_backbone.encode_text(NAMES))


@pytest.mark.parametrize("form", ["pickle", "torchscript"])
def test_openai_file_forms(form, reference_checkpoint, reference_backbone, tmp_path, shared_data):
    """A pickled state dict in half precision, and a TorchScript archive such as OpenAI published."""
    state = load_file(reference_checkpoint)
    path = tmp_path / "ViT.pt"
    if form == "pickle":
        torch.save({"state_dict": state}, path)
    else:
        root = torch.nn.Module()
        for name, tensor in state.items():
            *parents, leaf = name.split(".")
            module = root
            for parent in parents:
                if not hasattr(module, parent):
                    module.add_module(parent, torch.nn.Module())
                module = getattr(module, parent)
            module.register_buffer(leaf, tensor)
        torch.jit.save(torch.jit.script(root), path)
    merges = shared_data / "clip_tokenizer" / "bpe_simple_vocab_16e6.txt.gz"
    backbone = load_backbone(path, device="cpu", tokenizer=merges)
    assert backbone.weights_hash == reference_backbone.weights_hash
    names = ["playing the ukulele", "draw sword!", "Éclair 42"]
    assert torch.equal(backbone.tokenize(names).tokens, reference_backbone.tokenize(names).tokens)


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(BackboneError, match=r"evil\.pt: not a checkpoint of plain tensors"):
        load_backbone(tmp_path / "evil.pt", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_refusals(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BackboneError, match="not built in, not a checkpoint folder"):
        load_backbone("nobody/no-such-model", device="cpu")
    with pytest.raises(BackboneError, match=r"holds config\.json, this one does not"):
        load_backbone(tmp_path, device="cpu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(BackboneError, match="'bert' is not supported; these are: clip"):
        load_backbone(tmp_path, device="cpu")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(BackboneError, match="expected OpenAI's Vision Transformer layout"):
        load_backbone(tmp_path / "other.safetensors", device="cpu")
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(BackboneError, match="not a readable safetensors file"):
        load_backbone(tmp_path / "broken.safetensors", device="cpu")
    with pytest.raises(BackboneError, match="fp16 is for GPUs"):
        load_backbone("tiny", device="cpu", precision="fp16")
    with pytest.raises(BackboneError, match="none that torch knows"):
        load_backbone("tiny", device="abacus")
    with pytest.raises(BackboneError, match=r"device 'meta' cannot be used here \(.*\); take cpu or auto"):
        load_backbone("tiny", device="meta")


def test_no_config_object_is_needed_to_know_the_vocabulary(tiny_backbone):
    assert isinstance(tiny_backbone.model.config.text_config, CLIPTextConfig)
    tokenized = tiny_backbone.tokenize(["", "moving left", "Привет 你好 🙂"])
    assert tokenized.n_sos == 1
    assert tokenized.eos_index[0] == 1
    assert (tokenized.tokens.gather(1, tokenized.eos_index[:, None]) == tiny_backbone.tokenizer.eos_token_id).all()


def test_a_cached_checkpoint_needs_no_network_and_an_absent_one_makes_one_line(tmp_path):
    """Behind a hub address that nobody answers, with a hub cache that holds one checkpoint."""
    repo = tmp_path / "models--somebody--small"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    shutil.copytree(Path(load_module.__file__).parent / "tiny", repo / "snapshots" / "abc")
    code = "import sys; from framecue.backbone import load_backbone; load_backbone(sys.argv[1], device='cpu')"
    unreachable = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    unreachable.pop("HF_HUB_OFFLINE", None)

    def load(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, name], env=unreachable, capture_output=True, text=True)

    started = time.monotonic()
    assert load("somebody/small").returncode == 0
    assert time.monotonic() - started < 20  # the hub's client would try for half a minute, for each file
    refused = load("somebody/other").stderr
    assert "Retrying" not in refused
    assert "could not be had from the model hub" in refused


@pytest.mark.parametrize("damage", ["no tokenizer", "cut weights", "lacking weights", "wrong sizes"])
def test_a_damaged_checkpoint_folder_is_refused(damage, tmp_path):
    """Without its tokenizer's files or a tensor, transformers goes on, and every answer is noise."""
    folder = tmp_path / "tiny"
    shutil.copytree(Path(load_module.__file__).parent / "tiny", folder)
    weights = folder / "model.safetensors"
    if damage == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:100_000])
    elif damage == "lacking weights":
        tensors = load_file(weights)
        save_file(
            {name: tensors[name] for name in tensors if "final_layer_norm" not in name}, weights, {"format": "pt"}
        )
    else:
        config = json.loads((folder / "config.json").read_text())
        config["vision_config"]["hidden_size"] += 1
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="Backbone tiny: the checkpoint folder cannot be read"):
        load_backbone(folder, device="cpu")
