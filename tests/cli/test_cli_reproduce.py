"""`framecue reproduce` as a user meets it: help, and wrong usage in one line before anything is done."""

from inspect import signature
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from framecue.cli import reproduce
from framecue.cli.main import app
from framecue.cli.reproduce_options import (
    DECIDED_BY_LISTS,
    LOCALIZATION,
    LOCALIZATION_DATASETS,
    PATHS,
    RETRIEVAL_DATASETS,
    TABLES,
    TAKEN_BY,
)
from framecue.report.table_words import ABOUT, COLUMNS, LOOK_AT, STAGES, TITLES
from framecue.tasks.retrieval_evaluation import FROZEN
from framecue.training import localization_trials, retrieval_tables, table_rows
from framecue.training.table_rows import ROWS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)])


def test_help_names_tables_data_sets_and_options() -> None:
    result = CliRunner().invoke(app, ["reproduce", "--help"], terminal_width=100)
    assert result.exit_code == 0
    for said in ("base-to-novel", "kinetics700", "--rows", "--restart", "table.html"):
        assert said in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to measure on; name a data set (world, hmdb51"),
        (["imagenet"], "Data set 'imagenet' is not known; use world, hmdb51"),
        (["hmdb51", "ucf101"], "Name one data set, before the changes to the config; found hmdb51, ucf101."),
        (["train.lr=1", "world"], "Name one data set, before the changes to the config; found world."),
        (["hmdb51"], "hmdb51 needs --data DIR, with DIR/videos and DIR/annotations."),
        (["world", "--data", "d"], "The built-in world is rendered under --out; leave --data away."),
        (["--data", "d", "--config", "c"], "--data and --config both say where the data are; give one of them."),
        (["world", "--seeds", "0,x"], "--seeds must be whole numbers from 0 on, separated by commas; found '0,x'."),
        (["world", "--rows", ","], "--rows names no method; write, for example, --rows A5,robust."),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("closed-set", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("framecue: error: " + said)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_few_shot_needs_a_video_of_each_class(tmp_path: Path) -> None:
    result = run("few-shot", "world", "--shots", "1,0", "--out", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.endswith("--shots must be whole numbers from 1 on, separated by commas; found '1,0'.\n")


def test_tables_are_those_that_can_be_run_and_shown() -> None:
    tables = (*table_rows.TABLES, *localization_trials.LOCALIZATION_TABLES, retrieval_tables.RETRIEVAL)
    assert tables == TABLES == tuple(TITLES) == tuple(LOOK_AT) == tuple(COLUMNS)
    assert LOCALIZATION == localization_trials.LOCALIZATION_TABLES
    assert {method for rows in ROWS.values() for method in rows} | set(STAGES) | {FROZEN} == set(ABOUT)
    assert LOCALIZATION_DATASETS == localization_trials.LOCALIZATION_DATASETS
    assert RETRIEVAL_DATASETS == retrieval_tables.RETRIEVAL_DATASETS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to measure on; name a data set (world, thumos14, activitynet), --data DIR --annotations GT or"),
        (["--data", "d"], "Nothing to measure on; name a data set (world"),
        (["hmdb51"], "Data set 'hmdb51' is not known; use world, thumos14, activitynet, or --config RUN.yaml."),
        (["thumos14"], "thumos14 needs --data DIR, with DIR/videos and DIR/annotations."),
        (["world", "--annotations", "a"], "The built-in world is rendered under --out; leave --annotations away."),
        (["--data", "d", "--config", "c"], "--data and --config both say where the data are; give one of them."),
        (
            ["world", "--rows", "A5"],
            "Table open-set-localization takes no --rows; its rows are all measured in one run. Leave it away.",
        ),
        (
            ["world", "--splits", ".", "--train-fraction", "0.5"],
            "--splits and --train-fraction both say what is trained on; give one of them.",
        ),
    ],
)
def test_wrong_usage_of_a_localization_table_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("open-set-localization", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("framecue: error: " + said)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


VALUES = {"rows": "A5", "shots": "2", "draws": "3", "episodes": "4", "train_fraction": "0.5"}


@pytest.mark.parametrize("option", TAKEN_BY)
def test_an_option_of_other_tables_is_refused_with_their_names(tmp_path: Path, option: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    for table in TABLES:
        result = run(table, "world", flag, VALUES.get(option, "nonexistent"), "--out", tmp_path / "out", "--rows", ",")
        assert result.exit_code == 2
        if table in TAKEN_BY[option]:
            assert f"takes no {flag}" not in result.stderr  # refused for something else
        elif option != "rows":
            assert result.stderr.startswith(f"framecue: error: Table {table} takes no {flag}; it is of ")
            assert result.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_help_says_of_which_tables_an_option_is() -> None:
    text = " ".join(CliRunner().invoke(app, ["reproduce", "--help"], terminal_width=100).stdout.split())
    assert "Published lists instead of draws. Of few-shot-5-way, few-shot, zero-shot and open-set-localization." in text
    assert "Only these methods, such as B-I,A5,robust. Of all but localization and open-set-localization." in text


def test_every_option_is_declared_with_its_tables() -> None:
    names = {name for name in signature(reproduce.reproduce).parameters if name not in ("context", "table", "words")}
    assert set(TAKEN_BY) | set(PATHS) < names
    for table, decided in DECIDED_BY_LISTS.items():
        assert table in TAKEN_BY["splits"]
        assert all(table in TAKEN_BY.get(name, TABLES) for name in decided)


@pytest.mark.parametrize(
    ("table", "option"),
    [
        ("few-shot-5-way", "--splits"),
        ("few-shot-5-way", "--pool"),
        ("zero-shot", "--train-classes"),
        ("cross-dataset", "--other-config"),
        ("closed-set", "--config"),
    ],
)
def test_a_path_to_nothing_is_refused_before_any_work(tmp_path: Path, table: str, option: str) -> None:
    words = [] if option == "--config" else ["world"]
    result = run(table, *words, option, tmp_path / "nothing", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"framecue: error: {option}: {tmp_path / 'nothing'} does not exist.")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("few-shot", ["--seeds", "0,1"], "Table few-shot draws its trials from one seed, found 0, 1; give one."),
        ("base-to-novel", ["--shots", "4,8"], "Table base-to-novel takes one number of shots (0 = all), found 2;"),
        ("base-to-novel", ["--shots", "1.5"], "--shots must be whole numbers from 0 on, separated by commas; found"),
        ("cross-dataset", [], "Table cross-dataset needs the data set to test on; give --other-config OTHER.yaml."),
        ("few-shot", ["--splits", ".", "--draws", "3"], "--splits and --draws both say what is trained on; give one"),
    ],
)
def test_options_that_make_no_table_are_refused(tmp_path: Path, table: str, options: list[str], said: str) -> None:
    result = run(table, "world", *options, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("framecue: error: " + said)
    assert not (tmp_path / "out").exists()


def test_unknown_table(tmp_path: Path) -> None:
    result = run("ablation", "world", "--out", tmp_path)
    assert result.exit_code == 2
    assert "closed-set" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to measure on; name a data set (world, msrvtt-9k, msrvtt-7k, lsmdc, didemo, smit) or give"),
        (["hmdb51"], "Data set 'hmdb51' is not known; use world, msrvtt-9k, msrvtt-7k, lsmdc, didemo, smit, or"),
        (["didemo"], "didemo needs --data DIR, with DIR/videos and DIR/annotations."),
        (["world", "--data", "d"], "The built-in world is rendered under --out; leave --data away."),
        (["world", "--rows", "B-I"], "--rows must be of A0, A1, A2, A3, A4, A5, A6, A7, robust, found 'B-I'; frozen"),
    ],
)
def test_wrong_usage_of_retrieval_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("retrieval", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("framecue: error: " + said)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
