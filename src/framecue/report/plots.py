"""Plots of a report as inline SVG: pure functions from numbers to text, in the page's own ink, for light and dark."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.patches
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framecue.report.percents import cell_interval

COLORS = {"B-I": "#8b94a3", "B-II": "#dd9b26", "A3": "#4a8fe0", "A5": "#12967f"}
INK = "#0a0b0c"  # stands for the page's text color
CEILING = "order-blind ceiling"
GROUP_WIDTH = 0.8
STYLE: Any = {  # matplotlib types the keys as literals
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "svg.hashsalt": "framecue",  # the same numbers give the same bytes
    "svg.fonttype": "path",
}

Array = npt.NDArray[np.float64]
Cells = Mapping[str, Mapping[str, Mapping[str, Any] | None]]


def accuracy_bars(
    table: Cells, group_names: Mapping[str, str], limits: Mapping[str, float | None], *, label: str
) -> str:
    """Grouped bars: mean accuracy of each method, whiskers its 95 % interval, a dot for each seed.

    Args:
        table: method -> group -> {"values", "mean", "std", "half_width_95", "ci95_items"}, None where it has no answer.
        group_names: groups to draw, and what to call them.
        limits: by group, the order-blind ceiling; 1 and None are not drawn.
        label: what the picture says, for those who cannot see it.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 4.6), layout="constrained")
        axes = figure.subplots()
        width = GROUP_WIDTH / len(table)
        for slot, (method, cells) in enumerate(table.items()):
            for group, name in enumerate(group_names):
                x = group + (slot + 0.5) * width - GROUP_WIDTH / 2
                _bar(axes, x, width * 0.86, cells[name], COLORS.get(method, INK), method if group == 0 else None)
        for group, name in enumerate(group_names):
            _ceiling(axes, group, limits.get(name), labeled=group == 0)
        axes.set_xticks(range(len(group_names)), list(group_names.values()))
        axes.tick_params(axis="x", length=0, pad=8)
        axes.set_xlim(-0.55, len(group_names) - 0.45)
        percent_axis(axes, top=1.08)
        handles, texts = axes.get_legend_handles_labels()
        order = sorted(range(len(texts)), key=lambda index: texts[index] == CEILING)
        axes.legend(
            [handles[index] for index in order],
            [texts[index] for index in order],
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=len(order),
            frameon=False,
            handlelength=1.4,
            borderaxespad=0,
        )
        return to_svg(figure, label)


def _bar(axes: Axes, x: float, width: float, cell: Mapping[str, Any] | None, color: str, legend: str | None) -> None:
    if cell is None or np.isnan(cell["mean"]):
        axes.bar(x, 0, width, color=color, label=legend)
        axes.text(x, 0.012, "no\nanswer", ha="center", va="bottom", fontsize=8, alpha=0.75, linespacing=0.95)
        return
    mean = cell["mean"]
    low, high = cell_interval(cell) or (mean, mean)
    axes.bar(x, mean, width, color=color, label=legend)
    axes.errorbar(x, mean, [[mean - low], [high - mean]], color=INK, elinewidth=1.2, capsize=3, capthick=1.2)
    values = np.array(cell["values"])
    if len(values) > 1:
        spots = x + width * 0.22 * np.linspace(-1, 1, len(values))
        axes.plot(spots, values, "o", ms=3.6, mfc=INK, mec="white", mew=0.6, zorder=4)
    axes.text(x, max(high, values.max()) + 0.022, f"{100 * mean:.0f}", ha="center", va="bottom", fontsize=10)


def _ceiling(axes: Axes, group: int, limit: float | None, *, labeled: bool) -> None:
    if limit is None or limit >= 1:
        return
    half = GROUP_WIDTH / 2 + 0.05
    axes.plot(
        [group - half, group + half],
        [limit, limit],
        ls=(0, (4, 3)),
        lw=1.3,
        color=INK,
        zorder=3,
        label=CEILING if labeled else None,
    )


