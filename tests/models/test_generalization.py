"""Gate and ensemble: both ends are frozen CLIP and the paper's model, bit for bit, and the paper is the default."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framecue.config import PRESETS, ModelConfig, RunConfig
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.models.prompt import PromptVectors
from framecue.models.temporal import TemporalTransformer
from framecue.models.video_text import num_trainable

NAMES = ["growing", "shrinking", "anything else"]
SIZES = {"n_prefix": 4, "n_suffix": 3, "temporal_layers": 2}


@pytest.fixture
def build(tiny_backbone):
    def build(**options):
        handcrafted = Handcrafted(tiny_backbone, ["{}", "a video of {}"])
        return build_model(ModelConfig(**SIZES | options), tiny_backbone, seed=7, handcrafted=handcrafted).eval()

    return build


@pytest.fixture
def frames(tiny_backbone):
    return torch.randn(5, 16, tiny_backbone.embed_dim)


def test_a_gated_model_starts_as_frozen_clip(build, frames):
    model = build(temporal_gate=True)
    assert torch.equal(model.embed_video(frames), frames.mean(dim=1))
    valid = torch.arange(16).expand(5, -1) < 9
    torch.testing.assert_close(model.embed_video(frames, valid), frames[:, :9].mean(dim=1))


def test_gradients_open_the_gate_and_then_reach_the_temporal_module(build, frames):
    model = build(temporal_gate=True)
    slots, targets = model.slots(NAMES), torch.tensor([0, 1, 2, 0, 1])

    def gradients():
        model.zero_grad()
        F.cross_entropy(model(frames, slots), targets).backward()
        inner = sum(float(parameter.grad.abs().sum()) for parameter in model.temporal.parameters())
        return float(model.gate.grad.abs()), inner

    gate, inner = gradients()
    assert gate > 0
    assert inner == 0
    with torch.no_grad():
        model.gate.fill_(0.1)
    assert gradients()[1] > 0


def test_temporal_weight_is_the_kept_part(build, frames):
    paper = build().embed_video(frames)
    assert torch.equal(build(temporal_weight=0.0).embed_video(frames), frames.mean(dim=1))
    assert torch.equal(build(temporal_weight=1.0).embed_video(frames), paper)
    halfway = (paper + frames.mean(dim=1)) / 2
    torch.testing.assert_close(build(temporal_weight=0.5).embed_video(frames), halfway)
    open_gate = build(temporal_gate=True, temporal_weight=0.5)
    with torch.no_grad():
        open_gate.gate.fill_(1)
    torch.testing.assert_close(open_gate.embed_video(frames), halfway)


def test_the_paper_needs_no_handcrafted_text(build):
    model = build()
    slots = model.slots(NAMES)
    learned = model.embed_learned_text(slots)
    assert torch.equal(model.embed_text(slots), learned)
    assert torch.equal(model.embed_text(replace(slots, handcrafted=None)), learned)
    assert torch.equal(model.mix_text(learned, slots.handcrafted), learned)


def test_handcrafted_weight_1_is_frozen_text_without_a_pass_of_the_tower(build, monkeypatch):
    model = build(handcrafted_weight=1.0)
    slots = model.slots(NAMES)
    learned = model.embed_learned_text(slots)
    monkeypatch.setattr(model.backbone.text_tower, "forward", None)
    assert torch.equal(model.embed_text(slots), slots.handcrafted)
    assert torch.equal(model.mix_text(learned, slots.handcrafted), slots.handcrafted)
    with pytest.raises(TypeError):
        model.embed_learned_text(slots)


def test_handcrafted_weight_between_mixes_unit_vectors(build):
    model = build(handcrafted_weight=0.25)
    slots = model.slots(NAMES)
    torch.testing.assert_close(slots.handcrafted, Handcrafted(model.backbone, ["{}", "a video of {}"])(NAMES))
    learned = F.normalize(model.embed_learned_text(slots), dim=-1)
    torch.testing.assert_close(model.embed_text(slots), 0.75 * learned + 0.25 * slots.handcrafted)


def test_selected_slots_keep_their_own_handcrafted_rows(build):
    model = build(handcrafted_weight=0.5)
    slots = model.slots(NAMES)
    some = slots.select(torch.tensor([2, 0]))
    torch.testing.assert_close(model.embed_text(some), model.embed_text(slots)[[2, 0]], atol=1e-5, rtol=1e-4)


def test_a_weight_without_handcrafted_texts_is_refused(tiny_backbone):
    model = build_model(ModelConfig(**SIZES, handcrafted_weight=0.5), tiny_backbone, seed=0)
    with pytest.raises(ValueError, match="handcrafted_weight above 0 needs handcrafted texts"):
        model.embed_text(model.slots(NAMES))


def test_the_paper_is_the_default():
    config = RunConfig.model_validate({"out": "runs/a", "data": {"source": "videos"}})
    assert config == RunConfig.model_validate({"preset": "paper", "out": "runs/a", "data": {"source": "videos"}})
    model, train, blend = config.model, config.train, config.blend
    assert (model.temporal_gate, model.temporal_weight, model.handcrafted_weight) == (False, 1, 0)
    assert (train.distill_text, train.distill_video, train.distill_logits, train.ema_decay) == (0, 0, 0, 0)
    assert blend.temporal_weights == blend.handcrafted_weights == blend.trained_weights == ()


@pytest.mark.parametrize("name", PRESETS)
def test_the_papers_tensors_are_what_they_were(name, tiny_backbone):
    """Drawn from the seed in the order prompt, temporal module; the options add no number and move none."""
    config = ModelConfig(preset=name)
    model = build_model(config, tiny_backbone, seed=3)
    torch.manual_seed(3)
    prompt = PromptVectors(tiny_backbone.text_tower.width, n_prefix=config.n_prefix, n_suffix=config.n_suffix)
    expected = {f"prompt.{key}": tensor for key, tensor in prompt.state_dict().items()}
    if config.temporal_layers:
        temporal = TemporalTransformer(
            tiny_backbone.embed_dim, num_frames=16, layers=config.temporal_layers, heads=config.temporal_heads
        )
        expected |= {f"temporal.{key}": tensor for key, tensor in temporal.state_dict().items()}
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert num_trainable(model) == sum(tensor.numel() for tensor in expected.values())


def test_a_gate_adds_one_number_and_moves_none(build):
    paper, gated = build(), build(temporal_gate=True)
    assert num_trainable(gated) == num_trainable(paper) + 1
    assert gated.state_dict().keys() - paper.state_dict().keys() == {"gate"}
    assert all(torch.equal(gated.state_dict()[key], tensor) for key, tensor in paper.state_dict().items())
    assert build(temporal_layers=0, temporal_gate=True).gate is None
