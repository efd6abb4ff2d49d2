"""Numbers of a run, as JSON lines and for TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path

from framecue.files import write_text

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"


class RunLog:
    """Appends to `log.jsonl` and to TensorBoard's event files.

    Args:
        folder: of the run.
        first_iteration: steps already done; later lines are of a part that will be run again, and are dropped.
    """

    def __init__(self, folder: Path, *, first_iteration: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(folder) if line["iteration"] <= first_iteration]
        write_text(folder / LOG, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = (folder / LOG).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / TENSORBOARD), purge_step=first_iteration + 1)

    def write(self, iteration: int, numbers: Mapping[str, float]) -> None:
        """One line for `iteration`, counted from 1."""
        self._file.write(json.dumps({"iteration": iteration, **numbers}) + "\n")
        self._file.flush()
        for name, value in numbers.items():
            self._board.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        self._board.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's log; a last line cut by a crash is left out."""
    path = folder / LOG
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines
