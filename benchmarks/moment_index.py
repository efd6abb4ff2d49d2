"""The moment index at size: making, searching, filtering, and changing it while another process asks, in one run.

    python benchmarks/moment_index.py [--rows 1000000] [--embed-dim 512] [--queries 200] [--folder DIR] [--json FILE]

Vectors are drawn, not encoded: 20 moments to a video, videos around scenes, scenes around 200 topics, so that moments
of one video are closest to each other (cosine about 0.86), then those of its scene and topic, as frame embeddings are;
all from one seed. Queries are stored vectors with noise of length 2 (cosine with their source about 0.45), which no
vector is near to. Exact search is measured twice: as the index does it, and as bare NumPy over the vectors as they were
drawn, which also gives the truth that recall is measured against.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from framecue.search import Binding, Filter, IndexSettings, MomentIndex, VideoVectors, parse_condition
from framecue.types import IndexedVideo, Maker

MOMENTS, VIDEOS_PER_COMMIT, NOISE, TOP_K = 20, 2000, 2.0, 10
GROUP, LATER = 10, 20
"""Videos of one commit while another process asks, and after how many steps what was added is removed again."""


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class World:
    """Drawn videos; the vectors of each depend on its number and the seed only."""

    def __init__(self, num_videos: int, embed_dim: int) -> None:
        rng = np.random.default_rng(0)
        topics = unit(rng.standard_normal((200, embed_dim), dtype=np.float32))
        self.embed_dim, self.num_videos = embed_dim, num_videos
        count = max(1, num_videos // 10)
        away = unit(rng.standard_normal((count, embed_dim), dtype=np.float32))
        self._scenes = unit(topics[rng.integers(0, len(topics), count)] + 0.8 * away)

    def block(self, first: int, last: int) -> list[VideoVectors]:
        """Videos first to last - 1."""
        rng = np.random.default_rng([1, first])
        scenes = self._scenes[rng.integers(0, len(self._scenes), last - first)]
        wholes = unit(scenes + 0.6 * unit(rng.standard_normal((last - first, self.embed_dim), dtype=np.float32)))
        away = unit(rng.standard_normal((last - first, MOMENTS, self.embed_dim), dtype=np.float32))
        vectors = unit(wholes[:, None] + 0.4 * away)
        starts = np.arange(MOMENTS) * 2.0
        spans = np.stack([starts, starts + 4], axis=1)
        return [
            VideoVectors(describe(first + offset), spans, vectors[offset], wholes[offset])
            for offset in range(last - first)
        ]

    def blocks(self) -> Iterator[list[VideoVectors]]:
        for first in range(0, self.num_videos, VIDEOS_PER_COMMIT):
            yield self.block(first, min(first + VIDEOS_PER_COMMIT, self.num_videos))


def describe(number: int) -> IndexedVideo:
    return IndexedVideo(
        video_id=f"{number:064x}",
        path=Path(f"/videos/{number % 100:02d}/{number}.mp4"),
        size_bytes=number,
        mtime_ns=number,
        duration_seconds=MOMENTS * 2.0 + 2,
        date=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=number % 20000),
        metadata={"camera": number % 10, "place": ("hall", "yard", "street")[number % 3], "rating": (number % 50) / 10},
    )


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def latencies(action: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[str, str]:
    """Median and 95th percentile of one query at a time, in milliseconds; the first few warm up."""
    for query in queries[:5]:
        action(query)
    seconds = [timed(lambda query=query: action(query))[0] for query in queries]
    return tuple(f"{1e3 * np.percentile(seconds, share):.1f}" for share in (50, 95))


def names(hits: list[Any]) -> list[tuple[str, float]]:
    return [(hit.video.video_id, hit.start_seconds) for hit in hits]


def recall(found: list[list[Any]], truth: list[list[Any]]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True) if b]))


def make_queries(world: World, count: int) -> np.ndarray:
    """Stored vectors from ten places of the world, with noise."""
    rng = np.random.default_rng(2)
    firsts = np.arange(0, world.num_videos, VIDEOS_PER_COMMIT)
    parts = []
    for first in rng.choice(firsts, min(10, len(firsts)), replace=False).tolist():
        items = world.block(first, min(first + VIDEOS_PER_COMMIT, world.num_videos))
        chosen = rng.integers(0, len(items), -(-count // 10))
        parts += [items[place].vectors[rng.integers(MOMENTS)] for place in chosen]
    stored = np.stack(parts)[:count]
    noise = rng.standard_normal(stored.shape, dtype=np.float32) * (NOISE / np.sqrt(world.embed_dim))
    return unit(stored + noise)


class Truth:
    """NumPy over the vectors as they were drawn, in float32, a part at a time."""

    def __init__(self, world: World, queries: np.ndarray) -> None:
        self._best: list[list[tuple[float, str, float]]] = [[] for _ in queries]
        self.seconds = 0.0
        for items in world.blocks():
            vectors = np.concatenate([item.vectors for item in items])
            started = time.perf_counter()
            scores = queries @ vectors.T
            top = np.argpartition(-scores, TOP_K, axis=1)[:, :TOP_K]
            self.seconds += time.perf_counter() - started
            for query, rows in enumerate(top):
                found = [
                    (float(scores[query, row]), items[row // MOMENTS].video.video_id, row % MOMENTS * 2.0)
                    for row in rows
                ]
                self._best[query] = sorted([*self._best[query], *found], reverse=True)[:TOP_K]

    def names(self) -> list[list[tuple[str, float]]]:
        return [[(video_id, start) for _, video_id, start in best] for best in self._best]


def memory_mib() -> tuple[int, int]:
    """Peak of this process, and what of its memory now is its own (not mapped from files)."""
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, int(own.split()[1]) // 1024


def in_process(target: Callable[..., Any], *arguments: Any) -> Any:
    """Runs in a fresh process, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(target, arguments)


