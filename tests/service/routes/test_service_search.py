"""/api/search, /api/videos and /api/status."""

import json
import shutil
import time

import pytest
from routes_help import error_of

MARKUP = "<img src=x onerror=alert(1)>.mp4"


def test_a_sentence_finds_moments(client, ids):
    answer = client.get("/api/search", params={"q": "a red square", "top_k": 5})
    assert answer.status_code == 200
    found = answer.json()
    assert found["query"] == "a red square"
    assert found["num_videos"] == 3
    assert found["exact"] is True
    assert found["took_seconds"] > 0
    assert found["nothing_matches"] == all(moment["score"] < found["min_score"] for moment in found["moments"])
    assert 0 < len(found["moments"]) <= 5
    for moment in found["moments"]:
        assert 0 <= moment["start_seconds"] < moment["end_seconds"] <= moment["duration_seconds"] + 1e-6
        assert 0 <= moment["score"] <= 1
        assert moment["video_id"] == ids[moment["name"]]
        assert moment["video_url"] == f"/media/{moment['video_id']}"
        assert client.get(moment["thumbnail_url"]).headers["content-type"] == "image/jpeg"
    scores = [moment["score"] for moment in found["moments"]]
    assert scores == sorted(scores, reverse=True)


def test_the_service_says_what_python_says(client, painted_index):
    from framecue.api.collection import open_index

    expected = open_index(painted_index, device="cpu").search("a blue square", top_k=4)
    found = client.get("/api/search", params={"q": "a blue square", "top_k": 4}).json()
    assert [moment["video_id"] for moment in found["moments"]] == [moment.video.video_id for moment in expected.moments]
    assert [moment["score"] for moment in found["moments"]] == pytest.approx([one.score for one in expected.moments])
    assert found["min_score"] == expected.min_score


def test_min_score_decides_what_matches(client):
    none = client.get("/api/search", params={"q": "a red square", "min_score": 1}).json()
    assert none["nothing_matches"] is True
    assert none["moments"]  # the nearest there is
    assert client.get("/api/search", params={"q": "a red square", "min_score": 0}).json()["nothing_matches"] is False


def test_a_video_of_the_index_finds_others(client, ids):
    found = client.get("/api/search", params={"like": ids["red.mp4"], "start": 1, "end": 3}).json()
    assert found["moments"]
    assert ids["red.mp4"] not in {moment["video_id"] for moment in found["moments"]}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"path": "sub"}, {"blue.mp4"}),
        ({"path": "*.mp4"}, {"red.mp4", "blue.mp4", MARKUP}),
        ({"min_duration": 8}, {MARKUP}),
        ({"max_duration": 8}, {"red.mp4", "blue.mp4"}),
        ({"where": ["camera=3", "camera<4"]}, {"red.mp4"}),
        ({"where": "place=<b>hall</b>"}, {"red.mp4"}),
        ({"after": "2020-01-31"}, {"red.mp4", "blue.mp4", MARKUP}),
        ({"before": "2020-01-31T10:00:00+02:00"}, set()),
    ],
)
def test_filters_bound_searches_and_lists_alike(client, filters, names):
    found = client.get("/api/search", params={"q": "a square", "top_k": 50, **filters}).json()
    assert {moment["name"] for moment in found["moments"]} == names
    assert found["num_videos"] == len(names)
    listed = client.get("/api/videos", params=filters).json()
    assert {video["name"] for video in listed["videos"]} == names
    assert listed["total"] == len(names)


def test_lists_come_in_parts(client):
    whole = client.get("/api/videos").json()
    assert whole["total"] == 3
    parts = [client.get("/api/videos", params={"offset": i, "limit": 1}).json() for i in range(4)]
    assert [video for part in parts for video in part["videos"]] == whole["videos"]
    assert {part["total"] for part in parts} == {3}


