"""Few-shot episodes trained together against one after another, in one run.

    python benchmarks/many_runs.py [--episodes 200] [--steps 2] [--tower tiny] [--threads 1 2] [--memory-mib 64 512]

Episodes are 5-way 5-shot: 25 videos of random features and 5 of HMDB-51's names each, the whole set in every step, a
model and a seed of its own. "one by one" is the same code with groups of one run. Seconds include everything that
`train_many` does, the drawing of batches too, after one step as warm-up. The greatest difference between the losses of
the last step shows that both compute the same. Speed depends neither on weights nor on features.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

from framecue.backbone import Backbone, Preprocessing, load_backbone
from framecue.config import EvaluateConfig, ModelConfig, TrainConfig
from framecue.datasets.feature_set import FeatureSet
from framecue.models.builders import build_model
from framecue.tasks.recognition import RecognitionTask
from framecue.training.many import groups, train_many
from framecue.types import FrameFeatures, Record

WAYS, SHOTS, FRAMES, WINDOW = 5, 5, 60, 16
HMDB51 = """brush hair|cartwheel|catch|chew|clap|climb|climb stairs|dive|draw sword|dribble|drink|eat|fall floor|fencing
flic flac|golf|handstand|hit|hug|jump|kick|kick ball|kiss|laugh|pick|pour|pullup|punch|push|pushup|ride bike|ride horse
run|shake hands|shoot ball|shoot bow|shoot gun|sit|situp|smile|smoke|somersault|stand|swing baseball|sword
sword exercise|talk|throw|turn|walk|wave""".replace("\n", "|").split("|")


def make_backbone(tower: str) -> Backbone:
    """The built-in one, or ViT-B/16's text tower with random weights behind the built-in tokenizer."""
    tiny = load_backbone("tiny", device="cpu")
    if tower == "tiny":
        return tiny
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    vision = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    clip = CLIPModel(CLIPConfig(vision_config=vision))  # text_config's defaults are ViT-B/16's
    return Backbone(
        clip, tiny.tokenizer, Preprocessing(224), name="ViT-B/16 (random)", causal=True, precision="fp32", device="cpu"
    )


def make_episodes(backbone: Backbone, preset: str, count: int, config: TrainConfig) -> list[RecognitionTask]:
    """Episodes over one store of 51 x 20 videos."""
    draw = np.random.default_rng(0)
    store = draw.normal(size=(51 * 20, FRAMES, backbone.embed_dim)).astype(np.float32)
    times = np.arange(FRAMES) / 8

    def fetch(keys):
        return [FrameFeatures(store[int(key)], times, FRAMES / 8) for key in keys]

    model = ModelConfig(preset=preset)
    tasks = []
    for seed in range(count):
        classes = draw.choice(51, WAYS, replace=False)
        rows = [(name, 20 * name + video) for name in classes for video in draw.choice(20, SHOTS, replace=False)]
        records = [Record(Path(f"{row}.mp4"), HMDB51[name]) for name, row in rows]
        data = FeatureSet(records, [str(row) for _, row in rows], [HMDB51[name] for name in classes], fetch)
        built = build_model(model, backbone, seed=seed)
        options = {"train": config, "evaluate": EvaluateConfig(), "window": WINDOW, "seed": seed}
        tasks.append(RecognitionTask(built, data, None, **options))
    return tasks


def measure(
    backbone: Backbone, preset: str, episodes: int, steps: int, memory_bytes: int
) -> tuple[int, float, list[float]]:
    """Runs in the largest group, seconds for all steps of all episodes, and each episode's loss after them."""
    config = TrainConfig(iterations=steps)
    warm_up = make_episodes(backbone, preset, 2, TrainConfig(iterations=1))
    train_many(warm_up, TrainConfig(iterations=1), memory_bytes=memory_bytes)
    tasks = make_episodes(backbone, preset, episodes, config)
    largest = max(map(len, groups(tasks, memory_bytes)))
    started = time.perf_counter()
    train_many(tasks, config, memory_bytes=memory_bytes)
    seconds = time.perf_counter() - started
    with torch.no_grad():
        return largest, seconds, [float(task.loss(steps)) for task in tasks]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--tower", choices=("tiny", "vit-b-16"), default="tiny")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    parser.add_argument("--memory-mib", type=int, nargs="+", default=[64, 512])
    arguments = parser.parse_args()
    backbone = make_backbone(arguments.tower)
    episodes, steps = arguments.episodes, arguments.steps
    print(f"{episodes} episodes of {WAYS} classes x {SHOTS} videos, {steps} steps each, {arguments.tower} text tower")
    print("model  threads  at once  seconds  ms/step of one  faster  greatest difference of a loss")
    for preset in ("A3", "A5"):
        for threads in dict.fromkeys(arguments.threads):
            torch.set_num_threads(threads)
            first: tuple[float, list[float]] | None = None
            for memory_mib in (0, *arguments.memory_mib):
                at_once, seconds, losses = measure(backbone, preset, episodes, steps, memory_mib * 2**20)
                first = first or (seconds, losses)
                difference = float(np.abs(np.subtract(losses, first[1])).max())
                each_ms = 1000 * seconds / steps / episodes
                print(
                    f"{preset:<5}  {threads:>7}  {at_once:>7}  {seconds:>7.2f}  {each_ms:>14.2f}"
                    f"  {first[0] / seconds:>5.1f}x  {difference:.1e}",
                    flush=True,
                )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
