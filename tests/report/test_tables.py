"""A reproduced table as text, Markdown and page: same numbers, published figures with how they are known."""

import io
import json
import re
import shlex

import pytest
from rich.console import Console
from test_page import NASTY, Checker

from framecue.report.paper_figures import FIGURES, figures_of
from framecue.report.table_markdown import markdown
from framecue.report.table_page import render_table_page
from framecue.report.table_words import LOOK_AT, TITLES
from framecue.report.tables import columns, facts, headline, print_table, with_paper

COMMAND = ("framecue", "reproduce", "base-to-novel", "hmdb51", "--out", "my runs", "--data", "hmdb")


def numbers(mean, *, n=3, half_width=0.01, items=None):
    """Of one trial, or of several that differ."""
    spread = {"std": 0.01, "half_width_95": half_width} if n > 1 else {"std": None, "half_width_95": None}
    return {"mean": mean, **spread, "n": n, "values": [mean] * n, "ci95_items": items}


def made_up(table="base-to-novel", rows=(), protocols=("p",), **changes):
    return {
        "what": "table",
        "table": table,
        "dataset": "world",
        "protocols": [
            {
                "name": name,
                "description": f"About {name}.",
                "source": "drawn from seeds 0, 1, 2",
                "source_hash": "0123456789abcdef",
                "num_trials": 3,
                "seeds": [0, 1, 2],
            }
            for name in protocols
        ],
        "setting": {
            "views": 5,
            "external_scores": "none",
            "templates": ["a video of {}"],
            "backbone": {"id": "openai/clip-vit-base-patch16", "weights_hash": "fedcba9876543210", "precision": "fp32"},
            "num_classes": 12,
            "iterations": 300,
            "departures": [{"what": "views", "switch": "evaluate.random_views=true"}],
        },
        "rows": [
            {
                "method": method,
                "protocol": protocol,
                "classes_seen_in_training": None,
                "config": {"lr": 0.1},
                "measures": cells,
            }
            for method, protocol, cells in rows
        ],
        "skipped": [],
        "versions": {"framecue": "0.1.0"},
        **changes,
    }


def base_to_novel():
    def cells(base, novel, mean):
        return {"base/top1": numbers(base), "novel/top1": numbers(novel), "harmonic_mean": numbers(mean)}

    rows = [
        ("B-I", "p", cells(0.5, 0.481, 0.49)),
        ("A5", "p", cells(0.7, 0.3, 0.42)),
        ("robust", "p", cells(0.69, 0.5, 0.58)),
        ("temporal only", "p", cells(0.6, 0.4, 0.48)),
    ]
    return made_up(rows=rows)


def few_shot(shots=(1, 2, 5)):
    protocols = [f"few-shot-all-way-{k}-shot" for k in shots]
    rows = [
        (
            method,
            name,
            {"test/top1": numbers(start + 0.05 * i, n=10, half_width=0.004), "test/top5": numbers(0.9, n=10)},
        )
        for method, start in (("B-I", 0.4), ("A5", 0.3))
        for i, name in enumerate(protocols)
    ]
    return made_up("few-shot", rows, protocols)


def text_of(table):
    console = Console(file=io.StringIO(), width=100)
    print_table(table, console)
    return console.file.getvalue()


def test_every_figure_says_how_it_is_known_and_is_a_share():
    for (table, dataset), figures in FIGURES.items():
        assert table in TITLES, dataset
        keys = [(figure.method, figure.measure, figure.shots) for figure in figures]
        assert len(set(keys)) == len(keys), (table, dataset)
        for figure in figures:
            assert figure.known.startswith(
                ("reported: ", "from memory", "by others, reported: ", "re-run by others, reported: ")
            )
            assert figure.value >= 1 if figure.measure.endswith("/MdR") else 0 < figure.value < 1


@pytest.mark.parametrize(
    ("key", "measure", "value", "known"),
    [
        (("closed-set", "hmdb51", "A5"), "test/top1", 0.664, "reported: wizwand"),
        (("closed-set", "kinetics400", "A6"), "test/top5", 0.935, "reported: STAN"),
        (("few-shot-5-way", "ucf101", "A5"), "test/top1", 0.983, "from memory, approximate"),
        (("few-shot", "ucf101", "A5", 16), "test/top1", 0.899, "re-run by others, reported: MAXI"),
        (("few-shot", "hmdb51", "A5", 5), "test/top1", 0.566, "from memory, approximate"),
        (("base-to-novel", "hmdb51", "B-I"), "novel/top1", 0.468, "by others, reported: github.com/Visual-AI/FROSTER"),
        (("cross-dataset", "kinetics400->ucf101", "A5"), "full/top1", 0.693, "re-run by others, reported: MAXI"),
        (("localization", "thumos14", "A5"), "test/average_map", 0.345, "from memory, approximate"),
        (("localization", "activitynet", "A5"), "test/map@0.5", 0.44, "reported: wizwand"),
        (("open-set-localization", "thumos14 75/25", "A5"), "novel/map@0.5", 0.23, "reported: TF-CADE"),
        (("open-set-localization", "thumos14 50/50", "own proposals, B-I"), "novel/map@0.7", 0.048, "from memory"),
        (("open-set-localization", "activitynet 50/50", "A5"), "novel/average_map", 0.196, "reported: TF-CADE"),
    ],
)
def test_figures(key, measure, value, known):
    figure = figures_of(*key)[measure]
    assert figure.value == value
    assert figure.known.startswith(known)