def ingest(folder: Path, num_videos: int, embed_dim: int) -> dict[str, Any]:
    """Adds all videos; the neighbours, which the end of writing would make, are left to be timed alone."""
    world = World(num_videos, embed_dim)
    binding = Binding(Maker("drawn", "0" * 64, "{}", "fps:8"), "", "", "4s/2s", embed_dim)
    index = MomentIndex.create(folder, binding, settings=IndexSettings(exact_below=10**12))
    adding = 0.0
    with index.writing():
        for items in world.blocks():
            adding += timed(lambda items=items: index.add(items))[0]
            print(f"  added {index.status().num_moments:,} moments, {adding:.1f} s", flush=True)
    tidying, _ = timed(index.optimize)
    return {"seconds": adding + tidying, "bytes": index.status().size_bytes, "memory": memory_mib()}


def make_neighbours(folder: Path) -> dict[str, Any]:
    index = MomentIndex.open(folder)
    before = index.status().size_bytes
    seconds, _ = timed(index.rebuild)
    status = index.status()
    return {
        "seconds": seconds,
        "bytes": status.size_bytes - before,
        "recall": status.recall_at_10,
        "state": status.neighbours,
        "memory": memory_mib(),
    }


FILTERS = {
    "place=hall, 33 %": Filter(metadata={"place": "hall"}),
    "rating>=4.5, 10 %": Filter(conditions=(parse_condition("rating>=4.5"),)),
    "folder, 1 %": Filter(path="/videos/42"),
    "30 days, 4 %": Filter(after=datetime(2020, 6, 1, tzinfo=UTC), before=datetime(2020, 7, 1, tzinfo=UTC)),
    "folder and place, 0.3 %": Filter(path="/videos/42", metadata={"place": "hall"}),
}


