"""A results file as a table on the terminal."""

from collections.abc import Mapping
from typing import Any


def print_results(results: Mapping[str, Any]) -> None:
    """One table for the reported part, one for held-out names if there are any; methods side by side."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    protocol = results["protocol"]
    part = protocol["part"]
    titles = {
        part: f"{part}, {len(protocol['classes_seen_in_training'])} classes",
        "novel": f"held-out names, {len(protocol['held_out_classes'])} classes never trained on",
    }
    for key, title in titles.items():
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
    if protocol["part_chose_the_weights"]:
        console.print("There is no test part: these videos chose the weights, so the numbers flatter.")
    console.print(
        f"seed {results['seed']}, {protocol['views']} views, external scores: {protocol['external_scores']}. "
        "B-I frozen backbone with templates, B-II linear probe.",
        soft_wrap=True,
    )


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
