"""One training loop for all tasks: AdamW, cosine restarts, validation, logs, and exact resume.

Every random draw of a step is made by the task from (seed, iteration), so the sampler has no state of its own: a run
that was interrupted and resumed equals one that was not, tensor for tensor.
"""

import io
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from framecue.config import TrainConfig
from framecue.errors import CheckpointError
from framecue.files import write_bytes
from framecue.training.log import RunLog

STATE = "train_state.pt"


class TrainableTask(Protocol):
    """What the loop needs of a task."""

    @property
    def model(self) -> nn.Module:
        """What is trained: all its parameters are."""

    def loss(self, iteration: int) -> Tensor:
        """Loss of the batch that belongs to `iteration`, counted from 0."""

    def validate(self) -> Mapping[str, float]:
        """Metrics on the validation part; the first is the one to select by, higher is better. Empty = no such part."""


@dataclass
class TrainState:
    """Where a run stands; saved with the optimizer's and the schedule's state.

    Attributes:
        iteration: steps done.
        best_metric, best_iteration: of the best validation so far; the metric is None before the first.
        best_weights: trained tensors then; the last ones where there is no validation part.
        average: moving average of the trained tensors; empty where `ema_decay` is 0.
    """

    iteration: int = 0
    best_metric: float | None = None
    best_iteration: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with steps done, steps in all, and the latest numbers."""


def train(
    task: TrainableTask, config: TrainConfig, folder: Path, *, fingerprint: str, progress: Progress | None = None
) -> TrainState:
    """Train to the configured number of steps, going on from the state in `folder` if there is one.

    On return the model holds the best validated weights. Ctrl-C lets the step in hand end and saves the state, then
    raises KeyboardInterrupt.

    Args:
        fingerprint: text that must be equal for a state to be resumed: the resolved config.

    Raises:
        CheckpointError: the state in `folder` is damaged or of another run; training met a loss that is not finite.
    """
    optimizer = AdamW(task.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = CosineAnnealingWarmRestarts(
        optimizer, T_0=config.restart_iterations, eta_min=config.lr * config.min_lr_ratio
    )
    state = _resume(folder / STATE, task.model, optimizer, schedule, fingerprint)
    log = RunLog(folder, first_iteration=state.iteration)

    def save() -> None:
        _save(folder / STATE, task.model, optimizer, schedule, state, fingerprint)

    try:
        with deferred_interrupt() as interrupted:
            while state.iteration < config.iterations and not interrupted():
                numbers = _step(task, optimizer, schedule, state.iteration)
                state.iteration += 1
                update_average(state, task.model, config.ema_decay)
                done = state.iteration == config.iterations
                validated = done or state.iteration % config.validate_every == 0
                if validated:
                    numbers |= _validate(task, state)
                if validated or state.iteration % config.log_every == 0:
                    log.write(state.iteration, numbers)
                if done or state.iteration % config.save_every == 0:
                    save()
                if progress is not None:
                    progress(state.iteration, config.iterations, numbers)
            if interrupted():
                save()
    finally:
        log.close()
    task.model.load_state_dict(state.best_weights)
    return state


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag, so that no step is left half done; raise KeyboardInterrupt at the end.

    A second Ctrl-C interrupts at once. Outside the main thread signals are left alone.
    """
    seen = False

    def note(signal_number: int, frame: Any) -> None:
        nonlocal seen
        seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, previous)
    if seen:
        raise KeyboardInterrupt


def _step(task: TrainableTask, optimizer: AdamW, schedule: Any, iteration: int) -> dict[str, float]:
    started = time.perf_counter()
    loss = task.loss(iteration)
    value = float(loss.detach())
    if not torch.isfinite(loss):
        raise CheckpointError(f"Training step {iteration + 1}: the loss is {value}; lower train.lr or use fp32.")
    optimizer.zero_grad()
    loss.backward()
    lr = schedule.get_last_lr()[0]
    optimizer.step()
    schedule.step()
    return {"loss": value, "lr": lr, "step_seconds": time.perf_counter() - started}


@torch.no_grad()
def update_average(state: TrainState, model: nn.Module, decay: float) -> None:
    """Move the average towards the weights (Polyak and Juditsky 1992); early steps count more, as in TensorFlow's."""
    if not decay:
        return
    if not state.average:
        state.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    rate = 1 - min(decay, (1 + state.iteration) / (10 + state.iteration))
    for name, tensor in model.state_dict().items():
        state.average[name].lerp_(tensor, rate)


@contextmanager
def _averaged(model: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with its averaged weights, if there are any; the current ones are put back at the end."""
    if not average:
        yield
        return
    current = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(average)
    try:
        yield
    finally:
        model.load_state_dict(current)


def _validate(task: TrainableTask, state: TrainState) -> dict[str, float]:
    with _averaged(task.model, state.average):
        return _validate_weights(task, state)


def _validate_weights(task: TrainableTask, state: TrainState) -> dict[str, float]:
    task.model.eval()
    with torch.no_grad():
        metrics = dict(task.validate())
    task.model.train()
    metric = next(iter(metrics.values()), None)
    # Ties go to the later weights: they have seen more.
    if metric is None or state.best_metric is None or metric >= state.best_metric:
        state.best_metric, state.best_iteration = metric, state.iteration
        state.best_weights = {name: tensor.detach().clone() for name, tensor in task.model.state_dict().items()}
    return {f"val_{name}": value for name, value in metrics.items()}


def _save(path: Path, model: nn.Module, optimizer: AdamW, schedule: Any, state: TrainState, fingerprint: str) -> None:
    buffer = io.BytesIO()
    torch.save(
        {
            "fingerprint": fingerprint,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "state": asdict(state),
        },
        buffer,
    )
    write_bytes(path, buffer.getvalue())


def _resume(path: Path, model: nn.Module, optimizer: AdamW, schedule: Any, fingerprint: str) -> TrainState:
    if not path.exists():
        return TrainState()
    advice = "choose another out, or give --restart to begin anew"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["fingerprint"] != fingerprint:
            raise CheckpointError(f"{path.parent} holds a run of another config or other data; {advice}.")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        state = TrainState(**saved["state"])
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged archive provokes
        raise CheckpointError(
            f"{path}: the training state cannot be read ({type(error).__name__}); {advice}."
        ) from error
    device = next(model.parameters()).device
    state.best_weights = {name: tensor.to(device) for name, tensor in state.best_weights.items()}
    state.average = {name: tensor.to(device) for name, tensor in state.average.items()}
    return state
