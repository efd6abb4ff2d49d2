"""An index has a rule for sentences and one for examples, which follow what is in it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framecue.errors import AdapterError
from framecue.search import Binding, MomentIndex, VideoVectors
from framecue.tasks.index_rules import IndexRules
from framecue.tasks.matching import OTHER_THINGS, Floors, MatchRule
from framecue.tasks.moments import MomentEncoder
from framecue.types import IndexedVideo, Maker


@pytest.fixture
def index(tmp_path, tiny_backbone):
    binding = Binding(Maker("tiny", "a1" * 32, "{}", "fps:4"), "openai-clip", "", "", "4s/2s", tiny_backbone.embed_dim)
    return MomentIndex.create(tmp_path / "index", binding)


def add(index, number, vectors):
    video = IndexedVideo(f"{number:064x}", Path(f"/{number}.mp4"), 1, 1, 9.0, datetime(2024, 1, 1, tzinfo=UTC))
    spans = np.stack([np.arange(len(vectors)), np.arange(len(vectors)) + 1.0], axis=1)
    index.add([VideoVectors(video, spans, vectors, vectors[0])])


def test_a_learned_rule_is_taken_for_sentences_alone(index):
    learned = MatchRule(30.0, 0.4, num_val=50)
    rules = IndexRules(index, lambda: pytest.fail("no model is needed"), learned.to_json())
    assert rules.for_texts() == learned
    assert rules.for_examples() != learned


def test_without_one_the_rule_follows_the_index(index, tiny_backbone):
    encoder = MomentEncoder(tiny_backbone)
    rules = IndexRules(index, lambda: encoder)
    assert rules.for_texts().score(0.9, 0) < 0.2, "nothing can be told of an empty index"
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, tiny_backbone.embed_dim)).astype(np.float32)
    add(index, 1, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    before, examples = rules.for_texts(), rules.for_examples()
    assert before.slope == pytest.approx(tiny_backbone.logit_scale)
    assert before.center < 0.3
    near_texts = np.repeat(encoder.texts(["a plate of food on a table"]), 50, axis=0)
    add(index, 2, near_texts)
    assert rules.for_texts().center > before.center + 0.05
    assert rules.for_examples().center > examples.center
    assert IndexRules(index, lambda: encoder).for_texts() == rules.for_texts(), "the same for every process"


def test_texts_are_encoded_once_however_often_the_index_grows(index, tiny_backbone):
    class Counting(MomentEncoder):
        calls = 0

        def texts(self, texts):
            Counting.calls += 1
            return super().texts(texts)

    encoder = Counting(tiny_backbone)
    rules = IndexRules(index, lambda: encoder)
    centers = set()
    for number in range(1, 4):
        add(index, number, encoder.image(Image.new("RGB", (32, 32), (80 * number, 0, 0)))[None])
        centers.add(rules.for_texts().center)
    assert (len(centers), Counting.calls) == (3, 1)


@pytest.mark.parametrize("data", [{}, {"slope": 1}, MatchRule(1.0, 0.0).to_json() | {"slope": "steep"}])
def test_a_card_without_a_usable_rule_is_refused(index, data):
    with pytest.raises(AdapterError, match="no usable match rule"):
        IndexRules(index, lambda: None, data)


def test_the_floor_is_what_sentences_about_other_things_reach(index, tiny_backbone):
    encoder = MomentEncoder(tiny_backbone)
    rules = IndexRules(index, lambda: encoder)
    assert rules.floors_of_texts() == Floors(0.5, 0.5), "nothing to compare with"
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, tiny_backbone.embed_dim)).astype(np.float32)
    add(index, 1, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    floors = rules.floors_of_texts()
    best = [hits[0].similarity for hits in index.search(encoder.texts(OTHER_THINGS), top_k=1).hits]
    scores = rules.for_texts().score(best, 60)
    assert floors.match == pytest.approx(np.quantile(scores, 0.8))
    assert floors.absent == pytest.approx(np.quantile(scores, 0.25))
    assert np.mean(scores > floors.match) == pytest.approx(0.2, abs=0.05)
    learned = MatchRule(rules.for_texts().slope, -1.0).to_json()  # so sure that other things seem to be there
    assert IndexRules(index, lambda: encoder, learned).floors_of_texts() == Floors(0.5, 0.5)
    assert rules.floors_of_texts() == IndexRules(index, lambda: encoder).floors_of_texts()
