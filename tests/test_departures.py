"""Where `preset=paper` departs from the authors' program: every point is named, and its switch removes it."""

import random

import numpy as np
import pytest
import torch

from framecue.config import RunConfig, build_config, describe_keys
from framecue.config.departures import departures, departures_note
from framecue.datasets.feature_set import FeatureSet
from framecue.models.efficient_prompt import convert_checkpoint, read_checkpoint
from framecue.models.efficient_prompt_flags import TrainingFlags
from framecue.tasks.recognition import RecognitionTask, predict_logits
from framecue.training.loop import train
from framecue.types import FrameFeatures, Record
from framecue.video.sampling import AUTHORS_STRIDES, authors_window

BASE = {"data": {"source": "videos"}, "out": "run"}
ALWAYS = [
    "order of colors",
    "stored features",
    "suffix layout",
    "frames per second",
    "training windows",
    "views",
    "validation part",
]
TABLE = "prompt.table"


def config_with(*overrides: str, **values: object) -> RunConfig:
    return build_config(BASE | values, overrides, name="test")


@pytest.mark.parametrize(
    ("on_gpu", "names"), [(False, ALWAYS), (True, ["text precision", "image precision", *ALWAYS])], ids=["cpu", "gpu"]
)
def test_each_switch_removes_its_departure_and_all_remove_all(on_gpu, names):
    found = departures(config_with(), on_gpu=on_gpu)
    assert [item.what for item in found] == names
    for item in found:
        left = departures(config_with(item.switch), on_gpu=on_gpu)
        assert [other.what for other in left] == [name for name in names if name != item.what]
    switched = config_with(*(item.switch for item in found))
    assert departures(switched, on_gpu=on_gpu) == []
    assert departures_note(switched, []) == "preset=paper as in the authors' program"


def test_the_note_names_all_and_how_to_remove_them():
    found = departures(config_with(), on_gpu=True)
    line = departures_note(config_with(), found)
    assert "in 9 points: text precision, image precision, order of colors" in line
    assert "train.precision=fp32 backbone.precision=fp16 backbone.channels=bgr features.dtype=float32" in line


@pytest.mark.parametrize(
    "override",
    [
        "model.temperature=0.05",
        "model.temporal_gate=true",
        "train.distill_text=5",
        "train.ema_decay=0.9",
        "train.balance=classes",
        "train.strides=[1]",
        "blend.temporal_weights=[1, 0.5]",
    ],
)
def test_a_key_that_is_no_flag_of_theirs_departs(override):
    before = departures(config_with())
    (added,) = [item for item in departures(config_with(override)) if item not in before]
    assert added.what == override.partition("=")[0]
    assert departures(config_with(override, added.switch)) == before


THEIR_FLAGS = {
    *("model.preset", "model.n_prefix", "model.n_suffix", "model.temporal_layers", "model.temporal_heads"),
    *("model.num_frames", "model.normalize", "backbone.id", "train.iterations", "train.batch_size", "train.lr"),
    *("train.restart_iterations", "train.max_negatives", "evaluate.views"),
}
NEUTRAL = {  # they decide where, how fast and how often, or what is measured beside the model
    *("backbone.device", "features.store", "train.validate_every", "train.save_every", "train.log_every"),
    *("train.text_path", "blend.standard_errors", "evaluate.batch_size", "evaluate.baselines", "evaluate.templates"),
}


def test_every_key_that_decides_numbers_is_a_flag_of_theirs_or_has_a_departure():
    """A new key has to be thought about here: is it theirs, neutral, or a departure?"""
    changed = {
        *("train.precision=bf16", "backbone.precision=bf16", "model.temperature=1", "model.temporal_gate=true"),
        *("model.temporal_weight=0.5", "model.handcrafted_weight=0.5", "train.weight_decay=0", "train.min_lr_ratio=1"),
        *(
            "train.strides=[1]",
            "train.balance=classes",
            "train.init_from=adapter",
            "train.distill_text=1",
            "train.distill_video=1",
        ),
        *("train.distill_logits=1", "train.ema_decay=0.5", "blend.temporal_weights=[1]"),
        *("blend.handcrafted_weights=[1]", "blend.trained_weights=[1]"),
    }
    removable = {item.switch.partition("=")[0] for item in departures(config_with(*changed), on_gpu=True)}
    sections = ("model.", "train.", "backbone.", "features.", "blend.", "evaluate.")
    keys = {item.key for item in describe_keys() if item.key.startswith(sections)}
    assert keys == THEIR_FLAGS | NEUTRAL | (removable - {"data.val_fraction"})


def test_flags_of_theirs_are_no_departures():
    flags = ("model.n_prefix=4", "model.temporal_layers=1", "train.lr=0.01", "model.temporal_heads=4")
    assert departures(config_with(*flags, "evaluate.views=3"))[:4] == departures(config_with())[:4]
    assert len(departures(config_with(*flags))) == len(ALWAYS)
    assert "suffix layout" not in [item.what for item in departures(config_with("model.n_suffix=0"))]


