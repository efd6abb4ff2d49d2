"""The page in a real browser, on a real index behind the real `framecue serve`."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_tools import BOLD, WAIT_SECONDS

from framecue.api.collection import open_index
from framecue.datasets.world import UNTRIMMED_SEEN_CLASSES, render_untrimmed
from framecue.video.writer import write_video

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 90.0
FPS = 12.0


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium; without it the tests are skipped, unless the environment says that it must be there."""
    required = os.environ.get("FRAMECUE_REQUIRE_BROWSER") == "1"
    executable = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed (pip install playwright)"
    else:
        missing = "" if executable else "chromium is not installed (apt-get install chromium)"
    if missing:
        pytest.fail(missing) if required else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Server:
    """`framecue serve` on an index, as a process of its own."""

    index: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        """Start it, on the port it had, and wait until it answers."""
        self.port = self.port or free_port()
        log = self.index.with_name(f"{self.index.name}.serve.log")
        command = [sys.executable, "-m", "framecue.cli.main", "serve", "--index", str(self.index)]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options],
                stdout=out,
                stderr=out,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, f"framecue serve ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"framecue serve does not answer: {log.read_text()[-2000:]}"
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers; whatever still runs at the end is stopped."""
    servers: list[Server] = []

    def start(index: Path, *options: str) -> Server:
        servers.append(Server(index, options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


def write_stage(path: Path, seed: int) -> None:
    """A rendered video of half a minute with several actions."""
    rng = np.random.default_rng(seed)
    frames, _ = render_untrimmed(list(rng.choice(UNTRIMMED_SEEN_CLASSES, 4, replace=False)), rng)
    write_video(path, frames, FPS)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered videos: a name with markup, another folder, and one without metadata."""
    folder = tmp_path_factory.mktemp("stages")
    write_stage(folder / BOLD, 1)
    write_stage(folder / "yard" / "second.mp4", 2)
    write_stage(folder / "yard" / "third.mp4", 3)
    write_stage(folder / "fourth.mp4", 4)
    return folder


@pytest.fixture(scope="session")
def stage_index(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the rendered videos, with metadata."""
    folder = tmp_path_factory.mktemp("stage_index") / "index"
    collection = open_index(folder, backbone="tiny", device="cpu", create=True)
    metadata = {
        stages / BOLD: {"camera": 1, "place": "<i>hall</i>"},
        stages / "yard" / "second.mp4": {"camera": 2, "place": "yard"},
        stages / "yard" / "third.mp4": {"camera": 3, "place": "yard"},
    }
    collection.add([stages], metadata=metadata)
    return folder


@pytest.fixture(scope="session")
def stage_server(chromium: Any, stage_index: Path, serve: Callable[..., Server]) -> Server:
    """Serves the rendered videos."""
    return serve(stage_index)


@pytest.fixture
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Keeps a picture of the page: in $FRAMECUE_SCREENSHOTS, else beside the temporary files of the tests."""
    folder = Path(os.environ.get("FRAMECUE_SCREENSHOTS") or tmp_path_factory.getbasetemp() / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Any, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        assert path.stat().st_size > 5000
        return path

    return take


@dataclass
class Watch:
    """What pages said and asked for that they should not."""

    problems: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def watch(self, page: Any, server: Server) -> None:
        """Note errors of scripts and the console, and requests to anywhere else."""
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("console", lambda message: self._console(message))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._request(request.url, server))

    def _console(self, message: Any) -> None:
        if message.type not in ("error", "warning"):
            return
        kind = self.failures if "Failed to load resource" in message.text else self.problems
        kind.append(f"console: {message.text}")

    def _request(self, url: str, server: Server) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != server.url:
            self.problems.append(f"request: {url}")


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page in a browser of its own; afterwards nothing may have gone wrong that the test did not ask for."""
    contexts: list[Any] = []
    watches: list[tuple[Watch, bool]] = []

    def open_page(server: Server, path: str = "/", *, failures: bool = False, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.set_default_timeout(1000 * WAIT_SECONDS)
        page = context.new_page()
        watches.append((Watch(), failures))
        watches[-1][0].watch(page, server)
        page.goto(server.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    for watch, failures in watches:
        assert watch.problems == []
        assert failures or watch.failures == []
