"""What every verb says of damaged files, other streams and a recorder's clock, and which options it takes for them."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from framecue.cli.main import app

SECONDS, FPS = 4, 10
VERBS = {
    "extract": ["--store", "store", "--backbone", "tiny"],
    "classify": ["--labels", "growing, shrinking", "--backbone", "tiny"],
    "localize": ["--labels", "growing, shrinking", "--backbone", "tiny"],
    "index add": ["--index", "index", "--backbone", "tiny"],
}


def write(path: Path, levels: tuple[int, ...] = (90,), *, start_seconds: int = 0, **options: str) -> None:
    """A stream of each gray level."""
    with av.open(str(path), "w", options=options) as container:
        streams = []
        for _ in levels:
            stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
            streams.append(stream)
        for index in range(SECONDS * FPS):
            for level, stream in zip(levels, streams, strict=True):
                image = np.random.default_rng(index).integers(level, level + 60, (48, 64, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index + start_seconds * FPS, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(verb: str, *arguments: str):
    return CliRunner().invoke(app, [*verb.split(), *VERBS[verb], *arguments, "--device", "cpu"])


def notes_of(verb: str, told: object) -> list[str]:
    if isinstance(told, dict):
        return [item["note"] for item in told["notes"]]
    return told[0]["notes"]


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
@pytest.mark.parametrize("verb", VERBS)
def test_one_policy_for_a_file_that_was_cut(verb: str, name: str) -> None:
    write(Path(name), **({"movflags": "faststart"} if name == "cut.mp4" else {}))
    cut(Path(name), 0.6)
    result = run(verb, name, "--json")
    assert result.exit_code == 0, result.output
    [note] = [note for note in notes_of(verb, json.loads(result.stdout)) if "that its header promises" in note]
    assert f"{name}: {note}" in result.stderr
    elsewhere = {"extract": ["--store", "other"], "index add": ["--index", "other"]}
    refused = run(verb, name, "--strict", *elsewhere.get(verb, []))
    assert refused.exit_code == 3, refused.output
    assert "1 skipped:" in refused.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_another_stream_is_read_where_it_is_asked_for(verb: str) -> None:
    write(Path("two.mkv"), (30, 160))
    refused = run(verb, "two.mkv", "--stream", "7")
    assert refused.exit_code == 3, refused.output
    assert "it has no video stream 7; choose one of its video streams: 0, 1" in refused.stderr
    elsewhere = {"extract": ["--store", "other"]}
    assert run(verb, "two.mkv", "--stream", "1", *elsewhere.get(verb, [])).exit_code == 0


def test_an_index_remembers_the_stream_and_the_origin() -> None:
    write(Path("late.ts"), (30, 160), start_seconds=500)
    assert run("index add", "late.ts", "--stream", "1").exit_code == 0
    found = CliRunner().invoke(
        app, ["search", "a circle", "--index", "index", "--json", "--min-score", "0", "--thumbnails", "pictures"]
    )
    assert found.exit_code == 0, found.output
    [moment] = json.loads(found.stdout)["moments"]
    assert 0 <= moment["start_seconds"] < moment["end_seconds"] <= SECONDS
    assert moment["duration_seconds"] == pytest.approx(SECONDS, abs=0.1)
    assert moment["origin_seconds"] >= 500

    from PIL import Image

    assert np.asarray(Image.open(moment["thumbnail"])).mean() > 150

    Path("late.ts").unlink()
    write(Path("late.ts"), (40, 180), start_seconds=500)
    refreshed = CliRunner().invoke(app, ["index", "refresh", "--index", "index", "--device", "cpu", "--json"])
    assert json.loads(refreshed.stdout)["added"] == 1, refreshed.output
    from framecue.api import open_index

    [video] = open_index("index").index.videos()
    assert video.stream_index == 1


def test_features_of_another_stream_do_not_mix() -> None:
    write(Path("two.mkv"), (30, 160))
    assert run("extract", "two.mkv").exit_code == 0
    refused = run("extract", "two.mkv", "--stream", "1")
    assert refused.exit_code == 1
    assert "decoding" in refused.stderr


def test_a_part_that_shows_nothing_is_left_out_by_line() -> None:
    for name in ("a", "b"):
        write(Path(f"{name}.ts"), (40 if name == "a" else 120,), start_seconds=500)
    Path("parts.csv").write_text(
        "path,label,start_seconds,end_seconds\na.ts,one,1,3\nb.ts,two,1,3\nb.ts,two,501,503\n", encoding="utf-8"
    )
    options = "train: {iterations: 1}\nevaluate: {baselines: []}\n"
    Path("run.yaml").write_text(
        f"backbone: {{id: tiny}}\ndata: {{source: parts.csv}}\nout: run\n{options}", encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["train", "recognition", "--config", "run.yaml"])
    assert result.exit_code == 3, result.output
    assert "b.ts: left out, " in result.stderr
    assert "parts.csv:4: 501 to 503 s, but the video lasts 4 s; are these frame numbers, or times of" in result.stderr
