"""Mutated files through the public reading path: each is read, or refused with a reason in one line.

    python tests/soak/fuzz_videos.py [--files 600] [--seed 0] [--keep FOLDER]

Prints what became of them by kind, the slowest files and the peak memory of this process and of its workers. Ends with
exit code 1 if a file took the program down, gave another error than `VideoError`, took longer than `SLOWEST_SECONDS`,
or if a playlist was followed.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "video"), str(TESTS / "soak")]

from footage_corpus import CORPUS  # noqa: E402
from mutants import SEEDS, Seed, write_mutant  # noqa: E402

from framecue.errors import VideoError  # noqa: E402
from framecue.pictures.picture import ResizeCrop  # noqa: E402
from framecue.video.reader import probe, read_frames  # noqa: E402
from framecue.video.sampling import Sampling  # noqa: E402
from playlists import Trap, trap  # noqa: E402

SLOWEST_SECONDS = 300.0
MOST_WORKER_MIB = 3 * 1024
SAMPLINGS = (Sampling("uniform", 8), Sampling("fps", 5), Sampling("all"))
CLIP = ResizeCrop(image_size=64, resize="shortest_edge", shortest_edge=64, interpolation="bicubic")


@dataclass
class Tally:
    """What became of the files."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    times: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    worker_mib: float = 0.0

    def report(self) -> str:
        """For people."""
        kinds = sorted({kind for kind, _ in self.outcomes})
        results = ("read", "read with notes", "refused")
        lines = [f"{'':14}" + "".join(f"{result:>17}" for result in results)]
        lines += [f"{kind:14}" + "".join(f"{self.outcomes[kind, result]:17}" for result in results) for kind in kinds]
        sums = [sum(self.outcomes[kind, result] for kind in kinds) for result in results]
        lines += [f"{'all':14}" + "".join(f"{number:17}" for number in sums), "", "refused because:"]
        lines += [f"{number:6}  {reason}" for reason, number in self.reasons.most_common(12)]
        lines += ["", "slowest:"] + [f"{seconds:8.2f} s  {name}" for seconds, name in sorted(self.times)[:-6:-1]]
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines.append(f"peak memory: {own:.0f} MiB in this process, {self.worker_mib:.0f} MiB in a worker")
        lines += [f"FAILED: {failure}" for failure in self.failures]
        return "\n".join(lines)


def make_seeds(folder: Path) -> list[Seed]:
    """Whole videos of the corpus."""
    found = []
    for footage in CORPUS:
        if footage.name in SEEDS:
            path = folder / footage.name
            footage.make(path)
            found.append(Seed(footage.name, path.read_bytes()))
            path.unlink()
    return found


def read(path: Path, number: int) -> str:
    """Reads a file as `extract` does: how it ended, "read" or "read with notes"."""
    if number % 4 == 0:
        probe(path)
    reading = read_frames(path, SAMPLINGS[number % len(SAMPLINGS)], resize=CLIP)
    num_frames = sum(len(batch) for batch in reading)
    if not num_frames:
        raise AssertionError("neither a frame nor an error")
    return "read with notes" if reading.summary.notes else "read"


def peak_of_workers() -> float:
    """MiB, of the workers there are and of those that have ended."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                status = Path(f"/proc/{child}/status").read_text()
            except OSError:
                continue
            peak = max(peak, *(int(line.split()[1]) / 1024 for line in status.splitlines() if line[:6] == "VmHWM:"), 0)
    return peak


def run(num_files: int, seed: int, folder: Path, set_trap: Trap, *, keep: Path | None = None) -> Tally:
    """Makes and reads so many files, one after the other."""
    tally, seeds = Tally(), make_seeds(folder)
    for number in range(num_files):
        path, kind = write_mutant(number, seed, folder, seeds, set_trap)
        set_trap.touched()  # the writing itself
        before, failed = time.monotonic(), len(tally.failures)
        try:
            outcome = read(path, number)
        except VideoError as error:
            outcome = "refused"
            text = str(error)
            if "\n" in text or not text.startswith(f"{path}: cannot be read as video: "):
                tally.failures.append(f"{path.name} ({kind}): no one line with a reason: {text!r}")
            tally.reasons[text.removeprefix(f"{path}: cannot be read as video: ")[:110]] += 1
        except Exception as error:
            outcome = "failed"
            tally.failures.append(f"{path.name} ({kind}): {type(error).__name__}: {error}")
        seconds = time.monotonic() - before
        if seconds > SLOWEST_SECONDS:
            tally.failures.append(f"{path.name} ({kind}): took {seconds:.0f} s")
        if touched := set_trap.touched():
            tally.failures.append(f"{path.name} ({kind}): touched {' and '.join(touched)}")
        tally.outcomes[kind, outcome] += 1
        tally.times.append((seconds, f"{path.name} ({kind}, {outcome})"))
        tally.worker_mib = max(tally.worker_mib, peak_of_workers())
        if keep is not None and len(tally.failures) > failed and kind != "sparse":
            shutil.copy(path, keep)
        path.unlink()
    if tally.worker_mib > MOST_WORKER_MIB:
        tally.failures.append(f"a worker took {tally.worker_mib:.0f} MiB, more than {MOST_WORKER_MIB}")
    return tally


@contextmanager
def workshop() -> Iterator[tuple[Path, Trap]]:
    """A folder with a trap; what is remembered of poisonous files is forgotten afterwards."""
    with tempfile.TemporaryDirectory(prefix="framecue-fuzz-") as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        with trap(Path(name)) as set_trap:
            yield Path(name), set_trap


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    with workshop() as (folder, set_trap):
        tally = run(given.files, given.seed, folder, set_trap, keep=given.keep)
    print(f"{given.files} files, seed {given.seed}")
    print(tally.report())
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
