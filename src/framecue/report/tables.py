"""A reproduced table beside the paper's: which columns are shown, and the same content as text and Markdown."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framecue.report.paper_figures import PaperFigure, figures_of, is_papers_backbone
from framecue.report.percents import mean_with_interval
from framecue.report.table_words import COLUMNS, FEW_OVERLAPS, MAIN, PRINTED_OVERLAPS, TITLES

if TYPE_CHECKING:
    from rich.console import Console

MANY_COLUMNS = 5  # more leave no room for lines between them
NONE = "\N{EN DASH}"
RANKS = ("MdR", "MnR")

Row = Mapping[str, Any]
Table = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A measure under a protocol, and its heading."""

    protocol: str
    measure: str
    heading: str


def with_paper(table: Table, dataset: str | None, command: Sequence[str]) -> dict[str, Any]:
    """The table with, in each row, "paper" (measure -> figure and how it is known) and "command" (for that row alone).

    Args:
        dataset: whose figures are set beside, as in paper_figures.FIGURES; None or an unknown one has none.
        command: words of the whole table's command, without --rows.
    """
    rows = []
    for row in table["rows"]:
        named = dataset
        if table["table"] == "open-set-localization":
            named = f"{dataset} {row['protocol'].removeprefix('open-set ')}"
        figures = figures_of(table["table"], named, row["method"], shots_of(table, row["protocol"]))
        paper = {measure: _as_json(figure) for measure, figure in figures.items()}
        in_every_run = is_localization(table) or row["method"] == "frozen CLIP"
        alone = () if in_every_run else ("--rows", row["method"])  # there one run measures all rows
        rows.append({**row, "paper": paper, "command": shlex.join([*command, *alone])})
    return {**table, "rows": rows}


def _as_json(figure: PaperFigure) -> dict[str, Any]:
    known = {key: value for key, value in asdict(figure).items() if key not in ("method", "measure", "shots") and value}
    return known | ({"unit": "rank"} if figure.measure.endswith(RANKS) else {})


def title_of(table: Table) -> str:
    """What the table is called on paper."""
    name = str(table["table"])
    return TITLES.get(name, name)


