"""Scores mean what they say, for any number of moments, and no rule is made of nonsense."""

import json

import numpy as np
import pytest

from fakes import resized
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES, render_clip
from framecue.metrics.calibration import auroc
from framecue.tasks.matching import (
    MOST_MOMENTS,
    UNRELATED_TEXTS,
    MatchRule,
    example_match_rule,
    fit_match_rule,
    frozen_match_rule,
)
from framecue.tasks.moments import MomentEncoder

RULE = MatchRule(slope=20.0, center=0.3)


def drawn_pairs(rng, num_texts, num_videos):
    """Cosines of matching pairs around 0.5, of others around 0.2: log odds 30 * (cosine - 0.35)."""
    values = rng.normal(0.2, 0.1, (num_texts, num_videos))
    truth = rng.integers(num_videos, size=num_texts)
    values[np.arange(num_texts), truth] = rng.normal(0.5, 0.1, num_texts)
    return values, truth


def best_of_each(similarities, rule, rng, *, num_moments, rounds=1600):
    """(score of the best moment, whether it is right), half of the queries about what is not in the index."""
    scores, right = [], []
    for turn in range(rounds):
        query = int(rng.integers(len(similarities)))
        others = rng.choice(np.delete(np.arange(len(similarities)), query), num_moments, replace=False)
        rows = others if turn % 2 else np.append(others[1:], query)
        best = rows[similarities[query, rows].argmax()]
        scores.append(float(rule.score(similarities[query, best], num_moments)))
        right.append(best == query)
    return np.array(scores), np.array(right, dtype=float)


def calibration_error(scores, right, num_bins=4):
    parts = np.array_split(np.argsort(scores), num_bins)
    return sum(len(part) * abs(scores[part].mean() - right[part].mean()) for part in parts) / len(scores)


def test_the_fit_finds_the_odds_of_drawn_pairs():
    rule = fit_match_rule(*drawn_pairs(np.random.default_rng(0), 600, 200), scale=20)
    assert rule.slope == pytest.approx(30, rel=0.15)
    assert rule.center == pytest.approx(0.35, abs=0.02)
    assert rule.num_val == 600


def test_the_order_of_captions_and_videos_does_not_matter():
    rng = np.random.default_rng(1)
    values, truth = drawn_pairs(rng, 60, 40)
    rule = fit_match_rule(values, truth, scale=20)
    rows, columns = rng.permutation(60), rng.permutation(40)
    shuffled = fit_match_rule(values[rows][:, columns], np.argsort(columns)[truth[rows]], scale=20)
    assert (shuffled.slope, shuffled.center) == pytest.approx((rule.slope, rule.center))


@pytest.mark.parametrize("num_moments", [1, 10, 100, 400])
def test_scores_are_probabilities_whatever_the_size_of_the_index(num_moments, shared_data):
    """On real cosines of CLIP: fitted on one half of MSR-VTT 1k-A, measured on the other."""
    real = np.load(shared_data / "golden/retrieval_msrvtt1kA/msrvtt_titles_matrix.npy").astype(float)
    rule = fit_match_rule(real[:500, :500], np.arange(500), scale=100)
    scores, right = best_of_each(real[500:, 500:], rule, np.random.default_rng(2), num_moments=num_moments)
    assert calibration_error(scores, right) < 0.09
    if num_moments >= 100:  # without the number of moments everything is held for a match
        alone = MatchRule(rule.slope, rule.center, counts_moments=False)
        scores, right = best_of_each(real[500:, 500:], alone, np.random.default_rng(2), num_moments=num_moments)
        assert calibration_error(scores, right) > 0.3


@pytest.fixture(scope="module")
def world(tiny_backbone):
    """(captions [N, D], videos [N, D]) of 100 rendered clips."""
    encoder = MomentEncoder(tiny_backbone)
    rng = np.random.default_rng(77)
    captions, videos = [], []
    for turn in range(4):
        for label in (*SEEN_CLASSES, *NOVEL_CLASSES):
            clip = render_clip(label, np.random.default_rng([77, turn, *label.encode()]), num_frames=8)
            captions.append(clip.caption)
            frames = resized(encoder.backbone.preprocessing.resize_crop, _tensor(clip.frames))
            videos.append(encoder.backbone.encode_frames(frames).mean(dim=0).numpy())
    order = rng.permutation(len(captions))
    vectors = np.stack(videos)[order]
    texts = encoder.texts([captions[row] for row in order])
    return texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), encoder


