"""Peak memory and speed of `localize` on files of several lengths, each in a process of its own.

    python benchmarks/long_video.py [--minutes 5 20 60] [--backbone tiny] [--keep DIR]

The files are videos of the built-in world behind each other. Peak memory is what the system says of the whole process
(ru_maxrss), Python, PyTorch and FFmpeg included; it never falls again, so that every length needs a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASKED = ("growing", "moving right", "colliding", "circling", "blinking")


def make_file(folder: Path, minutes: float) -> Path:
    """The file of that length; one that exists is kept."""
    from framecue.datasets.world import write_long_untrimmed

    path = folder / f"{minutes:g}_minutes.mp4"
    if not path.exists():
        write_long_untrimmed(path, minutes=minutes)
    return path


def measure(path: Path, backbone: str) -> dict[str, float]:
    """Localize one file in this process."""
    import torch

    import framecue

    predictor = framecue.load(backbone=backbone)
    predictor.embed_text(ASKED)
    loaded = _peak_mib()
    start = time.perf_counter()
    # All scores are wanted: this is the case with the most candidates to hold.
    answer = predictor.localize(path, ASKED, min_score=0.0, curves=True)
    seconds = time.perf_counter() - start
    return {
        "duration_seconds": answer.duration_seconds,
        "elapsed_seconds": seconds,
        "peak_mib": _peak_mib(),
        "loaded_mib": loaded,
        "segments": len(answer.segments),
        "curve_cells": len(answer.curves.scores) if answer.curves is not None else 0,
        "threads": torch.get_num_threads(),
    }


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def run(folder: Path, minutes: list[float], backbone: str) -> None:
    """A line for each length."""
    print(
        f"{'minutes':>8} {'peak MiB':>9} {'loaded':>8} {'seconds':>8} {'x real time':>12} {'segments':>9} {'cells':>6}"
    )
    for length in minutes:
        command = [sys.executable, __file__, "--measure", str(make_file(folder, length)), "--backbone", backbone]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rate = found["duration_seconds"] / found["elapsed_seconds"]
        print(
            f"{length:8g} {found['peak_mib']:9.0f} {found['loaded_mib']:8.0f} {found['elapsed_seconds']:8.1f} "
            f"{rate:12.1f} {found['segments']:9d} {found['curve_cells']:6d}",
            flush=True,
        )
    print(f"backbone {backbone}, {found['threads']} threads; loaded: peak before the video is opened")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 20, 60])
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--keep", type=Path, help="Folder for the files, kept for the next time.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.backbone)))
        return
    if options.keep:
        run(options.keep, options.minutes, options.backbone)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.minutes, options.backbone)


if __name__ == "__main__":
    main()
