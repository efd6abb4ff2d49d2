"""A reproduced table beside the paper's, as a Markdown document."""

from collections.abc import Sequence

from framecue.report.table_words import LOOK_AT
from framecue.report.tables import (
    Table,
    capital,
    cell,
    columns,
    commands,
    facts,
    group_rows,
    headline,
    methods,
    paper_caveat,
    paper_notes,
    percent_cell,
    quantity,
    spread_text,
    title_of,
)


def markdown(table: Table) -> str:
    """The table, what it is measured on and how, and the command of each row."""
    shown = columns(table)
    paper = paper_notes(table, shown)
    rows = [["method", *(column.heading for column in shown)]]
    for method in methods(table):
        rows.append([method, *(percent_cell(cell(table, method, column)) for column in shown)])
        if method in paper.rows:
            rows.append([f"{method}, published", *paper.rows[method]])
    by_group = group_rows(table)
    parts = [
        f"# {title_of(table)}",
        headline(table),
        f"What to look at: {LOOK_AT[table['table']]}" if table["table"] in LOOK_AT else "",
        _markdown_table(rows),
        _markdown_table(by_group) if by_group else "",
        f"{capital(quantity(table))} in %; {spread_text(table)}. {paper_caveat(table)}",
        "\n".join(f"- [{mark}] {known}" for mark, known in paper.notes.items()),
        "\n".join(f"- {subject}: {text}" for subject, text in facts(table)),
        "Command per row:",
        "```\n" + "\n".join(dict.fromkeys(commands(table).values())) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows]
    return "\n".join([head, "|---|" + "---:|" * (len(rows[0]) - 1), *body])