def _tensor(frames):
    import torch

    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def test_without_labels_what_is_there_is_told_from_what_is_not(world):
    texts, videos, encoder = world
    half = len(videos) // 2
    rule = frozen_match_rule(encoder.texts(UNRELATED_TEXTS) @ videos[:half].T, encoder.backbone.logit_scale)
    similarities = texts @ videos[:half].T
    there = rule.score(similarities[:half].max(axis=1), half)
    right = similarities[:half].argmax(axis=1) == np.arange(half)
    not_there = rule.score(similarities[half:].max(axis=1), half)
    assert auroc(there[right], not_there) > 0.75
    assert np.mean(not_there < 0.5) > 0.7
    assert np.mean(there[right] >= 0.5) > 0.4
    learned = fit_match_rule(
        texts[half:] @ videos[half:].T, np.arange(len(texts) - half), scale=encoder.backbone.logit_scale
    )
    assert learned.slope == pytest.approx(rule.slope, rel=0.35)
    assert learned.center == pytest.approx(rule.center, abs=0.08)


def test_scores_rise_with_similarity_and_fall_with_the_number_of_moments():
    similarities = np.linspace(-1, 1, 41)
    scores = RULE.score(similarities, 50)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores) > 0).all()
    assert (RULE.score(similarities, 51) < scores).all()
    assert RULE.score(0.3, 1) == pytest.approx(0.5)
    assert RULE.score(0.3, 3) == pytest.approx(0.25)
    np.testing.assert_array_equal(RULE.score(similarities, 10**6), RULE.score(similarities, MOST_MOMENTS))
    np.testing.assert_array_equal(RULE.score(similarities, 0), RULE.score(similarities, 1))
    assert RULE.score(similarities.reshape(41, 1), 2).shape == (41, 1)


def test_few_validation_videos_give_no_rule():
    rng = np.random.default_rng(4)
    assert fit_match_rule(*drawn_pairs(rng, 400, 19), scale=20) is None
    assert fit_match_rule(*drawn_pairs(rng, 400, 20), scale=20) is not None


def test_perfect_or_useless_validation_videos_give_a_bounded_rule():
    for values in (np.eye(40), np.eye(90) * 0.5, np.zeros((40, 40)), 1 - np.eye(60), np.full((50, 40), 0.4)):
        truth = np.arange(len(values)) % values.shape[1]
        rule = fit_match_rule(values, truth, scale=20)
        assert 5 <= rule.slope <= 80
        assert np.isfinite(rule.center)
        assert MatchRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule


@pytest.mark.parametrize(
    ("values", "truth", "words"),
    [
        (np.zeros((2, 1)), [0, 0], "V at least 2"),
        (np.zeros((0, 3)), [], "V at least 2"),
        (np.zeros((2, 3)), [0], "truth [N]"),
        (np.full((2, 2), np.nan), [0, 1], "4 that are not"),
        (np.zeros((2, 2)), [0, 2], "[0, 2)"),
        (np.zeros((2, 2)), [0.0, 1.0], "whole numbers"),
    ],
)
def test_what_cannot_be_fitted_is_refused(values, truth, words):
    with pytest.raises(ValueError, match="must be") as error:
        fit_match_rule(values, truth, scale=20)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"slope": 1.0, "center": 0.1},
        RULE.to_json() | {"more": 1},
        RULE.to_json() | {"slope": 0.0},
        RULE.to_json() | {"slope": "20"},
        RULE.to_json() | {"center": float("nan")},
        RULE.to_json() | {"counts_moments": "yes"},
        RULE.to_json() | {"num_val": -1},
        RULE.to_json() | {"num_val": "many"},
    ],
)
def test_a_damaged_rule_is_refused_in_one_line(data):
    with pytest.raises(ValueError, match="match rule") as error:
        MatchRule.from_json(data)
    assert "\n" not in str(error.value)


def test_a_rule_without_labels_moves_with_the_model_and_bears_with_a_text_that_is_there():
    values = np.random.default_rng(3).normal(0.2, 0.03, (26, 300))
    rule = frozen_match_rule(values, 100.0)
    assert rule.slope == 100
    assert rule.center == pytest.approx(0.2 + 100 * 0.03**2 / 2, abs=0.01)  # of normally distributed cosines
    assert frozen_match_rule(values + 0.3, 100.0).center == pytest.approx(rule.center + 0.3)
    values[:3] += 0.3
    assert frozen_match_rule(values, 100.0).center == pytest.approx(rule.center, abs=0.005)
    assert frozen_match_rule(np.zeros((26, 0)), 100.0).score(0.9, 0) < 1e-3


def test_an_example_matches_itself_and_not_what_all_have_in_common():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(200, 32)) + 1.2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rule = example_match_rule(vectors)
    usual = (vectors @ vectors.T)[~np.eye(200, dtype=bool)].mean()
    assert rule.score(1.0, 10**6) == pytest.approx(0.982, abs=1e-3)
    assert rule.score(usual, 200) == pytest.approx(0.018, abs=1e-3)
    for few in (vectors[:0], vectors[:1], np.repeat(vectors[:1], 5, axis=0)):
        rule = example_match_rule(few)
        assert rule.score(1.0, 5) == pytest.approx(0.982, abs=1e-3)
        assert rule.score(0.3, 5) < 0.5
