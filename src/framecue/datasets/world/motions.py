"""The actions of the built-in world: their names, which of them are each other's reversal, and how they move.

A motion turns a cast (who is on stage) into a course: a function from time in [0, 1] to the sprites seen then. Of each
pair in `ORDER_PAIRS` only the first is written down; the second *is* its course run backwards. So the frames of the
two, taken as a bag, have one distribution, and nothing but their order tells them apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framecue.datasets.world.canvas import OUTLINES, POINTING_SHAPES, Sprite, random_color

ORDER_PAIRS: tuple[tuple[str, str], ...] = (
    ("moving right", "moving left"),
    ("moving down", "moving up"),
    ("growing", "shrinking"),
    ("appearing", "disappearing"),
    ("turning clockwise", "turning counterclockwise"),
    ("colliding", "separating"),
    ("moving down and right", "moving up and left"),
    ("moving down and left", "moving up and right"),
    ("moving right and growing", "moving left and shrinking"),
)
"""(forward, its reversal)."""

SEEN_CLASSES: tuple[str, ...] = (
    *(name for pair in ORDER_PAIRS[:6] for name in pair),
    "bouncing",
    "circling",
    "blinking",
    "shaking",
    "standing still",
)
NOVEL_CLASSES: tuple[str, ...] = (
    *(name for pair in ORDER_PAIRS[6:] for name in pair),
    "swinging",
    "zigzagging",
)
"""Names held out of training: combinations of what was seen, and two motions of another kind."""

FORWARD_OF = {backward: forward for forward, backward in ORDER_PAIRS}
TWO_SHAPES = frozenset({"colliding", "separating"})

Course = Callable[[float], list[Sprite]]


def order_pairs(class_names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of `ORDER_PAIRS` with both names among `class_names`."""
    names = set(class_names)
    return [pair for pair in ORDER_PAIRS if names.issuperset(pair)]


def order_blind_ceiling(class_names: Sequence[str]) -> float:
    """Highest accuracy, with as many videos per class, of a model that ignores the order of frames.

    Of a video and its reversal such a model gets one right at most: each class of an order pair counts 1/2.
    """
    return 1 - len(order_pairs(class_names)) / len(set(class_names))


@dataclass(frozen=True)
class Cast:
    """Who is on stage: the actor, the names of its color and of its size, and a partner where the motion needs two."""

    actor: Sprite
    color_name: str
    partner: Sprite
    partner_color_name: str

    def sprites(self, motion: str) -> tuple[Sprite, ...]:
        """The shapes that take part in `motion`."""
        return (self.actor, self.partner) if motion in TWO_SHAPES else (self.actor,)


def random_cast(rng: np.random.Generator, motion: str) -> Cast:
    """Shapes, colors and sizes fit for `motion`, with the actor in the center."""
    kinds = POINTING_SHAPES if "turning" in motion else tuple(OUTLINES)
    color_name, color = random_color(rng)
    partner_color_name, partner_color = random_color(rng)
    angle = rng.uniform(0, 2 * math.pi) if "turning" in motion else rng.choice([0.0, rng.uniform(-0.3, 0.3)])
    actor = Sprite(str(rng.choice(kinds)), color, 0.5, 0.5, rng.uniform(0.09, 0.15), float(angle))
    partner = replace(actor, shape=str(rng.choice(kinds)), color=partner_color, radius=rng.uniform(0.09, 0.13))
    return Cast(actor, color_name, partner, partner_color_name)


def random_course(motion: str, cast: Cast, rng: np.random.Generator) -> Course:
    """One way in which the cast carries out `motion`, with sprites inside the center crop."""
    if motion in FORWARD_OF:
        forward = _COURSES[FORWARD_OF[motion]](cast, rng)
        return lambda t: forward(1 - t)
    return _COURSES[motion](cast, rng)


def moment_times(num_frames: int) -> list[float]:
    """Times of the frames of one video, evenly spread over [0, 1], both ends included."""
    return [i / (num_frames - 1) for i in range(num_frames)]


def _travel(step_x: int, step_y: int) -> Callable[[Cast, np.random.Generator], Course]:
    def course(cast: Cast, rng: np.random.Generator) -> Course:
        middle = np.array([0.5, 0.5])
        free = 1 - np.abs([step_x, step_y])  # the axes along which the place, but not the motion, varies
        start = middle + rng.uniform(-0.3, 0.3, 2) * free - np.array([step_x, step_y]) * rng.uniform(0.25, 0.36)
        end = start + np.array([step_x, step_y]) * rng.uniform(0.48, 0.68)
        return lambda t: [replace(cast.actor, x=float(p[0]), y=float(p[1])) for p in [start + t * (end - start)]]

    return course


def _somewhere(cast: Cast, rng: np.random.Generator, spread: float) -> Sprite:
    dx, dy = rng.uniform(-spread, spread, 2)
    return replace(cast.actor, x=0.5 + float(dx), y=0.5 + float(dy))


def _growing(cast: Cast, rng: np.random.Generator) -> Course:
    actor, small, large = _somewhere(cast, rng, 0.15), rng.uniform(0.05, 0.08), rng.uniform(0.22, 0.32)
    return lambda t: [replace(actor, radius=small * (large / small) ** t)]


