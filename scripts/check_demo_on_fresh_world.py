"""Measure a finished demo's recognition adapters on a world rendered from another seed, which no setting was chosen on.

python scripts/check_demo_on_fresh_world.py --demo demo-out --out fresh-world [--seed 20261121]
"""

import argparse
from pathlib import Path

import numpy as np

from framecue.backbone import load_backbone
from framecue.datasets.feature_set import FeatureSet
from framecue.datasets.records import load_records
from framecue.datasets.world import NOVEL_CLASSES, ORDER_PAIRS, SEEN_CLASSES, write_world
from framecue.features.extract import extract, make_maker
from framecue.features.store import FeatureStore
from framecue.models.adapter import load_adapter
from framecue.models.handcrafted import Handcrafted
from framecue.report.demo import TEMPLATES
from framecue.tasks.baselines import zero_shot_scores
from framecue.tasks.recognition import Scores, predict_scores

SAMPLING, WINDOW = "uniform:16", 16  # the demo's


def main() -> None:
    """Print top-1 of B-I and of every A3 and A5 run, on seen classes and on held-out names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True, help="folder of a finished demo")
    parser.add_argument("--out", type=Path, required=True, help="folder for the new videos and features")
    parser.add_argument("--seed", type=int, default=20261121)
    arguments = parser.parse_args()
    world = arguments.out / "videos"
    write_world(world, seed=arguments.seed, classes=SEEN_CLASSES + NOVEL_CLASSES, videos_per_class={"test": 20})
    records, _ = load_records(world)
    paths = [record.path for record in records]
    backbone = load_backbone("tiny", device="cpu")
    store = FeatureStore.open(arguments.out / "features.lance", make_maker(backbone, SAMPLING))
    extract(paths, backbone=backbone, store=store, sampling=SAMPLING)
    hashes = store.resolve(paths)
    paired = {name for pair in ORDER_PAIRS for name in pair}
    for part, classes in (("seen", SEEN_CLASSES), ("held-out", NOVEL_CLASSES)):
        names = tuple(sorted(classes))
        kept = [record for record in records if record.label in names]
        data = FeatureSet(kept, [hashes[record.path] for record in kept], names, store.get_many)
        in_pair = np.array([names[target] in paired for target in data.targets])

        def report(method: str, scores: Scores, part: str = part, data: FeatureSet = data, rows=in_pair) -> None:
            right = scores.argmax(axis=1) == data.targets
            print(
                f"{part:<9} {method:<9} all {100 * right.mean():.1f}  pairs {100 * right[rows].mean():.1f}", flush=True
            )

        report("B-I", zero_shot_scores(Handcrafted(backbone, TEMPLATES), data, names, window=WINDOW, num_views=1))
        for folder in sorted((arguments.demo / "runs").glob("A[35]-*")):
            model = load_adapter(folder / "adapter", backbone)
            report(folder.name, predict_scores(model, data, names, window=WINDOW, num_views=1))


if __name__ == "__main__":
    main()