def test_the_parts_decide_what_departs():
    own = departures(config_with(), num_train=100, num_val=8, own_val=True)
    (choice,) = [item for item in own if item.what == "choice of weights"]
    assert "validation part" not in [item.what for item in own]
    assert choice.switch == "train.validate_every=1100"
    left = departures(config_with(choice.switch), num_train=100, num_val=8, own_val=True)
    assert [item.what for item in left] == ALWAYS[:-1]
    few = departures(config_with(), num_train=25, num_val=0)
    assert few[-1].what == "small training set"
    assert departures(config_with(few[-1].switch), num_train=25, num_val=0) == few[:-1]


@pytest.mark.parametrize("task", ["localization", "retrieval"])
def test_other_tasks_are_compared_in_what_they_share(task):
    config = config_with(task=task)
    assert [item.what for item in departures(config)] == ["order of colors", "stored features", "suffix layout"]
    assert f"the authors' program, which has no {task}" in departures_note(config, departures(config))


class Draws:
    """Stands in for their generators and ours: answers what the test says, in the order of their calls."""

    def __init__(self, stride: int, offset: int, start: int) -> None:
        self.stride, self.numbers = stride, [offset, start]

    def choice(self, strides: np.ndarray) -> int:
        return self.stride

    def integers(self, end: int) -> int:
        return self.numbers.pop(0) % end


def theirs(num_frames: int, frames: int, draws: Draws) -> np.ndarray:
    """`_select_indices` and the padding of the authors' src/data.py, with these draws in place of their generators."""
    if num_frames <= frames:
        return np.minimum(np.arange(frames), num_frames - 1)
    rate = 1 / draws.choice(np.array([]))
    indices = np.linspace(draws.integers(int(1 / rate)), num_frames - 1, num=round(rate * num_frames), dtype=int)
    if len(indices) <= frames:
        indices = np.linspace(0, num_frames - 1, num=int(num_frames), endpoint=True, dtype=int)
    start = draws.integers(len(indices) - frames)
    return indices[start : start + frames]


def test_windows_are_those_of_the_authors():
    random.seed(0)
    for num_frames in [*range(1, 140), 301, 1000]:
        for stride in set(AUTHORS_STRIDES):
            for start in (0, 1, random.randrange(1000)):
                offset = random.randrange(stride)
                ours = authors_window(num_frames, rng=Draws(stride, offset, start))  # type: ignore[arg-type]
                assert ours.tolist() == theirs(num_frames, 16, Draws(stride, offset, start)).tolist()


def test_switched_training_equals_the_authors_five_steps(
    reference, reference_backbone, reference_names, shared_data, tmp_path
):
    """The whole loop (batches, windows, candidates, loss, AdamW, schedule) under a config with every switch."""
    base = config_with("train.iterations=5", "train.batch_size=6", "train.validate_every=100")
    switches = [item.switch for item in departures(base, num_train=6, num_val=0)]
    config = config_with("train.iterations=5", "train.batch_size=6", *switches)
    assert departures(config, num_train=6, num_val=0) == []
    file = shared_data / "golden" / "efficient_prompt" / "trainables_a5.safetensors"
    model, converted = convert_checkpoint(read_checkpoint(file), reference_backbone, TrainingFlags())
    assert converted.model_dump(exclude={"preset"}) == config.model.model_dump(exclude={"preset"})
    stored = {
        str(row): FrameFeatures(features.numpy(), np.arange(16.0), 16.0)
        for row, features in enumerate(reference["features"])
    }
    records = [
        Record(tmp_path / key, reference_names[target])
        for key, target in zip(stored, reference["targets"].tolist(), strict=True)
    ]
    data = FeatureSet(records, [*stored], reference_names, lambda keys: [stored[key] for key in keys])
    logits = predict_logits(model, data, reference_names, window=16, num_views=1)[:, 0]
    expected = reference["a5_16_16_t2.logits"]
    assert np.abs(logits - expected.numpy()).max() < 1e-4 * float(expected.abs().max())
    losses: list[float] = []
    task = RecognitionTask(model, data, None, train=config.train, evaluate=config.evaluate, window=16, seed=0)
    train(
        task,
        config.train,
        tmp_path,
        fingerprint={},
        progress=lambda done, total, numbers: losses.append(numbers["loss"]),
    )
    np.testing.assert_allclose(losses, reference["a5_16_16_t2.adamw5.losses"].numpy(), rtol=1e-4)
    table, expected = model.state_dict()[TABLE], reference["a5_16_16_t2.adamw5.embedding"]
    assert float((table - expected).abs().max() / expected.abs().max()) < 1e-4
    assert not torch.equal(table, read_checkpoint(file).trained["embedding.weight"].float())
