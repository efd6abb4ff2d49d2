"""Many small trainings at once, as the hundreds of few-shot episodes behind one number are.

The trained tensors of E runs are stacked, [E, ...], and one step of all is one forward and one backward pass
(torch.func.vmap). The sum of the losses has for each run the gradient of its own loss alone, and AdamW works element by
element, so that each run ends where it would have ended alone, up to rounding. What is saved is calls, not arithmetic:
much where steps are small for the machine, little on CPU (docs/performance.md).
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from framecue.config import TrainConfig
from framecue.datasets.naming import shorten
from framecue.errors import CheckpointError
from framecue.models.prompt import PromptSlots
from framecue.tasks.recognition import RecognitionTask, batch_loss
from framecue.training.loop import Progress, TrainState, deferred_interrupt, update_average

MEMORY_BYTES = 64 * 2**20  # on a calm CPU larger groups were slower (docs/performance.md)
ATTENTION = SDPBackend.MATH  # the CPU's fused attention has no rule for vmap and would run once per run (PyTorch 2.13)


def train_many(
    tasks: Sequence[RecognitionTask],
    config: TrainConfig,
    *,
    progress: Progress | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> None:
    """Train every task as `loop.train` does one without a validation part; its model then holds the final weights.

    Validation parts are not looked at and nothing is written. Tasks with the same numbers of names and of videos in a
    batch are trained together, as many as fit in the memory; those that draw negatives and those with a bidirectional
    text tower one after another. Ctrl-C lets the step in hand end, then raises KeyboardInterrupt; models that were not
    done are not to be used then.

    Args:
        tasks: made with `config`, and their models with one ModelConfig and backbone.
        progress: called after each step with steps done and in all, counted over all runs, and their mean loss.
        memory_bytes: bound on what the runs trained together hold (`run_bytes`); one run alone may exceed it. The
            default suits a CPU.

    Raises:
        CheckpointError: a run met a loss that is not finite; it is named.
    """
    done, total = 0, len(tasks) * config.iterations
    with deferred_interrupt() as interrupted:
        for group in groups(tasks, memory_bytes):
            stack = RunStack([tasks[index] for index in group]) if len(group) > 1 else None
            model, losses = (stack, stack.losses) if stack else _alone(tasks[group[0]])
            for iteration, values in _steps(model, losses, config):
                for index, value in zip(group, values.tolist(), strict=True):
                    if not math.isfinite(value):
                        raise CheckpointError(_not_finite(tasks, index, iteration, value))
                done += len(group)
                if progress is not None:
                    progress(done, total, {"loss": float(values.mean())})
                if interrupted():
                    return
            if stack:
                stack.hand_out()


def _steps(model: nn.Module, losses: Callable[[int], Tensor], config: TrainConfig) -> Iterator[tuple[int, Tensor]]:
    """Train `model` on the sum of the losses [E]; yields how many steps are done, and the last one's losses."""
    optimizer = AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = CosineAnnealingWarmRestarts(
        optimizer, T_0=config.restart_iterations, eta_min=config.lr * config.min_lr_ratio
    )
    state = TrainState()
    while state.iteration < config.iterations:
        values = losses(state.iteration)
        optimizer.zero_grad()
        values.sum().backward()
        optimizer.step()
        schedule.step()
        state.iteration += 1
        update_average(state, model, config.ema_decay)
        yield state.iteration, values.detach()
    if state.average:
        model.load_state_dict(state.average)


