"""Every real video goes through extract and classify with the built-in backbone: read, or refused with a reason."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from framecue.cli.main import app
from framecue.features.store import FeatureStore

pytestmark = pytest.mark.recipe

# The table's reader stopped at a metadata byte that is no UTF-8, or at damage; we read what is sound.
READ_AFTER_ALL = {
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "corrupted.mp4",
    "no_timescale.mp4",
}
STILL_IMAGE = "corrupt.jpg"


@pytest.fixture(scope="module")
def table(shared_data) -> dict[Path, dict[str, str]]:
    with (shared_data / "golden" / "decode_table.tsv").open(encoding="utf-8") as file:
        return {shared_data / row["file"]: row for row in csv.DictReader(file, delimiter="\t")}


def _is_refused(path: Path, row: dict[str, str]) -> bool:
    return path.name == STILL_IMAGE or (bool(row["error"]) and path.name not in READ_AFTER_ALL)


@pytest.mark.slow
def test_extract(table, tmp_path):
    store = tmp_path / "store"
    words = [
        "extract",
        *map(str, table),
        "--store",
        str(store),
        "--backbone",
        "tiny",
        "--sampling",
        "uniform:4",
        "--json",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    summary = json.loads(done.stdout)
    refused = {Path(item["path"]): item["reason"] for item in summary["skipped"]}
    expected = {path for path, row in table.items() if _is_refused(path, row)}
    assert set(refused) == expected
    assert all(reason and "\n" not in reason for reason in refused.values())
    assert summary["extracted"] + summary["already_stored"] == len(table) - len(expected)
    features = FeatureStore.read_only(store).for_paths(path for path in table if path not in expected)
    assert len(features) == len(table) - len(expected)
    for path, stored in features.items():
        assert len(stored) == 4, path
        assert np.isfinite(stored.frame_features).all(), path
        if table[path]["first_pts_s"]:
            first = stored.pts_seconds[0] + stored.origin_seconds
            assert first >= float(table[path]["first_pts_s"]) - 1e-3, path
    again = CliRunner().invoke(app, words)
    assert json.loads(again.stdout)["extracted"] == 0


def test_classify(table):
    some = [path for path in table if "odd" in path.parts][::5]
    done = CliRunner().invoke(
        app, ["classify", *map(str, some), "--labels", "a person, a cartoon", "--backbone", "tiny", "--json"]
    )
    refused = [path for path in some if _is_refused(path, table[path])]
    assert done.exit_code == (3 if refused else 0), done.output
    assert {Path(answer["video"]) for answer in json.loads(done.stdout)} == set(some) - set(refused)
    assert all(str(path) in done.stderr for path in refused)
