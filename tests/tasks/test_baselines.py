"""B-I and B-II on features made for the purpose."""

from pathlib import Path

import numpy as np
import pytest
import torch

from framecue.datasets.feature_set import FeatureSet
from framecue.metrics.recognition import top_k_accuracy
from framecue.models.handcrafted import Handcrafted, template_embeddings
from framecue.tasks.baselines import linear_probe_scores, zero_shot_scores
from framecue.types import FrameFeatures, Record


def make_set(rows: np.ndarray, targets: list[int], names: list[str]) -> FeatureSet:
    """One video per row [D], constant over 16 frames."""
    features = {
        str(i): FrameFeatures(np.repeat(row[None].astype(np.float32), 16, axis=0), np.arange(16.0), 16.0)
        for i, row in enumerate(rows)
    }
    records = [Record(Path(f"{i}.mp4"), names[target]) for i, target in enumerate(targets)]
    return FeatureSet(records, list(features), names, lambda keys: [features[key] for key in keys])


@pytest.fixture
def separable():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 12))
    targets = [i % 3 for i in range(60)]
    rows = centers[targets] + 0.3 * rng.normal(size=(60, 12))
    part = [make_set(rows[s], targets[s], ["a", "b", "c"]) for s in (slice(0, 30), slice(30, 45), slice(45, 60))]
    return part


def test_the_probe_learns_what_is_linear(separable):
    train, val, test = separable
    scores = linear_probe_scores(train, val, test, window=16, num_views=2)
    assert scores.shape == (15, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert top_k_accuracy(scores, test.targets) == 1
    again = linear_probe_scores(train, val, test, window=16, num_views=2)
    assert np.array_equal(scores, again)


def test_the_probe_never_sees_test_labels(separable):
    train, val, test = separable
    scores = linear_probe_scores(train, val, test, window=16, num_views=1)
    test.targets[:] = 0
    assert np.array_equal(scores, linear_probe_scores(train, val, test, window=16, num_views=1))
    assert linear_probe_scores(train, None, test, window=16, num_views=1).shape == (15, 3)


def test_zero_shot_is_the_cosine_with_the_mean_template(tiny_backbone):
    names, templates = ["growing", "shrinking"], ["{}", "a video of {}"]
    text = template_embeddings(tiny_backbone, names, templates)
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(2))
    data = make_set(text.numpy() * 7, [0, 1], names)
    scores = zero_shot_scores(Handcrafted(tiny_backbone, templates), data, names, window=16, num_views=1)
    expected = (tiny_backbone.logit_scale * text @ text.T).softmax(dim=-1)
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-4)


def test_braces_in_class_names_are_left_alone(tiny_backbone):
    assert template_embeddings(tiny_backbone, ["{x} {}"], ["a {}"]).shape == (1, tiny_backbone.embed_dim)