class RunStack(nn.Module):
    """The trained tensors of E runs, stacked to [E, ...].

    Args:
        tasks: of one model config and backbone, with as many names and as many videos in a batch.
    """

    def __init__(self, tasks: Sequence[RecognitionTask]) -> None:
        super().__init__()
        self._tasks = tasks
        stacked, _ = stack_module_state([task.model for task in tasks])
        self._names = tuple(stacked)
        self.stacked = nn.ParameterList(stacked.values())
        self._slots = stack_slots([task.slots for task in tasks])
        self._loss = [_Loss(tasks[0])]  # a list hides the first run's own tensors

    def losses(self, iteration: int) -> Tensor:
        """The loss of each run's own batch, [E]."""
        batches = [task.batch(iteration) for task in self._tasks]
        device = self.stacked[0].device
        features = torch.stack([batch.frame_features for batch in batches]).to(device)  # [E, B, T, D]
        targets = torch.stack([batch.targets for batch in batches]).to(device)  # [E, B]
        loss = self._loss[0]

        def of_one(tensors: dict[str, Tensor], *inputs: object) -> Tensor:
            return functional_call(loss, tensors, inputs)

        tensors = {f"model.{name}": tensor for name, tensor in zip(self._names, self.stacked, strict=True)}
        with sdpa_kernel(ATTENTION):
            return vmap(of_one)(tensors, self._slots, features, targets)

    @torch.no_grad()
    def hand_out(self) -> None:
        """Copy each run's tensors into its model."""
        for row, task in enumerate(self._tasks):
            tensors = (tensor[row] for tensor in self.stacked)
            task.model.load_state_dict(dict(zip(self._names, tensors, strict=True)))


class _Loss(nn.Module):
    """`batch_loss` of a task's model as a module, so that its tensors can be replaced."""

    def __init__(self, task: RecognitionTask) -> None:
        super().__init__()
        self.model = task.model
        self._config, self._path, self._sos = task.train_config, task.path, task.slots.sos

    def forward(self, slots: dict[str, Tensor], frame_features: Tensor, targets: Tensor) -> Tensor:
        of_run = PromptSlots(texts=(), sos=self._sos, **slots)
        return batch_loss(self.model, frame_features, of_run, targets, self._config, path=self._path)


def stack_slots(runs: Sequence[PromptSlots]) -> dict[str, Tensor]:
    """The tensors of E runs' slots but `sos`, stacked to [E, N, ...] and padded to the longest body.

    What follows EOS changes nothing where attention is causal.
    """
    length = max(slots.tokens.shape[1] for slots in runs)
    stacked = {
        name: torch.stack([_padded(getattr(slots, name), length) for slots in runs])
        for name in ("tokens", "is_suffix", "suffix_row")
    }
    stacked["eos_index"] = torch.stack([slots.eos_index for slots in runs])
    frozen = [slots.handcrafted for slots in runs if slots.handcrafted is not None]
    return stacked | ({"handcrafted": torch.stack(frozen)} if frozen else {})


def _padded(part: Tensor, length: int) -> Tensor:
    return nn.functional.pad(part, (0, length - part.shape[1]))


def run_bytes(task: RecognitionTask) -> int:
    """What one run of a group holds: its activations, and its weights with gradients, AdamW's moments and average."""
    frozen = {tensor.untyped_storage().data_ptr() for tensor in task.model.backbone.text_tower.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in frozen:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with sdpa_kernel(ATTENTION), saved_tensors_hooks(note, lambda tensor: tensor):
        loss = task.loss(0)
    trained = sum(tensor.numel() * tensor.element_size() for tensor in task.model.parameters())
    del loss  # not before: a freed tensor's address is used again
    return sum(saved.values()) + 5 * trained


def groups(tasks: Sequence[RecognitionTask], memory_bytes: int) -> Iterator[list[int]]:
    """Positions of the tasks that are trained together."""
    alike: dict[Hashable, list[int]] = {}
    for index, task in enumerate(tasks):
        alike.setdefault(_kind(task) or index, []).append(index)
    for members in alike.values():
        size = max(1, memory_bytes // run_bytes(tasks[members[0]])) if len(members) > 1 else 1
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _kind(task: RecognitionTask) -> Hashable | None:
    """Equal for runs that can be stacked; None for a run that cannot be stacked with any."""
    num_names = len(task.slots.texts)
    if not task.model.backbone.text_tower.causal or task.train_config.max_negatives < num_names:
        return None
    return num_names, min(task.train_config.batch_size, len(task.train_set))


def _alone(task: RecognitionTask) -> tuple[nn.Module, Callable[[int], Tensor]]:
    return task.model, lambda iteration: task.loss(iteration)[None]


def _not_finite(tasks: Sequence[RecognitionTask], index: int, iteration: int, value: float) -> str:
    names = shorten(list(tasks[index].slots.texts))
    return (
        f"Training step {iteration} of run {index + 1} of {len(tasks)} (seed {tasks[index].seed}; {names}): "
        f"the loss is {value}; lower train.lr or use fp32."
    )
