"""A few of the files that tests/soak/fuzz_videos.py makes; `make soak` reads hundreds."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "soak" / "fuzz_videos.py"


def test_mutated_files_are_read_or_refused_with_a_reason() -> None:
    run = subprocess.run([sys.executable, str(PROGRAM), "--files", "40", "--seed", "1"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "40 files, seed 1" in run.stdout
    assert "peak memory" in run.stdout
