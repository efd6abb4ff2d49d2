"""Trains the tiny CLIP that comes with framecue, on rendered stills and their captions, and measures what it knows.

    python scripts/train_tiny_clip.py --out src/framecue/backbone/tiny

Contrastive training only: every picture is matched with a free caption among all captions of the batch, and, topic by
topic, with a short caption of what it shows among those of everything else in the batch ("something moving left"
among the motions, "a large shape" among the sizes). Without the topics, color and background tell the pictures of a
batch apart, and place, size and motion are learned late or never.

On top of that come two throw-away linear heads that tell the image tower where to look: one predicts from each patch
token which of its pixels a shape covers, the other regresses place, size, pose and opacity from the image embedding.
They are dropped on saving; without them, what moves is read from the frames far less surely (docs/log.md).

Everything follows from the constants below and the seed; `recipe.json` beside the weights holds them with the
measured zero-shot accuracy on stills and videos of other seeds. About 15 minutes on two cores.
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from framecue.datasets.world import (
    NOVEL_CLASSES,
    SEEN_CLASSES,
    Still,
    order_blind_ceiling,
    random_caption,
    random_still,
)
from framecue.datasets.world.canvas import COLORS, OUTLINES
from framecue.datasets.world.captions import TEMPLATES, TOPICS, Facts, topic_caption, topic_value
from framecue.datasets.world.motions import TWO_SHAPES
from framecue.datasets.world.stills import motion_still, placed_still
from framecue.datasets.world.videos import clip_rng, render_clip

SEED = 0
NUM_STILLS = 40_000
NUM_STEPS = 1_300
BATCH_SIZE = 128
PEAK_LR, WARMUP_STEPS, WEIGHT_DECAY, BETAS = 1.2e-3, 60, 0.05, (0.9, 0.98)
CAPTION_WEIGHT, COVERAGE_WEIGHT, GEOMETRY_WEIGHT = 0.5, 5.0, 2.0
TOPIC_WEIGHTS = {
    "motion": 2.0,
    "place": 1.0,
    "pose": 2.0,
    "size": 0.7,
    "strength": 1.0,
    "shape": 0.7,
    "color": 0.3,
    "gap": 0.7,
}
MAX_SCALE = 100.0
VOCABULARY_SIZE = 1_024
CONTEXT_LENGTH = 77
EMBED_DIM = 128
VISION = {
    "image_size": 48,
    "patch_size": 8,
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
}
TEXT = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HELD_OUT_SEED = 10_000
PLAIN_ENGLISH = """
the of and to in is that it was for on are as with his they at be this have from or one had by word but not
what all were we when your can said there use each which she do how their if will up other about out many then
them these so some her would make like him into time has look two more write go see number no way could people
my than first water been call who oil its now find long down day did get come made may part over new sound
take only little work know place year live me back give most very after thing our just name good sentence man
think say great where help through much before line right too mean old any same tell boy follow came want show
also around form three small person running walking playing jumping riding holding standing sitting hand ball
dog cat car house tree someone
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    parser.add_argument("--stills", type=int, default=NUM_STILLS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    started = time.monotonic()
    stills = render_stills(args.stills, args.workers)
    print(f"{len(stills)} stills in {time.monotonic() - started:.0f} s", flush=True)
    tokenizer = build_tokenizer(stills)
    model = build_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    train(model, tokenizer, stills, args.steps)
    minutes = (time.monotonic() - started) / 60
    model.half().float()  # measure what is saved
    accuracy = measure(model.eval(), tokenizer)
    print(json.dumps(accuracy, indent=2))
    save(args.out, model, tokenizer, recipe(args.steps, args.stills, minutes, accuracy))


def render_stills(num_stills: int, workers: int) -> list[Still]:
    """The training pictures; still i follows from (SEED, i) alone."""
    starts = range(0, num_stills, 500)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = pool.map(_render_part, starts, [min(500, num_stills - start) for start in starts])
        return [still for part in parts for still in part]


def _render_part(start: int, count: int) -> list[Still]:
    return [random_still(np.random.default_rng([SEED, start + i]), VISION["image_size"]) for i in range(count)]


def build_tokenizer(stills: list[Still]) -> CLIPTokenizer:
    """A byte-level BPE vocabulary in CLIP's format, learned on captions and common English words."""
    rng = np.random.default_rng([SEED, 1])
    captions = [random_caption(still.facts, rng) for still in stills[:20_000]]
    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pieces = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    num_merges = VOCABULARY_SIZE - 2 * len(alphabet) - 2
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator([*captions, *PLAIN_ENGLISH.split() * 20], trainer)
    merges = [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]][:num_merges]
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(merge) for merge in merges)]
    tokens = list(dict.fromkeys(tokens))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH)


