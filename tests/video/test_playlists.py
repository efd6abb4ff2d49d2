"""Only videos are opened: what names other files or addresses is refused, and neither is touched."""

from collections.abc import Iterator
from contextlib import nullcontext

import av
import pytest
from typer.testing import CliRunner

from framecue.cli.main import app
from framecue.errors import VideoError
from framecue.video.containers import media_type
from framecue.video.reader import probe, read_frames, read_video
from framecue.video.recorded import recording_date
from framecue.video.sampling import Sampling
from framecue.video.thumbnail import thumbnail_jpeg
from playlists import PLAYLISTS, Trap, names_of, trap

VERBS = {
    "probe": probe,
    "read_video": lambda path: read_video(path, Sampling("all")),
    "read_frames": lambda path: list(read_frames(path, Sampling("fps", 5))),
    "uniform": lambda path: read_video(path, Sampling("uniform", 4)),
    "thumbnail": lambda path: thumbnail_jpeg(path, 0.0),
}
HEADER_VERBS = {"media_type": media_type, "recording_date": recording_date}


@pytest.fixture(scope="module")
def set_trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    folder = tmp_path_factory.mktemp("playlists")
    with trap(folder) as made:
        for kind, write in PLAYLISTS.items():
            for name in names_of(kind):
                write(folder / name, made)
        assert made.touched() == []
        yield made


@pytest.mark.parametrize(
    ("kind", "options", "goes_to"),
    [
        ("concat_beside", {}, "secret"),
        ("concat_address", {"safe": "0", "protocol_whitelist": "file,http,tcp"}, "listener"),
        ("hls_address", {"protocol_whitelist": "file,http,tcp,crypto"}, "listener"),
        ("hls_master", {"protocol_whitelist": "file,http,tcp,crypto"}, "listener"),
        ("movie_alias", {"enable_drefs": "1", "use_absolute_path": "1"}, "secret"),
    ],
)
def test_the_trap_works(set_trap: Trap, kind: str, options: dict[str, str], goes_to: str) -> None:
    """FFmpeg as it is, or as careless programs ask it, walks in."""
    path = set_trap.folder / names_of(kind)[-1]
    try:
        with av.open(str(path), options=options) as container:
            next(container.decode(video=0), None)
    except (av.FFmpegError, IndexError):
        pass
    assert goes_to in set_trap.touched()


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("name", [name for kind in PLAYLISTS for name in names_of(kind)])
def test_what_names_other_files_is_refused(set_trap: Trap, name: str, verb: str) -> None:
    path = set_trap.folder / name
    with pytest.raises(VideoError) as refused:
        VERBS[verb](path)
    assert str(refused.value).startswith(f"{path}: cannot be read as video: ")
    assert "\n" not in str(refused.value)
    assert set_trap.touched() == []


@pytest.mark.parametrize("verb", list(HEADER_VERBS))
@pytest.mark.parametrize("kind", list(PLAYLISTS))
def test_what_reads_headers_alone_does_not_go_there_either(set_trap: Trap, kind: str, verb: str) -> None:
    path = set_trap.folder / names_of(kind)[0]
    is_movie = kind.startswith("movie")  # its own header is one
    with nullcontext() if is_movie else pytest.raises(VideoError):
        HEADER_VERBS[verb](path)
    assert set_trap.touched() == []


def test_an_address_is_no_path(set_trap: Trap) -> None:
    for address in (f"{set_trap.address}/secret.ts", f"tcp://127.0.0.1:{set_trap.port}", f"concat:{set_trap.secret}"):
        with pytest.raises(VideoError, match="there is no such file"):
            probe(address)
    assert set_trap.touched() == []


def test_the_command_line_lists_them_and_goes_on(set_trap: Trap) -> None:
    names = [names_of(kind)[0] for kind in PLAYLISTS]
    paths = [str(set_trap.folder / name) for name in names]
    result = CliRunner().invoke(app, ["classify", *paths, "--labels", "a square, a circle", "--backbone", "tiny"])
    assert result.exit_code != 0
    for name in names:
        assert name in result.output
    assert set_trap.touched() == []
