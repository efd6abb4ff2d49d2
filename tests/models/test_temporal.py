"""Temporal Transformer and pooling: order, padding, and the zero-layer case."""

import pytest
import torch

from framecue.config import ModelConfig
from framecue.errors import ConfigError
from framecue.models.builders import build_model
from framecue.models.pooling import masked_mean
from framecue.models.temporal import TemporalTransformer


@pytest.fixture
def temporal() -> TemporalTransformer:
    torch.manual_seed(0)
    return TemporalTransformer(32, num_frames=16, layers=2, heads=4).eval()


def test_order_matters_with_the_module_and_not_without(temporal, tiny_backbone):
    features = torch.randn(3, 16, 32)
    assert not torch.allclose(temporal(features).mean(1), temporal(features.flip(1)).mean(1), atol=1e-4)
    mean = build_model(ModelConfig(temporal_layers=0), tiny_backbone, seed=0)
    frames = torch.randn(3, 16, tiny_backbone.embed_dim)
    torch.testing.assert_close(mean.embed_video(frames), mean.embed_video(frames.flip(1)))


def test_zero_layers_are_the_mean_of_raw_features(tiny_backbone):
    model = build_model(ModelConfig(temporal_layers=0), tiny_backbone, seed=0)
    assert model.temporal is None
    frames = torch.randn(2, 16, tiny_backbone.embed_dim)
    torch.testing.assert_close(model.embed_video(frames), frames.mean(dim=1))


def test_padding_changes_nothing(temporal):
    features, mask = torch.randn(2, 16, 32), torch.ones(2, 16, dtype=torch.bool)
    mask[0, 9:] = False
    other = features.clone()
    other[0, 9:] = 1e3
    ours, moved = temporal(features, mask), temporal(other, mask)
    torch.testing.assert_close(masked_mean(ours, mask), masked_mean(moved, mask))
    alone = temporal(features[:1, :9])
    torch.testing.assert_close(masked_mean(ours, mask)[0], alone[0].mean(0), rtol=1e-4, atol=1e-5)


def test_full_mask_equals_none(temporal):
    features = torch.randn(2, 16, 32)
    torch.testing.assert_close(temporal(features), temporal(features, torch.ones(2, 16, dtype=torch.bool)))


def test_too_many_frames(temporal):
    with pytest.raises(ValueError, match="17 steps, the temporal positions 16"):
        temporal(torch.zeros(1, 17, 32))


def test_heads_that_do_not_divide_the_features(tiny_backbone):
    with pytest.raises(
        ConfigError, match=r"model\.temporal_heads must divide the \d+ features of backbone tiny, found 7"
    ):
        build_model(ModelConfig(temporal_heads=7), tiny_backbone)


def test_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one True"):
        masked_mean(torch.zeros(2, 3, 4), torch.tensor([[True, False, False], [False] * 3]))


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator(tiny_backbone):
    torch.manual_seed(5)
    expected = torch.randn(1)
    torch.manual_seed(5)
    first = build_model(ModelConfig(), tiny_backbone, seed=3).state_dict()
    assert torch.equal(torch.randn(1), expected)
    second = build_model(ModelConfig(), tiny_backbone, seed=3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
