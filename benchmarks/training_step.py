"""Time and memory of one training step, by text path and precision, at 51, 101 and 400 classes, in one run.

    python benchmarks/training_step.py [--classes 51 101 400] [--steps 3] [--json FILE]

The model is A5 over ViT-B/16's text tower with random weights (speed does not depend on them): 16 + X + 16 prompt
vectors, two temporal layers, 64 videos of 16 frames, AdamW. "full" is the arithmetic of the authors' code: 77 positions
for every class. Each row runs in its own process, so that its peak memory is its own. Ratios are against "full" fp32 at
the same number of classes; losses are printed to show that all rows compute the same thing.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONTEXT, WIDTH, BATCH, FRAMES = 77, 512, 64, 16
PATHS = ("full", "truncated", "shared")
PRECISIONS = ("fp32", "bf16")


def measure(num_classes: int, path: str, precision: str, steps: int) -> dict[str, Any]:
    """One row: median seconds of a step after one warm-up, peak resident memory, first loss."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from framecue.backbone import Backbone, Preprocessing, TokenizedText
    from framecue.config import ModelConfig
    from framecue.losses import nce_loss
    from framecue.models.builders import build_model
    from framecue.models.prompt import prompt_slots

    torch.manual_seed(0)
    vision = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    clip = CLIPModel(CLIPConfig(vision_config=vision))  # text_config's defaults are ViT-B/16's
    backbone = Backbone(
        clip, None, Preprocessing(224), name="ViT-B/16 (random)", causal=True, precision=precision, device=DEVICE
    )
    model = build_model(ModelConfig(preset="A5"), backbone, seed=0)
    # Name lengths as Kinetics' class names have them: 1 to 6 tokens.
    lengths = torch.randint(1, 7, (num_classes,))
    tokens = torch.randint(1000, 40000, (num_classes, 8))
    tokens[:, 0] = 49406
    tokens[torch.arange(num_classes), lengths + 1] = 49407
    names = TokenizedText(tuple(map(str, range(num_classes))), tokens, lengths + 1, 1, 49407)
    slots = prompt_slots(names, n_prefix=16, n_suffix=16, context_length=CONTEXT).to(backbone.device)
    features = 0.5 * torch.randn(BATCH, FRAMES, WIDTH, device=backbone.device)
    targets = torch.randint(num_classes, (BATCH,), device=backbone.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    seconds, losses = [], []
    for _ in range(steps + 1):
        started = time.perf_counter()
        loss = nce_loss(model(features, slots, path=path), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        seconds.append(time.perf_counter() - started)
    if backbone.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "classes": num_classes,
        "path": path,
        "precision": precision,
        "step_seconds": sorted(seconds[1:])[len(seconds[1:]) // 2],
        "peak_gib": peak,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


def run_apart(num_classes: int, path: str, precision: str, steps: int) -> dict[str, Any]:
    """`measure` in a process of its own."""
    row = json.dumps([num_classes, path, precision, steps])
    command = [sys.executable, __file__, "--row", row, "--device", DEVICE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"row {row} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table; with --json also write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[51, 101, 400])
    parser.add_argument("--steps", type=int, default=3, help="timed steps a row; the median is printed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    global DEVICE
    DEVICE = arguments.device
    if arguments.row:
        print(json.dumps(measure(*json.loads(arguments.row))))
        return
    rows = []
    print(f"{'classes':>7}  {'path':<9}  {'precision':<9}  {'s/step':>8}  {'faster':>7}  {'peak GiB':>8}  first loss")
    for num_classes in arguments.classes:
        for precision in PRECISIONS:
            for path in PATHS:
                row = run_apart(num_classes, path, precision, arguments.steps)
                rows.append(row)
                base = next(r for r in rows if r["classes"] == num_classes)
                row["times_faster"] = base["step_seconds"] / row["step_seconds"]
                print(
                    f"{num_classes:>7}  {path:<9}  {precision:<9}  {row['step_seconds']:>8.3f}  "
                    f"{row['times_faster']:>6.1f}x  {row['peak_gib']:>8.2f}  {row['first_loss']:.5f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


DEVICE = "cpu"

if __name__ == "__main__":
    main()
