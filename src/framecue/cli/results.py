"""A results file as a table on the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from framecue.cli.common import printable
from framecue.report.percents import few_items_remark, percent_with_interval

if TYPE_CHECKING:
    from rich.console import Console


def print_results(results: Mapping[str, Any]) -> None:
    """One table for the reported part, one for held-out names if there are any; methods side by side."""
    printers = {
        "recognition": _print_recognition,
        "localization": _print_localization,
        "retrieval": _print_retrieval,
    }
    for line in told_first(results):
        typer.echo(printable(line))
    printers[results["protocol"]["task"]](results)


def told_first(results: Mapping[str, Any]) -> list[str]:
    """What must be known of the figures before they are read."""
    lines = list(results.get("data_since_training", {}).get("lines", ()))
    if start := results.get("started_from"):
        seen = start["num_train_videos"]
        lines.append(
            f"Started from the weights of {start['adapter']} ({start['iterations'] or 'an unknown number of'} steps on "
            f"{'videos that are not known' if seen is None else f'{seen} videos'})."
        )
    return lines


def _titles(protocol: Mapping[str, Any]) -> dict[str, str]:
    part = protocol["part"]
    return {
        part: f"{part}, {len(protocol['classes_seen_in_training'])} classes",
        "novel": f"held-out names, {len(protocol['held_out_classes'])} classes never trained on",
    }


def _print_localization(results: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    protocol = results["protocol"]
    for key, title in _titles(protocol).items():
        if not results[key]:
            continue
        first = next(iter(results[key].values()))
        table = Table(
            title=f"{title}, {first['num_videos']} videos, {first['num_segments']} segments", title_justify="left"
        )
        table.add_column("mAP % at an overlap of", overflow="fold")
        for tiou in first["map"]:
            table.add_column(tiou, justify="right")
        table.add_column("average", justify="right")
        for method, numbers in results[key].items():
            figures = [*numbers["map"].values(), numbers["average_map"]]
            table.add_row(method, *(f"{100 * value:.1f}" for value in figures))
        console.print(table)
        _print_remark(console, first["num_videos"], f"{key} videos" if key != "novel" else "videos of held-out names")
    for line in results["notes"]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    _print_doubts(console, results)
    console.print(f"none of these: {results['calibration']['note']}.", soft_wrap=True, highlight=False)
    if results.get("reported"):
        console.print(_reported_line(results["reported"]), soft_wrap=True)
    console.print(
        f"seed {results['seed']}, score = proposal^{1 - results['fusion_weight']:g} x "
        f"class^{results['fusion_weight']:g}, "
        f"proposals: {protocol['proposals']}, external scores: {protocol['external_scores']}. "
        "B-I: the frozen backbone with templates names the segments; B-II: a linear probe does. mAP has no interval "
        "within one run; `framecue reproduce localization` gives it over seeds.",
        soft_wrap=True,
    )


def _print_doubts(console: "Console", results: Mapping[str, Any]) -> None:
    protocol = results["protocol"]
    if not results[protocol["part"]] and "classes_seen_in_training" in protocol:
        console.print(
            "Nothing was measured on trained names: neither a test nor a validation video shows one.", soft_wrap=True
        )
    elif protocol["part_chose_the_weights"]:
        console.print("There is no test part: these videos chose the weights, so the numbers flatter.", soft_wrap=True)


def _reported_line(reported: Mapping[str, Any]) -> str:
    """What `localize` would show of these videos, with the least score that validation chose."""
    line = (
        f"`localize` reports segments from a score of {reported['min_score']:.2f}: of these "
        f"{_share(reported, 'precision')} % are right at an overlap of {reported['tiou']:g}, and "
        f"{_share(reported, 'recall')} % of the actions are found"
    )
    for key, what in (
        ("idle", "videos without any action"),
        ("none_of_these", "videos of held-out actions alone, asked for the seen names,"),
    ):
        if none := reported.get(key):
            line += (
                f"; of {none['num_videos']} {what} {_share(none, 'videos_without_report')} % yield none, "
                f"on average {none['reported_per_video']:.1f} each"
            )
    return line + "."


def _print_recognition(results: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    protocol = results["protocol"]
    for key, title in _titles(protocol).items():
        if not results[key]:
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("method", overflow="fold")
        for column in ("top-1 %", "top-5 %", "mean per class %", "videos"):
            table.add_column(column, justify="right", overflow="fold")
        for method, numbers in results[key].items():
            top5 = _share(numbers, "top5") if numbers["num_classes"] > 5 else "-"
            table.add_row(
                method, _share(numbers, "top1"), top5, _share(numbers, "mean_class"), str(numbers["num_videos"])
            )
        console.print(table)
        ours = results[key][results["method"]]
        console.print(_worst_classes(ours), soft_wrap=True, markup=False, highlight=False)
        _print_remark(console, ours["num_videos"], f"{key} videos" if key != "novel" else "videos of held-out names")
    calibration, rejection = results["calibration"], results.get("rejection")
    console.print(_calibration_line(calibration, rejection), soft_wrap=True, highlight=False)
    if rejection is not None:
        console.print(_rejection_line(rejection, calibration["promise"]), soft_wrap=True, highlight=False)
    _print_doubts(console, results)
    console.print(
        f"seed {results['seed']}, {protocol['views']} views, external scores: {protocol['external_scores']}; in "
        "brackets 95 % intervals over videos (Wilson). B-I frozen backbone with templates, B-II linear probe.",
        soft_wrap=True,
    )


WORST_CLASSES = 5


def _share(numbers: Mapping[str, Any], name: str) -> str:
    return percent_with_interval(numbers[name], numbers["ci95"][name])


def _worst_classes(numbers: Mapping[str, Any]) -> str:
    """The classes that a method knows least; results.json has all."""
    worst = sorted(numbers["per_class"].items(), key=lambda item: (item[1]["accuracy"], item[0]))[:WORST_CLASSES]
    shown = ", ".join(
        f"{printable(name)} {percent_with_interval(one['accuracy'], one['ci95'])} of {one['num_videos']}"
        for name, one in worst
    )
    return f"least accurate classes, %: {shown}"


RETRIEVAL_COLUMNS = ("R@1 %", "R@5 %", "R@10 %", "median rank", "mean rank")
_RETRIEVAL_KEYS = ("R1", "R5", "R10", "MdR", "MnR")


def _print_retrieval(results: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    protocol = results["protocol"]
    part = protocol["part"]
    size = f"{part}, {protocol['num_videos']} videos, {protocol['num_captions']} captions"
    for side, title in (("t2v", "text to video"), ("v2t", "video to text")):
        table = Table(title=f"{title}: {size}", title_justify="left")
        table.add_column("method", overflow="fold")
        for column in RETRIEVAL_COLUMNS:
            table.add_column(column, justify="right", overflow="fold")
        for method, numbers in results[part].items():
            table.add_row(method, *(_recall_or_rank(numbers, f"{side}/{key}") for key in _RETRIEVAL_KEYS))
        if results[part]:
            console.print(table)
    _print_groups(console, results[part])
    for line in protocol["notes"]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not results[part]:
        console.print("Nothing was measured: there is neither a test nor a validation video.", soft_wrap=True)
    console.print(f"scores of a search: {results['calibration']['note']}.", soft_wrap=True, highlight=False)
    _print_remark(console, protocol["num_videos"], f"{part} videos")
    _print_doubts(console, results)
    console.print(
        f"seed {results['seed']}; in brackets 95 % intervals over queries (Wilson); "
        f"{protocol['views']} views, loss {protocol['loss']}, ties: {protocol['ties']}, "
        f"normalization over the query set: {protocol['query_set_normalization']}.",
        soft_wrap=True,
    )


def _recall_or_rank(numbers: Mapping[str, Any], name: str) -> str:
    """A recall in percent with its 95 % interval, or a rank."""
    interval = numbers["ci95"].get(name)
    if interval is None:
        return f"{numbers[name]:.1f}"
    return percent_with_interval(numbers[name] / 100, [bound / 100 for bound in interval])


def _print_groups(console: "Console", measured: Mapping[str, Any]) -> None:
    """R@1 of both directions by kind of caption, where the source names kinds."""
    from rich.table import Table

    if not all("groups" in numbers for numbers in measured.values()) or not measured:
        return
    table = Table(
        title="R@1 % by group of captions, among all: text to video above video to text", title_justify="left"
    )
    table.add_column("group", overflow="fold")
    for method in measured:
        table.add_column(method, justify="right", overflow="fold")
    for group in next(iter(measured.values()))["groups"]:
        cells = [numbers["groups"][group] for numbers in measured.values()]
        sides = ("t2v/R1", "v2t/R1")
        table.add_row(printable(group), *("\n".join(_recall_or_rank(cell, side) for side in sides) for cell in cells))
    console.print(table)


def _calibration_line(calibration: Mapping[str, Any], rejection: Mapping[str, Any] | None) -> str:
    """How the percentages came about, and what they were off by on videos that the temperature had not seen."""
    if "cross_fitted" not in calibration or rejection is None:
        return f"percentages: {calibration['note']}."
    before, after = (100 * calibration[name]["ece"] for name in ("own_temperature", "cross_fitted"))
    return (
        f"percentages: {calibration['note']}; temperature {rejection['rule']['temperature']:.2f}, "
        f"cross-fitted calibration error {after:.1f} points, {before:.1f} without."
    )


def _rejection_line(rejection: Mapping[str, Any], promise: Mapping[str, Any]) -> str:
    """What "none of these" is worth: fitted on validation, measured on this part and on held-out classes."""
    rule = rejection["rule"]
    if rule["val_auroc"] is None:
        return "none of these: never said, as validation videos of one class cannot tell."
    low, high = (100 * share for share in promise["ci95"])
    kept = percent_with_interval(rejection["kept_known"], rejection["kept_known_ci95"])
    line = (
        f"none of these: {rule['score']}, validation AUROC {rule['val_auroc']:.2f}; it promises to keep "
        f"{100 * rule['keep']:.0f} % of known videos (with {rule['num_val']} validation videos {low:.0f} to {high:.0f} "
        f"%), and keeps {kept} % of these"
    )
    measured = rejection["auroc_chosen"]
    if measured is not None:
        line += f"; AUROC against held-out classes {measured:.2f}"
    return line + "."


def _print_remark(console: "Console", num_items: int, what: str) -> None:
    if remark := few_items_remark(num_items, what):
        console.print(remark, soft_wrap=True)
