"""An index stays as small as what it holds, however often its videos are rewritten. Part of `make soak`.

    python tests/soak/index_rewrites.py [--rewrites 300] [--out DIR]

A camera that writes the same file again and again, beside two files that stay: after each rewrite the index is
refreshed, as a timer would do it. Fails where it ends with more than 3 times the bytes of a fresh index of the same
files, or where a reader that searches all the while meets an error.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import lance
import numpy as np

from framecue.api.collection import Collection, open_index
from framecue.search.table import TABLE_FOLDER
from framecue.video.writer import write_video

MOST_TIMES_FRESH = 3.0
FPS = 4


def write_camera(path: Path, step: int) -> None:
    """12 s that differ at each step."""
    frames = np.full((12 * FPS, 48, 48, 3), 235, np.uint8)
    frames[:, 12:36, 12:36] = np.random.default_rng(step).integers(0, 200, 3)
    write_video(path, frames, FPS)


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes and number of all files of an index."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files), len(files)


class Reader:
    """Searches an index again and again in a thread of its own; `failures` are what went wrong."""

    def __init__(self, folder: Path) -> None:
        self.num_searches, self.failures = 0, list[BaseException]()
        self._index = open_index(folder, backbone="tiny", device="cpu").index
        self._query = np.eye(1, self._index.binding.embed_dim, dtype=np.float32)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._search)
        self._thread.start()

    def _search(self) -> None:
        while not self._ending.wait(0.1):
            try:
                found = self._index.search(self._query, top_k=3)
                assert found.hits[0], "an index that is never empty answered nothing"
                self._index.status()
                self.num_searches += 1
            except BaseException as error:
                self.failures.append(error)

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def rewrite(collection: Collection, camera: Path, count: int) -> list[float]:
    """Seconds of each refresh."""
    seconds = []
    for step in range(1, count + 1):
        write_camera(camera, step)
        started = time.perf_counter()
        summary = collection.refresh()
        seconds.append(time.perf_counter() - started)
        assert (summary.added, summary.removed, len(summary.skipped)) == (1, 1, 0), summary
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewrites", type=int, default=300)
    parser.add_argument("--out", type=Path, help="keep the videos and indexes here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        for number, name in enumerate(("camera.mp4", "door.mp4", "yard.mp4")):
            write_camera(folder / "videos" / name, 10**6 + number)
        collection = open_index(folder / "index", backbone="tiny", device="cpu", create=True)
        collection.add([folder / "videos"])
        reader = Reader(folder / "index")
        seconds = rewrite(collection, folder / "videos" / "camera.mp4", arguments.rewrites)
        reader.end()
        fresh = open_index(folder / "fresh", backbone="tiny", device="cpu", create=True)
        fresh.add([folder / "videos"])
        (fresh_bytes, fresh_files), (final_bytes, final_files) = sizes(fresh.folder), sizes(collection.folder)
        versions = len(lance.dataset(str(collection.folder / TABLE_FOLDER)).versions())
    ratio = final_bytes / fresh_bytes
    tenth = max(1, len(seconds) // 10)
    print(f"rewrites        {len(seconds)}, by refresh {np.mean(seconds):.3f} s, slowest {max(seconds):.3f} s")
    print(f"                first tenth {np.mean(seconds[:tenth]):.3f} s, last tenth {np.mean(seconds[-tenth:]):.3f} s")
    print(f"fresh index     {fresh_bytes} bytes in {fresh_files} files")
    print(f"final index     {final_bytes} bytes in {final_files} files, {versions} versions")
    print(f"ratio           {ratio:.2f}, at most {MOST_TIMES_FRESH:g}")
    print(f"a reader        {reader.num_searches} searches, {len(reader.failures)} failed")
    for error in reader.failures[:3]:
        print(f"                {type(error).__name__}: {error}")
    return 0 if ratio <= MOST_TIMES_FRESH and not reader.failures else 1


if __name__ == "__main__":
    sys.exit(main())
