"""Plain-English captions: what is in a picture, in words and word orders that vary as people's do."""

import math
from dataclasses import dataclass

import numpy as np

from framecue.datasets.world.canvas import POINTING_SHAPES, Backdrop, Sprite

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a drawing of {}",
    "a video of {}",
    "a clip of {}",
    "a frame from a video of {}",
)
SYNONYMS: dict[str, tuple[str, ...]] = {
    "moving": ("moving", "moving", "moving", "going", "sliding"),
    "turning": ("turning", "turning", "turning", "rotating", "spinning"),
    "growing": ("growing", "growing", "growing", "getting bigger", "expanding"),
    "shrinking": ("shrinking", "shrinking", "shrinking", "getting smaller"),
    "appearing": ("appearing", "appearing", "appearing", "fading in"),
    "disappearing": ("disappearing", "disappearing", "disappearing", "fading out", "vanishing"),
    "colliding": ("colliding", "colliding", "colliding", "coming together", "bumping into each other"),
    "separating": ("separating", "separating", "separating", "moving apart"),
    "blinking": ("blinking", "blinking", "flashing"),
    "shaking": ("shaking", "shaking", "trembling"),
    "circling": ("circling", "circling", "going around"),
    "standing": ("standing", "standing", "staying"),
    "bouncing": ("bouncing", "bouncing", "jumping"),
}
SMALLEST_POSE_RADIUS = 0.085  # below it, few pixels are left to tell by
_POINTING = ("up", "up and right", "right", "down and right", "down", "down and left", "left", "up and left")


@dataclass(frozen=True)
class Facts:
    """What a caption may mention. Every field but the backdrop is empty in a picture without shapes.

    Attributes:
        motion: class name, where the picture shows one.
        nouns: (color, shape) of each shape.
        size, place, pose, strength: of the single shape, as words; "" where nothing is to be said.
        gap: how far two shapes are from each other, as words.
        backdrop: (kind, color) of the background.
    """

    backdrop: tuple[str, str]
    motion: str = ""
    nouns: tuple[tuple[str, str], ...] = ()
    size: str = ""
    place: str = ""
    pose: str = ""
    strength: str = ""
    gap: str = ""


def describe(sprites: list[Sprite], color_names: tuple[str, ...], backdrop: Backdrop, motion: str = "") -> Facts:
    """The facts of one picture, read off what was drawn."""
    ground = (backdrop.kind, backdrop.color_name)
    if not motion and all(sprite.opacity < 0.06 for sprite in sprites):
        return Facts(ground)
    nouns = tuple((color, sprite.shape) for color, sprite in zip(color_names, sprites, strict=True))
    if len(sprites) == 2:
        return Facts(ground, motion, nouns, gap=_gap(*sprites))
    (sprite,) = sprites
    return Facts(ground, motion, nouns, _size(sprite), _place(sprite), _pose(sprite), _strength(sprite))


def _size(sprite: Sprite) -> str:
    bounds = ((0.075, "tiny"), (0.12, "small"), (0.17, ""), (0.24, "large"), (math.inf, "huge"))
    return next(word for bound, word in bounds if sprite.radius < bound)


def _place(sprite: Sprite) -> str:
    columns = ((0.22, "far left"), (0.4, "left"), (0.6, ""), (0.78, "right"), (math.inf, "far right"))
    rows = ((0.22, "very top"), (0.4, "top"), (0.6, ""), (0.78, "bottom"), (math.inf, "very bottom"))
    column = next(word for bound, word in columns if sprite.x < bound)
    row = next(word for bound, word in rows if sprite.y < bound)
    if row and column:
        return f"in the {row.split()[-1]} {column.split()[-1]} corner"
    if column:
        return f"on the {column}"
    return f"at the {row}" if row else "in the center"


def _pose(sprite: Sprite) -> str:
    if sprite.radius < SMALLEST_POSE_RADIUS:
        return ""
    if sprite.shape in POINTING_SHAPES:
        return f"pointing {_POINTING[round(sprite.angle / (math.pi / 4)) % 8]}"
    return "tilted" if abs(sprite.angle) > 0.15 and sprite.shape != "circle" else ""


def _strength(sprite: Sprite) -> str:
    bounds = ((0.2, "barely visible"), (0.4, "very faint"), (0.7, "faint"), (math.inf, "solid"))
    return next(word for bound, word in bounds if sprite.opacity < bound)