def build_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    shared = {"projection_dim": EMBED_DIM, "hidden_act": "quick_gelu"}
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT_LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(
        text_config={**TEXT, **shared, **text}, vision_config={**VISION, **shared}, projection_dim=EMBED_DIM
    )
    return CLIPModel(config)


@torch.no_grad()
def initialize(model: CLIPModel) -> None:
    """Start attention and positions at full strength: CLIP's own small start takes thousands of steps to leave."""
    for name, weight in model.named_parameters():
        if "encoder" in name and weight.ndim == 2:
            torch.nn.init.xavier_uniform_(weight)
    torch.nn.init.normal_(model.text_model.embeddings.token_embedding.weight, std=0.3)
    torch.nn.init.normal_(model.text_model.embeddings.position_embedding.weight, std=0.1)
    side, width = VISION["image_size"] // VISION["patch_size"], VISION["hidden_size"]
    rates = math.pi / (2 * side) * (2 * side) ** torch.linspace(0, 1, width // 4)
    turns = (torch.arange(side) + 0.5)[:, None] * rates
    waves = torch.cat([turns.sin(), turns.cos()], 1)
    grid = torch.cat([waves[:, None].expand(side, side, -1), waves[None].expand(side, side, -1)], -1)
    model.vision_model.embeddings.position_embedding.weight[1:] = grid.reshape(side * side, width)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    batch = tokenizer(texts, padding=True, truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt")
    return batch["input_ids"]


def normalize(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] as CLIP wants it."""
    return (images.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


class Guides(torch.nn.Module):
    """The throw-away heads, and the targets they are held to."""

    def __init__(self, stills: list[Still]) -> None:
        super().__init__()
        side, patch = VISION["image_size"] // VISION["patch_size"], VISION["patch_size"]
        coverage = torch.from_numpy(np.stack([still.coverage for still in stills]))
        self.coverage = coverage.view(-1, side, patch, side, patch).transpose(2, 3).reshape(-1, side**2, patch**2)
        geometry = torch.tensor([still.geometry for still in stills], dtype=torch.float32)
        known = [column[~column.isnan()] for column in geometry.T]
        mean, std = (torch.stack([reduce(column) for column in known]) for reduce in (torch.mean, torch.std))
        self.geometry = (geometry - mean) / std
        self.covers = torch.nn.Linear(VISION["hidden_size"], patch**2)
        self.places = torch.nn.Linear(EMBED_DIM, geometry.shape[1])

    def losses(self, patches: torch.Tensor, image: torch.Tensor, rows: list[int]) -> dict[str, torch.Tensor]:
        """patches [B, P, W], image embeddings [B, D] of the stills `rows`."""
        coverage = self.coverage[rows].float() / 255
        known = ~self.geometry[rows].isnan()
        return {
            "coverage": F.binary_cross_entropy_with_logits(self.covers(patches), coverage),
            "geometry": F.mse_loss(self.places(image)[known], self.geometry[rows][known]),
        }


def train(model: CLIPModel, tokenizer: CLIPTokenizer, stills: list[Still], num_steps: int) -> None:
    """Contrastive training on fresh captions in every step, with the guides beside it."""
    images = torch.from_numpy(np.stack([still.image for still in stills]))
    initialize(model)
    guides = Guides(stills)
    parameters = [*model.parameters(), *guides.parameters()]
    decayed = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_LR, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, num_steps))
    weights = {"caption": CAPTION_WEIGHT, "coverage": COVERAGE_WEIGHT, "geometry": GEOMETRY_WEIGHT, **TOPIC_WEIGHTS}
    rng = np.random.default_rng([SEED, 2])
    started, recent = time.monotonic(), []
    model.train()
    for step, rows in enumerate(_batches(len(stills), num_steps, rng), start=1):
        patches, image = image_embeddings(model, images[rows])
        losses = text_losses(model, tokenizer, image, [stills[row].facts for row in rows], rng)
        losses |= guides.losses(patches, image, rows)
        loss = sum(weights[name] * value for name, value in losses.items())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(MAX_SCALE))
        recent.append({name: value.item() for name, value in losses.items()})
        if step % 50 == 0:
            means = " ".join(f"{name} {np.mean([entry[name] for entry in recent[-50:]]):.2f}" for name in losses)
            print(f"step {step} {time.monotonic() - started:.0f} s: {means}", flush=True)


def image_embeddings(model: CLIPModel, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Last patch tokens [B, P, W] and image embeddings [B, D]."""
    with torch.autocast("cpu", torch.bfloat16):
        tokens = model.vision_model(pixel_values=normalize(images))
        image = model.visual_projection(tokens.pooler_output)
    return tokens.last_hidden_state[:, 1:].float(), image.float()


def text_losses(
    model: CLIPModel, tokenizer: CLIPTokenizer, image: torch.Tensor, facts: list[Facts], rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """The caption loss, and each topic's cross-entropy of picture to text, as a mean over the batch."""
    captions = [random_caption(fact, rng) for fact in facts]
    texts: list[str] = []
    targets: dict[str, tuple[slice, list[int], list[int]]] = {}
    for topic in TOPICS:
        holders = {value: row for row, fact in enumerate(facts) if (value := topic_value(fact, topic))}
        values = list(holders)
        rows = [row for row, fact in enumerate(facts) if topic_value(fact, topic)]
        span = slice(len(texts), len(texts) + len(values))
        targets[topic] = (span, rows, [values.index(topic_value(facts[row], topic)) for row in rows])
        texts += [topic_caption(facts[row], topic, rng) for row in holders.values()]
    with torch.autocast("cpu", torch.bfloat16):
        caption, short = (
            model.get_text_features(input_ids=tokenize(tokenizer, part)).pooler_output.float()
            for part in (captions, texts)
        )
    losses = {"caption": contrastive_loss(image, caption, model.logit_scale, captions)}
    logits = model.logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(short, dim=-1).T
    for topic, (span, rows, target) in targets.items():
        total = F.cross_entropy(logits[rows, span], torch.tensor(target, dtype=torch.long), reduction="sum")
        losses[topic] = total / len(facts)
    return losses


def _lr_factor(step: int, num_steps: int) -> float:
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps))))


