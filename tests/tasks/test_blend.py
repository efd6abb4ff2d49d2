"""The choice between frozen and trained: hand-made accuracies on a real model, both ends, and who has a say."""

import inspect
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framecue.config import BlendConfig, EvaluateConfig, ModelConfig, RunConfig
from framecue.datasets.feature_set import FeatureSet
from framecue.metrics.recognition import top_k_accuracy
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.blend import choose_blend
from framecue.tasks.recognition import predict_scores
from framecue.tasks.recognition_data import RecognitionData
from framecue.training.recognition import finish
from framecue.types import FrameFeatures, Record

NAMES = ("growing", "shrinking")
EVALUATE = EvaluateConfig(views=2, batch_size=7)
WEIGHTS = (0.0, 0.5, 1.0)


def feature_set(videos, targets, names=NAMES):
    """Videos [B, T, D]."""
    features = {
        str(row): FrameFeatures(v.astype(np.float32), np.arange(len(v)) / 8, 8.0) for row, v in enumerate(videos)
    }
    records = [Record(Path(f"{row}.mp4"), names[target]) for row, target in enumerate(targets)]
    return FeatureSet(records, list(features), names, lambda keys: [features[key] for key in keys])


EMPTY = feature_set([], [])


@pytest.fixture
def build(tiny_backbone):
    def build(**options):
        config = ModelConfig(n_prefix=4, n_suffix=3, **{"temporal_layers": 0, **options})
        model = build_model(config, tiny_backbone, seed=5, handcrafted=Handcrafted(tiny_backbone, ["a video of {}"]))
        return model.eval()

    return build


@pytest.fixture
def moved(build):
    """A model with a temporal module, away from its start, and that start."""
    model = build(temporal_layers=1)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model, start


def choose(model, val_set, blend, start=None):
    start = start or {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return choose_blend(model, val_set, blend, EVALUATE, start=start, window=8)


@torch.no_grad()
def val_set_right(model, rows):
    """A video per row, of the first class; the row says at which of WEIGHTS it is classified rightly."""
    slots = model.slots(NAMES)
    learned, differences = model.embed_learned_text(slots), []
    for model.handcrafted_weight in WEIGHTS:
        text = F.normalize(model.mix_text(learned, slots.handcrafted), dim=-1)
        differences.append(text[0] - text[1])
    model.handcrafted_weight = 0.0
    signs = np.where(rows, 1.0, -1.0)  # [B, 3], what the differences [3, D] must give
    videos = signs @ np.linalg.pinv(torch.stack(differences).double().numpy()).T
    return feature_set(np.repeat(videos[:, None], 8, axis=1), [0] * len(rows))


def rows_with(*right):
    """100 videos, of which `right` are classified rightly at each weight."""
    return np.stack([np.arange(100) < count for count in right], axis=1)


@pytest.mark.parametrize(
    ("right", "standard_errors", "chosen"),
    [
        ((80, 77, 70), 1.0, 0.5),  # the standard error at 0.80 is 0.04: 0.77 is within it, 0.70 is not
        ((80, 76, 70), 1.0, 0.5),  # exactly on the border
        ((80, 75, 70), 1.0, 0.0),
        ((80, 77, 70), 0.0, 0.0),
        ((80, 77, 70), 3.0, 1.0),
        ((80, 70, 77), 1.0, 1.0),  # a worse one between does not stand in the way
        ((70, 80, 60), 1.0, 0.5),
        ((70, 70, 70), 0.0, 1.0),  # a tie goes to the most frozen
        ((100, 99, 99), 1.0, 0.0),  # no spread where all are right
        ((0, 0, 0), 1.0, 1.0),
    ],
)
def test_the_most_frozen_within_the_standard_errors_is_taken(build, right, standard_errors, chosen):
    model = build()
    val_set = val_set_right(model, rows_with(*right))
    blend = choose(model, val_set, BlendConfig(handcrafted_weights=WEIGHTS, standard_errors=standard_errors))
    assert [row["val_top1"] for row in blend["candidates"]] == pytest.approx([count / 100 for count in right])
    assert blend["chosen"] == {"trained": 1.0, "temporal": 1.0, "handcrafted": chosen}
    assert blend["val_top1"] == right[WEIGHTS.index(chosen)] / 100
    assert model.handcrafted_weight == chosen
    assert blend["rule"] == f"most frozen within {standard_errors:g} standard errors of the best validation accuracy"


def test_the_standard_error_is_of_the_number_of_videos(build):
    """0.75 against 0.70: within one standard error of 20 videos (0.097), not of 200 (0.031)."""
    model = build()
    for copies, chosen in ((1, 1.0), (10, 0.0)):
        rows = np.repeat(np.stack([np.arange(20) < count for count in (15, 10, 14)], axis=1), copies, axis=0)
        blend = choose(model, val_set_right(model, rows), BlendConfig(handcrafted_weights=WEIGHTS))
        assert blend["chosen"]["handcrafted"] == chosen
        assert math.sqrt(0.75 * 0.25 / len(rows)) == pytest.approx(0.097 if copies == 1 else 0.031, abs=5e-4)


def test_order_of_the_lists_decides_nothing(build):
    model = build()
    val_set = val_set_right(model, rows_with(80, 77, 70))
    assert choose(model, val_set, BlendConfig(handcrafted_weights=(1, 0, 0.5)))["chosen"]["handcrafted"] == 0.5


def test_among_equals_all_three_are_most_frozen(moved):
    """One class, so that every candidate is right: the tensors of the start, no temporal module, frozen text."""
    model, start = moved
    videos = np.random.default_rng(0).normal(size=(4, 12, model.backbone.embed_dim))
    val_set = feature_set(videos, [0] * 4, NAMES[:1])
    lists = {"trained_weights": (1, 0, 0.5), "temporal_weights": (0.5, 0, 1), "handcrafted_weights": WEIGHTS}
    blend = choose(model, val_set, BlendConfig(**lists), start)
    assert blend["chosen"] == {"trained": 0.0, "temporal": 0.0, "handcrafted": 1.0}
    assert len(blend["candidates"]) == 27
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())


