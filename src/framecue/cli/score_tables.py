"""Scores of prediction files as tables on the terminal."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from framecue.cli.common import printable
from framecue.report.percents import DASH


def print_detections(scored: Mapping[str, Any], *, per_class: bool) -> None:
    """mAP by threshold; if wanted a line per class; where it goes wrong if that was measured."""
    average = [("average", _percent(scored["average_mean_ap"]))]
    by_tiou = zip(scored["tiou_thresholds"], scored["mean_ap"], strict=True)
    rows = [*((f"{tiou:.2f}", _percent(value)) for tiou, value in by_tiou), *average]
    agnostic = ", as if there were one class" if scored["class_agnostic"] else ""
    _print(f"mean average precision{agnostic}", ("tIoU", "mAP %"), rows)
    if per_class:
        first = f"AP % at {scored['tiou_thresholds'][0]:.2f}"
        lines = [
            (label, _percent(one["ap"][0]), _percent(one["average_ap"]), str(one["segments"]), str(one["predictions"]))
            for label, one in scored["per_class"].items()
        ]
        _print("classes", ("label", first, "average AP %", "segments", "predictions"), lines)
    if "errors" in scored:
        _print_errors(scored["errors"])
    _print_remarks(scored, "predictions")


def print_proposals(scored: Mapping[str, Any]) -> None:
    """AR@AN and AUC, and the recall at each threshold with all proposals."""
    rows = [(f"AR@{number}", _percent(value)) for number, value in scored["average_recall_at"].items()]
    last = scored["proposals_per_video"][-1]
    rows += [(f"AR@{last:.1f}, the last", _percent(scored["average_recall"][-1])), ("AUC", _percent(scored["auc"]))]
    _print("recall of proposals", ("measure", "%"), rows)
    by_tiou = zip(scored["tiou_thresholds"], scored["recall_with_all"], strict=True)
    _print(f"recall at {last:.1f} proposals per video", ("tIoU", "%"), [(f"{t:.2f}", _percent(v)) for t, v in by_tiou])
    _print_remarks(scored, "proposals")


def print_retrieval(scored: Mapping[str, Any]) -> None:
    """Both directions, how the figures were made, and what readers have to know."""
    used = scored["protocol"]["post_processing"]
    names = ("R1", "R5", "R10", "MdR", "MnR")
    rows = []
    for title, way in (("text to video", "t2v"), ("video to text", "v2t")):
        keys = [f"{way}/{name}" for name in names]
        rows.append((title, *(f"{scored[key]:.2f}" for key in keys), str(scored[f"{way}/queries"])))
        rows.append(("95 % interval", *(_interval(scored, key) for key in keys), ""))
    title = "retrieval" if used is None else f"retrieval with {used['method']}, which uses {used['uses']}"
    _print(title, ("direction", "R@1 %", "R@5 %", "R@10 %", "median rank", "mean rank", "queries"), rows)
    matrix, truth = scored["matrix"], scored["truth"]
    low, high = truth["captions_per_video"]
    per_video = f"{low}" if low == high else f"{low} to {high}"
    _print_lines(
        f"{matrix['file']}: {matrix['texts']} texts, {matrix['videos']} videos.",
        f"truth: {truth['file'] or 'the diagonal'}; texts of a video: {per_video}.",
        f"ties: {scored['protocol']['ties']}.",
        f"video to text: {scored['protocol']['video_to_text']}.",
        *(
            []
            if used is None
            else [f"temperature {used['temperature']:g}, directions {', '.join(used['directions'])}."]
        ),
        *scored["notes"],
    )


def _interval(scored: Mapping[str, Any], name: str) -> str:
    """The 95 % interval of a recall; a rank has none."""
    low, high = scored["ci95"].get(name, (None, None))
    return "" if low is None else f"{low:.1f}{DASH}{high:.1f}"


def print_moments(scored: Mapping[str, Any]) -> None:
    """Figures by length of the segments and by threshold, and highlight detection if it was scored."""
    by_length = [(name, scored[name]) for name in ("full", "long", "middle", "short") if scored[name]]
    rows = [
        (name, *(f"{value:.2f}" for value in (one["MR-mAP"]["average"], one["MR-mIoU"])), *map(str, counts))
        for name, one in by_length
        for counts in [(one["queries"], one["segments"])]
    ]
    _print("moment retrieval by length of the segments", ("length", "mAP %", "mIoU %", "queries", "segments"), rows)
    full = scored["full"]
    by_tiou = [
        (f"{float(name):.2f}", *(f"{full[measure][name]:.2f}" for measure in ("MR-R1", "MR-R5", "MR-mAP")))
        for name in full["MR-R1"]
    ]
    _print("all segments", ("tIoU", "R@1 %", "R@5 %", "mAP %"), by_tiou)
    levels = [(name.removeprefix("HL-min-"), one) for name, one in scored.items() if name.startswith("HL-min-")]
    if levels:
        lines = [(name, f"{one['HL-mAP']:.2f}", f"{one['HL-Hit1']:.2f}") for name, one in levels]
        _print("highlight detection", ("rated at least", "mAP %", "Hit@1 %"), lines)
    truth, found, protocol = scored["ground_truth"], scored["predictions"], scored["protocol"]
    _print_lines(
        f"{truth['file']}: {truth['queries']} sentences, {truth['segments']} segments.",
        f"{found['file']}: predictions for {found['matched']} sentences, of each the first "
        f"{protocol['max_predictions']}.",
        f"counted as by {protocol['evaluator']}; sentences without prediction {protocol['without_prediction']}.",
        *scored["notes"],
    )


def _print_errors(errors: Mapping[str, Any]) -> None:
    depth, gains = errors["judged_per_segment"], errors["gain_if_removed"]
    best, judged = errors["predictions_by_rank"][0], errors["predictions"]
    rows = [
        (
            kind,
            str(best[kind]),
            _share(best[kind], best),
            str(count),
            _share(count, judged),
            f"{100 * gains[kind]:+.2f}" if kind in gains else "-",
        )
        for kind, count in judged.items()
    ]
    title = (
        f"what the predictions are at tIoU {errors['tiou']:.2f} (below {errors['background_below_tiou']:.2f} is "
        f"background); of each class the best G and the best {depth} G, G its number of segments"
    )
    columns = ("kind", "best G", "%", f"best {depth} G", "%", "average mAP if removed")
    _print(title, columns, rows)
    _print_meanings(errors["meaning"]["predictions"])
    segments = errors["segments"]
    counts = [(kind, str(count), _share(count, segments)) for kind, count in segments.items()]
    _print("what becomes of the ground truth", ("kind", "segments", "%"), counts)
    _print_meanings(errors["meaning"]["segments"])
    for key, unit in (("by_seconds", "s"), ("by_share_of_video", "%")):
        _print_lengths(errors[key], "segments", f"the ground truth by length in {_UNITS[unit]}", unit)
        _print_lengths(errors[key], "predictions", f"judged predictions by length in {_UNITS[unit]}", unit)


def _print_meanings(meanings: Mapping[str, str]) -> None:
    from rich.console import Console

    lines = [f"  {kind}: {meaning}" for kind, meaning in meanings.items()]
    Console().print("\n".join([*lines, ""]), soft_wrap=True, markup=False, highlight=False)


_UNITS = {"s": "seconds", "%": "% of the video"}


def _print_lengths(bins: Sequence[Mapping[str, Any]], what: str, title: str, unit: str) -> None:
    """Counts by bin, what is right as share; kinds that there are none of are left out."""
    rows = [(_bin_name(one, unit), one[what]) for one in bins if sum(one[what].values())]
    if not rows:
        return
    right, *wrong = rows[0][1]
    shown = [kind for kind in wrong if any(counts[kind] for _, counts in rows)]
    lines = [
        (name, str(sum(counts.values())), _share(counts[right], counts), *(str(counts[kind]) for kind in shown))
        for name, counts in rows
    ]
    _print(title, ("length", "all", "found %" if right == "found" else "right %", *shown), lines)


def _bin_name(one: Mapping[str, Any], unit: str) -> str:
    if one["from"] is None:
        return "not known"
    scale = 100 if unit == "%" else 1
    low = f"{scale * one['from']:g}"
    return f"from {low}" if one["below"] is None else f"{low} to {scale * one['below']:g}"


def _print_remarks(scored: Mapping[str, Any], what: str) -> None:
    """What was scored, outside data that was used, and all that was left out or is doubtful."""
    truth, guesses = scored["ground_truth"], scored[what]
    outside = guesses["external_data"]
    _print_lines(
        f"{truth['file']}: {truth['videos']} videos, {truth['segments']} segments, {truth['labels']} labels.",
        f"{guesses['file']}: {guesses['segments']} {what} for {guesses['videos']} videos.",
        f"external data: {json.dumps(outside) if outside else 'none declared by the file'}",
        *scored["notes"],
    )


def _print_lines(*lines: str) -> None:
    from rich.console import Console

    console = Console()
    for line in lines:
        console.print(printable(line), soft_wrap=True, markup=False, highlight=False)


def _print(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A table whose first column is text and whose others are figures; the title takes what width it needs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(title, soft_wrap=True, markup=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    console.print()


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _share(count: int, counts: Mapping[str, int]) -> str:
    return f"{100 * count / max(sum(counts.values()), 1):.1f}"
