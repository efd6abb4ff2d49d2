"""The timeline of a video as a picture: its frames, and a lane for each label with curve, found segments and truth."""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from framecue.errors import UsageError
from framecue.files import write_bytes, write_text
from framecue.report.percents import score_percent
from framecue.report.plots import INK, STYLE, to_svg
from framecue.report.segment_files import NO_LABEL, one_line
from framecue.types import FrameBatch, Localization, ScoreCurves, ScoredSegment, Segment

MAX_LABELS = 8
COLORS = ("#4a8fe0", "#dd9b26", "#12967f", "#9a6fd0")
"""Told apart in every common kind of color blindness; lanes have their names, so that colors may come again."""
PAPER, BAND, TRUTH, MUTED = "#ffffff", "#f5f6f8", "#3d4654", "#5b6675"
FALLBACK_FONTS = ("Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS", "Malgun Gothic")

WIDTH_INCHES, RIGHT_INCHES = 11.4, 0.3
LABEL_CHARACTERS, LETTER_INCHES = 26, 0.083
HEAD_INCHES, FILM_INCHES, AXIS_INCHES, NOTE_INCHES, GAP_INCHES = 0.46, 0.72, 0.34, 0.26, 0.09
CURVE_INCHES, BAR_INCHES, TRUTH_INCHES, PAD_INCHES, NAME_INCHES = 0.3, 0.17, 0.09, 0.05, 0.19

MAX_BINS = 900
"""A curve of more cells is drawn by the highest score of each stretch: more than this the picture cannot show."""
SHARE_HAIRLINE = 0.0015
SHARE_WITH_NUMBER = 0.04
DARKEST_AT_LEAST = 0.5
TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000, 86400)
MAX_TICKS = 10
PNG_DPI = 150

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Lane:
    """What is known of one label."""

    name: str
    color: str
    found: tuple[ScoredSegment, ...]
    truth: tuple[Segment, ...]
    curve: npt.NDArray[np.float32] | None


def timeline_svg(
    answer: Localization,
    *,
    truth: Sequence[Segment] | None = None,
    frames: FrameBatch | None = None,
    title: str | None = None,
) -> str:
    """A picture on white as an <svg> element that refers to nothing outside.

    Found segments are the darker, the surer the program is, in proportion to the surest of the video (or to 0.5, so
    that a guess stays pale), with the score in figures where there is room; of overlapping ones the surer lies on top,
    and none is thinner than a hairline. At most 8 labels are shown: those of the truth and of the best scores; the
    picture says how many it leaves out.

    Args:
        truth: annotated segments; None where nothing is known, empty where it is known that nothing happens.
        frames: frames spread over the video, for a film strip.
        title: None = the file's name.
    """
    with _style():
        figure, said = _draw(answer, truth, frames, title)
        return to_svg(figure, said, background=PAPER)