def capital(text: str) -> str:
    """With a capital letter, but for words such as mAP."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def is_localization(table: Table) -> bool:
    """Whether its figures are mAP over untrimmed videos, not accuracy."""
    return str(table["table"]).endswith("localization")


def quantity(table: Table) -> str:
    """What is measured: accuracy, recall, or mAP with the word on external scores that every such figure needs."""
    if table["table"] == "retrieval":
        return "recall from text to video (t2v) and back (v2t), median and mean rank; recall"
    return f"mAP ({table['setting']['scores']})" if is_localization(table) else "accuracy"


def shots_of(table: Table, protocol: str) -> int | None:
    """K of a protocol named "...-K-shot" in a table over several K, else None."""
    found = re.search(r"(\d+)-shot$", protocol)
    return int(found[1]) if found and table["table"] == "few-shot" else None


def methods(table: Table) -> list[str]:
    """Methods in the order of the rows, each once."""
    return list(dict.fromkeys(row["method"] for row in table["rows"]))


def columns(table: Table) -> list[Column]:
    """The measures that are shown, under each protocol; those of COLUMNS, or all where a table has none of them."""
    shown = []
    for protocol in table["protocols"]:
        name = protocol["name"]
        there = dict.fromkeys(m for row in table["rows"] if row["protocol"] == name for m in row["measures"])
        chosen = _chosen(COLUMNS.get(table["table"], ()), [*there]) or [*there]
        shots = shots_of(table, name)
        prefix = f"K = {shots}" if shots else name if len(table["protocols"]) > 1 else ""
        for measure in chosen:
            heading = prefix if shots and len(chosen) == 1 else f"{prefix} {measure_name(measure)}".strip()
            shown.append(Column(name, measure, heading))
    return shown


def _chosen(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """What is there of the wanted measures; one that ends in "@" stands for all overlaps, or the usual ones of many."""
    chosen = []
    for name in wanted:
        found = [measure for measure in there if measure == name or (name[-1] == "@" and measure.startswith(name))]
        if len(found) > FEW_OVERLAPS:
            found = [measure for measure in found if measure.split("@")[1] in PRINTED_OVERLAPS]
        chosen += found
    return chosen


_RETRIEVAL = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "MdR": "median", "MnR": "mean"}
_DIRECTIONS = ("t2v", "v2t")
"""Of a table of retrieval, text to video and video to text; a terminal shows one below the other."""


def measure_name(measure: str) -> str:
    """ "novel/top1" -> "novel top-1", "novel/map@0.5" -> "novel @0.5"; the test part goes without saying."""
    side, _, name = measure.rpartition("/")
    if name in _RETRIEVAL:
        *group, direction = side.split("/")
        return " ".join([*group, direction, _RETRIEVAL[name]])
    text = re.sub(r"top(\d)", r"top-\1", measure.removeprefix("test/")).replace("/", " ").replace("_", " ")
    return re.sub(r"\bmap\b", "mAP", text.replace("map@", "@"))


def cell(table: Table, method: str, column: Column, key: str = "measures") -> Mapping[str, Any] | None:
    """What a row has under a column; None where it has no answer. `key` "paper" asks for the published figure."""
    for row in table["rows"]:
        if row["method"] == method and row["protocol"] == column.protocol:
            return row[key].get(column.measure)
    return None


def _shown_cells(table: Table) -> list[Mapping[str, Any]]:
    cells = [cell(table, method, column) for method in methods(table) for column in columns(table)]
    return [numbers for numbers in cells if numbers]


def percent_cell(numbers: Mapping[str, Any] | None) -> str:
    """ "66.4 ± 0.3" in percent with the 95 % interval, a rank as it is; a dash where there is no answer."""
    return NONE if numbers is None else mean_with_interval(numbers)


def spread_text(table: Table) -> str:
    """What ± and brackets mean in this table."""
    spreads = [numbers for numbers in _shown_cells(table) if numbers["std"] is not None]
    counts = sorted({numbers["n"] for numbers in spreads})
    brackets = any(numbers.get("ci95_items") for numbers in _shown_cells(table) if not numbers["std"])
    over_items = "brackets are the 95 % interval over test items (Wilson)" if brackets else ""
    if not counts:
        return f"one trial; {over_items or 'no interval'}"
    units = "official splits" if any(numbers.get("over") == "splits" for numbers in spreads) else "trials"
    over_trials = f"± is the 95 % interval of the mean over {' or '.join(map(str, counts))} {units} (Student)"
    return f"{over_trials}, where they agree {over_items}" if brackets else over_trials


@dataclass(frozen=True)
class PaperNotes:
    """The published figures of a table as text, with a mark for each way of knowing.

    Attributes:
        rows: method -> texts by column ("66.4 [a]"), for methods that have any.
        notes: mark -> how it is known.
    """

    rows: Mapping[str, Sequence[str]]
    notes: Mapping[str, str]


def paper_notes(table: Table, shown: Sequence[Column]) -> PaperNotes:
    """The published figures under the shown columns."""
    marks: dict[str, str] = {}
    rows = {}
    for method in methods(table):
        figures = [cell(table, method, column, "paper") for column in shown]
        if any(figures):
            rows[method] = [_marked(figure, marks) for figure in figures]
    return PaperNotes(rows, {mark: known for known, mark in marks.items()})


def _marked(figure: Mapping[str, Any] | None, marks: dict[str, str]) -> str:
    if not figure:
        return NONE
    known = figure["known"] + (f"; {figure['remark']}" if figure.get("remark") else "")
    mark = marks.setdefault(known, chr(ord("a") + len(marks)))
    spread = f" ± {100 * figure['std']:.1f}" if figure.get("std") else ""
    scale = 1 if figure.get("unit") == "rank" else 100
    return f"{scale * figure['value']:.1f}{spread} [{mark}]"


def paper_caveat(table: Table) -> str:
    """One sentence on how far the published figures compare."""
    if not any(row["paper"] for row in table["rows"]):
        return "No published figure is known for these rows on these data."
    backbone = str(table["setting"]["backbone"]["id"])
    if is_localization(table):
        here = "the backbone used here" if is_papers_backbone(backbone) else f"not {backbone}, so they do not compare"
        return (
            f"Published figures are for CLIP ViT-B/16, {here}; the authors' proposals were never released, and that "
            "no external score entered the figures is presumed."
        )
    if is_papers_backbone(backbone):
        text = "Published figures are for CLIP ViT-B/16, the backbone used here; their draws of videos are not known."
    else:
        text = f"Published figures are for CLIP ViT-B/16; the backbone here is {backbone}, so they do not compare."
    return text + _split_alone(table)


def _split_alone(table: Table) -> str:
    """What to know where one official split stands beside the mean over several; else nothing."""
    splits: Sequence[int] = table["setting"].get("official_splits", [])
    means = {figure["splits"] for row in table["rows"] for figure in row["paper"].values() if figure.get("splits")}
    if len(splits) != 1 or not means:
        return ""
    return f" Measured here is official split {splits[0]} alone; published is the mean over {max(means)}."


_FROZEN_ROWS = ("B-I", "own proposals, B-I", "frozen CLIP")


def headline(table: Table) -> str:
    """Which row has the most in the main measure, and what frozen CLIP has; under the last protocol of several."""
    shown = columns(table)
    wanted = MAIN.get(table["table"], shown[0].measure if shown else "")
    main = next((column for column in reversed(shown) if column.measure == wanted), None)
    if main is None:
        return title_of(table)
    found = {m: numbers for m in methods(table) if not _is_oracle(m) and (numbers := cell(table, m, main))}
    best = max(found, key=lambda method: float(found[method]["mean"]))
    name = measure_name(main.measure)
    what = main.heading if name in main.heading else f"{name} at {main.heading}"
    text = f"{best} has the highest {what}, {percent_cell(found[best])} %"
    frozen = next(
        (name for name in ("B-I", "own proposals, B-I", "frozen CLIP") if name in found.keys() - {best}), None
    )
    if frozen is None:
        return f"{text}."
    if frozen == "frozen CLIP":
        return f"{text}; frozen CLIP has {percent_cell(found[frozen])} %."
    who = "frozen CLIP (B-I)" if frozen == "B-I" else "frozen CLIP on the same proposals"
    return f"{text}; {who} has {percent_cell(found[frozen])} %."


def _is_oracle(method: str) -> bool:
    """Whether a stage of it is the ground truth: such a row shows a loss, and competes with none."""
    return method.startswith("true segments") or method.endswith("true names")


def facts(table: Table) -> list[tuple[str, str]]:
    """What a reader needs to repeat or doubt the table: (subject, text) lines."""
    setting = table["setting"]
    backbone = setting["backbone"]
    lines = []
    for protocol in table["protocols"]:
        lines += [
            ("protocol", f"{protocol['name']}: {protocol['description']}"),
            (
                "split source",
                f"{protocol['source']}, hash {str(protocol['source_hash'])[:12]}; "
                f"{_count(protocol['num_trials'], 'trial')}, {_seeds(protocol['seeds'])}",
            ),
        ]
    precision = backbone.get("precision")
    return [
        ("data", str(table["dataset"]) + _splits_text(setting.get("official_splits", []))),
        *lines,
        *([("classes", str(setting["num_classes"]))] if setting["num_classes"] else []),
        (
            "backbone",
            f"{backbone['id']}, weights {str(backbone['weights_hash'])[:12]}" + (f", {precision}" if precision else ""),
        ),
        ("evaluation", ", ".join(_evaluation(setting))),
        ("training", f"{setting['iterations']} iterations"),
        ("external scores", str(setting["external_scores"])),
        *_departures(setting),
        *_left_out(table),
    ]


def _departures(setting: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the table's config departs from the authors' program; table.json says why."""
    found = setting.get("departures", [])
    if not found:
        return []
    what, switches = (", ".join(item["what"] for item in found), " ".join(item["switch"] for item in found))
    return [("departs from the authors' program in", f"{what}; to do as they do: {switches}")]


