"""Plots of a reproduced table: bars by method, or curves over the number of training videos per class."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framecue.report.percents import cell_interval
from framecue.report.plots import COLORS, GROUP_WIDTH, INK, STYLE, percent_axis, to_svg
from framecue.report.tables import (
    RANKS,
    Column,
    Table,
    capital,
    cell,
    columns,
    is_localization,
    methods,
    percent_cell,
    quantity,
    shots_of,
)

METHOD_COLORS = {
    **COLORS,
    "B-I single": "#b9c0ca",
    "A0": "#b5d1f4",
    "A1": "#92bbee",
    "A2": "#6ea5e7",
    "A4": "#4bb5a2",
    "A6": "#0d7261",
    "A7": "#084b40",
    "temporal only": "#9a6fd0",
    "robust": "#c8417f",
}
BAR_COLORS = ("#4a8fe0", "#dd9b26", "#12967f", "#9a6fd0", "#8b94a3", "#c8417f")
TWO_BARS = ("#12967f", "#a9b2be")  # top-1 and top-5
PUBLISHED = "published"


def table_plot(table: Table) -> str:
    """The plot that fits the table, as SVG: curves where it has several K, else bars."""
    shown = [column for column in columns(table) if not column.measure.endswith(RANKS)]  # these are no percent
    if is_localization(table):  # bars for each overlap of each method would be too many to read
        shown = [column for column in shown if column.measure.endswith("average_map")]
    said = "; ".join(
        f"{method}: " + ", ".join(f"{column.heading} {percent_cell(cell(table, method, column))}" for column in shown)
        for method in methods(table)
    )
    several = [column for column in shown if shots_of(table, column.protocol)]
    with matplotlib.rc_context(STYLE):
        plot = Figure(figsize=(11.4, 4.8), layout="constrained")
        axes = plot.subplots()
        if len({column.protocol for column in several}) > 1:
            _curves(axes, table, several)
        else:
            _bars(axes, table, shown)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0, 1.0),
                ncols=7,
                frameon=False,
                handlelength=1.4,
                columnspacing=1.4,
                borderaxespad=0,
            )
        return to_svg(plot, f"{capital(quantity(table))} in percent. {said}")


def _bars(axes: Axes, table: Table, shown: list[Column]) -> None:
    """A group of bars for each method, one bar for each column, whiskers, and diamonds for published figures."""
    names = methods(table)
    width = GROUP_WIDTH / max(len(shown), 1)
    for slot, column in enumerate(shown):
        palette = TWO_BARS if len(shown) <= len(TWO_BARS) else BAR_COLORS
        color = palette[slot % len(palette)]
        axes.bar(0, 0, 0, color=color, label=column.heading)
        for group, method in enumerate(names):
            x = group + (slot + 0.5) * width - GROUP_WIDTH / 2
            numbers = cell(table, method, column)
            if numbers is not None:
                low, high = cell_interval(numbers) or (numbers["mean"], numbers["mean"])
                axes.bar(x, numbers["mean"], width * 0.88, color=color)
                whiskers = [[numbers["mean"] - low], [high - numbers["mean"]]]
                if high > low:
                    axes.errorbar(x, numbers["mean"], whiskers, color=INK, elinewidth=1.1, capsize=2.5, capthick=1.1)
                axes.text(x, high + 0.012, f"{100 * numbers['mean']:.0f}", ha="center", va="bottom", fontsize=8.5)
            _published(axes, table, method, column, x)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axes.tick_params(axis="x", length=0, pad=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    percent_axis(axes, top=1.08)


def _curves(axes: Axes, table: Table, shown: list[Column]) -> None:
    """Accuracy against K, on a logarithmic axis, one curve for each method."""
    for method in methods(table):
        points = [
            (float(shots_of(table, column.protocol) or 0), numbers)
            for column in shown
            if (numbers := cell(table, method, column)) is not None
        ]
        points.sort(key=lambda point: point[0])
        if points:
            bounds = [cell_interval(numbers) or (numbers["mean"], numbers["mean"]) for _, numbers in points]
            whiskers = [
                [numbers["mean"] - low for (_, numbers), (low, _) in zip(points, bounds, strict=True)],
                [high - numbers["mean"] for (_, numbers), (_, high) in zip(points, bounds, strict=True)],
            ]
            axes.errorbar(
                [shots for shots, _ in points],
                [numbers["mean"] for _, numbers in points],
                whiskers,
                color=METHOD_COLORS.get(method, INK),
                marker="o",
                ms=4.5,
                lw=2,
                ls="--" if method.startswith("B-I") and method != "B-II" else "-",
                capsize=3,
                label=method,
            )
    for method in methods(table):
        for column in shown:
            shots, color = float(shots_of(table, column.protocol) or 0), METHOD_COLORS.get(method, INK)
            _published(axes, table, method, column, shots, edge=color)
    ticks = sorted({shots_of(table, column.protocol) or 0 for column in shown})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(shots) for shots in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training videos per class, K")
    percent_axis(axes, top=1.05)


def _published(
    axes: Axes, table: Table, method: str, column: Column, x: float, *, color: str = "white", edge: str = INK
) -> None:
    figure = cell(table, method, column, "paper")
    if figure:
        known = axes.get_legend_handles_labels()[1]
        label = None if PUBLISHED in known else PUBLISHED
        axes.plot(x, figure["value"], "D", ms=6, mfc=color, mec=edge, mew=1.6, zorder=5, ls="none", label=label)
