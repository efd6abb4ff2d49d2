"""Mean and 95 % interval over runs that differ in their seed, as a Markdown table; of one run that over its videos.

    python scripts/summarize_runs.py runs/a5-seed*/results.json runs/a3-seed*/results.json

Runs are grouped by method; baselines are taken from every run, so their spread is over seeds as well.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from framecue.metrics.recognition import mean_and_spread
from framecue.report.percents import mean_with_interval


def main() -> None:
    """Print one table per part that the runs report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="results.json files")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in parser.parse_args().results]
    for part in ("test", "val", "novel"):
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        last: dict[str, dict[str, Any]] = {}
        for run in runs:
            for method, numbers in run.get(part, {}).items():
                last[method] = numbers
                for measure in ("top1", "mean_class"):
                    values[method][measure].append(numbers[measure])
        if not values:
            continue
        print(f"\n{part}\n\n| method | top-1 % | mean per class % | runs | videos |\n| --- | --- | --- | --- | --- |")
        for method in sorted(values):
            cells = []
            for measure in ("top1", "mean_class"):
                spread = asdict(mean_and_spread(values[method][measure]))
                cells.append(mean_with_interval(spread | {"ci95_items": last[method]["ci95"][measure]}))
            num_videos = last[method]["num_videos"]
            print(f"| {method} | {' | '.join(cells)} | {len(values[method]['top1'])} | {num_videos} |")


if __name__ == "__main__":
    main()
