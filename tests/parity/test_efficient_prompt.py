"""Parity with the authors' code: features, logits, loss, gradients and five AdamW steps, on every text path."""

from pathlib import Path

import pytest
import torch

from framecue.config import ModelConfig
from framecue.losses import nce_loss
from framecue.models.builders import build_model
from framecue.models.efficient_prompt import convert_checkpoint, read_checkpoint
from framecue.models.efficient_prompt_flags import TrainingFlags

RELATIVE = 1e-4
PATHS = ("full", "truncated", "shared")
CASES = {  # case: file of trained tensors, prefix, postfix, temporal
    "a5_16_16_t2": ("a5", 16, 16, True),
    "p4_q4_t1": ("p4_t1", 4, 4, True),
    "p16_q16_t0": ("p16_t0", 16, 16, False),
    "p0_q0_t0": (None, 0, 0, False),
}


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Largest difference within 1e-4 of the reference's largest value."""
    difference = (ours - theirs).abs().max() / theirs.abs().max()
    assert difference < RELATIVE, f"relative difference {difference:.2e}"


def build(case, backbone, shared_data: Path):
    file, n_prefix, n_suffix, temporal = CASES[case]
    if file is None:
        config = ModelConfig(n_prefix=0, n_suffix=0, temporal_layers=0, suffix_layout="absolute")
        return build_model(config, backbone)
    read = read_checkpoint(shared_data / "golden" / "efficient_prompt" / f"trainables_{file}.safetensors")
    model, _ = convert_checkpoint(read, backbone, TrainingFlags(n_prefix, n_suffix, temporal=temporal))
    return model


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_forward(case, path, reference_backbone, reference, reference_names, shared_data):
    model = build(case, reference_backbone, shared_data)
    video = model.embed_video(reference["features"])
    text = model.embed_text(model.slots(reference_names), path=path)
    logits = model.logits(video, text)
    assert_close(video, reference[f"{case}.video"])
    assert_close(text, reference[f"{case}.text"])
    assert_close(logits, reference[f"{case}.logits"])
    assert_close(nce_loss(logits, reference["targets"]), reference[f"{case}.loss"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][0]])
def test_gradients_and_five_steps(case, path, reference_backbone, reference, reference_names, shared_data):
    model = build(case, reference_backbone, shared_data)
    slots = model.slots(reference_names)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    losses = []
    for step in range(5):
        loss = nce_loss(model(reference["features"], slots, path=path), reference["targets"])
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert_close(model.prompt.table.grad, reference[f"{case}.grad.embedding"])
            if model.temporal is not None:
                assert_close(model.temporal.positions.grad, reference[f"{case}.grad.temporalEmbedding"])
                norms = torch.stack([p.grad.norm() for p in model.temporal.blocks.parameters()])
                assert_close(norms, reference[f"{case}.grad.norms"])
        optimizer.step()
        losses.append(loss.detach())
    assert_close(torch.stack(losses), reference[f"{case}.adamw5.losses"])
    assert_close(model.prompt.table.detach(), reference[f"{case}.adamw5.embedding"])


@pytest.mark.parametrize("path", PATHS)
def test_plain_text_and_images(path, reference_backbone, reference, reference_names):
    assert_close(reference_backbone.encode_text(reference_names, path=path), reference["plain_text_features"])
    assert_close(reference_backbone.encode_images(reference["images"]), reference["image_features"])


def test_tokens(reference_backbone, reference, reference_names):
    """Ids equal the authors' up to EOS, whose place is theirs (`argmax`)."""
    ours = reference_backbone.tokenize(reference_names)
    assert torch.equal(ours.eos_index, reference["tokens"].argmax(dim=1))
    for row, theirs, eos in zip(ours.tokens, reference["tokens"], ours.eos_index.tolist(), strict=True):
        assert torch.equal(row[: eos + 1], theirs[: eos + 1])
