"""Ctrl-C while Lance reads: it says so by an error of the data, which must be neither retried nor taken for damage."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from framecue.features.store_errors import heed_interrupt, lance_errors, retrying
from framecue.search.trouble import table_errors

REPORTED = pa.ArrowInvalid("External error: KeyboardInterrupt: ")


def interrupted():
    raise REPORTED


def test_an_interrupt_is_not_tried_again():
    calls = []
    with pytest.raises(KeyboardInterrupt):
        retrying(lambda: calls.append(1) or interrupted())
    assert len(calls) == 1


@pytest.mark.parametrize("errors", [lance_errors, table_errors])
def test_an_interrupt_is_not_taken_for_damage(errors):
    with pytest.raises(KeyboardInterrupt), errors(Path("folder"), "read"):
        interrupted()


def test_other_errors_are_left_alone():
    heed_interrupt(OSError("no such file"))


READER = """
import os, signal, sys, threading, time
import lance, pyarrow as pa
from framecue.features.store_errors import lance_errors, retrying
uri = sys.argv[1]
lance.write_dataset(pa.table({"a": list(range(1000))}), uri)
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
end = time.monotonic() + 20
while time.monotonic() < end:
    with lance_errors(uri, "read"):
        retrying(lambda: lance.dataset(uri).to_table())
print("never heard")
"""


@pytest.mark.parametrize("attempt", range(3))
def test_a_reader_ends_by_the_first_interrupt(tmp_path, attempt):
    command = [sys.executable, "-c", READER, str(tmp_path / "table.lance")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert "\nKeyboardInterrupt" in done.stderr
    assert "StoreError" not in done.stderr
