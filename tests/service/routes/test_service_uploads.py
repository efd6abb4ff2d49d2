"""Classify, localize and search by example: of videos of the index, and of files that are sent."""

import errno
import io
import os
import tempfile
import zlib
from pathlib import Path

import pytest
from PIL import Image
from routes_help import error_of

from framecue.service.uploads import display_name, remove_stale

LABELS = ["a red square", "a blue square"]


@pytest.fixture(autouse=True)
def upload_folder(tmp_path, monkeypatch):
    """Where uploads lie while they are worked on; nothing is left there."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.glob("framecue-upload-*")) == []


def form(path: Path, name: str | None = None):
    return {"file": (name or path.name, path.read_bytes())}


def png(width: int = 40, height: int = 30) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 20, 20)).save(out, "PNG")
    return out.getvalue()


def test_classify_an_indexed_video(client, ids, painted):
    from framecue.api import load

    found = client.post("/api/classify", json={"video_id": ids["red.mp4"], "labels": LABELS}).json()
    expected = load(backbone="tiny", device="cpu").classify(painted / "red.mp4", LABELS)
    assert found["labels"] == list(expected.labels)
    assert found["scores"] == pytest.approx(list(expected.scores), abs=1e-5)
    assert found["none_of_these"] is False


def test_classify_a_file(client, ids, painted):
    sent = client.post("/api/classify", files=form(painted / "red.mp4"), data={"labels": " , ".join(LABELS)})
    indexed = client.post("/api/classify", json={"video_id": ids["red.mp4"], "labels": LABELS})
    assert sent.status_code == 200
    assert sent.json() == indexed.json()


def test_localize_both_ways(client, ids, painted):
    indexed = client.post("/api/localize", json={"video_id": ids["red.mp4"], "labels": LABELS}).json()
    assert indexed["duration_seconds"] == pytest.approx(6, abs=0.01)
    assert indexed["labels"] == LABELS
    for segment in indexed["segments"]:
        assert segment["label"] in LABELS
        assert 0 <= segment["start_seconds"] < segment["end_seconds"] <= 6.01
    sent = client.post("/api/localize", files=form(painted / "red.mp4"), data={"labels": "a red square,a blue square"})
    assert sent.json() == indexed


def test_search_by_an_image_and_by_a_video(client, painted):
    found = client.post("/api/search", files={"file": ("cat.png", png())}, data={"top_k": "2", "where": "camera=3"})
    assert found.status_code == 200
    assert "cat.png" in found.json()["query"]
    assert {moment["name"] for moment in found.json()["moments"]} == {"red.mp4"}
    whole = client.post("/api/search", files=form(painted / "red.mp4", "other name.mp4"))
    assert "other name.mp4" in whole.json()["query"]
    part = client.post("/api/search", files=form(painted / "red.mp4"), data={"start": "1", "end": "2", "path": ""})
    assert part.json()["moments"]


def test_the_type_is_what_the_content_says(client, painted):
    named_otherwise = client.post("/api/classify", files=form(painted / "red.mp4", "notes.txt"), data={"labels": "a,b"})
    assert named_otherwise.status_code == 200


# Files that name other files, or hold no pictures that move.
ODD = {
    "notes.mp4": b"this is a diary\n" * 500,
    "empty.mp4": b"",
    "list.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "concat.mp4": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "page.html": b"<script>alert(1)</script>" * 100,
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
    "archive.zip": b"PK\x03\x04" + bytes(500),
    "cut.mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41",
}


@pytest.mark.parametrize("name", list(ODD))
@pytest.mark.parametrize("verb", ["classify", "localize", "search"])
def test_what_is_no_video_is_refused(client, name, verb, upload_folder):
    answer = client.post(
        f"/api/{verb}", files={"file": (name, ODD[name])}, data={"labels": "a"} if verb != "search" else {}
    )
    line = error_of(answer, 415)
    assert line.startswith(name)
    assert str(upload_folder) not in line
    assert 'framecue_uploads_rejected_total{reason="type"} 1.0' in client.get("/metrics").text


def test_an_image_is_no_video_to_classify(client):
    assert "image" in error_of(
        client.post("/api/classify", files={"file": ("a.png", png())}, data={"labels": "a"}), 415
    )


def test_an_image_has_no_times(client):
    answer = client.post("/api/search", files={"file": ("a.png", png())}, data={"start": "1"})
    assert "no start" in error_of(answer, 422)


def test_a_video_that_breaks_off_names_itself_as_it_was_sent(client, shared_data):
    cut = next(shared_data.glob("videos/**/corrupted.mp4"))
    answer = client.post("/api/classify", files=form(cut, "mine.mp4"), data={"labels": "a, b"})
    if answer.status_code != 200:
        assert error_of(answer, 422 if answer.status_code == 422 else 415).startswith("mine.mp4")


def test_too_many_pixels(connect, painted_index, painted, tmp_path):
    client = connect(painted_index, cache_folder=tmp_path / "c", max_upload_pixels=1000)
    line = error_of(client.post("/api/classify", files=form(painted / "red.mp4"), data={"labels": "a"}), 422)
    assert "pixels" in line
    flat = png(10_000, 5_001)
    assert "million pixels" in error_of(client.post("/api/search", files={"file": ("a.png", flat)}), 422)


def test_a_file_that_is_too_large(connect, painted_index, tmp_path, upload_folder):
    client = connect(painted_index, cache_folder=tmp_path / "c", max_upload_bytes=100_000)
    for content in (b"\0" * 100_001, b"\0" * 1_000_000):
        line = error_of(client.post("/api/classify", files={"file": ("a.mp4", content)}, data={"labels": "a"}), 413)
        assert "98 KiB" in line
    assert 'framecue_uploads_rejected_total{reason="size"} 2.0' in client.get("/metrics").text


def test_a_body_without_end_is_cut_off(connect, painted_index, tmp_path, upload_folder):
    """Sent in pieces without a Content-Length, it is refused long before it is all there."""
    client = connect(painted_index, cache_folder=tmp_path / "c", max_upload_bytes=100_000)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    sent = 0

    def pieces():
        nonlocal sent
        yield head
        for _ in range(100):
            sent += 10_000
            yield b"\0" * 10_000

    answer = client.post("/api/classify", content=pieces(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    error_of(answer, 413)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"labels": ["a"]}, "video_id"),
        ({"video_id": "../x", "labels": ["a"]}, "video_id"),
        ({"video_id": "ID", "labels": ["a", "a"]}, "differ"),
        ({"video_id": "ID", "labels": []}, "no names"),
        ({"video_id": "ID"}, "no names"),
        ({"video_id": "ID", "labels": [" "]}, "names"),
        ({"video_id": "ID", "labels": ["x" * 201]}, "200 letters"),
        ({"video_id": "ID", "labels": ["x y " * 49]}, "tokens"),
        ({"video_id": "ID", "labels": [f"l{i}" for i in range(101)]}, "At most 100"),
        ({"video_id": "ID", "labels": 3}, "list"),
        ({"video_id": "ID", "labels": '"a, b'}, "quotes around a name must end at its end"),
        ({"video_id": "ID", "labels": ["a"], "path": "/etc/passwd"}, "path"),
        ([], "object"),
    ],
)
@pytest.mark.parametrize("verb", ["classify", "localize"])
def test_absurd_questions_are_one_line(client, ids, question, said, verb):
    if isinstance(question, dict) and question.get("video_id") == "ID":
        question = {**question, "video_id": ids["red.mp4"]}
    assert said in error_of(client.post(f"/api/{verb}", json=question), 422)


def test_typed_labels_are_read_as_on_the_command_line(client, ids, painted):
    typed = '"a red square, still", a blue square'
    names = {"a red square, still", "a blue square"}
    indexed = client.post("/api/classify", json={"video_id": ids["red.mp4"], "labels": typed}).json()
    assert set(indexed["labels"]) == names
    sent = client.post("/api/classify", files=form(painted / "red.mp4"), data={"labels": typed}).json()
    assert set(sent["labels"]) == names
    curves = client.get(f"/api/videos/{ids['red.mp4']}/curves", params={"labels": typed}).json()
    assert set(curves["labels"]) == names
    error_of(client.get(f"/api/videos/{ids['red.mp4']}/curves", params={"labels": '"a'}), 422)


def test_bodies_that_are_no_question(client, painted):
    error_of(client.post("/api/classify", content=b"x", headers={"Content-Type": "text/plain"}), 415)
    error_of(client.post("/api/classify"), 415)
    error_of(client.post("/api/search", json={"q": "a"}), 422)
    json_type = {"Content-Type": "application/json"}
    error_of(client.post("/api/classify", content=b"{", headers=json_type), 422)
    error_of(client.post("/api/classify", content=b"[" * 60_000, headers=json_type), 422)
    error_of(client.post("/api/classify", content=b'"' + b"x" * 70_000, headers=json_type), 413)
    error_of(client.post("/api/classify", content=b"\xff\xfe", headers=json_type), 422)
    broken = {"Content-Type": "multipart/form-data"}
    error_of(client.post("/api/classify", content=b"--x", headers=broken), 400)
    error_of(client.post("/api/classify", data={"labels": "a"}, files={"other": ("a.mp4", b"x")}), 422)
    error_of(client.post("/api/classify", files=[("file", ("a", b"x")), ("file", ("b", b"x"))]), 400)
    error_of(client.post("/api/classify", files=form(painted / "red.mp4")), 422)  # no labels and no adapter
    error_of(client.post("/api/search", files=form(painted / "red.mp4"), data={"top_k": "0"}), 422)
    error_of(client.post("/api/search", files=form(painted / "red.mp4"), data={"q": "and a sentence"}), 422)
    error_of(client.get("/api/classify"), 405)


def test_what_is_wrong_with_an_upload_is_said_in_its_name(client, painted):
    answer = client.post("/api/search", files=form(painted / "red.mp4", "mine.mp4"), data={"start": "99"})
    line = error_of(answer, 422)
    assert line.startswith("mine.mp4 is 6.00 s long")
    bomb = png()
    bomb = bomb[:16] + (30_000).to_bytes(4, "big") * 2 + bomb[24:]  # the size that its header names
    bomb = bomb[:29] + zlib.crc32(bomb[12:29]).to_bytes(4, "big") + bomb[33:]
    assert "900000000 pixels" in error_of(client.post("/api/search", files={"file": ("huge.png", bomb)}), 422)


def test_uploads_at_a_time_are_bounded(connect, painted_index, painted, tmp_path):
    client = connect(painted_index, cache_folder=tmp_path / "c", max_uploads=0)
    answer = client.post("/api/classify", files=form(painted / "red.mp4"), data={"labels": "a"})
    error_of(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert 'framecue_uploads_rejected_total{reason="busy"} 1.0' in client.get("/metrics").text


def test_a_full_disk_takes_no_place_from_later_uploads(connect, painted_index, painted, tmp_path, monkeypatch):
    client = connect(painted_index, cache_folder=tmp_path / "c", max_uploads=1)

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(tempfile, "mkdtemp", full)
        for _ in range(2):
            line = error_of(client.post("/api/search", files=form(painted / "red.mp4")), 503)
            assert "disk" in line
    assert client.post("/api/search", files=form(painted / "red.mp4")).status_code == 200


def test_jobs_are_given_up_after_their_time(connect, painted_index, painted, ids, tmp_path):
    client = connect(painted_index, cache_folder=tmp_path / "c", job_seconds=1e-4)
    answer = client.post("/api/localize", json={"video_id": ids["red.mp4"], "labels": LABELS})
    error_of(answer, 503)
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.mp4", "a.mp4"),
        ("%d.png", "_d.png"),
        ("..", "upload"),
        ("", "upload"),
        ("<b>\n.mp4", "_b_ .mp4"),
        ("ü" * 200 + ".mp4", "ü" * 38 + ".mp4"),
        ("\udcff.mp4", "_udcff.mp4"),
    ],
)
def test_names_of_uploads_are_harmless(sent, kept):
    assert display_name(sent) == kept


def test_what_a_killed_server_left_is_removed(upload_folder):
    dead, alive, other = (upload_folder / name for name in ("framecue-upload-999999999-a", "framecue-upload-1-b", "x"))
    for folder in (dead, alive, other):
        folder.mkdir()
    (dead / "film.mp4").write_bytes(b"x")
    remove_stale()
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
    alive.rmdir()
    assert os.getpid() != 1