def test_a_single_official_split_beside_a_mean_over_three_is_said():
    def table(name, splits, measures):
        made = made_up(name, [("A5", "p", measures)])
        made["setting"]["official_splits"] = splits
        return with_paper(made, "hmdb51", COMMAND)

    alone = markdown(table("closed-set", [2], {"test/top1": numbers(0.65)}))
    assert "Measured here is official split 2 alone; published is the mean over 3." in alone
    assert "- data: world, official split 2\n" in alone
    whole = markdown(table("closed-set", [1, 2, 3], {"test/top1": numbers(0.65) | {"over": "splits"}}))
    assert "± is the 95 % interval of the mean over 3 official splits (Student)" in whole
    assert "- data: world, official splits 1, 2, 3\n" in whole
    other = markdown(table("few-shot-5-way", [1], {"test/top1": numbers(0.65)}))  # its figure is of no split
    assert "published is the mean" not in whole + other


@pytest.mark.parametrize("chose", [False, True])
def test_a_part_that_chose_what_it_measures_is_said(chose):
    table = with_paper(base_to_novel(), None, COMMAND)
    table["setting"]["part_chose_the_weights"] = chose
    assert ("these videos chose the weights too, so the figures flatter" in dict(facts(table))["evaluation"]) == chose


def test_what_is_unknown_is_absent():
    assert figures_of("zero-shot", "kinetics700", "A5") == {}
    assert figures_of("closed-set", "hmdb51", "A3") == {}
    assert figures_of("few-shot", "hmdb51", "A5", 1) == {}
    assert figures_of("closed-set", None, "A5") == {}


def test_harmonic_means_agree_with_their_halves():
    for (table, dataset), _ in FIGURES.items():
        if table == "base-to-novel":
            found = {measure: figure.value for measure, figure in figures_of(table, dataset, "A5").items()}
            base, novel = found["base/top1"], found["novel/top1"]
            assert found["harmonic_mean"] == pytest.approx(2 * base * novel / (base + novel), abs=1e-3), dataset


def test_rows_get_their_figures_and_a_command_that_a_shell_takes():
    table = with_paper(base_to_novel(), "hmdb51", COMMAND)
    rows = {row["method"]: row for row in table["rows"]}
    assert rows["A5"]["paper"]["novel/top1"]["value"] == 0.16
    assert rows["robust"]["paper"] == {}
    assert shlex.split(rows["temporal only"]["command"]) == [*COMMAND, "--rows", "temporal only"]
    json.dumps(table)


@pytest.mark.parametrize("render", [text_of, markdown, render_table_page])
def test_all_forms_show_ours_the_published_and_how_it_was_made(render):
    text = render(with_paper(base_to_novel(), "hmdb51", COMMAND))
    for said in (
        "48.1 ± 1.0",
        "16.0 [b]",
        "[b] re-run by others, reported: github.com/Visual-AI/FROSTER README, row VPT; 16 training videos",
        "About p.",
        "0123456789ab",
        "seeds 0, 1, 2",
        "external scores: none",
        "views; to do as they do: evaluate.random_views=true",
        "the 95 % interval of the mean over 3 trials",
        "the backbone used here",
        "58.0 ± 1.0",
        "--rows robust",
    ):
        assert said in text, said


def test_several_k_are_columns_with_the_figures_of_their_own_k():
    table = with_paper(few_shot(), "hmdb51", COMMAND)
    assert [column.heading for column in columns(table)] == ["K = 1", "K = 2", "K = 5"]
    assert re.search(r"\| A5, published \| – \| 39\.7 \[a\] \| 56\.6 \[b\] \|", markdown(table))
    assert "95 % interval of the mean over 10 trials" in markdown(table)
    assert headline(table) == "B-I has the highest top-1 at K = 5, 50.0 ± 0.4 %."


def test_headline_names_the_best_and_frozen_clip_with_their_spread():
    said = "robust has the highest harmonic mean, 58.0 ± 1.0 %; frozen CLIP (B-I) has 49.0 ± 1.0 %."
    assert headline(base_to_novel()) == said


