"""How a still picture says that something moves: afterimages, speed lines, outlines, arrows, sparks.

Draughtsmen's signs, as photographs and cartoons have them. The tiny CLIP learns the words for motion from stills with
such marks; the videos carry none, so a name must still be carried over from the drawn motion to the real one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from framecue.datasets.world.canvas import Color, Point, Sprite, Stroke, outline
from framecue.datasets.world.motions import Cast, Course

NUM_AFTERIMAGES = 4


@dataclass(frozen=True)
class Marks:
    """What is drawn below the sprites (`afterimages`) and above them (`strokes`)."""

    afterimages: list[Sprite] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)


def random_marks(motion: str, cast: Cast, course: Course, t: float, rng: np.random.Generator) -> Marks:
    """Marks for the moment `t` of a course: afterimages, strokes of the motion's own kind, or both."""
    ink: Color = cast.actor.color if rng.random() < 0.5 else (235, 235, 235)
    style = rng.choice(["afterimages", "strokes", "both"])
    afterimages = _afterimages(course, t, 0.08 if motion in _FAST else 0.16) if style != "strokes" else []
    if motion in _HIDES_ITS_PAST:
        afterimages, style = [], "strokes"
    strokes = _STROKES.get(motion, _speed_lines)(motion, course, t, ink) if style != "afterimages" else []
    return Marks(afterimages, strokes)


_HIDES_ITS_PAST = frozenset({"appearing", "disappearing", "blinking", "standing still", "growing"})
_FAST = frozenset({"circling", "bouncing", "swinging", "zigzagging", "shaking"})
Strokes = Callable[[str, Course, float, Color], list[Stroke]]


def _afterimages(course: Course, t: float, spacing: float) -> list[Sprite]:
    past = [(t - k * spacing, 0.55 - 0.11 * k) for k in range(NUM_AFTERIMAGES, 0, -1)]
    return [replace(s, opacity=s.opacity * fade) for at, fade in past if at >= 0 for s in course(at)]


def _past_path(course: Course, t: float, span: float, num_points: int = 16) -> list[Point]:
    times = np.linspace(max(0.0, t - span), t, num_points)
    return [(s.x, s.y) for at in times for s in course(float(at))[:1]]


def _fading(points: list[Point], ink: Color, width: float = 0.018) -> list[Stroke]:
    """A line that grows stronger towards its end: the newest part of the way."""
    pieces = np.array_split(np.arange(len(points) - 1), 4)
    return [
        Stroke(points[int(piece[0]) : int(piece[-1]) + 2], ink, width, 0.25 + 0.2 * k) for k, piece in enumerate(pieces)
    ]


