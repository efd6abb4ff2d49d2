"""Frames per second of `extract` beside its two halves alone, bare decoding and the bare image tower, in one run.

    python benchmarks/extraction.py [--backbone vit-b-16 | tiny | ID] [--videos 24] [--rounds 3] [--json FILE]

`vit-b-16` is ViT-B/16 with random weights (speed does not depend on them). Videos are rendered for the run: 320x240
H.264, 4 s at 25 frames/s each; all of their frames are encoded. Decoding includes RGB conversion and the backbone's
resizing and cropping, in one worker as `extract` gives it on two cores; the image tower runs on frames in memory. The
halves share the processors in `extract`, so that on few cores it can reach the slower half only where the other is
cheap: `possible` is the rate if both halves ran one after the other on the time of all cores.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from framecue.backbone import Backbone, Preprocessing, load_backbone
from framecue.features.extract import extract
from framecue.video.reader import read_frames
from framecue.video.sampling import parse_sampling
from framecue.video.writer import write_video

FPS, FRAMES, HEIGHT, WIDTH = 25, 100, 240, 320


def make_backbone(name: str, precision: str) -> Backbone:
    """The one asked for, or ViT-B/16 with random weights."""
    if name != "vit-b-16":
        return load_backbone(name, precision=precision)
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    text = {"num_hidden_layers": 1}
    clip = CLIPModel(CLIPConfig(vision_config=vision | {"patch_size": 16, "image_size": 224}, text_config=text))
    return Backbone(clip, None, Preprocessing(224), name=name, causal=True, precision=precision)


def make_videos(folder: Path, count: int) -> list[Path]:
    """Moving gradients with noise, so that the codec has something to do."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(count):
        texture = rng.integers(0, 256, (HEIGHT + FRAMES, WIDTH + FRAMES, 3), dtype=np.uint8)
        texture = (texture // 8 + np.linspace(0, 200, WIDTH + FRAMES, dtype=np.uint8)[:, None]).astype(np.uint8)
        frames = np.stack([texture[t : t + HEIGHT, t : t + WIDTH] for t in range(FRAMES)])
        paths.append(folder / f"{index:03d}.mp4")
        write_video(paths[-1], frames, FPS)
    return paths


def decode_rate(paths: list[Path], backbone: Backbone) -> float:
    """Frames per second of reading, resizing and cropping alone, one worker."""
    started, count = time.perf_counter(), 0
    for path in paths:
        reading = read_frames(path, parse_sampling("all"), resize=backbone.preprocessing.resize_crop)
        count += sum(map(len, reading))
    return count / (time.perf_counter() - started)


def tower_rate(num_frames: int, backbone: Backbone) -> float:
    """Frames per second of normalization and the image tower alone, on frames in memory."""
    batch = torch.randint(0, 256, (64, 3, backbone.image_size, backbone.image_size), dtype=torch.uint8)
    backbone.encode_frames(batch)
    rounds = max(1, num_frames // 64)
    started = time.perf_counter()
    for _ in range(rounds):
        backbone.encode_frames(batch)
    return rounds * 64 / (time.perf_counter() - started)


def main() -> None:
    """Print one line per round and the medians; with --json also write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    backbone = make_backbone(arguments.backbone, arguments.precision)
    cores = torch.get_num_threads()
    rows = []
    print(f"{backbone.name}, {arguments.precision}, {cores} threads, {arguments.videos} videos of {FRAMES} frames")
    print(f"{'decode':>9} {'tower':>9} {'extract':>9}  frames/s   of the slower half   of what is possible")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_videos(Path(folder), arguments.videos)
        extract(paths[:1], backbone=backbone, store=Path(folder) / "warm.lance", sampling="all")
        for index in range(arguments.rounds):
            decode, tower = decode_rate(paths, backbone), tower_rate(len(paths) * FRAMES, backbone)
            summary = extract(paths, backbone=backbone, store=Path(folder) / f"{index}.lance", sampling="all")
            rate = summary.num_frames / summary.elapsed_seconds
            # Decoding one frame takes 1/decode core-seconds, encoding one cores/tower core-seconds.
            possible = min(decode, cores / (1 / decode + cores / tower))
            row = {"decode": decode, "tower": tower, "extract": rate, "possible": possible}
            row |= {"of_slower_half": rate / min(decode, tower), "of_possible": rate / possible}
            rows.append(row)
            print(
                f"{decode:>9.0f} {tower:>9.0f} {rate:>9.0f} {row['of_slower_half']:>25.0%} {row['of_possible']:>20.0%}",
                flush=True,
            )
    medians = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
    print(
        f"median: {medians['of_slower_half']:.0%} of the slower half, {medians['of_possible']:.0%} of what is possible"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"rounds": rows, "median": medians}, indent=2) + "\n")


if __name__ == "__main__":
    main()
