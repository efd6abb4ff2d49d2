"""One training loop for all tasks: AdamW, cosine restarts, validation, logs, and exact resume.

Every random draw of a step is made by the task from (seed, iteration), so the sampler has no state of its own: a run
that was interrupted and resumed equals one that was not, tensor for tensor.
"""

import io
import json
import reprlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
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
_FORMAT_VERSION = 2
_ADVICE = "choose another out, or give --restart to begin anew"


class TrainableTask(Protocol):
    """What the loop needs of a task."""

    @property
    def model(self) -> nn.Module:
        """What is trained: all its parameters are."""

    def loss(self, iteration: int) -> Tensor:
        """Loss of the batch that belongs to `iteration`, counted from 0."""

    def validate(self) -> Mapping[str, float]:
        """Metrics on the validation part; the first is the one to select by, higher is better. Empty = no such part."""


@dataclass(frozen=True)
class Best:
    """The best validation so far.

    Attributes:
        metric: None before the first one, or where there is no validation part.
        iteration: steps done then.
        weights: trained tensors then; the last ones where there is no validation part.
    """

    metric: float | None = None
    iteration: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TrainState:
    """Where a run stands; saved with the optimizer's and the schedule's state.

    Attributes:
        iteration: steps done.
        best: of all validations.
        best_before_end: of those before the last step, where only the end of the run asked for one there: a longer run
            has no such validation and goes on from this.
        average: moving average of the trained tensors; empty where `ema_decay` is 0.
    """

    iteration: int = 0
    best: Best = field(default_factory=Best)
    best_before_end: Best | None = None
    average: dict[str, Tensor] = field(default_factory=dict)


Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with steps done, steps in all, and the latest numbers."""


def train(
    task: TrainableTask,
    config: TrainConfig,
    folder: Path,
    *,
    fingerprint: Mapping[str, Any],
    progress: Progress | None = None,
) -> TrainState:
    """Train to the configured number of steps, going on from the state in `folder` if there is one.

    A finished run goes on, too, where more steps are asked for; it then equals one that had them from the start, tensor
    for tensor. On return the model holds the best validated weights. Ctrl-C lets the step in hand end and saves the
    state, then raises KeyboardInterrupt.

    Args:
        fingerprint: plain data that must be equal for a state to be resumed: what decides the weights of a step.

    Raises:
        CheckpointError: the state in `folder` is damaged, of another run (the keys that differ are named), or further
            than the steps asked for; training met a loss that is not finite.
    """
    optimizer = AdamW(task.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = CosineAnnealingWarmRestarts(
        optimizer, T_0=config.restart_iterations, eta_min=config.lr * config.min_lr_ratio
    )
    mark = json.dumps(fingerprint, sort_keys=True)
    state = _resume(folder / STATE, task.model, optimizer, schedule, mark)
    _go_on_to(config.iterations, state, folder)
    log = RunLog(folder, first_iteration=state.iteration)

    def save() -> None:
        _save(folder / STATE, task.model, optimizer, schedule, state, mark)

    try:
        with deferred_interrupt() as interrupted:
            while state.iteration < config.iterations and not interrupted():
                numbers = _step(task, optimizer, schedule, state.iteration)
                state.iteration += 1
                update_average(state, task.model, config.ema_decay)
                done = state.iteration == config.iterations
                due = state.iteration % config.validate_every == 0
                validated = done or due
                if done and not due:
                    state.best_before_end = state.best
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
    task.model.load_state_dict(state.best.weights)
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
    if metric is None or state.best.metric is None or metric >= state.best.metric:
        weights = {name: tensor.detach().clone() for name, tensor in task.model.state_dict().items()}
        state.best = Best(metric, state.iteration, weights)
    return {f"val_{name}": value for name, value in metrics.items()}


def _save(path: Path, model: nn.Module, optimizer: AdamW, schedule: Any, state: TrainState, fingerprint: str) -> None:
    buffer = io.BytesIO()
    torch.save(
        {
            "format_version": _FORMAT_VERSION,
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
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved.get("format_version") != _FORMAT_VERSION:
            raise CheckpointError(f"{path} is the training state of another version of framecue; {_ADVICE}.")
        differing = differences(json.loads(saved["fingerprint"]), json.loads(fingerprint))
        if differing:
            raise CheckpointError(
                f"{path.parent} holds a run of another config or other data: {'; '.join(differing)}; {_ADVICE}."
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        return _state_on(next(model.parameters()).device, saved["state"])
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged archive provokes
        raise CheckpointError(
            f"{path}: the training state cannot be read ({type(error).__name__}); {_ADVICE}."
        ) from error


def _state_on(device: torch.device, saved: Mapping[str, Any]) -> TrainState:
    def best(values: Mapping[str, Any]) -> Best:
        return Best(**{**values, "weights": _moved(values["weights"], device)})

    before = saved["best_before_end"]
    return TrainState(
        saved["iteration"], best(saved["best"]), before and best(before), _moved(saved["average"], device)
    )


def _moved(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _go_on_to(iterations: int, state: TrainState, folder: Path) -> None:
    """Make ready for more steps than the run had, where it is done.

    Raises:
        CheckpointError: more steps are done than are asked for.
    """
    if state.iteration > iterations:
        raise CheckpointError(
            f"{folder} holds a run of {state.iteration} steps, train.iterations asks for {iterations}; steps cannot be "
            f"taken back: {_ADVICE}."
        )
    if state.iteration < iterations and state.best_before_end is not None:
        state.best, state.best_before_end = state.best_before_end, None


def content_mark(lines: Sequence[str]) -> str:
    """What stands in a fingerprint for many lines: their number, and a hash of them."""
    content = sha256("\n".join(lines).encode()).hexdigest()
    return f"{len(lines)} of content {content[:16]}"


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted keys that differ between two nested mappings, with both values: "train.lr was 0.001, is 0.003"."""
    first, second = _flat(was), _flat(now)
    keys = [*second, *(key for key in first if key not in second)]
    return [
        f"{key} was {_shown(first, key)}, is {_shown(second, key)}"
        for key in keys
        if first.get(key, _ABSENT) != second.get(key, _ABSENT)
    ]


_ABSENT = object()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "not there"
    value = values[key]
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 60 else reprlib.repr(value)