def test_candidates_are_measured_as_the_model_predicts(moved):
    """Towers run once for all candidates; what is reported is what the model with those weights gets."""
    model, start = moved
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rng = np.random.default_rng(1)
    val_set = feature_set(rng.normal(size=(23, 12, model.backbone.embed_dim)), rng.integers(0, 2, 23))
    lists = {"trained_weights": (0, 0.4, 1), "temporal_weights": (0, 0.5, 1), "handcrafted_weights": WEIGHTS}
    blend = choose(model, val_set, BlendConfig(**lists), start)
    assert len({row["val_top1"] for row in blend["candidates"]}) > 2

    def accuracy():
        scores = predict_scores(model, val_set, NAMES, window=8, num_views=2)
        return top_k_accuracy(scores, val_set.targets)

    assert accuracy() == blend["val_top1"]
    for row in blend["candidates"]:
        model.load_state_dict({name: torch.lerp(start[name], end[name], row["trained"]) for name in end})
        model.temporal_weight, model.handcrafted_weight = row["temporal"], row["handcrafted"]
        assert accuracy() == row["val_top1"]


@pytest.mark.parametrize("trained", [0.0, 0.25, 1.0])
def test_trained_weights_lead_from_start_to_end(moved, trained):
    model, start = moved
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    blend = choose(model, EMPTY, BlendConfig(trained_weights=(trained,)), start)
    assert blend["chosen"]["trained"] == trained
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, (1 - trained) * start[name] + trained * end[name])
        if trained in (0, 1):
            assert torch.equal(tensor, (start, end)[int(trained)][name])


def test_without_validation_videos_the_middle_is_taken(moved):
    model, start = moved
    lists = {"temporal_weights": (1, 0.8, 0.3), "handcrafted_weights": (0, 0.5, 0.9)}
    blend = choose(model, EMPTY, BlendConfig(**lists), start)
    assert blend == {
        "rule": "middle, no validation videos",
        "chosen": {"trained": 1.0, "temporal": 0.8, "handcrafted": 0.5},
    }
    assert (model.temporal_weight, model.handcrafted_weight) == (0.8, 0.5)


def test_without_lists_the_model_stays_as_it_is(moved):
    model, start = moved
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.temporal_weight, model.handcrafted_weight = 0.7, 0.2
    val_set = feature_set(np.ones((2, 12, model.backbone.embed_dim)), [0, 1])
    blend = choose(model, val_set, BlendConfig(), start)
    assert blend == {"rule": "fixed", "chosen": {"trained": 1.0, "temporal": 0.7, "handcrafted": 0.2}}
    assert all(torch.equal(tensor, end[name]) for name, tensor in model.state_dict().items())


def test_novel_and_test_videos_have_no_say(build, tmp_path):
    """The choice is not given them, and what surrounds it never looks at their features."""
    assert set(inspect.signature(choose_blend).parameters) == {
        "model",
        "val_set",
        "blend",
        "evaluate",
        "start",
        "window",
    }

    def never(keys):
        raise AssertionError("features of a part that must have no say were read")

    model = build()
    val_set = val_set_right(model, rows_with(80, 77, 70))
    closed = FeatureSet([Record(Path("x.mp4"), "growing")], ["x"], NAMES, never)
    data = RecognitionData(train=closed, val=val_set, test=closed, novel=closed, skipped=[])
    config = RunConfig.model_validate(
        {
            "out": tmp_path,
            "data": {"source": tmp_path},
            "model": {"num_frames": 8},
            "blend": {"handcrafted_weights": WEIGHTS},
            "evaluate": {"views": 2},
        }
    )
    start = dict(model.state_dict())
    fitted = finish(config, model, data, start=start, selected={"iteration": 1})
    assert fitted.blend["chosen"]["handcrafted"] == 0.5
    assert fitted.rejection is not None
    assert fitted.rejection.num_val == 100
    assert finish(config, model, replace(data, val=EMPTY), start=start, selected={}).rejection is None


def test_a_model_without_time_has_no_temporal_candidates(build):
    model = build()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    blend = choose(model, EMPTY, BlendConfig(temporal_weights=WEIGHTS), start)
    assert blend == {"rule": "fixed", "chosen": {"trained": 1.0, "temporal": 1.0, "handcrafted": 0.0}}
