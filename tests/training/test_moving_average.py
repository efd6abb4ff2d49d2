"""The moving average of the weights: what it is, that it is validated and kept, and that a resumed run has the same."""

import os
import signal

import pytest
import torch
from torch import nn

from framecue.config import TrainConfig
from framecue.training.loop import STATE, train

CONFIG = TrainConfig(iterations=3, lr=0.05, validate_every=1, save_every=1, log_every=1, ema_decay=0.999)


class Line:
    """A linear model on noise drawn from the iteration alone; remembers the weights of every validation."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 1)
        self.stop_at = stop_at
        self.validated: list[torch.Tensor] = []

    def loss(self, iteration: int) -> torch.Tensor:
        if iteration == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(iteration))
        return (self.model(inputs) - inputs.sum(1, keepdim=True)).square().mean()

    def validate(self) -> dict[str, float]:
        self.validated.append(self.model.weight.detach().clone())
        return {"top1": 0.5}


def run(folder, *, stop_at=None, **options):
    task, raw = Line(stop_at=stop_at), []

    def remember(done, total, numbers):
        raw.append(task.model.weight.detach().clone())

    state = train(
        task, CONFIG.model_copy(update=options), folder, fingerprint={"train": {"lr": 0.05}}, progress=remember
    )
    return task, state, raw


@pytest.mark.parametrize(("decay", "decays"), [(0.999, (3 / 12, 4 / 13)), (0.2, (0.2, 0.2)), (0.3, (3 / 12, 0.3))])
def test_three_steps_by_hand(tmp_path, decay, decays):
    """It starts at the first step's weights; step n keeps min(decay, (1 + n) / (10 + n)) of what it was."""
    task, state, raw = run(tmp_path, ema_decay=decay)
    average = [raw[0]]
    for kept, weight in zip(decays, raw[1:], strict=True):
        average.append(kept * average[-1] + (1 - kept) * weight)
    torch.testing.assert_close(state.average["weight"], average[-1])
    assert len(task.validated) == 3
    for seen, expected in zip(task.validated, average, strict=True):
        torch.testing.assert_close(seen, expected)
    assert torch.equal(state.best.weights["weight"], state.average["weight"])
    assert torch.equal(task.model.weight, state.average["weight"])
    assert not torch.equal(task.model.weight, raw[-1])


def test_training_itself_is_not_touched_by_the_average(tmp_path):
    _, _, averaged = run(tmp_path / "averaged", iterations=8)
    task, state, plain = run(tmp_path / "plain", iterations=8, ema_decay=0.0)
    assert all(torch.equal(one, other) for one, other in zip(averaged, plain, strict=True))
    assert state.average == {}
    assert torch.load(tmp_path / "plain" / STATE, weights_only=True)["state"]["average"] == {}
    assert torch.equal(task.model.weight, plain[-1])


@pytest.mark.parametrize("stop_at", [0, 1, 6])
def test_interrupted_equals_uninterrupted(tmp_path, stop_at):
    whole, whole_state, _ = run(tmp_path / "whole", iterations=12, validate_every=5)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at=stop_at, iterations=12, validate_every=5)
    assert torch.load(tmp_path / "parts" / STATE, weights_only=True)["state"]["average"].keys() == {"weight", "bias"}
    resumed, state, _ = run(tmp_path / "parts", iterations=12, validate_every=5)
    assert all(torch.equal(state.average[name], whole_state.average[name]) for name in ("weight", "bias"))
    assert torch.equal(resumed.model.weight, whole.model.weight)
    assert state.best.iteration == whole_state.best.iteration == 12