def _batches(num_stills: int, num_steps: int, rng: np.random.Generator) -> Iterator[list[int]]:
    order: list[int] = []
    for _ in range(num_steps):
        if len(order) < BATCH_SIZE:
            order = rng.permutation(num_stills).tolist()
        yield order[:BATCH_SIZE]
        order = order[BATCH_SIZE:]


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor, captions: list[str]
) -> torch.Tensor:
    """CLIP's symmetric cross-entropy; the target is spread over all pictures whose caption is the same text."""
    logits = logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    same = torch.tensor([[one == other for other in captions] for one in captions], dtype=torch.float32)
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@torch.no_grad()
def measure(model: CLIPModel, tokenizer: CLIPTokenizer) -> dict[str, float]:
    """Zero-shot accuracy on pictures and videos of another seed than the training stills'."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    placed = [placed_still(rng, VISION["image_size"]) for _ in range(1_500)]
    single = [still for still in placed if len(still.facts.nouns) == 1]
    every_class = SEEN_CLASSES + NOVEL_CLASSES
    marked = [motion_still(name, rng, VISION["image_size"]) for name in every_class for _ in range(30)]

    def accuracy(stills: list[Still], truth: list[str], text: str) -> float:
        names = sorted(set(truth))
        features = image_features(model, np.stack([still.image for still in stills]))
        guesses = classify(features, text_features(model, tokenizer, [text.format(name) for name in names]))
        return float(np.mean([names[guess] == name for guess, name in zip(guesses, truth, strict=True)]))

    pointing = [still for still in single if still.facts.pose.startswith("pointing")]
    result = {
        f"stills_color_of_{len(COLORS)}": accuracy(single, [s.facts.nouns[0][0] for s in single], "a {} shape"),
        f"stills_shape_of_{len(OUTLINES)}": accuracy(single, [s.facts.nouns[0][1] for s in single], "a {}"),
        "stills_place_of_13": accuracy(single, [s.facts.place for s in single], "a shape {}"),
        "stills_direction_of_8": accuracy(pointing, [s.facts.pose for s in pointing], "a shape {}"),
        f"stills_motion_of_{len(every_class)}": accuracy(marked, [s.facts.motion for s in marked], "something {}"),
    }
    for part, names in (("seen", SEEN_CLASSES), ("novel", NOVEL_CLASSES)):
        result[f"videos_{part}_of_{len(names)}"] = video_accuracy(model, tokenizer, names)
        result[f"videos_{part}_order_blind_ceiling"] = order_blind_ceiling(names)
    return {name: round(value, 4) for name, value in result.items()}


def video_accuracy(model: CLIPModel, tokenizer: CLIPTokenizer, names: tuple[str, ...], per_class: int = 20) -> float:
    """Mean of 16 frames' features against class names in templates; the test set's twins, rendered at another seed."""
    right = 0
    ensemble = [
        text_features(model, tokenizer, [template.format(_clause(name)) for name in names]) for template in TEMPLATES
    ]
    texts = torch.stack(ensemble).mean(0)
    for label in names:
        clips = [render_clip(label, clip_rng(HELD_OUT_SEED, "test", label, i), num_frames=16) for i in range(per_class)]
        frames = np.concatenate([np.stack([_crop(frame) for frame in clip.frames]) for clip in clips])
        means = image_features(model, frames).view(per_class, 16, -1).mean(1)
        right += sum(names[guess] == label for guess in classify(means, texts))
    return right / (per_class * len(names))


def _clause(name: str) -> str:
    return f"two shapes {name}" if name in TWO_SHAPES else f"a shape {name}"


def _crop(frame: np.ndarray) -> np.ndarray:
    size, (height, width) = VISION["image_size"], frame.shape[:2]
    scaled = Image.fromarray(frame).resize((round(width * size / height), size), Image.Resampling.BICUBIC)
    left = (scaled.width - size) // 2
    return np.asarray(scaled)[:, left : left + size]


def image_features(model: CLIPModel, images: np.ndarray) -> torch.Tensor:
    parts = torch.from_numpy(images).split(256)
    return torch.cat([model.get_image_features(pixel_values=normalize(part)).pooler_output for part in parts])


def text_features(model: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    return F.normalize(model.get_text_features(input_ids=tokenize(tokenizer, texts)).pooler_output, dim=-1)


def classify(features: torch.Tensor, texts: torch.Tensor) -> list[int]:
    return (F.normalize(features, dim=-1) @ F.normalize(texts, dim=-1).T).argmax(1).tolist()


def recipe(num_steps: int, num_stills: int, minutes: float, accuracy: dict[str, float]) -> dict[str, object]:
    return {
        "script": "scripts/train_tiny_clip.py",
        "seed": SEED,
        "stills": num_stills,
        "steps": num_steps,
        "batch_size": BATCH_SIZE,
        "peak_lr": PEAK_LR,
        "weight_decay": WEIGHT_DECAY,
        "caption_weight": CAPTION_WEIGHT,
        "coverage_weight": COVERAGE_WEIGHT,
        "geometry_weight": GEOMETRY_WEIGHT,
        "topic_weights": TOPIC_WEIGHTS,
        "minutes": round(minutes, 1),
        "zero_shot_accuracy": accuracy,
    }


def save(out: Path, model: CLIPModel, tokenizer: CLIPTokenizer, recipe: dict[str, object]) -> None:
    """A folder as transformers writes it; weights in half precision."""
    copy.deepcopy(model).half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    size = VISION["image_size"]
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, image_mean=MEAN, image_std=STD
    )
    processor.save_pretrained(out)
    (out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