def write_timeline(
    answer: Localization,
    path: Path | str,
    *,
    truth: Sequence[Segment] | None = None,
    frames: FrameBatch | None = None,
    title: str | None = None,
) -> None:
    """Write `timeline_svg`'s picture as .svg or .png, as the path ends; a file that exists is replaced.

    Raises:
        UsageError: another ending.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".svg":
        write_text(path, timeline_svg(answer, truth=truth, frames=frames, title=title) + "\n")
    elif ending == ".png":
        stream = io.BytesIO()
        with _style():
            figure, _ = _draw(answer, truth, frames, title)
            figure.savefig(stream, format="png", dpi=PNG_DPI, facecolor=PAPER, bbox_inches="tight", pad_inches=0.12)
        write_bytes(path, stream.getvalue())
    else:
        raise UsageError(f"{path}: a timeline is written as .svg or .png, not as '{path.suffix}'; choose one of them.")


@contextmanager
def _style() -> Iterator[None]:
    """Names stay text, which the viewer's own fonts can show in any script; a "$" in them begins no formula."""
    installed = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]
    style: Any = {
        **STYLE,
        "svg.fonttype": "none",
        "text.parse_math": False,
        "image.composite_image": False,
        "font.family": fonts,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _draw(
    answer: Localization, truth: Sequence[Segment] | None, frames: FrameBatch | None, title: str | None
) -> tuple[Figure, str]:
    """The figure, and what it says, for those who cannot see it."""
    lanes, left_out = _lanes(answer, truth)
    end = max([answer.duration_seconds, 1e-3, *(segment.end_seconds for segment in truth or ())])
    layout = _Layout(lanes, frames, note=bool(left_out), truth=truth is not None)
    name = one_line(title if title is not None else answer.path.name)
    if frames is not None and layout.num_thumbnails:
        _film(layout.row(layout.film_inches, layout.width_inches), frames, end, layout.num_thumbnails)
        layout.skip(GAP_INCHES)
    darkest = max([DARKEST_AT_LEAST, *(found.score for found in answer.segments)])
    highest = max([0.1, *(float(lane.curve.max(initial=0)) for lane in lanes if lane.curve is not None)])
    for number, lane in enumerate(lanes):
        axes = layout.row(layout.lane_inches, end)
        axes.set_facecolor(BAND if number % 2 == 0 else PAPER)
        _lane(axes, lane, answer.curves, darkest, highest, has_truth=truth is not None)
    _time_axis(layout.figure.axes, end, has_lanes=bool(lanes))
    if left_out:
        layout.figure.text(layout.left, layout.share(0.04), left_out, fontsize=9, color=MUTED, va="bottom")
    about = f"{clock(answer.duration_seconds)}  ·  {_count(len(answer.segments), 'segment')} found"
    _head(layout, name, about, highest if answer.curves is not None else None, truth is not None)
    best = "; ".join(
        f"{one_line(found.label or NO_LABEL)} {clock(found.start_seconds)} to {clock(found.end_seconds)}"
        for found in answer.segments[:MAX_LABELS]
    )
    return layout.figure, f"Timeline of {name}, {about}{': ' if best else ''}{best}"


class _Layout:
    """Rows of a figure from top to bottom, in inches, all over one time axis.

    Attributes:
        left: where the time axis begins, as share of the figure's width.
        width_inches: how long it is.
        num_thumbnails, film_inches: frames side by side that fill it, and their height; 0 without frames.
    """

    def __init__(self, lanes: Sequence[_Lane], frames: FrameBatch | None, *, note: bool, truth: bool) -> None:
        lines = [_lines(lane.name) for lane in lanes]
        self.left = (0.2 + LETTER_INCHES * max((len(x) for two in lines for x in two), default=6)) / WIDTH_INCHES
        self.width_inches = WIDTH_INCHES * (1 - self.left) - RIGHT_INCHES
        self.num_thumbnails, self.film_inches = 0, 0.0
        if frames is not None and len(frames):
            shape = frames.frames.shape[3] / frames.frames.shape[2]
            self.num_thumbnails = min(max(1, round(self.width_inches / (FILM_INCHES * shape))), len(frames))
            self.film_inches = min(1.3 * FILM_INCHES, self.width_inches / self.num_thumbnails / shape)
        self.lane_inches = BAR_INCHES + 2 * PAD_INCHES + truth * (TRUTH_INCHES + PAD_INCHES / 2)
        self.lane_inches += CURVE_INCHES * any(lane.curve is not None for lane in lanes)
        self.lane_inches = max(self.lane_inches, NAME_INCHES * max(map(len, lines), default=1))
        film = self.film_inches + GAP_INCHES if self.num_thumbnails else 0.0
        self.height = HEAD_INCHES + film + len(lanes) * self.lane_inches + AXIS_INCHES + note * NOTE_INCHES
        self.figure = Figure(figsize=(WIDTH_INCHES, self.height))
        self._top = self.height - HEAD_INCHES

    def share(self, inches: float) -> float:
        """A height as share of the figure's."""
        return inches / self.height

    def skip(self, inches: float) -> None:
        self._top -= inches

    def row(self, inches: float, end: float) -> Axes:
        """The next row; x from 0 to `end`, y in inches from its bottom."""
        self._top -= inches
        width = self.width_inches / WIDTH_INCHES
        axes = self.figure.add_axes((self.left, self.share(self._top), width, self.share(inches)))
        axes.set(xlim=(0, end), ylim=(0, inches), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes


def _lanes(answer: Localization, truth: Sequence[Segment] | None) -> tuple[list[_Lane], str]:
    """The labels to show, in the order in which they were asked for, and a remark on those that are not shown."""
    found: dict[str, list[ScoredSegment]] = {label: [] for label in answer.labels}
    for segment in answer.segments:
        found.setdefault(segment.label or NO_LABEL, []).append(segment)
    happens: dict[str, list[Segment]] = {}
    for annotated in truth or ():
        found.setdefault(annotated.label, [])
        happens.setdefault(annotated.label, []).append(annotated)
    curves = _curves_by_label(answer.curves)

    def rank(label: str) -> tuple[bool, float, float]:
        best = max((segment.score for segment in found[label]), default=-np.inf)
        seen = float(curves[label].max(initial=0)) if label in curves else 0.0
        return label in happens, best, seen

    shown = set(sorted(found, key=rank, reverse=True)[:MAX_LABELS])
    order = [label for label in found if label in shown]
    hidden = [label for label in found if label not in shown]
    lanes = [
        _Lane(label, COLORS[i % len(COLORS)], tuple(found[label]), tuple(happens.get(label, ())), curves.get(label))
        for i, label in enumerate(order)
    ]
    count = sum(len(found[label]) for label in hidden)
    remark = f"not shown: {_count(len(hidden), 'more label')}, {_count(count, 'segment')}"
    return lanes, remark if hidden else ""


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _curves_by_label(curves: ScoreCurves | None) -> dict[str, npt.NDArray[np.float32]]:
    return {label: curves.scores[:, column] for column, label in enumerate(curves.labels)} if curves else {}


def _lane(
    axes: Axes, lane: _Lane, curves: ScoreCurves | None, darkest: float, highest: float, *, has_truth: bool
) -> None:
    end, top = axes.get_xlim()[1], axes.get_ylim()[1]
    bottom = PAD_INCHES if has_truth or lane.curve is not None else (top - BAR_INCHES) / 2
    if has_truth:
        for annotated in lane.truth:
            _bar(axes, annotated, bottom, TRUTH_INCHES, TRUTH)
        bottom += TRUTH_INCHES + PAD_INCHES / 2
    surer: list[ScoredSegment] = []
    for depth, found in enumerate(sorted(lane.found, key=lambda segment: -segment.score)):
        share = min(max(found.score / darkest, 0.18), 1.0)
        _bar(axes, found, bottom, BAR_INCHES, _blend(lane.color, share), zorder=1000.0 - depth)
        wide = found.end_seconds - found.start_seconds > SHARE_WITH_NUMBER * end
        if wide and not any(_overlap(found, other) for other in surer):
            middle = (found.start_seconds + found.end_seconds) / 2
            axes.text(
                middle, bottom + 0.46 * BAR_INCHES, score_percent(found.score), fontsize=7.5, ha="center", va="center",
                color=INK, zorder=2000,
            )  # fmt: skip
        surer.append(found)
    bottom += BAR_INCHES
    if lane.curve is not None and curves is not None:
        edges, values = thinned(curves.edges_seconds, lane.curve)
        heights = bottom + 0.02 + np.clip(values, 0, None) / highest * (CURVE_INCHES - 0.02)
        axes.stairs(heights, edges, baseline=bottom + 0.02, fill=True, color=_blend(lane.color, 0.3))
        axes.stairs(heights, edges, baseline=None, color=lane.color, lw=0.9)
    lines = "\n".join(_lines(lane.name))
    axes.annotate(
        lines, (0, top / 2), (-8, 0), textcoords="offset points", ha="right", va="center", fontsize=10, linespacing=1.1
    )


def _bar(
    axes: Axes, segment: Segment | ScoredSegment, bottom: float, height: float, color: str, zorder: float = 3
) -> None:
    """From start to end; a shorter one than the eye can see is widened around its middle."""
    start, stop, hairline = segment.start_seconds, segment.end_seconds, SHARE_HAIRLINE * axes.get_xlim()[1]
    if stop - start < hairline:
        start = (start + stop - hairline) / 2
        axes.bar(start, height, hairline, bottom, align="edge", color=color, lw=0, zorder=zorder)
    else:
        edge = {"ec": PAPER, "lw": 0.7} if stop - start > 5 * hairline else {"lw": 0}
        axes.bar(start, height, stop - start, bottom, align="edge", fc=color, zorder=zorder, **edge)


def _overlap(first: ScoredSegment, second: ScoredSegment) -> bool:
    return min(first.end_seconds, second.end_seconds) > max(first.start_seconds, second.start_seconds)


def thinned(edges_seconds: Array, scores: npt.NDArray[np.float32]) -> tuple[Array, npt.NDArray[np.float32]]:
    """A curve of at most `MAX_BINS` cells, each with the highest score in it: short peaks stay."""
    count = len(scores)
    if count <= MAX_BINS:
        return edges_seconds, scores
    starts = np.linspace(0, count, MAX_BINS, endpoint=False).astype(np.int64)
    return np.append(edges_seconds[starts], edges_seconds[-1]), np.maximum.reduceat(scores, starts)


def _film(axes: Axes, frames: FrameBatch, end_seconds: float, count: int) -> None:
    """Frames side by side, each the nearest to the time it stands at; both axes in inches."""
    width, height = axes.get_xlim()[1], axes.get_ylim()[1]
    inches = height * frames.frames.shape[3] / frames.frames.shape[2] - 0.03
    for middle in (np.arange(count) + 0.5) / count:
        nearest = int(np.abs(frames.pts_seconds - middle * end_seconds).argmin())
        image = Image.fromarray(np.ascontiguousarray(frames.frames[nearest].transpose(1, 2, 0)))
        image = image.resize((max(1, round(inches * PNG_DPI)), round(height * PNG_DPI)), Image.Resampling.LANCZOS)
        left = float(middle * width - inches / 2)
        axes.imshow(np.asarray(image), extent=(left, left + inches, 0, height), aspect="auto", interpolation="none")
    axes.set(xlim=(0, width), ylim=(0, height))


def _time_axis(rows: Sequence[Axes], end_seconds: float, *, has_lanes: bool) -> None:
    """Ticks under the last lane, and lines through all of them."""
    if not has_lanes:
        return
    ticks = tick_times(end_seconds)
    lanes = [axes for axes in rows if axes.get_xlim()[1] == end_seconds]
    for axes in lanes:
        for tick in ticks:
            axes.axvline(tick, color=INK, alpha=0.1, lw=0.7, zorder=0.5)
    fraction = ticks[1] % 1 > 0 if len(ticks) > 1 else False
    lanes[-1].set_xticks(ticks, [clock(tick, tenths=fraction) for tick in ticks], fontsize=9)
    lanes[-1].tick_params(axis="x", length=3, width=0.7)


def tick_times(end_seconds: float) -> list[float]:
    """Round times from 0 on, ten steps at most."""
    step = next((step for step in TICK_STEPS if end_seconds / step <= MAX_TICKS), end_seconds)
    return [round(number * step, 6) for number in range(int(end_seconds / step + 1e-9) + 1)]


def clock(seconds: float, *, tenths: bool = False) -> str:
    """ "0:07", "12:30", "1:02:03"; with tenths "0:07.5"."""
    total = round(10 * seconds) if tenths else 10 * round(seconds)
    whole = total // 10
    hours, minutes = whole // 3600, whole // 60 % 60
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{whole % 60:02}" + (f".{total % 10}" if tenths else "")


def _head(layout: _Layout, name: str, about: str, highest: float | None, has_truth: bool) -> None:
    """Title and key."""
    figure, top = layout.figure, 1 - layout.share(0.08)
    figure.text(layout.left, top, textwrap.shorten(name, 46, placeholder="…"), fontsize=12, weight="bold", va="top")
    key = [Patch(fc=COLORS[0], label="found (darker: surer)")]
    if highest is not None:
        key.append(
            Patch(fc=_blend(COLORS[0], 0.3), ec=COLORS[0], label=f"score over time (top: {score_percent(highest)})")
        )
    if has_truth:
        key.append(Patch(fc=TRUTH, label="ground truth"))
    figure.legend(
        handles=key, loc="upper right", bbox_to_anchor=(1 - RIGHT_INCHES / WIDTH_INCHES, 1), ncols=len(key),
        frameon=False, fontsize=9, handlelength=1.3, handleheight=0.8, columnspacing=1.3, borderaxespad=0.4,
        borderpad=0,
    )  # fmt: skip
    figure.text(layout.left, top - layout.share(0.2), about, fontsize=9, color=MUTED, va="top")


def _lines(name: str) -> list[str]:
    """The label in one line or two; what does not fit is cut."""
    return textwrap.wrap(one_line(name), LABEL_CHARACTERS, max_lines=2, placeholder="…") or [""]


def _blend(color: str, share: float) -> str:
    """The color over white: opaque, so that what lies below does not show through and look surer than it is."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))