def ask(folder: Path, world_size: tuple[int, int], queries: np.ndarray, truth: list[list[Any]]) -> list[dict[str, Any]]:
    """Latency and recall of every way to ask, in a process that only asks."""
    index = MomentIndex.open(folder)
    opening, _ = timed(lambda: index.search(queries[0], top_k=TOP_K))
    rows = []

    def row(name: str, queries: np.ndarray, expected: list[list[Any]] | None, **how: Any) -> None:
        p50, p95 = latencies(lambda query: index.search(query, top_k=TOP_K, **how), queries)
        found = index.search(queries, top_k=TOP_K, **how)
        expected = expected or [
            names(hits) for hits in index.search(queries, top_k=TOP_K, **{**how, "exact": True}).hits
        ]
        score = recall([names(hits) for hits in found.hits], expected)
        compared = "all" if found.exact else "some cells"
        rows.append(
            {"asked": name, "videos": found.num_videos, "compared": compared, "p50": p50, "p95": p95, "recall": score}
        )
        print(f"  {rows[-1]}", flush=True)

    row("approximate", queries, truth)
    few = queries[:50]
    row("exact", few, truth[:50], exact=True)
    for name, where in FILTERS.items():
        row(name, few, None, where=where)
    row("whole videos", few, None, level="video")
    batch, _ = timed(lambda: index.search(queries, top_k=TOP_K))
    opened = {"opening": opening, "batch_ms": 1e3 * batch / len(queries), "memory": memory_mib()}
    return [*rows, opened]


def change(folder: Path, size: tuple[int, int], counters: Any, steps: int) -> None:
    """The writer: in each step adds one group of new videos and removes an old group and, later, an added one."""
    world, index = World(*size), MomentIndex.open(folder)
    with index.writing():
        for step in range(steps):
            counters["adding"].value = step + 1
            index.add(world.block(size[0] + step * GROUP, size[0] + (step + 1) * GROUP))
            counters["added"].value = step + 1
            counters["removing"].value = step + 1
            gone = [describe(number).video_id for number in range(step * GROUP, (step + 1) * GROUP)]
            if step >= LATER:
                first = size[0] + (step - LATER) * GROUP
                gone += [describe(number).video_id for number in range(first, first + GROUP)]
            assert index.remove(gone) == len(gone)
            counters["removed"].value = step + 1
    counters["done"].value = 1


def ask_meanwhile(folder: Path, size: tuple[int, int], steps: int) -> dict[str, Any]:
    """Asks for videos by their own vectors while `change` runs; counts what is lost or a ghost."""
    world, index = World(*size), MomentIndex.open(folder)
    old = [item for first in range(0, steps * GROUP, GROUP) for item in world_group(world, first)]
    new = [item for step in range(steps) for item in world.block(size[0] + step * GROUP, size[0] + (step + 1) * GROUP)]
    context = multiprocessing.get_context("spawn")
    counters = {name: context.Value("q", 0) for name in ("adding", "added", "removing", "removed", "done")}
    index.search(old[0].vectors[0], top_k=1)
    writer = context.Process(target=change, args=(folder, size, counters, steps))
    writer.start()
    rng, seconds, lost, ghosts, torn = np.random.default_rng(3), [], 0, 0, 0
    while not counters["done"].value and writer.exitcode is None:
        group, offset, is_new = int(rng.integers(steps)), int(rng.integers(GROUP)), bool(rng.integers(2))
        item = (new if is_new else old)[group * GROUP + offset]
        added, removed = counters["added"].value, counters["removed"].value
        spent, found = timed(lambda item=item: index.search(item.vectors[7], top_k=TOP_K))
        adding, removing = counters["adding"].value, counters["removing"].value
        seconds.append(spent)
        there = any(hit.video.video_id == item.video.video_id for hit in found.hits[0])
        later = group + LATER if is_new else group  # the step that removes it
        lost += not there and later >= removing and (not is_new or group < added)
        ghosts += there and (later < removed or (is_new and group >= adding))
        torn += found.num_videos % GROUP != size[0] % GROUP
    writer.join()
    left = index.status().num_videos
    expected = size[0] + min(steps, LATER) * GROUP - steps * GROUP
    return {
        "queries": len(seconds),
        "commits": 2 * steps,
        "lost": lost,
        "ghosts": ghosts,
        "torn": torn,
        "videos_left": left,
        "videos_expected": expected,
        "p50": f"{1e3 * np.percentile(seconds, 50):.1f}",
        "p95": f"{1e3 * np.percentile(seconds, 95):.1f}",
        "writer_exit": writer.exitcode,
    }