def _splits_text(splits: Sequence[int]) -> str:
    if not splits:
        return ""
    return f", official split {splits[0]}" if len(splits) == 1 else f", official splits {', '.join(map(str, splits))}"


def _evaluation(setting: Mapping[str, Any]) -> list[str]:
    parts = [_count(setting["views"], "view")] if "views" in setting else []
    if "tious" in setting:
        parts += [
            f"overlaps {', '.join(f'{tiou:g}' for tiou in setting['tious'])}",
            f"proposals {setting['proposals']}",
        ]
    if templates := setting["templates"]:
        parts.append(f"handcrafted templates: {len(templates)}, first “{templates[0]}”")
    if "ties" in setting:
        parts += [
            f"ties: {setting['ties']}",
            f"loss: {setting['loss']}",
            f"normalization over the query set: {setting['query_set_normalization']}",
        ]
    if setting.get("part_chose_the_weights"):
        parts.append("there is no other part: these videos chose the weights too, so the figures flatter")
    return parts


def _left_out(table: Table) -> list[tuple[str, str]]:
    """What the readers left out or changed, in all trials; how much more is told of single ones."""
    lines = [("data note", note) for note in table.get("notes", ())]
    more = sum(len(trial["notes"]) for trial in table.get("trials", ()))
    return [*lines, ("data note", f"{_count(more, 'note')} on single trials in table.json")] if more else lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seeds(seeds: Sequence[int]) -> str:
    """ "seeds 0 to 199" for a run of many; else each."""
    distinct = sorted(set(seeds))
    if len(distinct) > 5 and distinct == list(range(distinct[0], distinct[-1] + 1)):
        return f"seeds {distinct[0]} to {distinct[-1]}"
    return f"seed{'s' if len(distinct) != 1 else ''} {', '.join(map(str, distinct))}"


