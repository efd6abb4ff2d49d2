"""Pictures of the built-in world: anti-aliased shapes, strokes and backgrounds, in NumPy and Pillow.

Coordinates are in units of the picture's height. The square [0, 1] x [0, 1] is the center crop of the picture, whatever
its width; x grows to the right, y downwards. Angles are radians, clockwise as seen; at angle 0 a shape points up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]
Picture = npt.NDArray[np.float32]

SUPERSAMPLING = 4

COLORS: dict[str, Color] = {
    "red": (245, 60, 55),
    "orange": (250, 150, 40),
    "yellow": (250, 235, 60),
    "green": (60, 215, 80),
    "cyan": (60, 225, 235),
    "blue": (80, 120, 255),
    "purple": (175, 85, 240),
    "pink": (255, 140, 200),
    "white": (250, 250, 250),
}
"""Colors of shapes: bright, where backgrounds are dark. A bright patch is a shape whatever the background, which a
small image tower learns in minutes; telling any color from any other takes it hours."""
BACKDROPS = ("plain", "gradient", "striped", "checked", "noisy", "spotted")


def _regular(corners: int, phase: float = 0.0, inner: float = 1.0) -> list[Point]:
    """Outline with `corners` corners, every other one at radius `inner`, the first one up (plus `phase`)."""
    turns = [phase + 2 * math.pi * k / corners for k in range(corners)]
    radii = [1.0 if k % 2 == 0 else inner for k in range(corners)]
    return [(r * math.sin(a), -r * math.cos(a)) for a, r in zip(turns, radii, strict=True)]


def _heart() -> list[Point]:
    turns = [2 * math.pi * k / 40 for k in range(40)]
    heights = [13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a) for a in turns]
    return [(math.sin(a) ** 3, -(height + 2.5) / 16) for a, height in zip(turns, heights, strict=True)]


def _half_circle() -> list[Point]:
    turns = [math.pi * (k / 20 - 0.5) for k in range(21)]
    return [(math.sin(a), 0.45 - math.cos(a)) for a in turns]


OUTLINES: dict[str, npt.NDArray[np.float64]] = {
    name: np.array(points)
    for name, points in {
        "circle": _regular(40),
        "square": [(0.85 * x, 0.85 * y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))],
        "diamond": [(0.0, -1.15), (0.75, 0.0), (0.0, 1.15), (-0.75, 0.0)],
        "star": _regular(10, inner=0.42),
        "cross": [
            (s * a, s * b)
            for s in (1, -1)
            for a, b in ((-0.32, -1), (0.32, -1), (0.32, -0.32), (1, -0.32), (1, 0.32), (0.32, 0.32))
        ],
        "triangle": [(0.0, -1.2), (0.62, 0.85), (-0.62, 0.85)],
        "arrow": [(0, -1.1), (0.8, -0.1), (0.33, -0.1), (0.33, 1), (-0.33, 1), (-0.33, -0.1), (-0.8, -0.1)],
        "heart": _heart(),
        "half circle": _half_circle(),
    }.items()
}
POINTING_SHAPES = ("triangle", "arrow", "half circle")
"""Shapes that look different at every angle and are longer than wide, so that a turn can be seen."""


@dataclass(frozen=True)
class Sprite:
    """One shape in one picture; `radius` in picture heights, `opacity` in [0, 1]."""

    shape: str
    color: Color
    x: float
    y: float
    radius: float
    angle: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Stroke:
    """A polyline drawn over a picture; `width` in picture heights."""

    points: Sequence[Point]
    color: Color
    width: float = 0.02
    opacity: float = 1.0


def outline(sprite: Sprite, scale: float = 1.0) -> list[Point]:
    """Corners of the sprite, its radius multiplied by `scale`, in picture coordinates."""
    cos, sin = math.cos(sprite.angle) * sprite.radius * scale, math.sin(sprite.angle) * sprite.radius * scale
    turned = OUTLINES[sprite.shape] @ np.array([[cos, sin], [-sin, cos]])
    return [(sprite.x + dx, sprite.y + dy) for dx, dy in turned.tolist()]


def draw_sprite(picture: Picture, sprite: Sprite) -> None:
    """Blend the sprite into `picture`, float32 [H, W, 3], in place."""
    if sprite.opacity > 0:
        _blend(picture, outline(sprite), sprite.color, sprite.opacity, margin_px=1.0)


def draw_stroke(picture: Picture, stroke: Stroke) -> None:
    """Blend the stroke into `picture`, float32 [H, W, 3], in place."""
    width_px = stroke.width * picture.shape[0]
    _blend(picture, stroke.points, stroke.color, stroke.opacity, margin_px=width_px + 1, line_width_px=width_px)


def _blend(
    picture: Picture,
    points: Sequence[Point],
    color: Color,
    opacity: float,
    *,
    margin_px: float,
    line_width_px: float | None = None,
) -> None:
    height, width = picture.shape[:2]
    corners = np.array(points) * height
    corners[:, 0] += (width - height) / 2
    low = np.maximum(np.floor(corners.min(0) - margin_px), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(0) + margin_px), (width, height)).astype(int)
    if (high <= low).any():
        return
    # Pillow puts pixel centers on whole numbers, hence the half-pixel shift after scaling up.
    scaled = [tuple(p) for p in ((corners - low) * SUPERSAMPLING - 0.5).tolist()]
    mask = Image.new("L", tuple(((high - low) * SUPERSAMPLING).tolist()))
    pen = ImageDraw.Draw(mask)
    if line_width_px is None:
        pen.polygon(scaled, fill=255)
    else:
        pen.line(scaled, fill=255, width=max(1, round(line_width_px * SUPERSAMPLING)), joint="curve")
    alpha = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32)[..., None] * (opacity / 255)
    region = picture[low[1] : high[1], low[0] : high[0]]
    region += alpha * (np.array(color, dtype=np.float32) - region)


@dataclass(frozen=True)
class Backdrop:
    """A background: its kind, its color by name, and the picture itself, float32 [H, W, 3]."""

    kind: str
    color_name: str
    picture: Picture


def random_backdrop(rng: np.random.Generator, width: int, height: int) -> Backdrop:
    """A background in two close, dark tones of one color."""
    kind = str(rng.choice(BACKDROPS))
    color_name = str(rng.choice(list(COLORS)))
    base = np.array(COLORS[color_name], dtype=np.float32) * rng.uniform(0.1, 0.3)
    other = base * rng.uniform(0.3, 0.6)
    weight = _pattern(kind, rng, width, height)[..., None]
    return Backdrop(kind, color_name, (base + weight * (other - base)).astype(np.float32))


def _pattern(kind: str, rng: np.random.Generator, width: int, height: int) -> npt.NDArray[np.float32]:
    """Share of the second tone at every pixel, [H, W] in [0, 1]."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) / height, np.arange(height, dtype=np.float32) / height)
    turn = rng.uniform(0, math.pi)
    along = math.cos(turn) * x + math.sin(turn) * y
    period = rng.uniform(0.1, 0.3)
    if kind == "gradient":
        return np.clip(0.5 + (along - along.mean()) * rng.uniform(1, 2), 0, 1)
    if kind == "striped":
        return np.clip(0.5 + 3 * np.sin(along * 2 * math.pi / period), 0, 1)
    if kind == "checked":
        waves = np.sin(x * 2 * math.pi / period) * np.sin(y * 2 * math.pi / period)
        return np.clip(0.5 + 8 * waves, 0, 1)
    if kind == "noisy":
        return rng.random((height, width), dtype=np.float32)
    if kind == "spotted":
        centers = rng.random((12, 2)) * (width / height, 1)
        distance = np.min([(x - cx) ** 2 + (y - cy) ** 2 for cx, cy in centers], axis=0)
        return np.clip((0.09 - np.sqrt(distance)) * 40, 0, 1).astype(np.float32)
    return np.zeros((height, width), dtype=np.float32)


def random_color(rng: np.random.Generator) -> tuple[str, Color]:
    """A named color of shapes, slightly varied."""
    name = str(rng.choice(list(COLORS)))
    varied = np.clip(np.array(COLORS[name]) + rng.integers(-12, 13, 3), 0, 255)
    return name, (int(varied[0]), int(varied[1]), int(varied[2]))


def to_uint8(picture: Picture) -> npt.NDArray[np.uint8]:
    """Round and clip to uint8 RGB [H, W, 3]."""
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)
