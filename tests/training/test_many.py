"""Runs trained together end where each would have ended alone."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from framecue.config import EvaluateConfig, ModelConfig, TrainConfig
from framecue.datasets.feature_set import FeatureSet
from framecue.errors import CheckpointError
from framecue.models.builders import build_model
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.recognition import RecognitionTask, predict_scores
from framecue.training.loop import train
from framecue.training.many import MEMORY_BYTES, groups, run_bytes, train_many
from framecue.types import FrameFeatures, Record

NAMES = (("run", "walk"), ("riding a very small horse", "jump"), ("cut the bread", "sit"))
WINDOW = 4


def features(key: str, dim: int) -> FrameFeatures:
    draw = np.random.default_rng(int(key))
    count = int(draw.integers(3, 12))
    return FrameFeatures(draw.normal(size=(count, dim)).astype(np.float32), np.arange(count) / 8, count / 8)


def make_task(backbone, seed, names, config, *, count=8, templates=False, **model) -> RecognitionTask:
    records = [Record(Path(f"{row}.mp4"), names[row % len(names)]) for row in range(count)]
    hashes = [str(1000 * seed + row) for row in range(count)]
    data = FeatureSet(records, hashes, names, lambda keys: [features(key, backbone.embed_dim) for key in keys])
    settings = ModelConfig(n_prefix=2, n_suffix=3, num_frames=WINDOW, temporal_heads=2, **model)
    handcrafted = Handcrafted(backbone, ("a photo of {}.",)) if templates else None
    return RecognitionTask(
        build_model(settings, backbone, seed=seed, handcrafted=handcrafted),
        data,
        None,
        train=config,
        evaluate=EvaluateConfig(),
        window=WINDOW,
        seed=seed,
    )


def make_tasks(backbone, config, counts=(8, 9, 11), **options):
    return [
        make_task(backbone, seed, names, config, count=count, **options)
        for seed, (names, count) in enumerate(zip(NAMES, counts, strict=True))
    ]


def make_config(**changes) -> TrainConfig:
    return TrainConfig(**{"iterations": 5, "batch_size": 4, "lr": 1e-3, "restart_iterations": 3, **changes})


def scores(task):
    return predict_scores(task.model.eval(), task.train_set, task.train_set.class_names, window=WINDOW)


CASES = {
    "prompts": ({"temporal_layers": 0}, {}),
    "table": ({"temporal_layers": 0, "suffix_layout": "absolute"}, {}),
    "temporal": ({"temporal_layers": 2}, {}),
    "gate": ({"temporal_layers": 1, "temporal_gate": True}, {"distill_video": 0.5}),
    "average": ({"temporal_layers": 1}, {"ema_decay": 0.9}),
    "distilled": ({"temporal_layers": 1, "templates": True}, {"distill_text": 2.0, "distill_logits": 0.5}),
    "ensemble": ({"temporal_layers": 0, "templates": True, "handcrafted_weight": 0.5}, {}),
    "full": ({"temporal_layers": 0}, {"text_path": "full"}),
    "one after another": ({"temporal_layers": 1}, {"max_negatives": 1}),
}


@pytest.mark.parametrize(("model", "training"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("eps", [1e-3, 1e-8], ids=["weights", "answers"])
def test_together_equals_alone(tiny_backbone, tmp_path, monkeypatch, model, training, eps):
    """AdamW's eps of 1e-8 blows rounding up where a gradient is nearly zero (the bias of attention's keys has none at
    all, as it shifts a softmax): there weights may differ and the answers may not. With a larger eps weights are equal.
    """
    for module in ("loop", "many"):
        monkeypatch.setattr(f"framecue.training.{module}.AdamW", partial(torch.optim.AdamW, eps=eps))
    config = make_config(**training)
    together, alone = (make_tasks(tiny_backbone, config, **model) for _ in range(2))
    assert len(list(groups(together, MEMORY_BYTES))) == (3 if "max_negatives" in training else 1)
    untrained = [scores(task) for task in alone]
    train_many(together, config)
    for index, task in enumerate(alone):
        train(task, config, tmp_path / str(index), fingerprint={})
        found = together[index].model.state_dict()
        for name, tensor in task.model.state_dict().items():
            if eps > 1e-8:
                torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0)
        np.testing.assert_allclose(scores(together[index]), scores(task), atol=1e-4)
        assert np.abs(scores(task) - untrained[index]).max() > 1e-3


def test_a_run_does_not_depend_on_its_neighbors(tiny_backbone):
    """Other partners of other name lengths, other places in the group: the same weights."""
    config = make_config()
    first, second = (make_tasks(tiny_backbone, config, temporal_layers=0) for _ in range(2))
    train_many(first, config)
    train_many([second[2], second[0]], config)
    for index in (0, 2):
        np.testing.assert_allclose(scores(first[index]), scores(second[index]), atol=1e-5)


def test_other_sizes_are_other_groups(tiny_backbone, tmp_path):
    """A set smaller than the batch, and another number of names; the order of the tasks is kept."""
    config = make_config()
    names = (("run", "walk"), ("run", "walk", "sit"), ("sit", "jump"), ("run", "sit"))
    counts = (8, 8, 3, 8)

    def make():
        rows = enumerate(zip(names, counts, strict=True))
        return [
            make_task(tiny_backbone, seed, some, config, count=count, temporal_layers=0) for seed, (some, count) in rows
        ]

    together, alone = make(), make()
    assert list(groups(together, 2**30)) == [[0, 3], [1], [2]]
    train_many(together, config)
    for index, task in enumerate(alone):
        train(task, config, tmp_path / str(index), fingerprint={})
        np.testing.assert_allclose(scores(together[index]), scores(task), atol=1e-4)


def test_groups_fit_in_memory(tiny_backbone):
    tasks = make_tasks(tiny_backbone, make_config(), temporal_layers=1)
    each = run_bytes(tasks[0])
    weights = sum(tensor.nbytes for tensor in tasks[0].model.parameters())
    assert each > 5 * weights
    assert list(groups(tasks, 3 * each)) == [[0, 1, 2]]
    assert list(groups(tasks, 3 * each - 1)) == [[0, 1], [2]]
    assert list(groups(tasks, 0)) == [[0], [1], [2]]
    assert list(groups([], each)) == []


def test_progress_counts_the_steps_of_all_runs(tiny_backbone):
    tasks = make_tasks(tiny_backbone, make_config(iterations=2), temporal_layers=0)
    seen = []
    train_many(
        tasks,
        make_config(iterations=2),
        progress=lambda *step: seen.append(step),
        memory_bytes=2 * run_bytes(tasks[0]),
    )
    assert [(done, total) for done, total, _ in seen] == [(2, 6), (4, 6), (5, 6), (6, 6)]
    assert all(0 < numbers["loss"] < 10 for _, _, numbers in seen)


def test_a_loss_that_is_not_finite_names_the_run(tiny_backbone):
    config = make_config()
    tasks = make_tasks(tiny_backbone, config, temporal_layers=0)
    with torch.no_grad():
        tasks[1].model.prompt.prefix.fill_(float("nan"))
    message = r"step 1 of run 2 of 3 \(seed 1; riding a very small horse, jump\): the loss is nan; lower train.lr"
    with pytest.raises(CheckpointError, match=message):
        train_many(tasks, config)


def test_ctrl_c_lets_the_step_end(tiny_backbone):
    config = make_config()
    steps = []

    def interrupt(done, total, numbers):
        steps.append(done)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_many(make_tasks(tiny_backbone, config, temporal_layers=0), config, progress=interrupt)
    assert steps == [3, 6]
