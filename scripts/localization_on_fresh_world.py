"""Train the demo's localization on an untrimmed world of another seed, which nothing was chosen on, and print a table.

python scripts/localization_on_fresh_world.py --out runs/fresh [--preset robust] [--world-seed 7] [--seeds 0,1,2]
"""

import argparse
from pathlib import Path

from framecue.backbone import load_backbone
from framecue.datasets.world import write_untrimmed
from framecue.metrics.recognition import mean_and_spread
from framecue.report.demo import TEMPLATES
from framecue.report.demo_localization import PARTS, LocalizationPlan, run_config
from framecue.training.localization import train_localization
from framecue.training.threads import single_thread

NUM_VIDEOS = {"train": 160, "val": 30, "test": 60, "novel": 40}


@single_thread()
def main() -> None:
    """A line for each method and part: average mAP of every seed, mean and standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for videos, features and runs")
    parser.add_argument("--preset", choices=("robust", "paper"), default="robust")
    parser.add_argument("--world-seed", type=int, default=7)
    parser.add_argument("--seeds", default="0,1,2", help="of the trainings")
    arguments = parser.parse_args()
    plan = LocalizationPlan(num_videos=NUM_VIDEOS)
    write_untrimmed(
        arguments.out / "untrimmed",
        seed=arguments.world_seed,
        classes=plan.seen,
        held_out=plan.held_out,
        num_videos=plan.num_videos,
        num_idle=plan.num_idle,
    )
    backbone = load_backbone("tiny", device="cpu")
    runs = []
    for seed in map(int, arguments.seeds.split(",")):
        config = run_config(arguments.out, plan, "tiny", TEMPLATES, seed, preset=arguments.preset)
        runs.append(train_localization(config, backbone=backbone).results)
    for part in PARTS:
        for method in runs[0][part]:
            values = [100 * run[part][method]["average_map"] for run in runs]
            spread = mean_and_spread(values)
            single = " ".join(f"{value:.1f}" for value in values)
            std = "" if spread.std is None else f" ± {spread.std:.1f}"
            print(f"{part:<6} {method:<28} {spread.mean:5.1f}{std}   ({single})", flush=True)
    for run in runs:
        print(f"seed {run['seed']}: reported {run['reported']}")


if __name__ == "__main__":
    main()