def _speed_lines(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    strokes = []
    for before, now in zip(course(max(0.0, t - 0.3)), course(t), strict=True):
        way = np.array([now.x - before.x, now.y - before.y])
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        across = np.array([-way[1], way[0]]) * now.radius
        for side in (-0.7, 0.0, 0.7):
            head = np.array([now.x, now.y]) - way * now.radius * 1.25 + across * side
            tail = head - way * (0.26 if side == 0.0 else 0.18)
            strokes.append(Stroke([tuple(tail), tuple(head)], ink, 0.022, 0.85))
    return strokes


def _path(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    strokes = _fading(_past_path(course, t, 0.75, 33), ink)
    if motion == "bouncing":
        floor = max(s.y + s.radius for at in np.linspace(0, 1, 24) for s in course(float(at)))
        strokes.append(Stroke([(0.05, floor), (0.95, floor)], ink, 0.02, 0.9))
    return strokes


def _arrow(tail: Point, head: Point, ink: Color) -> list[Stroke]:
    turn = math.atan2(head[1] - tail[1], head[0] - tail[0])
    barbs = [(head[0] - 0.06 * math.cos(turn + lean), head[1] - 0.06 * math.sin(turn + lean)) for lean in (0.6, -0.6)]
    return [Stroke([tail, head], ink, 0.022, 0.9), Stroke([barbs[0], head, barbs[1]], ink, 0.022, 0.9)]


def _around(sprite: Sprite, scale: float, turn: float) -> Point:
    reach = sprite.radius * scale
    return sprite.x + reach * math.cos(turn), sprite.y + reach * math.sin(turn)


def _closed(sprite: Sprite, scale: float) -> list[Point]:
    points = outline(sprite, scale)
    return [*points, points[0]]


def _growing(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    return [Stroke(_closed(actor, scale), ink, 0.02, fade) for scale, fade in ((1.35, 0.8), (1.7, 0.5), (2.05, 0.3))]


def _shrinking(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    turns = [math.pi / 4 + k * math.pi / 2 for k in range(4)]
    arrows = [
        _arrow((actor.x + 1.25 * far * math.cos(a), actor.y + 1.25 * far * math.sin(a)), _around(actor, 1.15, a), ink)
        for far in [actor.radius + 0.13]
        for a in turns
    ]
    return [stroke for arrow in arrows for stroke in arrow]


def _turning(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    sense = 1 if motion == "turning clockwise" else -1
    strokes = []
    for start in (0.0, math.pi):
        arc = [_around(actor, 1.35, start + sense * k * 0.18) for k in range(12)]
        strokes += [Stroke(arc[:-1], ink, 0.022, 0.9), *_arrow(arc[-3], arc[-1], ink)]
    return strokes


def _sparkles(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    strokes = []
    for turn in (0.4, 1.7, 2.9, 4.1, 5.4):
        x, y = _around(actor, 1.5, turn)
        strokes += [
            Stroke([(x - 0.035, y), (x + 0.035, y)], ink, 0.02),
            Stroke([(x, y - 0.035), (x, y + 0.035)], ink, 0.02),
        ]
    return strokes


def _dust(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    places = [(-0.8, 1.2), (-0.3, 1.5), (0.1, 1.15), (0.5, 1.6), (0.9, 1.25), (0.2, 1.9), (-0.5, 1.95)]
    dots = [(actor.x + dx * actor.radius, actor.y - dy * actor.radius) for dx, dy in places]
    return [Stroke([(x, y), (x + 0.001, y + 0.028)], ink, 0.03, 0.75) for x, y in dots]


def _rays(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    return [
        Stroke([_around(actor, 1.35, k * math.pi / 4), _around(actor, 1.9, k * math.pi / 4)], ink, 0.02)
        for k in range(8)
    ]


def _impact(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    one, two = course(t)
    x, y = (one.x + two.x) / 2, (one.y + two.y) / 2
    turns = [k * math.pi / 4 for k in range(8)]
    burst = [
        Stroke(
            [(x + 0.03 * math.cos(a), y + 0.03 * math.sin(a)), (x + 0.1 * math.cos(a), y + 0.1 * math.sin(a))],
            (255, 240, 120),
            0.02,
        )
        for a in turns
    ]
    return _speed_lines(motion, course, t, ink) + burst


def _brackets(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    sides = [(turn, scale) for turn in (0.0, math.pi) for scale in (1.35, 1.7)]
    return [
        Stroke([_around(actor, scale, turn + lean) for lean in np.linspace(-0.6, 0.6, 7)], ink, 0.02, 0.9)
        for turn, scale in sides
    ]


def _shadow(motion: str, course: Course, t: float, ink: Color) -> list[Stroke]:
    actor = course(t)[0]
    y = actor.y + actor.radius * 1.15
    return [Stroke([(actor.x - actor.radius, y), (actor.x + actor.radius, y)], (235, 235, 235), 0.02, 0.6)]


_STROKES: dict[str, Strokes] = {
    "growing": _growing,
    "shrinking": _shrinking,
    "turning clockwise": _turning,
    "turning counterclockwise": _turning,
    "appearing": _sparkles,
    "disappearing": _dust,
    "blinking": _rays,
    "colliding": _impact,
    "shaking": _brackets,
    "standing still": _shadow,
    "bouncing": _path,
    "circling": _path,
    "swinging": _path,
    "zigzagging": _path,
}
