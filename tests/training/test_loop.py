"""The training loop: interrupted equals uninterrupted, the best weights win, damaged states are refused."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from copy import copy

import pytest
import torch
from torch import nn

from framecue.config import TrainConfig, build_config
from framecue.errors import CheckpointError
from framecue.training.log import read_log
from framecue.training.loop import STATE, differences, train
from framecue.training.recognition import deciding


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
SAME = {"train": {"lr": 0.05}, "videos": {"train": "8 of content 1a2b"}}


def run(folder, **options):
    task = Regression(**options)
    state = train(task, CONFIG, folder, fingerprint=SAME)
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
        train(Regression(validated=False), CONFIG, tmp_path, fingerprint=SAME, progress=interrupt)
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
        train(task, CONFIG, tmp_path / "parts", fingerprint=SAME)
    resumed = Regression()
    resumed.validations = 4
    state = train(resumed, CONFIG, tmp_path / "parts", fingerprint=SAME)
    assert (state.iteration, state.best.iteration, state.best.metric) == (50, 30, 0)
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
        test_loop.train(task, test_loop.CONFIG, Path({str(tmp_path / "killed")!r}), fingerprint=test_loop.SAME)
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
    assert (state.best.iteration, state.best.metric) == (30, 0)
    at_30, _ = run_to(tmp_path / "short", 30)
    assert all(torch.equal(a, b) for a, b in zip(task.model.parameters(), at_30.model.parameters(), strict=True))


def run_to(folder, iterations):
    task = Regression(validated=False)
    return task, train(task, CONFIG.model_copy(update={"iterations": iterations}), folder, fingerprint=SAME)


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


@pytest.mark.parametrize(
    ("first_end", "best_at"),
    [(33, 33), (35, 30), (20, 20)],
    ids=["its end was best", "its end was not best", "a validation was due at its end"],
)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_run_that_goes_on_equals_one_that_was_longer_from_the_start(tmp_path, first_end, best_at, decay):
    """Also where the end of the shorter one asked for a validation that the longer one does not have."""

    class Judged(Regression):
        def loss(self, iteration):
            self.steps = iteration + 1
            return super().loss(iteration)

        def validate(self):
            return {"top1": {best_at: 2.0, 45: 1.0}.get(self.steps, 0.0)}

    def go_on_to(iterations, folder):
        config = CONFIG.model_copy(update={"iterations": iterations, "ema_decay": decay})
        return train(Judged(), config, folder, fingerprint=SAME).best.iteration

    assert go_on_to(first_end, tmp_path / "longer") == best_at
    assert go_on_to(45, tmp_path / "longer") == go_on_to(45, tmp_path / "whole") == (45 if first_end == 33 else best_at)
    longer, whole = (torch.load(tmp_path / name / STATE, weights_only=True) for name in ("longer", "whole"))
    for key in ("model", "optimizer", "schedule", "state"):
        torch.testing.assert_close(longer[key], whole[key], rtol=0, atol=0)


def test_steps_cannot_be_taken_back(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match=r"a run of 50 steps, train\.iterations asks for 30; .* another out"):
        run_to(tmp_path, 30)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"train": {"lr": 0.01}}, r"data: train\.lr was 0\.05, is 0\.01; choose another out"),
        ({"videos": {"train": "9 of content 77"}}, r"videos\.train was 8 of content 1a2b, is 9 of content 77;"),
        ({"seed": 3, "train": {}}, r"seed was not there, is 3; train\.lr was 0\.05, is not there;"),
    ],
)
def test_another_run_is_refused_with_the_keys_that_differ(tmp_path, now, said):
    run(tmp_path)
    with pytest.raises(CheckpointError, match=said):
        train(Regression(), CONFIG, tmp_path, fingerprint=SAME | now)


def test_what_cleans_the_texts_decides_a_run(tiny_backbone):
    """A resumed run whose names would be read as other tokens is another run."""
    config = build_config({"out": "run", "data": {"source": "clips"}}, name="run.yaml")
    other = copy(tiny_backbone)
    other.text_cleaning = "as-written"
    assert differences(deciding(config, tiny_backbone), deciding(config, other)) == [
        "backbone.text_cleaning was openai-clip, is as-written"
    ]


def test_a_state_of_another_version_is_refused(tmp_path):
    run(tmp_path)
    saved = torch.load(tmp_path / STATE, weights_only=True)
    del saved["format_version"]
    torch.save(saved, tmp_path / STATE)
    with pytest.raises(CheckpointError, match="another version of framecue; choose another out"):
        run(tmp_path)


def test_damaged_state_is_refused(tmp_path):
    run(tmp_path)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"cannot be read .*--restart"):
        train(Regression(), CONFIG, tmp_path, fingerprint=SAME)


def test_a_loss_that_is_not_finite_stops(tmp_path):
    task = Regression()
    task.loss = lambda iteration: task.model.weight.sum() * float("nan")
    with pytest.raises(CheckpointError, match="step 1: the loss is nan; lower"):
        train(task, CONFIG, tmp_path, fingerprint=SAME)


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
