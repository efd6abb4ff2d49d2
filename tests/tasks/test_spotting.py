"""Cues find what stands out, nothing where nothing happens, and the names' share of probability is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from framecue.config import ModelConfig
from framecue.models.builders import build_model
from framecue.segments import frame_edges, temporal_iou
from framecue.tasks.proposal_cues import (
    CueSettings,
    change,
    change_points,
    moving_mean,
    novelty,
    peaks,
    propose,
    runs,
    spans,
    standing_out,
)
from framecue.tasks.spotting import NULL_TEXTS, SpottedProposals, adapter_localizer, frozen_localizer
from framecue.tasks.streaming import FeatureWindow

STEP = 0.125  # seconds per feature


def turning(num_features, moving, *, speed=0.2, seed=0):
    """Unit features that turn while `moving` and stand still otherwise, [T, D]."""
    angles = np.cumsum(speed * moving)
    rest = np.random.default_rng(seed).normal(size=6)
    return np.stack([np.cos(angles), np.sin(angles), *np.full((6, num_features), 0.1 * rest[:, None])], axis=1).astype(
        np.float32
    )


def moving_in(num_features, *parts):
    moving = np.zeros(num_features)
    for start, end in parts:
        moving[start:end] = 1
    return moving


def unnamed(num_features, num_names=2):
    return np.zeros((num_features, num_names), np.float32)


def test_what_changes_is_proposed_first():
    parts = [(40, 64), (100, 130)]
    features = turning(200, moving_in(200, *parts))
    segments, scores = propose(features, unnamed(200), seconds_per_feature=STEP)
    assert np.all(np.diff(scores) <= 0)
    overlap = temporal_iou(np.array(parts, float), segments)
    assert overlap.max(axis=1).min() > 0.8
    assert {int(row.argmax()) for row in overlap[:, :4]} == set(overlap[:, :4].argmax(axis=1).tolist())
    assert overlap[:, :4].max(axis=1).min() > 0.7  # among the best four, too


def test_what_is_seen_is_proposed_though_nothing_moves():
    seen = unnamed(200)
    seen[60:90, 1] = 0.9
    segments, scores = propose(turning(200, moving_in(200)), seen, seconds_per_feature=STEP)
    assert temporal_iou(segments[:1], np.array([[60.0, 90.0]]))[0, 0] > 0.85
    assert scores[0] > 0.5


def test_nothing_happens():
    for noise in (0.0, 1e-3):
        features = turning(200, moving_in(200))
        features += noise * np.random.default_rng(1).normal(size=features.shape).astype(np.float32)
        _, scores = propose(features, unnamed(200), seconds_per_feature=STEP)
        assert scores.max(initial=0) < 0.05


@pytest.mark.parametrize("num_features", [1, 2, 3, 5])
def test_very_short_videos(num_features):
    segments, scores = propose(
        turning(num_features, np.ones(num_features)), unnamed(num_features), seconds_per_feature=1.0
    )
    assert len(segments) == len(scores)
    assert np.isfinite(scores).all()
    assert np.all((segments >= 0) & (segments <= num_features))


def test_lengths_and_number_are_bounded():
    moving = moving_in(400, *[(start, start + 12) for start in range(10, 390, 30)])
    settings = CueSettings(min_seconds=1.0, max_seconds=3.0, max_proposals=7)
    segments, _ = propose(turning(400, moving), unnamed(400), seconds_per_feature=STEP, settings=settings)
    lengths = STEP * np.diff(segments, axis=1)
    assert len(segments) == 7
    assert lengths.min() >= 1.0
    assert lengths.max() <= 3.0


def test_features_need_no_norm():
    rng = np.random.default_rng(5)
    features = turning(100, moving_in(100, (30, 60)) * rng.random(100)) + 0.01 * rng.random((100, 1), np.float32)
    scaled = features * np.random.default_rng(0).uniform(0.5, 20, (100, 1)).astype(np.float32)
    one = propose(features, unnamed(100), seconds_per_feature=STEP)
    other = propose(scaled, unnamed(100), seconds_per_feature=STEP)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_allclose(one[1], other[1], atol=1e-4)


def test_runs_over_short_gaps_are_one():
    curve = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1], float)
    np.testing.assert_array_equal(runs(curve, 0.5, 0), [[1, 3], [4, 5], [8, 10]])
    np.testing.assert_array_equal(runs(curve, 0.5, 1), [[1, 5], [8, 10]])
    np.testing.assert_array_equal(runs(curve, 0.5, 3), [[1, 10]])
    assert runs(curve, 1.0, 0).shape == (0, 2)


def test_curves_by_hand():
    np.testing.assert_allclose(moving_mean(np.array([0.0, 3, 6, 0]), 3), [1.5, 3, 3, 3])
    np.testing.assert_allclose(moving_mean(np.array([0.0, 3, 6, 0]), 1), [0, 3, 6, 0])
    features = np.array([[1, 0], [1, 0], [0, 2], [0, 2]], np.float32)
    np.testing.assert_allclose(change(features), [0, np.sqrt(2) / 2, np.sqrt(2) / 2, 0])
    np.testing.assert_allclose(novelty(features, 1), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(peaks(np.array([0, 2, 2, 0, 1, 0.0]), 1, 0.5), [1, 4])
    np.testing.assert_array_equal(spans(np.array([0, 3, 5, 9]), 2), [[0, 3], [3, 5], [5, 9], [0, 5], [3, 9]])
    curve = np.array([0, 0, 1, 1, 0, 0.5])
    found = standing_out(curve, np.array([[2.0, 4], [1, 5], [0, 6]]), 0.5)
    np.testing.assert_allclose(found, [1, 0.5 * (0.5 - 0.25), (2.5 / 6) ** 2])


def test_change_points_are_where_scenes_meet():
    rng = np.random.default_rng(3)
    scenes = rng.normal(size=(3, 16))
    features = np.repeat(scenes, [30, 50, 40], axis=0) + 0.01 * rng.normal(size=(120, 16))
    found = change_points(features.astype(np.float32), STEP, CueSettings())
    np.testing.assert_array_equal(found, [0, 30, 80, 120])


def as_window(features):
    edges = frame_edges(STEP * np.arange(len(features)))
    return FeatureWindow(features, edges, 0, (0, len(features)), is_last=True)


def test_names_share_the_probability_with_the_null_texts(tiny_backbone):
    features = torch.nn.functional.normalize(torch.randn(40, tiny_backbone.embed_dim), dim=1).numpy()
    labels, segments = ("growing", "moving right"), np.array([[0.0, 10], [5, 40]])
    parts = frozen_localizer(tiny_backbone, labels, ("{}",))
    found = parts.namer(as_window(features), segments)
    assert found.shape == (2, 2)
    assert np.all(found.sum(axis=1) < 1)
    null = tiny_backbone.encode_text([NULL_TEXTS[3]])[0].detach().cpu().numpy()
    like_null = np.repeat(null[None], 20, axis=0)
    assert parts.namer(as_window(like_null), segments[:1]).sum() < 0.5


def test_unasked_classes_of_an_adapter_compete(tiny_backbone):
    config = ModelConfig(temporal_layers=0, num_frames=8)
    model = build_model(config, tiny_backbone, seed=0).eval()
    classes = ("growing", "shrinking", "circling")
    features = torch.randn(60, tiny_backbone.embed_dim).numpy()
    segments = np.array([[0.0, 30], [20, 60]])

    def named(asked, known):
        parts = adapter_localizer(model, asked, class_names=known, num_frames=8, sampling="uniform:16")
        assert parts.sampling == "fps:8"  # windows need times
        return parts.namer(as_window(features), segments)

    everything, alone = named(classes, classes), named(("growing",), ())
    some = named(("growing",), classes)
    np.testing.assert_allclose(some[:, 0], everything[:, 0], rtol=1e-4)
    assert np.all(alone >= some)
    kept = adapter_localizer(model, classes, class_names=classes, num_frames=8, sampling="fps:4")
    assert kept.sampling == "fps:4"


class Constant:
    """Says 0.2 and 0.3 of everything."""

    def __call__(self, window: FeatureWindow, segments):
        return np.tile(np.array([0.2, 0.3], np.float32), (len(segments), 1))


def test_what_changes_is_proposed_where_names_say_nothing():
    segments, scores = SpottedProposals(Constant())(as_window(turning(50, moving_in(50, (10, 30)))))
    assert temporal_iou(segments[:1], np.array([[10.0, 30.0]]))[0, 0] > 0.7
    assert scores.dtype == np.float32


def test_slower_video_is_measured_in_seconds():
    features = turning(60, moving_in(60, (20, 40)))
    slow = FeatureWindow(features, np.arange(61.0), 0, (0, 60), is_last=True)  # a feature per second
    settings = replace(CueSettings(), max_seconds=15.0)
    segments, _ = SpottedProposals(Constant(), settings=settings)(slow)
    assert np.diff(segments, axis=1).max() <= 15
