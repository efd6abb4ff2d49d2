"""The server as a process of its own: ranges on a real connection, many clients, a writer beside it, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from routes_help import TOKEN, error_of

from framecue.cli.serve import listen

START_SECONDS = 90


class Server:
    """`framecue serve`, and what it says."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "framecue.cli.main", "serve", *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self.said = []
        self.url = None

    def started(self) -> "Server":
        while self.url is None:
            line = self.process.stderr.readline()
            assert line, f"it ended: {self.said}"
            self.said.append(line)
            found = re.search(r"http://\S+", line)
            self.url = found and found[0].rstrip("/")
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(f"{self.url}/health", timeout=5)
                return self
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def end(self, how: int = signal.SIGINT, within: float = 20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.said += self.process.communicate(timeout=within)[1].splitlines(keepends=True)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


@pytest.fixture(scope="module")
def server(painted_index):
    running = Server("--index", str(painted_index), "--port", "0", "--verbose").started()
    yield running
    code = running.end()
    assert code == 0, running.said
    assert running.said[-1] == "stopped\n"
    assert not any("Traceback" in line for line in running.said)


def videos(server):
    return {video["name"]: video for video in httpx.get(f"{server.url}/api/videos").json()["videos"]}


def test_ranges_on_a_connection(server, painted):
    url = server.url + videos(server)["red.mp4"]["video_url"]
    whole = (painted / "red.mp4").read_bytes()
    with httpx.Client() as client:
        assert client.get(url).content == whole
        part = client.get(url, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, whole[10:20])
        error_of(client.get(url, headers={"Range": f"bytes={len(whole)}-"}), 416)
        assert client.head(url).headers["content-length"] == str(len(whole))
        assert client.get(url, headers={"Range": "bytes=-5"}).content == whole[-5:]


@pytest.mark.parametrize(
    "target",
    ["/media/../../../../etc/passwd", "/media/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/static/../settings.py"],
)
def test_raw_paths_lead_nowhere(server, target):
    """As no client library would send them."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 422"))
    assert b"root:" not in answer


def test_an_upload_that_lies_about_its_length(server, tmp_path):
    """More than is allowed, in pieces: refused while it comes in."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    sent = 0

    def pieces():
        nonlocal sent
        yield head
        while sent < 2**30:
            sent += 2**20
            yield bytes(2**20)

    try:
        answer = httpx.post(
            f"{server.url}/api/classify",
            content=pieces(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=60,
        )
        error_of(answer, 413)
    except httpx.HTTPError:
        pass  # the connection was closed while more was being sent
    assert sent < 400 * 2**20
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_many_at_once(server):
    red = videos(server)["red.mp4"]
    paths = [
        "/api/search?q=a+red+square",
        "/api/search?q=a+blue+square",
        red["video_url"],
        f"/thumbnails/{red['video_id']}.jpg?t=1",
        f"/api/videos/{red['video_id']}/curves?labels=a,b",
        "/api/status",
        "/metrics",
    ]
    with ThreadPoolExecutor(12) as threads, httpx.Client(timeout=60) as client:
        answers = list(threads.map(lambda path: (path, client.get(server.url + path)), paths * 12))
    assert {answer.status_code for _, answer in answers} == {200}
    for path in paths[:2]:
        bodies = [json.loads(answer.content)["moments"] for asked, answer in answers if asked == path]
        assert all(body == bodies[0] for body in bodies)


def test_searches_go_on_while_a_video_is_localized(server):
    red = videos(server)["red.mp4"]
    question = {"video_id": red["video_id"], "labels": ["a red square", "a blue square"]}
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(httpx.post, f"{server.url}/api/localize", json=question, timeout=60) for _ in range(3)]
        assert httpx.get(f"{server.url}/api/search?q=a+red+square", timeout=60).status_code == 200
        assert {job.result().status_code for job in jobs} == {200}


def test_a_writer_beside_the_server(own, tmp_path):
    running = Server("--index", str(own.folder), "--port", "0").started()
    try:
        seen = set()
        for name in ("red.mp4", "sub"):
            own.remove([tmp_path / "videos" / name])
            status = httpx.get(f"{running.url}/api/status").json()
            seen.add((status["version"], status["num_videos"]))
            found = httpx.get(f"{running.url}/api/search?q=a+red+square&top_k=50").json()
            assert found["num_videos"] == status["num_videos"]
            assert len({moment["video_id"] for moment in found["moments"]}) == status["num_videos"]
        assert {count for _, count in seen} == {2, 1}
        own.add([tmp_path / "videos"])
        assert httpx.get(f"{running.url}/api/status").json()["num_videos"] == 3
    finally:
        assert running.end() == 0


def test_the_demo_is_served_and_ends_soon_though_clients_are_connected(painted_index):
    running = Server("--demo", "--out", str(painted_index.parent), "--port", "0").started()
    assert httpx.get(f"{running.url}/api/status").json()["num_videos"] == 3
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n")
        idle.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
        time.sleep(0.5)
        started = time.monotonic()
        code = running.end()
    assert code == 0, running.said
    assert time.monotonic() - started < 15


def test_small_answers_are_sent_at_once():
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.proto == socket.IPPROTO_TCP  # else asyncio leaves each answer to wait for 40 ms


def test_a_client_that_hangs_up_is_no_error(painted_index):
    server = Server("--index", str(painted_index), "--port", "0", "--device", "cpu").started()
    try:
        head = "POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
        with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as connection:
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n--B\r\n".encode())
            time.sleep(0.5)
        assert httpx.get(f"{server.url}/api/status", timeout=20).status_code == 200
    finally:
        server.end()
    assert "Traceback" not in "".join(server.said)


def test_a_port_in_use_is_one_line(painted_index):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = Server("--index", str(painted_index), "--port", str(port))
        assert running.process.wait(START_SECONDS) != 0
        running.end()
    assert len(running.said) == 1
    assert f"port {port}" in running.said[0]
    assert "--port" in running.said[0]


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "token is needed"),
        (["--host", "::"], {}, "token is needed"),
        (["--host", "0.0.0.0"], {"FRAMECUE_TOKEN": "short"}, "16 to 256"),
        (["--token-file", "/nonexistent"], {}, "cannot be read"),
        (["--host", "203.0.113.7", "--port", "0"], {"FRAMECUE_TOKEN": TOKEN}, "Cannot listen"),
    ],
)
def test_calls_that_are_refused(painted_index, options, environment, said):
    running = Server("--index", str(painted_index), *options, **environment)
    assert running.process.wait(START_SECONDS) == 2
    running.end()
    assert len(running.said) == 1
    assert said in running.said[0]


def test_what_to_serve_must_be_named(tmp_path):
    for options, said in (
        ([], "--index DIR"),
        (["--demo", "--out", str(tmp_path)], f"framecue demo --out {tmp_path}"),
        (["--index", str(tmp_path), "--demo"], "--index DIR"),
        (["--index", str(tmp_path / "none"), "--port", "0"], "framecue index add"),
    ):
        running = Server(*options)
        assert running.process.wait(START_SECONDS) in (1, 2)
        running.end()
        assert len(running.said) == 1, running.said
        assert said in running.said[0]


def test_a_token_lets_others_in(painted_index, tmp_path):
    token = tmp_path / "token.txt"
    token.write_text(TOKEN)
    running = Server("--index", str(painted_index), "--host", "0.0.0.0", "--port", "0", "--token-file", str(token))
    try:
        running.started()
        assert TOKEN not in "".join(running.said)
        error_of(httpx.get(f"{running.url}/api/status"), 401)
        answer = httpx.get(f"{running.url}/api/status", headers={"Authorization": f"Bearer {TOKEN}", "Host": "films"})
        assert answer.status_code == 200
    finally:
        assert running.end(signal.SIGINT) == 0
