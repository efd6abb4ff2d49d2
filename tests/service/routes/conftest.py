"""A real index of small rendered videos, asked over HTTP."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from framecue.api.collection import Collection, open_index
from framecue.service.app import create_app
from framecue.service.settings import ServiceSettings
from framecue.video.writer import write_video

HOME = "http://127.0.0.1"
MARKUP = "<img src=x onerror=alert(1)>.mp4"


def paint(path: Path, color: tuple[int, int, int], *, seconds: float = 6.0, fps: float = 8.0) -> Path:
    """A square of that color that crosses a gray picture."""
    frames = np.full((round(seconds * fps), 64, 96, 3), 110, np.uint8)
    for i, frame in enumerate(frames):
        x = 4 + 60 * i // len(frames)
        frame[20:44, x : x + 24] = color
    write_video(path, frames, fps)
    return path


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three videos; one has markup for a name."""
    folder = tmp_path_factory.mktemp("painted")
    paint(folder / "red.mp4", (220, 20, 20))
    paint(folder / "sub" / "blue.mp4", (20, 20, 220))
    paint(folder / MARKUP, (20, 200, 20), seconds=9)
    return folder


@pytest.fixture(scope="session")
def painted_index(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its index, not to be changed."""
    folder = tmp_path_factory.mktemp("painted_index") / "index"
    collection = open_index(folder, backbone="tiny", device="cpu", create=True)
    collection.add([painted], metadata={painted / "red.mp4": {"camera": 3, "place": "<b>hall</b>"}})
    return folder


@pytest.fixture
def own(painted: Path, tmp_path: Path) -> Collection:
    """An index of copies of the videos in tmp_path / "videos", for tests that change them."""
    shutil.copytree(painted, tmp_path / "videos")
    collection = open_index(tmp_path / "index", backbone="tiny", device="cpu", create=True)
    collection.add([tmp_path / "videos"])
    return collection


Connect = Callable[..., TestClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients of the service over a collection, or over an index folder."""
    with ExitStack() as stack:

        def start(
            source: Collection | Path, *, token: str | None = None, url: str = HOME, **settings: object
        ) -> TestClient:
            collection = open_index(source, device="cpu") if isinstance(source, Path) else source
            app = create_app(collection, token=token, settings=ServiceSettings(**settings))
            return stack.enter_context(TestClient(app, base_url=url, raise_server_exceptions=False))

        yield start


@pytest.fixture
def client(connect: Connect, painted_index: Path, tmp_path: Path) -> TestClient:
    """Of the painted videos, without a token."""
    return connect(painted_index, cache_folder=tmp_path / "cache")


@pytest.fixture
def ids(client: TestClient) -> dict[str, str]:
    """Ids by file name."""
    return {video["name"]: video["video_id"] for video in client.get("/api/videos").json()["videos"]}
