"""Still pictures with their facts: what the tiny CLIP learns from."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.datasets.world.canvas import (
    POINTING_SHAPES,
    Backdrop,
    Sprite,
    draw_sprite,
    draw_stroke,
    random_backdrop,
    to_uint8,
)
from framecue.datasets.world.captions import Facts, describe
from framecue.datasets.world.marks import Marks, random_marks
from framecue.datasets.world.motions import NOVEL_CLASSES, SEEN_CLASSES, random_cast, random_course

DRAWN_SIZE_PX = 96
"""Pictures are drawn at the videos' size and then scaled, so that stills and frames are blurred alike."""

VISIBLE_LEVELS = 6
"""Gray levels by which a shape must change a pixel to cover it."""

SHARE_MARKED = 0.45
SHARE_UNMARKED_MOTION = 0.1
SHARE_FRAME = 0.15


@dataclass(frozen=True)
class Still:
    """A picture, what there is to say about it, and where its shapes are.

    Attributes:
        image: uint8 RGB [S, S, 3].
        coverage: uint8 [S, S], how much of each pixel the shapes cover, 0 to 255; marks do not count.
        geometry: x, y, log radius, cos and sin of the angle, opacity of a single shape that has a tip; the angle is NaN
            for shapes without one, and all six for two shapes.
    """

    image: npt.NDArray[np.uint8]
    facts: Facts
    coverage: npt.NDArray[np.uint8]
    geometry: tuple[float, ...]


def random_still(rng: np.random.Generator, size_px: int) -> Still:
    """One still of one of four kinds.

    With motion marks and the motion's name; without marks, but with the name, as a frame of a named video would be;
    a frame without the name; and shapes in any place, size, pose and strength.
    """
    lot = rng.random()
    motion = str(rng.choice(SEEN_CLASSES + NOVEL_CLASSES))
    if lot < SHARE_MARKED:
        return motion_still(motion, rng, size_px)
    if lot < SHARE_MARKED + SHARE_UNMARKED_MOTION:
        return motion_still(motion, rng, size_px, marked=False)
    if lot < SHARE_MARKED + SHARE_UNMARKED_MOTION + SHARE_FRAME:
        return motion_still(motion, rng, size_px, marked=False, named=False)
    return placed_still(rng, size_px)


def motion_still(
    motion: str, rng: np.random.Generator, size_px: int, *, marked: bool = True, named: bool = True
) -> Still:
    """One moment of a motion, with or without motion marks, its facts with or without the motion's name."""
    backdrop = random_backdrop(rng, DRAWN_SIZE_PX, DRAWN_SIZE_PX)
    cast = random_cast(rng, motion)
    course = random_course(motion, cast, rng)
    t = float(rng.uniform(0.45, 1) if marked else rng.uniform(0, 1))
    if marked and motion in ("appearing", "disappearing"):
        t = float(rng.uniform(0.3, 0.7))
    sprites = course(t)
    marks = random_marks(motion, cast, course, t, rng) if marked else Marks()
    color_names = (cast.color_name, cast.partner_color_name)[: len(sprites)]
    facts = describe(sprites, color_names, backdrop, motion if named else "")
    return _draw(backdrop, sprites, marks, facts, size_px)


def placed_still(rng: np.random.Generator, size_px: int) -> Still:
    """One or two shapes anywhere, of any size, pose and strength."""
    backdrop = random_backdrop(rng, DRAWN_SIZE_PX, DRAWN_SIZE_PX)
    motion = "colliding" if rng.random() < 0.15 else "standing still"
    cast = random_cast(rng, motion)
    if motion == "colliding":
        sprites = random_course(motion, cast, rng)(float(rng.uniform(0, 1)))
    else:
        x, y = rng.uniform(0.12, 0.88, 2)
        radius = math.exp(rng.uniform(math.log(0.05), math.log(0.32)))
        angle = rng.uniform(-math.pi, math.pi) if rng.random() < 0.6 else 0.0
        opacity = rng.uniform(0.15, 1) if rng.random() < 0.35 else 1.0
        sprites = [replace(cast.actor, x=float(x), y=float(y), radius=radius, angle=angle, opacity=opacity)]
    color_names = (cast.color_name, cast.partner_color_name)[: len(sprites)]
    return _draw(backdrop, sprites, Marks(), describe(sprites, color_names, backdrop), size_px)


def _draw(backdrop: Backdrop, sprites: list[Sprite], marks: Marks, facts: Facts, size_px: int) -> Still:
    bare, picture = backdrop.picture.copy(), backdrop.picture.copy()
    for sprite in sprites:
        draw_sprite(bare, sprite)
    for sprite in [*marks.afterimages, *sprites]:
        draw_sprite(picture, sprite)
    for stroke in marks.strokes:
        draw_stroke(picture, stroke)
    covered = np.abs(to_uint8(bare).astype(np.int16) - to_uint8(backdrop.picture)).max(axis=-1) > VISIBLE_LEVELS
    return Still(
        _scaled(to_uint8(picture), size_px), facts, _scaled(np.uint8(255) * covered, size_px), _geometry(sprites)
    )


def _scaled(pixels: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC))


def _geometry(sprites: list[Sprite]) -> tuple[float, ...]:
    if len(sprites) != 1:
        return (math.nan,) * 6
    (sprite,) = sprites
    angle = sprite.angle if sprite.shape in POINTING_SHAPES else math.nan
    return (sprite.x, sprite.y, math.log(sprite.radius), math.cos(angle), math.sin(angle), sprite.opacity)