def test_every_cell_has_its_interval_over_trials_or_over_items():
    cells = {"full/top1": numbers(0.5), "half/top1": numbers(0.6, n=30, half_width=0.002)}
    text = markdown(with_paper(made_up("cross-dataset", [("A5", "p", cells)]), None, COMMAND))
    assert "| A5 | 50.0 ± 1.0 | 60.0 ± 0.2 |" in text
    assert "± is the 95 % interval of the mean over 3 or 30 trials (Student)." in text
    cells = {"full/top1": numbers(0.5, n=1, items=[0.4, 0.6]), "half/top1": numbers(0.6, n=1)}
    text = markdown(with_paper(made_up("cross-dataset", [("A5", "p", cells)]), None, COMMAND))
    assert "| A5 | 50.0 (40.0–60.0) | 60.0 |" in text
    assert "one trial; brackets are the 95 % interval over test items (Wilson)." in text


def test_figures_of_another_backbone_are_said_not_to_compare():
    table = base_to_novel()
    table["setting"]["backbone"]["id"] = "tiny"
    assert "the backbone here is tiny, so they do not compare" in markdown(with_paper(table, "ucf101", COMMAND))
    assert "No published figure is known for these rows on these data." in markdown(with_paper(table, None, COMMAND))


@pytest.mark.parametrize("table", [base_to_novel(), few_shot(), few_shot((5,))])
def test_page_is_whole_self_contained_and_the_same_each_time(table):
    text = render_table_page(with_paper(table, "hmdb51", COMMAND))
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert not [address for address in checker.addresses if not address.startswith("#")]
    assert not re.search(r"https?://(?!www\.w3\.org/)", text.replace("xmlns", ""))
    assert checker.counts["svg"] == 1
    assert LOOK_AT[table["table"]] in "".join(checker.texts)
    assert render_table_page(with_paper(table, "hmdb51", COMMAND)) == text


def test_any_names_are_safe_and_missing_answers_are_dashes():
    table = base_to_novel()
    table |= {"dataset": NASTY, "skipped": [{"path": NASTY, "reason": NASTY}]}
    table["protocols"][0]["description"] = table["rows"][0]["method"] = NASTY
    del table["rows"][1]["measures"]["novel/top1"]
    full = with_paper(table, None, COMMAND)
    checker = Checker()
    checker.feed(render_table_page(full))
    assert checker.open == []
    assert "b" not in checker.counts
    assert re.search(r"\| A5 \| 70\.0 ± 1\.0 \| – \| 42\.0 ± 1\.0 \|", markdown(full))
    assert NASTY in text_of(full)


def localization(table="open-set-localization", scores="strict: no external scores", method="A5", overlaps=(0.3, 0.7)):
    parts = ("test",) if table == "localization" else ("novel", "seen")
    cells = {f"{part}/map@{overlap:g}": numbers(0.5) for part in parts for overlap in overlaps}
    cells |= {f"{part}/average_map": numbers(0.4) for part in parts}
    rows = [(name, "open-set 75/25", cells) for name in (method, "true segments, A5", "own proposals, B-I")]
    made = made_up(table, rows, ["open-set 75/25"], notes=["3 segments left out."], trials=[{"notes": ["x", "y"]}])
    made["setting"] = {name: value for name, value in made["setting"].items() if name != "views"}
    made["setting"] |= {"scores": scores, "tious": list(overlaps), "proposals": "own"}
    return made


@pytest.mark.parametrize("render", [text_of, markdown, render_table_page])
def test_tables_of_localization_say_map_its_protocol_and_what_was_left_out(render):
    text = render(with_paper(localization(), "thumos14", COMMAND))
    for said in (
        "mAP (strict: no external scores) in %",
        "39.7 [a]",
        "[a] reported: TF-CADE (CVPR 2026); mean of 10 splits; strict is presumed, not verified",
        "frozen CLIP on the same proposals has",
        "data note: 3 segments left out.",
        "data note: 2 notes on single trials in table.json",
        "overlaps 0.3, 0.7, proposals own",
    ):
        assert said.replace(" ", "") in re.sub(r"[\s\N{NO-BREAK SPACE}]", "", text), said


def test_figures_with_external_scores_never_stand_beside_strict_ones():
    table = with_paper(localization(method="A5 + external scores", scores="external: cuhk.json"), "thumos14", COMMAND)
    rows = {row["method"]: row["paper"] for row in table["rows"]}
    assert rows["A5 + external scores"] == {}
    assert rows["own proposals, B-I"]
    assert "mAP (external: cuhk.json) in %" in markdown(table)


def test_of_many_overlaps_the_usual_ones_are_shown():
    overlaps = [round(0.5 + 0.05 * step, 2) for step in range(10)]
    shown = columns(localization("localization", overlaps=overlaps))
    assert [column.heading for column in shown] == ["@0.5", "@0.75", "@0.95", "average mAP"]


def test_one_trial_has_no_spread():
    table = made_up("closed-set", [("A5", "p", {"test/top1": numbers(0.5, n=1)})])
    text = markdown(with_paper(table, "ucf101", COMMAND))
    assert "| A5 | 50.0 |" in text
    assert "one trial; no interval" in text