def test_one_video(client, ids, painted):
    found = client.get(f"/api/videos/{ids['red.mp4']}").json()
    assert found["path"] == str(painted / "red.mp4")
    assert found["duration_seconds"] == pytest.approx(6, abs=0.01)
    assert found["metadata"] == {"camera": 3, "place": "<b>hall</b>"}
    assert (found["playable"], found["missing"], found["changed"]) == (True, False, False)


def test_markup_in_names_stays_text(client, ids):
    answer = client.get(f"/api/videos/{ids[MARKUP]}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["name"] == MARKUP


def test_curves_cover_the_video(client, ids):
    answer = client.get(f"/api/videos/{ids['red.mp4']}/curves", params={"labels": "a red square, a blue square"})
    found = answer.json()
    assert found["labels"] == ["a red square", "a blue square"]
    edges = found["edges_seconds"]
    assert edges == sorted(edges)
    assert edges[-1] == pytest.approx(6, abs=0.2)
    assert [len(row) for row in found["scores"]] == [len(edges) - 1] * 2
    assert all(0 <= score <= 1 for row in found["scores"] for score in row)


def test_status(client, painted, painted_index):
    found = client.get("/api/status").json()
    assert found["num_videos"] == 3
    assert found["num_moments"] > 3
    assert found["total_seconds"] == pytest.approx(21, abs=0.1)
    assert found["size_bytes"] > 0
    assert found["folder"] == str(painted_index.absolute())
    assert found["neighbours"] == "exact"
    assert found["roots"] == [str(painted)]
    assert found["metadata_columns"] == {"camera": "int", "place": "str"}
    assert found["backbone"] == "tiny"
    assert found["adapter"] is None
    assert found["building"] is None


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "give either a sentence as q"),
        ({"q": ""}, "give either a sentence as q"),
        ({"q": "   "}, "give either a sentence as q"),
        ({"q": "a", "like": "0" * 64}, "give either a sentence as q"),
        ({"q": "a " * 400}, "tokens"),
        ({"q": "a" * 1001}, "at most 1000 characters"),
        ({"q": "a", "top_k": 0}, "greater than or equal to 1"),
        ({"q": "a", "top_k": 201}, "less than or equal to 200"),
        ({"q": "a", "top_k": "many"}, "found 'many'"),
        ({"q": "a", "min_score": "nan"}, "finite number"),
        ({"q": "a", "min_score": 2}, "less than or equal to 1"),
        ({"q": "a", "after": "yesterday"}, "after"),
        ({"q": "a", "min_duration": "-1"}, "min_duration"),
        ({"q": "a", "max_duration": "inf"}, "finite number"),
        ({"q": "a", "where": "camera"}, "is no condition"),
        ({"q": "a", "where": "lens=3"}, "lens"),
        ({"q": "a", "where": "camera=three"}, "whole numbers"),
        ({"q": "a", "where": ["camera=3"] * 21}, "at most 20"),
        ({"q": "a", "path": "x" * 1001}, "at most 1000 characters"),
        ({"q": "a", "limit": 3}, "Extra inputs"),
        ({"q": "a", "start": 1}, "no start and no end"),
        ({"like": "../../etc/passwd"}, "like"),
        ({"like": "0" * 64, "start": 5, "end": 3}, "end must be after start"),
    ],
)
def test_absurd_questions_are_one_line(client, params, said):
    assert said in error_of(client.get("/api/search", params=params), 422)


def test_blank_conditions_hold_nobody_up(client):
    started = time.monotonic()
    error_of(client.get("/api/search", params={"q": "a", "where": [" " * 1000] * 20}), 422)
    assert time.monotonic() - started < 2


