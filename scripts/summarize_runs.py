"""Mean and spread over runs that differ in their seed, as a Markdown table.

    python scripts/summarize_runs.py runs/a5-seed*/results.json runs/a3-seed*/results.json

Runs are grouped by method; baselines are taken from every run, so their spread is over seeds as well.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from framecue.metrics.recognition import mean_and_spread


def main() -> None:
    """Print one table per part that the runs report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="results.json files")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in parser.parse_args().results]
    for part in ("test", "val", "novel"):
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        videos: dict[str, int] = {}
        for run in runs:
            for method, numbers in run.get(part, {}).items():
                videos[method] = numbers["num_videos"]
                for measure in ("top1", "mean_class"):
                    values[method][measure].append(100 * numbers[measure])
        if not values:
            continue
        print(f"\n{part}\n\n| method | top-1 % | mean per class % | runs | videos |\n| --- | --- | --- | --- | --- |")
        for method in sorted(values):
            cells = []
            for measure in ("top1", "mean_class"):
                spread = mean_and_spread(values[method][measure])
                cells.append(f"{spread.mean:.1f}" + ("" if spread.std is None else f" ± {spread.std:.1f}"))
            print(f"| {method} | {' | '.join(cells)} | {len(values[method]['top1'])} | {videos[method]} |")


if __name__ == "__main__":
    main()