def world_group(world: World, first: int) -> list[VideoVectors]:
    """Videos as they were added: in blocks."""
    start = first // VIDEOS_PER_COMMIT * VIDEOS_PER_COMMIT
    block = world.block(start, min(start + VIDEOS_PER_COMMIT, world.num_videos))
    return block[first - start : first - start + GROUP]


def markdown(report: dict[str, Any]) -> str:
    """Tables for docs/performance.md."""
    table, made, opened, meanwhile = (report[name] for name in ("table", "neighbours", "opened", "meanwhile"))
    mib = 2**20
    exact = next(float(row["p50"]) for row in report["asked"] if row["asked"] == "exact")
    lines = [
        f"{report['rows']:,} moments x {report['embed_dim']}, load average {report['load'][0]:.1f} at the start, "
        f"{report['load_after'][0]:.1f} at the end",
        "",
        "| step | s | MiB on disk | peak MiB |",
        "| --- | --- | --- | --- |",
        f"| add to the table | {table['seconds']:.1f} | {table['bytes'] / mib:.0f} | {table['memory'][0]} |",
        f"| make the neighbours | {made['seconds']:.1f} | {made['bytes'] / mib:.0f} | {made['memory'][0]} |",
        f"| open and ask once | {opened['opening']:.2f} | - | {opened['memory'][0]} (own {opened['memory'][1]}) |",
        "",
        "| asked | videos | compared | p50 ms | p95 ms | times faster than exact | recall@10 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['asked']} | {row['videos']} | {row['compared']} | {row['p50']} | {row['p95']} "
        f"| {exact / float(row['p50']):.1f}x | {row['recall']:.3f} |"
        for row in report["asked"]
    ]
    lines += [
        f"| approximate, all queries at once | | some cells | {opened['batch_ms']:.1f} | - "
        f"| {exact / opened['batch_ms']:.1f}x | |",
        f"| NumPy float32, all queries at once | | all | {report['numpy_ms']:.1f} | - "
        f"| {exact / report['numpy_ms']:.1f}x | 1.000 |",
        "",
        f"Neighbours: {made['state']}, recall@10 measured when they were made: {made['recall']:.3f}.",
        f"While a writer made {meanwhile['commits']} commits of {GROUP} to {2 * GROUP} videos, another process asked "
        f"{meanwhile['queries']} times: p50 {meanwhile['p50']} ms, p95 {meanwhile['p95']} ms, "
        f"lost {meanwhile['lost']}, "
        f"ghosts {meanwhile['ghosts']}, parts of a commit {meanwhile['torn']}; "
        f"{meanwhile['videos_left']} videos at the end, {meanwhile['videos_expected']} expected.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--embed-dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--steps", type=int, default=100, help="commits of each kind while another process asks")
    parser.add_argument("--folder", type=Path, default=None, help="where to put the index (default: a temporary one)")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    num_videos = options.rows // MOMENTS // GROUP * GROUP
    size = (num_videos, options.embed_dim)
    root = Path(tempfile.mkdtemp(prefix="framecue_index_", dir=options.folder))
    folder = root / "index"
    try:
        report: dict[str, Any] = {"rows": num_videos * MOMENTS, "embed_dim": options.embed_dim, "load": os.getloadavg()}
        print(f"{report['rows']:,} moments of {num_videos:,} videos, {options.embed_dim} numbers each", flush=True)
        report["table"] = in_process(ingest, folder, *size)
        print(f"  table: {report['table']}", flush=True)
        report["neighbours"] = in_process(make_neighbours, folder)
        print(f"  neighbours: {report['neighbours']}", flush=True)
        world = World(*size)
        queries = make_queries(world, options.queries)
        truth = Truth(world, queries)
        report["numpy_ms"] = 1e3 * truth.seconds / len(queries)
        *report["asked"], report["opened"] = in_process(ask, folder, size, queries, truth.names())
        report["meanwhile"] = ask_meanwhile(folder, size, options.steps)
        print(f"  meanwhile: {report['meanwhile']}", flush=True)
        report["load_after"] = os.getloadavg()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
