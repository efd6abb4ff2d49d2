"""B-I and B-II on features made for the purpose."""

from pathlib import Path

import numpy as np
import pytest
import torch

from framecue.datasets.feature_set import FeatureSet
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.metrics.recognition import top_k_accuracy
from framecue.models.handcrafted import Handcrafted, template_embeddings
from framecue.tasks.baselines import linear_probe_scores, segment_embeddings, segment_probe, zero_shot_scores
from framecue.tasks.localization import ProbeNamer
from framecue.tasks.streaming import FeatureWindow
from framecue.types import AnnotatedVideo, FrameFeatures, Record, Segment


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


def test_a_segment_probe_names_what_it_was_fitted_on():
    """Two actions that look alike all the time but for one direction each, in a background of neither."""
    rng = np.random.default_rng(0)
    kinds = {"jumping": 0, "running": 1}

    def untrimmed(count: int, first: int) -> UntrimmedSet:
        stored, videos = {}, []
        for number in range(first, first + count):
            features = rng.normal(0, 0.3, (40, 8)).astype(np.float32)
            order = ("jumping", "running") if number % 2 else ("running", "jumping")
            spans = (Segment(0.5, 1.5, order[0]), Segment(2.0, 4.0, order[1]))
            for span in spans:
                features[round(8 * span.start_seconds) : round(8 * span.end_seconds), kinds[span.label]] += 1
            stored[f"v{number}"] = FrameFeatures(features, np.arange(40) / 8, 5.0)
            videos.append(AnnotatedVideo(f"v{number}", 5.0, None, spans))
        return UntrimmedSet(videos, list(stored), tuple(kinds), lambda keys: [stored[key] for key in keys])

    probe = segment_probe(untrimmed(8, 0), untrimmed(3, 20))
    assert probe.shape == (9, 2)
    test = untrimmed(6, 40)
    named = (segment_embeddings(test) @ probe[:-1] + probe[-1]).argmax(dim=1).numpy()
    assert (named == test.targets).all()
    video = test.features([0])[0]
    window = FeatureWindow(video.frame_features, np.arange(41) / 8, 0, (0, 40), is_last=True)
    probabilities = ProbeNamer(probe)(window, test.grid_segments(0, video))
    assert (probabilities.argmax(axis=1) == test.targets[:2]).all()
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert ProbeNamer(probe)(window, np.zeros((0, 2))).shape == (0, 2)