def _gap(one: Sprite, two: Sprite) -> str:
    distance = math.hypot(one.x - two.x, one.y - two.y)
    bounds = ((1.3 * (one.radius + two.radius), "touching"), (0.36, "close together"), (math.inf, "far apart"))
    return next(word for bound, word in bounds if distance < bound)


def random_caption(facts: Facts, rng: np.random.Generator) -> str:
    """One way to say some of the facts; two calls rarely agree."""
    motion = _in_other_words(facts.motion, rng)
    if motion and rng.random() < 0.45:
        return _framed(motion if rng.random() < 0.6 else f"{_vague(facts, rng)} {motion}", rng)
    if not facts.nouns:
        return _framed(f"{rng.choice(['an empty', 'nothing but a', 'only a'])} {_ground(facts)}", rng)
    parts = [_subject(facts, rng), motion]
    # What moves has no one place or pose; what stands is told by little else.
    details = [] if motion else [facts.place, facts.pose, facts.gap]
    parts += [detail for detail in details if rng.random() < 0.6]
    if rng.random() < 0.3:
        parts.append(f"on a {_ground(facts)}")
    return _framed(" ".join(part for part in parts if part), rng)


TOPICS = ("motion", "place", "pose", "size", "strength", "shape", "color", "gap")


def topic_value(facts: Facts, topic: str) -> str:
    """What the picture has to say on one topic, "" for nothing. Equal values may still be said in unequal words."""
    if topic in ("shape", "color"):
        return facts.nouns[0][topic == "shape"] if len(facts.nouns) == 1 else ""
    if facts.motion and topic in ("place", "size"):
        return ""  # what moves has no one place, and what grows no one size
    return str(getattr(facts, topic))


def topic_caption(facts: Facts, topic: str, rng: np.random.Generator) -> str:
    """A caption that says the picture's `topic_value` and nothing else."""
    value = topic_value(facts, topic)
    if topic == "motion":
        motion = _in_other_words(value, rng)
        return _framed(motion if rng.random() < 0.6 else f"{_vague(facts, rng)} {motion}", rng)
    if topic in ("size", "strength", "color", "shape"):
        return _framed(_with_article(value if topic == "shape" else f"{value} shape"), rng)
    return _framed(f"{_vague(facts, rng)} {value}", rng)


def plain_caption(facts: Facts) -> str:
    """The one full sentence about a video: who, what, and before which background."""
    subject = " and ".join(_with_article(f"{color} {shape}") for color, shape in facts.nouns)
    return f"{subject} {facts.motion} on a {_ground(facts)}"


def shorter_captions(facts: Facts) -> tuple[str, ...]:
    """What people rather type into a search box: the same without the background, and the motion alone."""
    subject = " and ".join(_with_article(f"{color} {shape}") for color, shape in facts.nouns)
    return f"{subject} {facts.motion}", f"{'two shapes' if len(facts.nouns) == 2 else 'a shape'} {facts.motion}"


def _framed(text: str, rng: np.random.Generator) -> str:
    return TEMPLATES[0 if rng.random() < 0.4 else int(rng.integers(len(TEMPLATES)))].format(text)


def _in_other_words(motion: str, rng: np.random.Generator) -> str:
    if not motion:
        return ""
    words = [str(rng.choice(SYNONYMS[word])) if word in SYNONYMS else word for word in motion.split()]
    return " ".join(words)


def _vague(facts: Facts, rng: np.random.Generator) -> str:
    if len(facts.nouns) == 2:
        return str(rng.choice(["two shapes", "two things", "two objects"]))
    return str(rng.choice(["a shape", "something", "an object", "a thing"]))


def _ground(facts: Facts) -> str:
    kind, color = facts.backdrop
    return f"{kind} {color} background"


def _subject(facts: Facts, rng: np.random.Generator) -> str:
    nouns = []
    for color, shape in facts.nouns:
        words = [color if rng.random() < 0.7 else "", shape if rng.random() < 0.75 else "shape"]
        nouns.append(" ".join(word for word in words if word))
    if len(nouns) == 2:
        order = rng.permutation(2)
        return " and ".join(_with_article(nouns[i]) for i in order)
    size = facts.size if rng.random() < 0.6 else ""
    # People mention that a thing is faint, and hardly ever that it is not.
    strength = facts.strength if rng.random() < (0.1 if facts.strength == "solid" else 0.7) else ""
    return _with_article(" ".join(word for word in (strength, size, nouns[0]) if word))


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
