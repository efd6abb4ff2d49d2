"""What `framecue data check` found, on the terminal or in a pipe."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from framecue.cli.common import printable

if TYPE_CHECKING:
    from framecue.datasets.findings import DataReport


def print_report(report: "DataReport") -> None:
    """Counts by class, all problems by kind, and a summary by part with the verdict: what matters most comes last."""
    console = Console(highlight=False, emoji=False)  # ":100:" is a line number
    _print_classes(report, console)
    _print_problems(report, console)
    _print_summary(report, console)


def _print_classes(report: "DataReport", console: Console) -> None:
    table = Table("class", box=None, pad_edge=False, header_style="bold")
    for part in report.listed:
        table.add_column(part, justify="right")
    for name in sorted({name for classes in report.listed.values() for name in classes}):
        cells = [
            _cell(report.usable.get(part, {}).get(name, 0), row.get(name, 0)) for part, row in report.listed.items()
        ]
        table.add_row(escape(printable(name)), *cells)
    if table.row_count:
        console.print(table)
        if report.listed != report.usable:
            console.print("[dim]1 of 2: usable of listed[/dim]")
        console.print()


def _cell(usable: int, listed: int) -> str:
    if not listed:
        return "[dim]-[/dim]"
    return f"{listed}" if usable == listed else f"[yellow]{usable} of {listed}[/yellow]"


def _print_problems(report: "DataReport", console: Console) -> None:
    from framecue.datasets.findings import KINDS

    for kind, texts in report.by_kind().items():
        about = KINDS[kind]
        style = "bold red" if about.to_fix else "bold"
        label = "" if about.to_fix else "note: "
        console.print(f"{label}{len(texts)} {about.one if len(texts) == 1 else about.many}", style=style)
        for text in texts:
            console.print(f"  {printable(text)}", markup=False, soft_wrap=True)
        console.print()


def _print_summary(report: "DataReport", console: Console) -> None:
    from framecue.datasets.findings import KINDS

    usable = "there" if report.quick else "usable"
    table = Table("part", title=f"{escape(printable(report.path))} as {report.format}", title_justify="left")
    for column in ("classes", "listed", usable, "fewest of a class", "most"):
        table.add_column(column, justify="right")
    for part, classes in report.listed.items():
        numbers = [report.usable.get(part, {}).get(name, 0) for name in classes]
        cells = (len(classes), sum(classes.values()), sum(numbers), min(numbers), max(numbers))
        table.add_row(part, *map(str, cells))
    if table.row_count:
        console.print(table)
    found = report.by_kind()
    for to_fix, style in ((True, "bold red"), (False, "bold")):
        kinds = {kind: len(texts) for kind, texts in found.items() if KINDS[kind].to_fix is to_fix}
        if kinds:
            said = ", ".join(
                f"{number} {KINDS[kind].one if number == 1 else KINDS[kind].many}" for kind, number in kinds.items()
            )
            total = f"{sum(kinds.values())} to fix" if to_fix else f"{sum(kinds.values())} to note"
            console.print(f"[{style}]{total}[/{style}]: {said}.", soft_wrap=True)
    if not report.num_to_fix:
        opened = "is there" if report.quick else "is there and opens"
        console.print(f"[bold green]Nothing to fix[/bold green]: every listed video {opened}.")
