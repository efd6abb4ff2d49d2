"""Retrieval: the loss of a batch by hand, what is drawn, captions that do not fit, and what embeddings are."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framecue.config import RunConfig
from framecue.datasets.feature_set import FeatureSet
from framecue.metrics.retrieval import retrieval_scores
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.retrieval import (
    CaptionedSet,
    RetrievalTask,
    batch_loss,
    caption_room,
    embed_captions,
    embed_videos,
    fit_texts,
    frozen_similarity,
    mean_recall,
    similarity,
)
from framecue.types import FrameFeatures, Record

CAPTIONS = (
    ("a red circle growing", "a circle that grows"),
    ("a blue square moving left",),
    ("a red circle growing",),
    ("a green star turning clockwise", "a star", "something turning"),
)


def config_of(**sections):
    return RunConfig.model_validate(
        {
            "task": "retrieval",
            "out": "unused",
            "data": {"source": "unused"},
            "model": {"n_prefix": 3, "n_suffix": 2, "temporal_layers": 1, "num_frames": 6},
            "train": {"batch_size": 3},
            "evaluate": {"views": 2, "batch_size": 3},
            **sections,
        }
    )


def captioned(captions=CAPTIONS, *, seed=0, dim=128):
    rng = np.random.default_rng(seed)
    features = {
        str(row): FrameFeatures(rng.normal(size=(7 + row, dim)).astype(np.float32), np.arange(7 + row) / 8, 2.0)
        for row in range(len(captions))
    }
    records = [Record(Path(f"{row}.mp4"), str(row)) for row in range(len(captions))]
    names = [str(row) for row in range(len(captions))]
    data = FeatureSet(records, names, names, lambda keys: [features[key] for key in keys])
    return CaptionedSet(data, captions, tuple("even" if row % 2 == 0 else "odd" for row in range(len(captions))))


def model_of(backbone, config, **options):
    return build_model(config.model, backbone, seed=3, **options)


def test_texts_and_their_videos():
    data = captioned()
    assert data.texts[:3] == ["a red circle growing", "a circle that grows", "a blue square moving left"]
    assert data.truth.tolist() == [0, 0, 1, 2, 3, 3, 3]


@pytest.mark.parametrize("symmetric", [False, True])
def test_loss_is_cross_entropy_over_the_captions_of_the_batch(tiny_backbone, symmetric):
    config = config_of(retrieval={"symmetric": symmetric})
    model = model_of(tiny_backbone, config)
    features = torch.randn(3, 6, 128)
    slots = model.slots(["a red circle", "a blue square", "a star"])
    loss = batch_loss(model, features, slots, torch.arange(3), config)
    video = F.normalize(model.embed_video(features), dim=-1)
    text = F.normalize(model.embed_text(slots), dim=-1)
    logits = video @ text.T / 0.07
    expected = F.cross_entropy(logits, torch.arange(3))
    if symmetric:
        expected = (expected + F.cross_entropy(logits.T, torch.arange(3))) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_caption_of_two_videos_makes_neither_a_negative_of_the_other(tiny_backbone):
    config = config_of(retrieval={"symmetric": True})
    model = model_of(tiny_backbone, config)
    features = torch.randn(2, 6, 128)
    loss = batch_loss(model, features, model.slots(["a red circle"]), torch.zeros(2, dtype=torch.int64), config)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_a_step_draws_one_caption_of_each_video_and_is_repeatable(tiny_backbone, monkeypatch):
    config = config_of()
    model = model_of(tiny_backbone, config)
    task = RetrievalTask(model, captioned(), captioned(), config)
    drawn = []
    slots = model.slots
    monkeypatch.setattr(model, "slots", lambda texts: drawn.append(tuple(texts)) or slots(texts))
    first = [task.loss(step).item() for step in range(30)]
    seen = set(drawn)
    drawn.clear()
    assert [task.loss(step).item() for step in range(30)] == first
    assert set(drawn) == seen
    allowed = {text for captions in CAPTIONS for text in captions}
    assert {text for texts in seen for text in texts} == allowed  # every caption is drawn at some time
    assert all(len(texts) <= 3 and len(set(texts)) == len(texts) for texts in seen)


def test_gradients_reach_the_trained_parts_alone(tiny_backbone):
    config = config_of()
    model = model_of(tiny_backbone, config)
    before = tiny_backbone.weights_hash
    RetrievalTask(model, captioned(), captioned(), config).loss(0).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in tiny_backbone.model.parameters())
    assert tiny_backbone.weights_hash == before


def test_distillation_pulls_towards_the_caption_as_it_is(tiny_backbone):
    config = config_of(train={"distill_text": 2.0, "distill_video": 3.0})
    plain = config_of()
    model = model_of(tiny_backbone, config, handcrafted=Handcrafted(tiny_backbone, ["{}"]))
    features = torch.randn(2, 6, 128)
    slots = model.slots(["a red circle", "a star"])
    targets = torch.arange(2)
    with torch.no_grad():
        learned, frozen = model.embed_text(slots), tiny_backbone.encode_text(["a red circle", "a star"])
        apart = 1 - F.cosine_similarity(learned, frozen, dim=-1).mean()
        moved = 1 - F.cosine_similarity(model.embed_video(features), features.mean(dim=1), dim=-1).mean()
        with_both = batch_loss(model, features, slots, targets, config)
        without = batch_loss(model, features, slots, targets, plain)
    assert with_both.item() - without.item() == pytest.approx(2 * apart.item() + 3 * moved.item(), rel=1e-4)


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch(tiny_backbone):
    data = captioned()
    small, large = config_of(evaluate={"views": 2, "batch_size": 1}), config_of(evaluate={"views": 2, "batch_size": 64})
    model = model_of(tiny_backbone, small).eval()
    videos = embed_videos(model, data.features, small)
    np.testing.assert_allclose(videos, embed_videos(model, data.features, large), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(videos, axis=1), 1, atol=1e-6)
    texts = embed_captions(model, data.texts, batch_size=2)
    np.testing.assert_allclose(texts, embed_captions(model, data.texts), atol=1e-5)
    matrix = similarity(model, data, small)
    assert matrix.shape == (7, 4)
    np.testing.assert_allclose(matrix, texts @ videos.T, atol=1e-5)


def test_frozen_videos_are_mean_features(tiny_backbone):
    data = captioned()
    config = config_of(evaluate={"views": 1, "batch_size": 2}, model={"num_frames": 7, "temporal_layers": 0})
    matrix, num_cut = frozen_similarity(tiny_backbone, data, config)
    (features,) = data.features.features([0])
    text = F.normalize(tiny_backbone.encode_text([data.texts[0]]), dim=-1)
    expected = (text @ F.normalize(torch.from_numpy(features).mean(dim=0), dim=-1)).item()
    assert (matrix.shape, num_cut) == ((7, 4), 0)
    assert matrix[0, 0] == pytest.approx(expected, abs=1e-6)


def test_no_validation_videos_give_no_metric(tiny_backbone):
    config = config_of()
    empty = captioned(())
    assert RetrievalTask(model_of(tiny_backbone, config), captioned(), empty, config).validate() == {}


def test_validation_selects_by_the_mean_of_six_recalls(tiny_backbone):
    config = config_of()
    model = model_of(tiny_backbone, config).eval()
    data = captioned()
    measured = RetrievalTask(model, data, data, config).validate()
    scores = retrieval_scores(similarity(model, data, config), data.truth)
    assert next(iter(measured)) == "mean_recall"
    assert measured["mean_recall"] == pytest.approx(mean_recall(scores))
    sides = [scores.t2v, scores.v2t]
    assert mean_recall(scores) == pytest.approx(np.mean([[s.r1, s.r5, s.r10] for s in sides]) / 100)


def test_room_is_the_papers_43_tokens_in_77_positions(tiny_backbone):
    longest = tiny_backbone.text_tower.context_length
    assert caption_room(tiny_backbone, n_prefix=16, n_suffix=16) == longest - 34
    assert caption_room(tiny_backbone) == longest - 2


def test_long_captions_are_cut_between_words(tiny_backbone):
    words = " ".join(["a red circle growing"] * 60)
    texts, num_cut = fit_texts(tiny_backbone, ["a star", words], room=12)
    assert (texts[0], num_cut) == ("a star", 1)
    assert words.startswith(texts[1])
    assert words[len(texts[1])] == " "
    ends = tiny_backbone.tokenize([texts[1], f"{texts[1]} circle"]).eos_index.tolist()
    assert ends[0] - 1 <= 12
    following = words[: words.index(" ", len(texts[1]) + 1)]
    assert int(tiny_backbone.tokenize([following]).eos_index[0]) - 1 > 12  # one word more would not fit


def test_a_single_endless_word_is_cut_within(tiny_backbone):
    texts, num_cut = fit_texts(tiny_backbone, ["x" * 5000], room=5)
    assert num_cut == 1
    assert 0 < len(texts[0]) < 5000
    assert int(tiny_backbone.tokenize(texts).eos_index[0]) - 1 <= 5


def test_captions_that_fit_stay_as_they_are(tiny_backbone):
    assert fit_texts(tiny_backbone, ["  two   spaces "], room=40) == (["  two   spaces "], 0)
    assert fit_texts(tiny_backbone, [], room=40) == ([], 0)


def test_groups_are_measured_against_the_whole_gallery():
    matrix = np.array([[3, 9, 0, 0], [9, 3, 0, 0], [0, 0, 5, 0], [8, 8, 8, 9]], dtype=np.float32)
    even = retrieval_scores(matrix, about=np.array([True, False, True, False]))
    assert (even.t2v.num_queries, even.v2t.num_queries) == (2, 2)
    assert (even.t2v.r1, even.v2t.r1) == (50, 0)  # text 3 competes for the videos 0 and 2
    with pytest.raises(ValueError, match="about must be bool \\[4\\]"):
        retrieval_scores(matrix, about=np.array([1, 0, 1, 0]))
    with pytest.raises(ValueError, match="found none"):
        retrieval_scores(matrix[:2], np.array([0, 1]), about=np.array([False, False, True, True]))
