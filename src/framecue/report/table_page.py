"""A reproduced table as one HTML page: the plot, ours beside the published figures, and what it takes to repeat it."""

import json
import re
from html import escape

from framecue.report.page import document, figure, section
from framecue.report.table_plots import METHOD_COLORS, table_plot
from framecue.report.table_words import ABOUT, LOOK_AT
from framecue.report.tables import (
    Table,
    capital,
    cell,
    columns,
    commands,
    facts,
    headline,
    methods,
    paper_caveat,
    paper_notes,
    percent_cell,
    quantity,
    spread_text,
    title_of,
)


def render_table_page(table: Table) -> str:
    """The whole page as HTML text; `table` as `tables.with_paper` gives it."""
    title = title_of(table)
    versions = ", ".join(f"{name} {version}" for name, version in table["versions"].items())
    return document(
        f"framecue: {title}",
        [
            f'<p class="brand">framecue <span>· reproduce {escape(table["table"])} · '
            f"{escape(str(table['dataset']))}</span></p>",
            f"<h1>{escape(title)}: {escape(_unbroken(headline(table)))}</h1>",
            f'<p class="lead">What to look at: {escape(LOOK_AT.get(table["table"], ""))}</p>',
            section(capital(quantity(table)), _whiskers(table), figure(table_plot(table), "")),
            section("Ours and published", escape(paper_caveat(table)), _numbers(table)),
            section("How it was measured", "", _facts(table)),
            section("Command per row", "Each makes its row alone, and goes on where it stopped.", _commands(table)),
            _skipped(table),
            _configs(table),
            f"<footer><p>{escape(versions)}</p></footer>",
        ],
    )


def _unbroken(text: str) -> str:
    """Keeps "K = 16" and "64.0 ± 1.0 %" on one line."""
    return re.sub(r" (?=[=±%])|(?<=[=±]) ", "\N{NO-BREAK SPACE}", text)


def _whiskers(table: Table) -> str:
    marks = " Diamonds are published figures." if any(row["paper"] for row in table["rows"]) else ""
    return escape(f"In percent; {spread_text(table)}.{marks}")


def _numbers(table: Table) -> str:
    shown = columns(table)
    paper = paper_notes(table, shown)
    body = []
    for method in methods(table):
        about = f' <span class="muted">{escape(ABOUT[method])}</span>' if method in ABOUT else ""
        dot = f'<span class="dot" style="--tint:{METHOD_COLORS.get(method, "var(--muted)")}"></span>'
        cells = "".join(f"<td>{percent_cell(cell(table, method, column))}</td>" for column in shown)
        body.append(f"<tr><td>{dot}{escape(method)}{about}</td>{cells}</tr>")
        if method in paper.rows:
            cells = "".join(f"<td>{escape(text)}</td>" for text in paper.rows[method])
            body.append(f'<tr class="note"><td>{escape(method)}, published</td>{cells}</tr>')
    head = "".join(f"<th>{escape(column.heading)}</th>" for column in shown)
    notes = "".join(f"<li>[{mark}] {escape(known)}</li>" for mark, known in paper.notes.items())
    return (
        f'<div class="wide"><table><thead><tr><th>{escape(quantity(table))} in %</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>" + (f"<ul>{notes}</ul>" if notes else "")
    )


def _facts(table: Table) -> str:
    lines = "".join(f"<li>{escape(subject)}: {escape(text)}</li>" for subject, text in facts(table))
    return f"<ul>{lines}</ul>"


def _commands(table: Table) -> str:
    return f"<pre>{escape(chr(10).join(dict.fromkeys(commands(table).values())))}</pre>"


def _skipped(table: Table) -> str:
    if not table["skipped"]:
        return ""
    lines = "".join(f"<li>{escape(str(item['path']))}: {escape(str(item['reason']))}</li>" for item in table["skipped"])
    return section("Left out", f"{len(table['skipped'])} videos are not in these numbers.", f"<ul>{lines}</ul>")


def _configs(table: Table) -> str:
    parts = []
    for method in methods(table):
        config = next((row.get("config") for row in table["rows"] if row["method"] == method), None)
        if config:
            text = escape(json.dumps(config, indent=2, ensure_ascii=False))
            parts.append(f"<details><summary>{escape(method)}</summary><pre>{text}</pre></details>")
    return section("Configs", "", *parts)