def confusion_heatmap(matrix: Array, names: Sequence[str], *, color: str, label: str, num_pairs: int = 0) -> str:
    """Rows truth, columns answer, each row as shares of its videos; a row without videos stays empty.

    Args:
        matrix: counts [N, N].
        label: what the picture says, for those who cannot see it.
        num_pairs: so many pairs of classes come first and get a frame each.
    """
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    count = len(names)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.9 + 0.26 * count, 1.9 + 0.26 * count), layout="constrained")
        axes = figure.subplots()
        for (row, column), share in np.ndenumerate(shares):
            if np.isnan(share) or share < 0.005:
                continue
            axes.add_patch(matplotlib.patches.Rectangle((column, row), 1, 1, fc=color, alpha=max(share, 0.06), lw=0))
            if share >= 0.045:
                ink = "#ffffff" if share > 0.55 else INK
                text = f"{100 * share:.0f}"
                axes.text(column + 0.5, row + 0.52, text, ha="center", va="center", fontsize=8.5, color=ink)
        axes.set(xlim=(0, count), ylim=(count, 0), aspect="equal")
        places = np.arange(count) + 0.5
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, names)
        axes.tick_params(length=0, labelsize=9.5)
        for line in range(count + 1):
            axes.axhline(line, color=INK, lw=0.5, alpha=0.12)
            axes.axvline(line, color=INK, lw=0.5, alpha=0.12)
        for first in range(0, 2 * num_pairs, 2):
            axes.add_patch(matplotlib.patches.Rectangle((first, first), 2, 2, fill=False, ec=INK, lw=1, alpha=0.6))
        axes.spines[:].set_visible(False)
        axes.set_ylabel("truth")
        axes.set_xlabel("answer (percent of the row)")
        return to_svg(figure, label)


def learning_curves(
    logs: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], *, limit: float | None = None, label: str
) -> str:
    """Loss and validation accuracy against steps: mean over seeds, and a band from the lowest to the highest seed.

    Args:
        logs: method -> seed -> lines of the run's log.
        limit: the order-blind ceiling of the validation part.
        label: what the picture says, for those who cannot see it.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 4.0), layout="constrained")
        loss_axes, top1_axes = figure.subplots(1, 2)
        for axes, key in ((loss_axes, "loss"), (top1_axes, "val_top1")):
            for method, seeds in logs.items():
                steps, values = series(seeds, key)
                if not len(steps):
                    continue
                color, marker = COLORS.get(method, INK), "o" if len(steps) < 30 else None
                axes.plot(steps, values.mean(axis=0), color=color, lw=2, marker=marker, ms=3.5, label=method)
                axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.22, lw=0)
            axes.set_xlabel("training steps")
            axes.grid(axis="y", color=INK, alpha=0.12, lw=0.8)
            axes.set_axisbelow(True)
        loss_axes.set_title("training loss", loc="left", fontsize=11, pad=10)
        loss_axes.set_ylim(bottom=0)
        top1_axes.set_title("accuracy on validation videos", loc="left", fontsize=11, pad=10)
        percent_axis(top1_axes, top=1.03)
        if limit is not None and limit < 1:
            top1_axes.axhline(limit, ls=(0, (4, 3)), lw=1.3, color=INK, label=CEILING)
        if top1_axes.get_legend_handles_labels()[0]:
            top1_axes.legend(frameon=False, loc="lower right")
        return to_svg(figure, label)


def series(seeds: Sequence[Sequence[Mapping[str, float]]], key: str) -> tuple[npt.NDArray[np.int64], Array]:
    """Steps that every seed's log has `key` for, [S], and the values there, [seeds, S]."""
    logs = [{int(line["iteration"]): line[key] for line in lines if key in line} for lines in seeds]
    steps = sorted(set.intersection(*(set(log) for log in logs))) if logs else []
    return np.array(steps, dtype=np.int64), np.array([[log[step] for step in steps] for log in logs], dtype=np.float64)


def percent_axis(axes: Axes, *, top: float) -> None:
    """A vertical axis of shares, written in percent."""
    axes.set_ylim(0, top)
    axes.set_yticks(np.linspace(0, 1, 6), [f"{percent}%" for percent in range(0, 101, 20)])
    axes.grid(axis="y", color=INK, alpha=0.12, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def to_svg(figure: Figure, label: str, *, background: str | None = None) -> str:
    """The figure as an <svg> element that refers to nothing outside.

    It takes its text color from the page, unless it has a background of its own.
    """
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    paper: Any = {"transparent": True} if background is None else {"facecolor": background}
    figure.savefig(stream, format="svg", bbox_inches="tight", pad_inches=0.05, metadata=nothing, **paper)
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    if background is None:
        text = text.replace(INK, "currentColor")
    title = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return re.sub(r' width="[^"]*pt"| height="[^"]*pt"', "", text, count=2).replace(
        "<svg", f'<svg role="img" aria-label="{title}"', 1
    )
