"""The loss of a batch: the paper's without distillation, and each term against a computation in NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framecue.config import ModelConfig, TrainConfig
from framecue.losses import nce_loss
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.recognition import batch_loss

NAMES = ["growing", "shrinking", "moving left"]
TARGETS = torch.tensor([0, 2])


@pytest.fixture
def model(tiny_backbone):
    config = ModelConfig(n_prefix=4, n_suffix=3, temporal_layers=1)
    return build_model(config, tiny_backbone, seed=1, handcrafted=Handcrafted(tiny_backbone, ["a video of {}"])).eval()


@pytest.fixture
def frames(tiny_backbone):
    return torch.randn(2, 16, tiny_backbone.embed_dim)


def cosine(one, other):
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return one @ other.T / np.linalg.norm(one, axis=1)[:, None] / np.linalg.norm(other, axis=1)


def term(model, frames, slots, **weights):
    """What the weights add to the loss, per unit of weight 2."""
    with torch.no_grad():
        whole = batch_loss(model, frames, slots, TARGETS, TrainConfig(**weights))
        return float(whole - batch_loss(model, frames, slots, TARGETS, TrainConfig())) / 2


def test_without_distillation_it_is_nce_bit_for_bit(model, frames):
    slots = model.slots(NAMES)
    plain = nce_loss(model(frames, slots), TARGETS)
    assert torch.equal(batch_loss(model, frames, slots, TARGETS, TrainConfig()), plain)
    bare = replace(slots, handcrafted=None)
    assert torch.equal(batch_loss(model, frames, bare, TARGETS, TrainConfig()), plain)
    with torch.no_grad():
        logits = cosine(model.embed_video(frames), model.embed_text(slots)) / 0.07
    by_hand = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[[0, 1], TARGETS.numpy()])
    assert float(plain.detach()) == pytest.approx(by_hand, rel=1e-4)


def test_distill_text(model, frames):
    slots = model.slots(NAMES)
    with torch.no_grad():
        learned = model.embed_learned_text(slots)
    expected = np.mean(1 - np.diag(cosine(learned, slots.handcrafted)))
    assert expected > 0.01
    assert term(model, frames, slots, distill_text=2) == pytest.approx(expected, abs=1e-5)
    same = replace(slots, handcrafted=F.normalize(learned, dim=-1))
    assert term(model, frames, same, distill_text=2) == pytest.approx(0, abs=1e-6)


def test_distill_video(model, frames):
    slots = model.slots(NAMES)
    with torch.no_grad():
        expected = np.mean(1 - np.diag(cosine(model.embed_video(frames), frames.mean(dim=1))))
    assert expected > 0.01
    assert term(model, frames, slots, distill_video=2) == pytest.approx(expected, abs=1e-5)
    model.temporal_weight = 0.0
    assert term(model, frames, slots, distill_video=2) == pytest.approx(0, abs=1e-6)


def test_distill_logits_is_the_divergence_of_the_trained_from_the_frozen_answer(model, frames):
    slots = model.slots(NAMES)
    with torch.no_grad():
        trained = cosine(model.embed_video(frames), model.embed_learned_text(slots)) / 0.07
    frozen = cosine(frames.mean(dim=1), slots.handcrafted) / 0.07
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (frozen, trained))
    expected = np.mean(np.sum(p * np.log(p / q), axis=1))
    assert expected > 0.01
    assert term(model, frames, slots, distill_logits=2) == pytest.approx(expected, rel=1e-3)
    model.temporal_weight, model.handcrafted_weight = 0.0, 1.0
    assert term(model, frames, slots, distill_logits=2) == pytest.approx(0, abs=1e-6)


def test_terms_add_up(model, frames):
    slots = model.slots(NAMES)
    one_by_one = [term(model, frames, slots, **{f"distill_{name}": 2}) for name in ("text", "video", "logits")]
    together = term(model, frames, slots, distill_text=2, distill_video=2, distill_logits=2)
    assert together == pytest.approx(sum(one_by_one), abs=1e-5)


def test_a_step_on_distill_text_brings_the_learned_text_nearer(model, frames):
    slots = model.slots(NAMES)

    def distance():
        return float((1 - F.cosine_similarity(model.embed_learned_text(slots), slots.handcrafted, dim=-1)).mean())

    before = distance()
    optimizer = torch.optim.AdamW(model.prompt.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        batch_loss(model, frames, slots, TARGETS, TrainConfig(distill_text=100)).backward()
        optimizer.step()
    assert distance() < before


def test_the_ensemble_is_what_is_trained(model, frames):
    """With a handcrafted weight the loss is that of the mixed text, and its gradient still reaches the prompt."""
    model.handcrafted_weight = 0.5
    slots = model.slots(NAMES)
    loss = batch_loss(model, frames, slots, TARGETS, TrainConfig())
    assert torch.equal(loss, nce_loss(model(frames, slots), TARGETS))
    loss.backward()
    assert float(model.prompt.prefix.grad.abs().sum()) > 0