def _moving_right_and_growing(cast: Cast, rng: np.random.Generator) -> Course:
    travel = _travel(1, 0)(cast, rng)
    small, large = rng.uniform(0.05, 0.08), rng.uniform(0.2, 0.26)
    return lambda t: [replace(travel(t)[0], radius=small * (large / small) ** t)]


def _appearing(cast: Cast, rng: np.random.Generator) -> Course:
    actor = replace(_somewhere(cast, rng, 0.25), radius=rng.uniform(0.1, 0.2))
    return lambda t: [replace(actor, opacity=t)]


def _turning_clockwise(cast: Cast, rng: np.random.Generator) -> Course:
    actor = replace(_somewhere(cast, rng, 0.2), radius=rng.uniform(0.14, 0.24))
    sweep = rng.uniform(math.pi * 0.7, math.pi * 1.3)
    return lambda t: [replace(actor, angle=actor.angle + t * sweep)]


def _colliding(cast: Cast, rng: np.random.Generator) -> Course:
    turn, touch = rng.uniform(0, 2 * math.pi), 0.45 * (cast.actor.radius + cast.partner.radius)
    far, middle = rng.uniform(0.3, 0.36), rng.uniform(0.45, 0.55, 2)
    step = np.array([math.cos(turn), math.sin(turn)])

    def at(t: float) -> list[Sprite]:
        ends = [middle + side * step * (far + t * (touch - far)) for side in (1, -1)]
        pair = zip((cast.actor, cast.partner), ends, strict=True)
        return [replace(sprite, x=float(end[0]), y=float(end[1])) for sprite, end in pair]

    return at


def _bouncing(cast: Cast, rng: np.random.Generator) -> Course:
    x, floor, height = rng.uniform(0.25, 0.75), rng.uniform(0.78, 0.86), rng.uniform(0.35, 0.6)
    hops, phase, drift = rng.uniform(2, 3), rng.uniform(0, 1), rng.uniform(-0.15, 0.15)
    return lambda t: [
        replace(cast.actor, x=x + drift * (t - 0.5), y=floor - height * abs(math.sin(math.pi * (hops * t + phase))))
    ]


def _circling(cast: Cast, rng: np.random.Generator) -> Course:
    radius, phase = rng.uniform(0.2, 0.32), rng.uniform(0, 2 * math.pi)
    sweep = rng.choice([-1, 1]) * rng.uniform(1.0, 1.4) * 2 * math.pi
    return lambda t: [
        replace(
            cast.actor,
            x=0.5 + radius * math.sin(phase + sweep * t),
            y=0.5 - radius * math.cos(phase + sweep * t),
        )
    ]


def _blinking(cast: Cast, rng: np.random.Generator) -> Course:
    actor, times, phase = _somewhere(cast, rng, 0.25), rng.uniform(2.5, 4), rng.uniform(0, 1)
    actor = replace(actor, radius=rng.uniform(0.1, 0.2))
    return lambda t: [replace(actor, opacity=float((times * t + phase) % 1 < 0.5))]


def _shaking(cast: Cast, rng: np.random.Generator) -> Course:
    actor, reach, times = _somewhere(cast, rng, 0.25), rng.uniform(0.04, 0.07), rng.uniform(4.5, 6)
    phase = rng.uniform(0, 2 * math.pi)
    return lambda t: [replace(actor, x=actor.x + reach * math.sin(phase + times * 2 * math.pi * t))]


def _standing_still(cast: Cast, rng: np.random.Generator) -> Course:
    actor = replace(_somewhere(cast, rng, 0.3), radius=rng.uniform(0.09, 0.2))
    return lambda t: [actor]


def _swinging(cast: Cast, rng: np.random.Generator) -> Course:
    length, reach = rng.uniform(0.55, 0.7), rng.uniform(0.4, 0.6)
    times, phase = rng.uniform(1.2, 1.8), rng.uniform(0, 2 * math.pi)

    def at(t: float) -> list[Sprite]:
        lean = reach * math.sin(phase + times * 2 * math.pi * t)
        return [replace(cast.actor, x=0.5 + length * math.sin(lean), y=0.12 + length * math.cos(lean), angle=-lean)]

    return at


def _zigzagging(cast: Cast, rng: np.random.Generator) -> Course:
    start, end = 0.5 - rng.uniform(0.25, 0.34), 0.5 + rng.uniform(0.25, 0.34)
    if rng.random() < 0.5:
        start, end = end, start
    y, reach = rng.uniform(0.4, 0.6), rng.uniform(0.14, 0.22)
    corners, phase = rng.uniform(2, 3), rng.uniform(0, 1)

    def at(t: float) -> list[Sprite]:
        wave = 4 * abs((corners * t + phase) % 1 - 0.5) - 1
        return [replace(cast.actor, x=start + t * (end - start), y=y + reach * wave)]

    return at


_COURSES: dict[str, Callable[[Cast, np.random.Generator], Course]] = {
    "moving right": _travel(1, 0),
    "moving down": _travel(0, 1),
    "moving down and right": _travel(1, 1),
    "moving down and left": _travel(-1, 1),
    "moving right and growing": _moving_right_and_growing,
    "growing": _growing,
    "appearing": _appearing,
    "turning clockwise": _turning_clockwise,
    "colliding": _colliding,
    "bouncing": _bouncing,
    "circling": _circling,
    "blinking": _blinking,
    "shaking": _shaking,
    "standing still": _standing_still,
    "swinging": _swinging,
    "zigzagging": _zigzagging,
}
