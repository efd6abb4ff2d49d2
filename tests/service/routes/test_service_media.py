"""Videos by ranges, thumbnails, transcoded moments, and what is never served."""

import errno
import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from PIL import Image
from routes_help import error_of

from framecue.service import media_routes
from framecue.video.reader import probe


@pytest.fixture
def red(ids):
    return f"/media/{ids['red.mp4']}"


@pytest.fixture
def red_bytes(painted):
    return (painted / "red.mp4").read_bytes()


def test_the_whole_file(client, red, red_bytes):
    answer = client.get(red)
    assert answer.status_code == 200
    assert answer.content == red_bytes
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)), ("bytes=-50", slice(-50, None))],
)
def test_a_range(client, red, red_bytes, asked, part):
    answer = client.get(red, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == red_bytes[part]
    start = part.indices(len(red_bytes))[0]
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(red_bytes)}"


def test_a_range_beyond_the_end(client, red, red_bytes):
    answer = client.get(red, headers={"Range": f"bytes={len(red_bytes)}-"})
    error_of(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{len(red_bytes)}"


@pytest.mark.parametrize("asked", ["bytes=x-y", "lines=1-2", "bytes", "bytes=5-2"])
def test_a_range_that_is_none(client, red, asked):
    error_of(client.get(red, headers={"Range": asked}), 400)


def test_several_ranges_hold_their_bytes(client, red, red_bytes):
    answer = client.get(red, headers={"Range": "bytes=0-9,20-29"})
    assert answer.status_code == 206
    assert red_bytes[:10] in answer.content
    assert red_bytes[20:30] in answer.content


def test_if_range_and_if_none_match(client, red, red_bytes):
    etag = client.get(red).headers["etag"]
    assert client.get(red, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert client.get(red, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == red_bytes
    kept = client.get(red, headers={"If-None-Match": etag})
    assert (kept.status_code, kept.content) == (304, b"")


def test_head(client, red, red_bytes):
    answer = client.head(red)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(red_bytes)
    assert client.head(red, headers={"Range": "bytes=0-9"}).status_code == 206
    assert client.head(red.replace("media", "thumbnails") + ".jpg").status_code == 200
    assert client.head("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/media/%252e%252e%252fetc%252fpasswd",
        "/media/..%5c..%5cetc%5cpasswd",
        "/media//etc/passwd",
        "/media/" + quote("red.mp4"),
        "/media/%00",
        "/media/" + "0" * 63 + "%0a",
        "/thumbnails/..%2f..%2fetc%2fpasswd.jpg",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/../app.py",
        "/static/__init__.py",
        "/static//etc/passwd",
    ],
)
def test_no_path_comes_from_a_request(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    error_of(answer, answer.status_code)
    assert "root:" not in answer.text
    assert "create_app" not in answer.text


def test_a_video_that_became_a_link_out_of_the_roots(own, connect, tmp_path):
    client = connect(own)
    target = tmp_path / "videos" / "red.mp4"
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    secret = tmp_path / "secret.mp4"
    shutil.move(target, secret)  # the very same bytes, size and time
    target.symlink_to(secret)
    for path in (video["video_url"], video["thumbnail_url"], f"{video['video_url']}?as=mp4&start=0&end=1"):
        line = error_of(client.get(path), 403)
        assert "leads out of the indexed folders" in line
        assert "secret" not in line
    error_of(client.post("/api/localize", json={"video_id": video["video_id"], "labels": ["a"]}), 403)
    assert client.get(f"/api/videos/{video['video_id']}").json()["missing"] is True


def test_a_folder_that_became_a_link_out_of_the_roots(own, connect, tmp_path):
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "blue.mp4")
    shutil.move(tmp_path / "videos" / "sub", tmp_path / "elsewhere")
    (tmp_path / "videos" / "sub").symlink_to(tmp_path / "elsewhere")
    error_of(client.get(video["video_url"]), 403)


def test_links_inside_the_roots_are_served(own, connect, tmp_path):
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    shutil.move(tmp_path / "videos" / "red.mp4", tmp_path / "videos" / "sub" / "red.mp4")
    (tmp_path / "videos" / "red.mp4").symlink_to(tmp_path / "videos" / "sub" / "red.mp4")
    assert client.get(video["video_url"]).status_code == 200


def test_a_root_that_is_a_link_is_served_as_it_was_meant(painted, connect, tmp_path):
    from framecue.api.collection import open_index

    (tmp_path / "root").symlink_to(painted)
    (tmp_path / "link.mp4").symlink_to(painted / "red.mp4")
    for source in ("root", "link.mp4"):
        collection = open_index(tmp_path / f"index_{source}", backbone="tiny", device="cpu", create=True)
        collection.add([tmp_path / source])
        client = connect(collection)
        for video in client.get("/api/videos").json()["videos"]:
            assert client.get(video["video_url"]).status_code == 200
    (tmp_path / "link.mp4").unlink()
    (tmp_path / "link.mp4").symlink_to("/etc/passwd")  # a root itself may be turned to something else, too
    error_of(client.get(video["video_url"]), 403)


def test_a_file_that_vanished(own, connect, tmp_path):
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    (tmp_path / "videos" / "red.mp4").unlink()
    for path in (video["video_url"], video["thumbnail_url"]):
        assert "index refresh" in error_of(client.get(path), 410)
    for verb in ("classify", "localize"):
        error_of(client.post(f"/api/{verb}", json={"video_id": video["video_id"], "labels": ["a"]}), 410)
    assert client.get(f"/api/videos/{video['video_id']}").json()["missing"] is True
    # What is stored of it still answers.
    assert client.get(f"/api/videos/{video['video_id']}/curves", params={"labels": "a"}).status_code == 200
    (tmp_path / "videos" / "red.mp4").mkdir()
    error_of(client.get(video["video_url"]), 410)


def test_a_file_that_changed_is_not_played_until_the_index_knows_it(own, connect, tmp_path):
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    assert client.get(video["thumbnail_url"]).status_code == 200
    for change in (
        lambda path: shutil.copy(tmp_path / "videos" / "sub" / "blue.mp4", path),
        lambda path: path.write_text("now it is a diary"),
    ):
        change(tmp_path / "videos" / "red.mp4")
        found = client.get(f"/api/videos/{video['video_id']}").json()
        assert (found["changed"], found["missing"], found["playable"]) == (True, False, False)
        for path in (video["video_url"], video["thumbnail_url"], f"{video['video_url']}?as=mp4&start=0&end=1"):
            line = error_of(client.get(path), 409)
            assert line == "red.mp4: the file changed since it was indexed; run `framecue index refresh`."
        error_of(client.post("/api/localize", json={"video_id": video["video_id"], "labels": ["a"]}), 409)
    shutil.copy(tmp_path / "videos" / "sub" / "blue.mp4", tmp_path / "videos" / "red.mp4")
    own.refresh()
    error_of(client.get(video["video_url"]), 404)


def test_a_file_that_changes_while_its_picture_is_made_leaves_no_picture(own, connect, tmp_path, monkeypatch):
    client = connect(own, cache_folder=tmp_path / "pictures")
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    make = media_routes.thumbnail_jpeg

    def changed_meanwhile(path, seconds, **options):
        made = make(path, seconds, **options)
        os.utime(path, ns=(1, 1))
        return made

    monkeypatch.setattr(media_routes, "thumbnail_jpeg", changed_meanwhile)
    error_of(client.get(video["thumbnail_url"]), 409)
    assert list((tmp_path / "pictures").iterdir()) == []


def test_pictures_of_a_removed_video_go_with_it(own, connect, tmp_path):
    client = connect(own)
    videos = {one["name"]: one for one in client.get("/api/videos").json()["videos"]}
    cache = own.folder / "cache"
    for name in ("red.mp4", "blue.mp4"):
        assert client.get(videos[name]["thumbnail_url"]).status_code == 200
    assert client.get(f"{videos['red.mp4']['video_url']}?as=mp4&start=0&end=1").status_code == 200
    (cache / "thesis.mp4").write_bytes(b"of somebody else")
    (cache / ".half made.tmp").write_bytes(b"by a server that was killed")
    own.remove([tmp_path / "videos" / "red.mp4"])
    left = sorted(path.name for path in cache.iterdir())
    assert len(left) == 2
    assert left[0].startswith(videos["blue.mp4"]["video_id"])
    assert left[1] == "thesis.mp4"


@pytest.mark.parametrize(("moment", "status"), [("before it is written", 404), ("after it is written", 503)])
def test_a_picture_that_is_being_made_while_its_video_is_removed_goes_too(
    own, connect, tmp_path, monkeypatch, moment, status
):
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "red.mp4")
    cache = own.folder / "cache"

    def after_removal(work):
        def do(*args, **options):
            if list(cache.glob(".*")) and own.index.status().num_videos == 3:
                own.remove([tmp_path / "videos" / "red.mp4"])
            return work(*args, **options)

        return do

    name = "thumbnail_jpeg" if status == 404 else "find_file"
    monkeypatch.setattr(media_routes, name, after_removal(getattr(media_routes, name)))
    error_of(client.get(video["thumbnail_url"]), status)
    assert list(cache.iterdir()) == []
    error_of(client.get(video["thumbnail_url"]), 404)


def test_what_may_not_be_read(own, connect, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    client = connect(own)
    video = next(one for one in client.get("/api/videos").json()["videos"] if one["name"] == "blue.mp4")
    (tmp_path / "videos" / "sub").chmod(0)
    try:
        error_of(client.get(video["video_url"]), 403)
    finally:
        (tmp_path / "videos" / "sub").chmod(0o755)


def test_thumbnails_show_their_time_and_are_kept(client, ids):
    path = f"/thumbnails/{ids['red.mp4']}.jpg"
    early, late = (client.get(path, params={"t": t}) for t in (0.1, 5.5))
    assert early.headers["content-type"] == "image/jpeg"
    assert early.content != late.content

    def reddest(answer):
        picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
        row = [picture.getpixel((x, picture.height // 2)) for x in range(picture.width)]
        return max(range(picture.width), key=lambda x: row[x][0] - row[x][1]) / picture.width

    assert reddest(early) < 0.4 < reddest(late)
    assert client.get(path, params={"t": 5.5}).content == late.content
    assert 'framecue_cache_total{result="hit"} 1.0' in client.get("/metrics").text
    assert Image.open(io.BytesIO(client.get(path, params={"width": 32}).content)).width == 32
    assert client.get(path, params={"t": 1e6}).status_code == 200


@pytest.mark.parametrize("query", ["t=-1", "t=nan", "t=inf", "t=x", "width=0", "width=100000", "path=/etc/passwd"])
def test_thumbnails_of_nonsense(client, ids, query):
    error_of(client.get(f"/thumbnails/{ids['red.mp4']}.jpg?{query}"), 422)


def test_a_moment_for_browsers(client, ids, tmp_path):
    answer = client.get(f"/media/{ids['red.mp4']}", params={"as": "mp4", "start": 1, "end": 3})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    (tmp_path / "moment.mp4").write_bytes(answer.content)
    info = probe(tmp_path / "moment.mp4")
    assert (info.codec, info.duration_seconds) == ("h264", pytest.approx(2, abs=0.1))
    again = client.get(
        f"/media/{ids['red.mp4']}", params={"as": "mp4", "start": 1, "end": 3}, headers={"Range": "bytes=0-9"}
    )
    assert (again.status_code, again.content) == (206, answer.content[:10])


@pytest.mark.parametrize("query", ["as=avi", "as=mp4&start=5&end=3", "as=mp4&start=0&end=100", "as=mp4&start=50"])
def test_moments_of_nonsense(client, ids, query):
    error_of(client.get(f"/media/{ids['red.mp4']}?{query}"), 422)


def test_real_files_say_whether_they_play(shared_data, connect, tmp_path):
    from framecue.api.collection import open_index

    avi = next(iter(sorted((shared_data / "videos").rglob("*.avi"))))
    webm = next(iter(sorted((shared_data / "videos").rglob("*vp9.webm"))))
    collection = open_index(tmp_path / "index", backbone="tiny", device="cpu", create=True)
    collection.add([avi, webm])
    client = connect(collection)
    plays = {}
    for video in client.get("/api/videos").json()["videos"]:
        plays[video["name"]] = client.get(f"/api/videos/{video['video_id']}").json()["playable"]
        kind = client.get(video["video_url"], headers={"Range": "bytes=0-0"}).headers["content-type"]
        assert kind == ("video/webm" if plays[video["name"]] else "application/octet-stream")
        moment = client.get(video["video_url"], params={"as": "mp4", "start": 0, "end": 0.5})
        assert moment.headers["content-type"] == "video/mp4"
    assert plays == {avi.name: False, webm.name: True}


def test_the_cache_stays_within_its_bound(own, connect, tmp_path):
    folder = tmp_path / "cache"
    client = connect(own, cache_folder=folder, max_cache_bytes=20_000)
    video = client.get("/api/videos").json()["videos"][0]
    for i in range(40):
        assert client.get(f"/thumbnails/{video['video_id']}.jpg?t={i / 10}").status_code == 200
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000
    assert len(list(folder.iterdir())) > 2


def test_one_picture_asked_for_by_many_is_made_once(client, ids):
    path = f"/thumbnails/{ids['red.mp4']}.jpg?t=2.5"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(client.get, [path] * 16))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    text = client.get("/metrics").text
    assert 'framecue_cache_total{result="miss"} 1.0' in text
    assert 'framecue_cache_total{result="hit"} 15.0' in text


@pytest.mark.parametrize("path", ["/thumbnails/{}.jpg?t=3", "/media/{}?as=mp4&start=0&end=1"])
def test_a_full_disk_is_a_503_in_one_line(client, ids, path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("framecue.files.os.fsync", full)
    assert "disk of the server is full" in error_of(client.get(path.format(ids["red.mp4"])), 503)
    monkeypatch.undo()
    assert client.get(path.format(ids["red.mp4"])).status_code == 200