def commands(table: Table) -> dict[str, str]:
    """Method -> the command that makes its row alone."""
    return {row["method"]: row["command"] for row in table["rows"]}


def print_table(table: Table, console: "Console") -> None:
    """The table for a terminal: a line for each method, and below it the published figures where there are any."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = columns(table)
    paper = paper_notes(table, shown)
    title = f"{title_of(table)}, {table['dataset']}: {quantity(table)} in %"
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    for part in _side_by_side(table, shown):
        many = len(part) > MANY_COLUMNS
        grid = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0)) if many else RichTable()
        grid.add_column("method", overflow="fold")
        for column in part:
            grid.add_column(Text(column.heading), justify="right", overflow="fold")
        for method in methods(table):
            grid.add_row(Text(method), *(percent_cell(cell(table, method, column)) for column in part))
            published = [
                text for text, column in zip(paper.rows.get(method, ()), shown, strict=False) if column in part
            ]
            if any(text != NONE for text in published):
                grid.add_row(Text("  published"), *map(Text, published), style="dim")
        console.print(grid)
    if by_group := group_rows(table):
        grid = RichTable()
        for heading in by_group[0]:
            grid.add_column(Text(heading), overflow="fold")
        for cells in by_group[1:]:
            grid.add_row(*map(Text, cells))
        console.print(grid)
    for line in _lines_below(table, paper):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _side_by_side(table: Table, shown: list[Column]) -> list[list[Column]]:
    """Columns that stand in one table on a terminal."""
    if table["table"] != "retrieval":
        return [shown]
    return [[column for column in shown if f"{side}/" in column.measure] for side in _DIRECTIONS]


def group_rows(table: Table) -> list[list[str]]:
    """R@1 of a retrieval table by kind of caption, head first; empty where the captions are not of several kinds."""
    end = f"/{_DIRECTIONS[0]}/R1"
    groups = [name.removesuffix(end) for name in table["rows"][0]["measures"] if name.endswith(end)]
    if not groups:
        return []
    rows = [["R@1 t2v / v2t, captions about", *groups]]
    for row in table["rows"]:
        cells = [[row["measures"].get(f"{group}/{side}/R1") for side in _DIRECTIONS] for group in groups]
        rows.append([row["method"], *(" / ".join(percent_cell(part) for part in cell) for cell in cells)])
    return rows


def _lines_below(table: Table, paper: PaperNotes) -> list[str]:
    lines = [headline(table), f"In percent; {spread_text(table)}. {paper_caveat(table)}"]
    lines += [f"[{mark}] {known}" for mark, known in paper.notes.items()]
    lines += [f"{subject}: {text}" for subject, text in facts(table)]
    return [*lines, "command per row:", *(f"  {command}" for command in dict.fromkeys(commands(table).values()))]
