"""`framecue reproduce` as a user meets it: help, and wrong usage in one line before anything is done."""

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from framecue.cli import reproduce
from framecue.cli.main import app
from framecue.cli.reproduce import LOCALIZATION, TableName
from framecue.report.table_words import ABOUT, COLUMNS, LOOK_AT, STAGES, TITLES
from framecue.tasks.retrieval_evaluation import FROZEN
from framecue.training.localization_trials import LOCALIZATION_DATASETS, LOCALIZATION_TABLES
from framecue.training.retrieval_tables import RETRIEVAL, RETRIEVAL_DATASETS
from framecue.training.table_rows import ROWS, TABLES


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
        (["world", "--shots", "1.5"], "--shots must be whole numbers from 0 on, separated by commas; found '1.5'."),
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
    tables = (*TABLES, *LOCALIZATION_TABLES, RETRIEVAL)
    assert get_args(TableName) == tables == tuple(TITLES) == tuple(LOOK_AT) == tuple(COLUMNS)
    assert LOCALIZATION == LOCALIZATION_TABLES
    assert {method for rows in ROWS.values() for method in rows} | set(STAGES) | {FROZEN} == set(ABOUT)
    assert reproduce.LOCALIZATION_DATASETS == LOCALIZATION_DATASETS
    assert reproduce.RETRIEVAL_DATASETS == RETRIEVAL_DATASETS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to measure on; name a data set (world, thumos14, activitynet), --data DIR --annotations GT or"),
        (["--data", "d"], "Nothing to measure on; name a data set (world"),
        (["hmdb51"], "Data set 'hmdb51' is not known; use world, thumos14, activitynet, or --config RUN.yaml."),
        (["thumos14"], "thumos14 needs --data DIR, the folder of its videos."),
        (["world", "--annotations", "a"], "The built-in world is rendered under --out; leave --data and --annotations"),
        (["--data", "d", "--config", "c"], "--data and --config both say where the data are; give one of them."),
        (["world", "--rows", "A5"], "Table open-set-localization has no --rows; its rows are all measured in one run."),
        (["world", "--shots", "2"], "Table open-set-localization has no --shots. Leave it away."),
    ],
)
def test_wrong_usage_of_a_localization_table_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("open-set-localization", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("framecue: error: " + said)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_recognition_has_no_annotations_of_its_own(tmp_path: Path) -> None:
    result = run("closed-set", "world", "--annotations", "a", "--out", tmp_path)
    assert result.exit_code == 2
    assert "Table closed-set has no --annotations. Leave it away." in result.stderr


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
        (["world", "--shots", "1"], "Table retrieval has no --shots. Leave it away."),
        (["world", "--splits", "d"], "Table retrieval has no --splits. Leave it away."),
    ],
)
def test_wrong_usage_of_retrieval_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("retrieval", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("framecue: error: " + said)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
