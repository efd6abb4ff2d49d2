"""A results file as a table on the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from framecue.cli.common import printable

if TYPE_CHECKING:
    from rich.console import Console


def print_results(results: Mapping[str, Any]) -> None:
    """One table for the reported part, one for held-out names if there are any; methods side by side."""
    printers = {
        "recognition": _print_recognition,
        "localization": _print_localization,
        "retrieval": _print_retrieval,
    }
    printers[results["protocol"]["task"]](results)


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
    for line in results["notes"]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    _print_doubts(console, results)
    if results.get("reported"):
        console.print(_reported_line(results["reported"]), soft_wrap=True)
    console.print(
        f"seed {results['seed']}, score = proposal^{1 - results['fusion_weight']:g} x "
        f"class^{results['fusion_weight']:g}, "
        f"proposals: {protocol['proposals']}, external scores: {protocol['external_scores']}. "
        "B-I: the frozen backbone with templates names the segments.",
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
        f"{100 * reported['precision']:.0f} % are right at an overlap of {reported['tiou']:g}, and "
        f"{100 * reported['recall']:.0f} % of the actions are found"
    )
    for key, what in (
        ("idle", "videos without any action"),
        ("none_of_these", "videos of held-out actions alone, asked for the seen names,"),
    ):
        if none := reported.get(key):
            line += (
                f"; of {none['num_videos']} {what} {100 * none['videos_without_report']:.0f} % yield none, "
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
            top5 = f"{100 * numbers['top5']:.1f}" if numbers["num_classes"] > 5 else "-"
            table.add_row(
                method,
                f"{100 * numbers['top1']:.1f}",
                top5,
                f"{100 * numbers['mean_class']:.1f}",
                str(numbers["num_videos"]),
            )
        console.print(table)
    if "rejection" in results:
        console.print(_rejection_line(results["rejection"]), soft_wrap=True)
    _print_doubts(console, results)
    console.print(
        f"seed {results['seed']}, {protocol['views']} views, external scores: {protocol['external_scores']}. "
        "B-I frozen backbone with templates, B-II linear probe.",
        soft_wrap=True,
    )


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
            table.add_row(method, *(f"{numbers[f'{side}/{key}']:.1f}" for key in _RETRIEVAL_KEYS))
        if results[part]:
            console.print(table)
    _print_groups(console, results[part])
    for line in protocol["notes"]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not results[part]:
        console.print("Nothing was measured: there is neither a test nor a validation video.", soft_wrap=True)
    _print_doubts(console, results)
    console.print(
        f"seed {results['seed']}, {protocol['views']} views, loss {protocol['loss']}, ties: {protocol['ties']}, "
        f"normalization over the query set: {protocol['query_set_normalization']}.",
        soft_wrap=True,
    )


def _print_groups(console: "Console", measured: Mapping[str, Any]) -> None:
    """R@1 of both directions by kind of caption, where the source names kinds."""
    from rich.table import Table

    if not all("groups" in numbers for numbers in measured.values()) or not measured:
        return
    table = Table(title="R@1 % by group of captions, among all: text to video, video to text", title_justify="left")
    table.add_column("group", overflow="fold")
    for method in measured:
        table.add_column(method, justify="right", overflow="fold")
    for group in next(iter(measured.values()))["groups"]:
        cells = [numbers["groups"][group] for numbers in measured.values()]
        table.add_row(printable(group), *(f"{cell['t2v/R1']:.1f}, {cell['v2t/R1']:.1f}" for cell in cells))
    console.print(table)


def _rejection_line(rejection: Mapping[str, Any]) -> str:
    """What "none of these" is worth: fitted on validation, measured on this part and on held-out classes."""
    rule = rejection["rule"]
    calibration = f"calibration temperature {rule['temperature']:.2f}"
    if rule["val_auroc"] is None:
        return f"{calibration}; none of these: never said, as validation videos of one class cannot tell."
    line = f"{calibration}; none of these: {rule['score']}, validation AUROC {rule['val_auroc']:.2f}"
    measured = rejection["auroc_chosen"]
    if measured is not None:
        line += f", AUROC against held-out classes {measured:.2f}"
    return line + "."