def test_like_what_is_not_there(client):
    assert "no video" in error_of(client.get("/api/search", params={"like": "0" * 64}), 404)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/videos/" + "0" * 64, 404),
        ("/api/videos/" + "0" * 64 + "/curves?labels=a", 404),
        ("/api/videos/" + "A" * 64, 422),
        ("/api/videos/nothing", 422),
        ("/api/videos?offset=-1", 422),
        ("/api/videos?limit=100000", 422),
        ("/api/nothing", 404),
        ("/api/search/", 404),
    ],
)
def test_what_is_not_there(client, path, status):
    error_of(client.get(path), status)


@pytest.mark.parametrize(
    ("labels", "said"),
    [("", "label"), (" , ", "label"), (",".join(f"l{i}" for i in range(101)), "At most 100"), ("x" * 201, "200")],
)
def test_labels_are_bounded(client, ids, labels, said):
    answer = client.get(f"/api/videos/{ids['red.mp4']}/curves", params={"labels": labels})
    assert said in error_of(answer, 422)


def test_an_empty_index_answers(connect, tmp_path):
    from framecue.api.collection import open_index

    client = connect(open_index(tmp_path / "index", backbone="tiny", device="cpu", create=True))
    found = client.get("/api/search", params={"q": "a red square"}).json()
    assert (found["moments"], found["nothing_matches"], found["num_videos"]) == ([], True, 0)
    assert client.get("/api/videos").json() == {"total": 0, "videos": []}
    status = client.get("/api/status").json()
    assert (status["num_videos"], status["num_moments"], status["roots"]) == (0, 0, [])
    assert "framecue_index_videos 0.0" in client.get("/metrics").text


def test_an_index_that_grows_is_seen(own, connect, tmp_path):
    client = connect(own)
    before = client.get("/api/status").json()
    blue = next(video for video in client.get("/api/videos").json()["videos"] if video["name"] == "blue.mp4")
    # As another process would: through another collection on the same folder.
    from framecue.api.collection import open_index

    other = open_index(own.folder, device="cpu")
    other.remove([tmp_path / "videos" / "sub"])
    after = client.get("/api/status").json()
    assert after["num_videos"] == before["num_videos"] - 1
    assert after["version"] != before["version"]
    error_of(client.get(f"/api/videos/{blue['video_id']}"), 404)
    error_of(client.get(blue["video_url"]), 404)
    found = client.get("/api/search", params={"q": "a blue square", "top_k": 50}).json()
    assert blue["video_id"] not in {moment["video_id"] for moment in found["moments"]}
    other.add([tmp_path / "videos" / "sub"])
    assert client.get(blue["video_url"]).status_code == 200


def test_a_damaged_index_is_a_503_in_one_line(own, connect):
    client = connect(own)
    for file in (own.folder / "moments.lance").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    line = error_of(client.get("/api/search", params={"q": "a red square"}), 503)
    assert str(own.folder) in line
    assert client.get("/health").status_code == 200
    assert "framecue_index_readable 1.0" in client.get("/metrics").text
    shutil.rmtree(own.folder)
    error_of(client.get("/api/status"), 503)
    error_of(client.get("/api/videos"), 503)
    assert "framecue_index_readable 0.0" in client.get("/metrics").text


def test_a_writer_at_work_is_told(own, connect):
    import os

    client = connect(own)
    seen = []

    def look(progress):
        seen.append(client.get("/api/status").json()["building"])

    os.utime(next(own.folder.parent.glob("videos/red.mp4")), ns=(0, 0))
    own.refresh(on_progress=look)
    told = [building for building in seen if building is not None]
    assert told
    assert told[-1]["num_videos"] == 3
    assert client.get("/api/status").json()["building"] is None


def test_openapi_describes_every_route(client):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/search",
        "/api/videos",
        "/api/videos/{video_id}",
        "/api/videos/{video_id}/curves",
        "/api/status",
        "/api/classify",
        "/api/localize",
        "/media/{video_id}",
        "/thumbnails/{video_id}.jpg",
        "/health",
        "/metrics",
    }
    text = json.dumps(described)
    assert "SearchAnswer" in text
    assert "multipart/form-data" in text
