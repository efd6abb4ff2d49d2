"""The training loop: interrupted equals uninterrupted, the best weights win, damaged states are refused."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from framecue.config import TrainConfig
from framecue.errors import CheckpointError
from framecue.training.log import read_log
from framecue.training.loop import STATE, train


class Regression:
    """A linear model on noise drawn from the iteration alone; validation improves until step 30, then worsens."""

    def __init__(self, *, validated: bool = True, stop_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 1)
        self.validated, self.stop_at = validated, stop_at
        self.validations = 0

    def loss(self, iteration: int) -> torch.Tensor:
        if iteration == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        noise = torch.Generator().manual_seed(iteration)
        inputs = torch.randn(8, 4, generator=noise)
        return (self.model(inputs) - inputs.sum(1, keepdim=True)).square().mean()

    def validate(self) -> dict[str, float]:
        self.validations += 1
        return {"top1": -abs(self.validations - 3)} if self.validated else {}


CONFIG = TrainConfig(iterations=50, lr=0.05, restart_iterations=20, validate_every=10, save_every=7, log_every=5)


def run(folder, **options):
    task = Regression(**options)
    state = train(task, CONFIG, folder, fingerprint="same")
    return task, state


def without_times(folder):
    return [{key: value for key, value in line.items() if key != "step_seconds"} for line in read_log(folder)]


def test_interrupted_equals_uninterrupted(tmp_path):
    """Ctrl-C at step 23 lets that step end; the resumed run has the same weights, optimizer, schedule and log."""
    whole, _ = run(tmp_path / "whole", validated=False)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", validated=False, stop_at=22)
    saved = torch.load(tmp_path / "parts" / STATE, weights_only=True)
    assert saved["state"]["iteration"] == 23
    resumed, _ = run(tmp_path / "parts", validated=False)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    first = torch.load(tmp_path / "whole" / STATE, weights_only=True)
    second = torch.load(tmp_path / "parts" / STATE, weights_only=True)
    assert first["schedule"] == second["schedule"]
    for key, moments in first["optimizer"]["state"].items():
        assert all(torch.equal(value, second["optimizer"]["state"][key][name]) for name, value in moments.items())
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "parts")


def test_ctrl_c_between_two_steps_loses_nothing(tmp_path):
    """The signal may come when the step is over and its turn to be saved has passed."""

    def interrupt(done, total, numbers):
        if done == 23:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(Regression(validated=False), CONFIG, tmp_path, fingerprint="same", progress=interrupt)
    assert torch.load(tmp_path / STATE, weights_only=True)["state"]["iteration"] == 23


def test_the_best_weights_survive_an_interruption(tmp_path):
    """Best at step 30, interrupted in the validation at 40, resumed to the end: the weights of step 30."""
    whole, _ = run(tmp_path / "whole")
    task = Regression()
    validate = task.validate

    def interrupted_validate():
        if task.validations == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return validate()

    task.validate = interrupted_validate
    with pytest.raises(KeyboardInterrupt):
        train(task, CONFIG, tmp_path / "parts", fingerprint="same")
    resumed = Regression()
    resumed.validations = 4
    state = train(resumed, CONFIG, tmp_path / "parts", fingerprint="same")
    assert (state.iteration, state.best_iteration, state.best_metric) == (50, 30, 0)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "parts")


def test_killed_without_warning_equals_uninterrupted(tmp_path):
    """SIGKILL loses the steps since the last saved state; they are run again, and the log has no line twice."""
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        sys.path.insert(0, {str(os.path.dirname(__file__))!r})
        from pathlib import Path
        import test_loop
        task = test_loop.Regression(validated=False)
        whole = task.loss
        task.loss = lambda i: os.kill(os.getpid(), signal.SIGKILL) if i == 33 else whole(i)
        test_loop.train(task, test_loop.CONFIG, Path({str(tmp_path / "killed")!r}), fingerprint="same")
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert torch.load(tmp_path / "killed" / STATE, weights_only=True)["state"]["iteration"] == 28
    resumed, _ = run(tmp_path / "killed", validated=False)
    whole, _ = run(tmp_path / "whole", validated=False)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "killed")


def test_best_validated_weights_are_kept(tmp_path):
    task, state = run(tmp_path)
    assert (state.best_iteration, state.best_metric) == (30, 0)
    at_30, _ = run_to(tmp_path / "short", 30)
    assert all(torch.equal(a, b) for a, b in zip(task.model.parameters(), at_30.model.parameters(), strict=True))


def run_to(folder, iterations):
    task = Regression(validated=False)
    return task, train(task, CONFIG.model_copy(update={"iterations": iterations}), folder, fingerprint="same")


def test_a_finished_run_is_not_trained_again(tmp_path):
    _, first = run(tmp_path)
    task, second = run(tmp_path, stop_at=0)
    assert second.iteration == first.iteration == 50
    assert task.validations == 0


def test_schedule_is_cosine_with_restarts(tmp_path):
    run(tmp_path)
    rates = {int(line["iteration"]): line["lr"] for line in read_log(tmp_path)}
    assert rates[5] > rates[10] > rates[20] > 0.01 * CONFIG.lr
    assert rates[25] == pytest.approx(rates[5])


def test_other_config_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match="another config or other data; choose another out"):
        train(Regression(), CONFIG, tmp_path, fingerprint="other")


def test_damaged_state_is_refused(tmp_path):
    run(tmp_path)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"cannot be read .*--restart"):
        train(Regression(), CONFIG, tmp_path, fingerprint="same")


def test_a_loss_that_is_not_finite_stops(tmp_path):
    task = Regression()
    task.loss = lambda iteration: task.model.weight.sum() * float("nan")
    with pytest.raises(CheckpointError, match="step 1: the loss is nan; lower"):
        train(task, CONFIG, tmp_path, fingerprint="same")


def test_logs(tmp_path):
    """Both logs exist; a line cut by a crash is dropped on resume."""
    run(tmp_path)
    lines = read_log(tmp_path)
    assert [line["iteration"] for line in lines] == list(range(5, 51, 5))
    assert {"loss", "lr", "step_seconds"} <= set(lines[0])
    assert "val_top1" in lines[1]
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"iteration": 51, "lo')
    run(tmp_path)
    assert read_log(tmp_path) == lines
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["iteration"] == 50
    assert list((tmp_path / "tensorboard").glob("events.*"))
