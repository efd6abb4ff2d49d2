"""The reader against videos generated with PyAV: every law that needs no real file."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from framecue.errors import VideoError
from framecue.pictures.picture import Picture, ResizeCrop
from framecue.video.reader import probe, read_frames, read_video
from framecue.video.sampling import Sampling, fps_indices, uniform_indices
from framecue.video.source import Decoding

ALL = Sampling("all")


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture unlike its neighbors and unlike its own mirrors and turns."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    column = index * 5 % (width - 8)
    image[height // 2 - 4 : height // 2 + 4, column : column + 8] = 255
    return image


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "made.mp4", num_frames: int = 90, *, ticks: list[int] | None = None, **given: object) -> Path:
        options = {"preset": "ultrafast", "g": "12", **given.pop("options", {})}  # type: ignore[dict-item]
        width, height = given.pop("size", (64, 48))  # type: ignore[misc]
        path = tmp_path / name
        with av.open(str(path), "w", **given) as container:
            stream = container.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = Fraction(1, 100)
            for index in range(num_frames):
                frame = av.VideoFrame.from_ndarray(picture(index, width, height), format="rgb24")
                frame.pts, frame.time_base = (ticks or range(0, 4 * num_frames, 4))[index], Fraction(1, 100)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


# --- orientation


def patch_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    data[start : start + 36] = matrix
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "degrees", "upright"),
    [
        ((1, 0, 0, 1), 0, lambda image: image),
        ((0, 1, -1, 0), 90, lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), 180, lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), 270, lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), 0, lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), 0, lambda image: image[::-1]),
        ((0, 1, 1, 0), 90, lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_display_matrix_brings_the_picture_upright(
    make_video: Callable[..., Path],
    matrix: tuple[int, int, int, int],
    degrees: int,
    upright: Callable[[np.ndarray], np.ndarray],
) -> None:
    path = make_video(num_frames=3)
    stored = read_video(path, ALL).frames[0].transpose(1, 2, 0)
    patch_display_matrix(path, *matrix)
    expected = upright(stored)
    info = probe(path)
    assert (info.rotation_degrees, info.height, info.width) == (degrees, *expected.shape[:2])
    np.testing.assert_array_equal(read_video(path, ALL).frames[0].transpose(1, 2, 0), expected)


def test_rotate_tag_is_honored_where_there_is_no_matrix(make_video: Callable[..., Path], tmp_path: Path) -> None:
    plain, tagged = make_video(num_frames=3), tmp_path / "tagged.mkv"
    with av.open(str(plain)) as source, av.open(str(tagged), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        copy.metadata["rotate"] = "90"
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    assert probe(tagged).rotation_degrees == 90
    turned = np.rot90(read_video(plain, ALL).frames, -1, axes=(2, 3))
    np.testing.assert_array_equal(read_video(tagged, ALL).frames, turned)


# --- streaming, sampling, batches


@pytest.mark.parametrize("name", ["made.mp4", "made.mkv", "made.ts", "made.h264", "made.avi"])
@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3"}, {"bf": "3", "x264-params": "open-gop=1"}, {"g": "250"}])
@pytest.mark.parametrize("text", [("uniform", 1), ("uniform", 7), ("uniform", 200), ("fps", 4), ("fps", 25)])
def test_sampling_equals_sampling_from_all_frames(
    make_video: Callable[..., Path], name: str, options: dict[str, str], text: tuple[str, float]
) -> None:
    path = make_video(name, options={"preset": "veryfast", **options})
    every = read_video(path, ALL)
    assert len(every) == 90
    sampling = Sampling(*text)  # type: ignore[arg-type]
    indices = uniform_indices(90, int(text[1])) if text[0] == "uniform" else fps_indices(every.pts_seconds, text[1])
    batch = read_video(path, sampling)
    np.testing.assert_array_equal(batch.pts_seconds, every.pts_seconds[indices])
    np.testing.assert_array_equal(batch.frames, every.frames[indices])


def test_uniform_skips_what_it_does_not_need(make_video: Callable[..., Path]) -> None:
    """Damage in groups of pictures that are not needed goes unseen: they were not decoded."""
    path = make_video(num_frames=240, options={"bf": "0"})
    expected = read_video(path, Sampling("uniform", 2))
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[90:110]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(VideoError):
        read_video(path, ALL, Decoding(strict=True))
    np.testing.assert_array_equal(read_video(path, Sampling("uniform", 2)).frames, expected.frames)


def test_batches_are_full_but_the_last_and_resizing_changes_only_pixels(make_video: Callable[..., Path]) -> None:
    path = make_video(num_frames=23)
    whole = read_video(path, ALL)
    resize = ResizeCrop(24, "squash", 24, "bicubic")
    batches = list(read_frames(path, ALL, chunk_frames=8, resize=resize))
    assert [len(batch) for batch in batches] == [8, 8, 7]
    expected = np.stack([resize(Picture(frame.transpose(1, 2, 0))).transpose(2, 0, 1) for frame in whole.frames])
    np.testing.assert_array_equal(np.concatenate([batch.frames for batch in batches]), expected)
    np.testing.assert_array_equal(np.concatenate([batch.pts_seconds for batch in batches]), whole.pts_seconds)


def test_batches_of_large_frames_come_whole(make_video: Callable[..., Path]) -> None:
    """16 frames of 1920 x 1080 are more than a worker hands over at a time."""
    path = make_video(num_frames=20, size=(1920, 1080))
    batches = list(read_frames(path, ALL, chunk_frames=16))
    assert [batch.frames.shape for batch in batches] == [(16, 3, 1080, 1920), (4, 3, 1080, 1920)]
    np.testing.assert_allclose(np.concatenate([batch.pts_seconds for batch in batches]), np.arange(20) / 25)


def test_chunk_frames_below_one_is_refused(make_video: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match=r"chunk_frames must be at least 1, got 0\."):
        read_frames(make_video(), ALL, chunk_frames=0)


PEAK_SCRIPT = """
import os, resource, sys
from framecue.video.reader import read_frames
from framecue.video.sampling import Sampling
count = sum(len(batch) for batch in read_frames(sys.argv[1], Sampling("all")))
[worker] = open("/proc/self/task/%d/children" % os.getpid()).read().split()
[peak] = [line.split()[1] for line in open(f"/proc/{worker}/status") if line.startswith("VmHWM")]
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, int(peak) // 1024)
"""


def test_memory_does_not_grow_with_length(make_video: Callable[..., Path]) -> None:
    """3000 frames of 320x240 are 659 MiB of RGB; a batch of 64 is 14."""
    peaks = []
    for num_frames in (128, 3000):
        path = make_video(f"{num_frames}.mp4", num_frames, size=(320, 240))
        run = subprocess.run([sys.executable, "-c", PEAK_SCRIPT, str(path)], capture_output=True, text=True, check=True)
        count, *peaks_mib = map(int, run.stdout.split())
        assert count == num_frames
        peaks.append(peaks_mib)
    assert (np.subtract(*reversed(peaks)) < 30).all()  # of the program and of its worker


def test_an_abandoned_reader_closes_its_file(make_video: Callable[..., Path]) -> None:
    path = make_video()
    reading = read_frames(path, ALL, chunk_frames=1)
    next(iter(reading))
    assert str(path) in files_of_workers()
    reading.close()
    assert str(path) not in files_of_workers()


def files_of_workers() -> set[str]:
    children = [
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    ]
    handles = [handle for child in children for handle in Path(f"/proc/{child}/fd").iterdir()]
    return {os.readlink(handle) for handle in handles if handle.is_symlink()}


# --- odd streams


def test_variable_rate_times_are_the_containers(make_video: Callable[..., Path]) -> None:
    ticks = np.cumsum([7, 1, 50, 2, 2, 300, 1, 1]).tolist()
    batch = read_video(make_video(num_frames=8, ticks=ticks), ALL)
    np.testing.assert_allclose(batch.pts_seconds, (np.array(ticks) - ticks[0]) / 100, atol=1e-9)


def test_a_stream_without_times_gets_them_from_its_rate(make_video: Callable[..., Path]) -> None:
    batch = read_video(make_video("raw.h264", 10), ALL)
    np.testing.assert_allclose(np.diff(batch.pts_seconds), 1 / 25, atol=1e-3)


def test_frames_that_change_size_are_scaled_to_the_first(make_video: Callable[..., Path], tmp_path: Path) -> None:
    small, large = make_video("small.h264", 10), make_video("large.h264", 10, size=(128, 96))
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    batch = read_video(path, ALL)
    assert batch.frames.shape == (20, 3, 48, 64)
    assert np.abs(batch.frames[10].astype(int) - batch.frames[0]).mean() < 15
    assert (np.diff(batch.pts_seconds) > 0).all()


def test_time_goes_on_where_the_clock_restarts(make_video: Callable[..., Path], tmp_path: Path) -> None:
    part = make_video("part.ts", 50).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(part + part)
    batch = read_video(path, ALL)
    steps = np.diff(batch.pts_seconds)
    assert 0 < steps[49] < 0.1
    np.testing.assert_allclose(np.delete(steps, 49), 1 / 25, atol=1e-6)
    assert len(batch) == 100
    few = read_video(path, Sampling("uniform", 10))
    np.testing.assert_array_equal(few.pts_seconds, batch.pts_seconds[uniform_indices(100, 10)])


# --- names and refusals


@pytest.mark.parametrize(
    "name", [b"-i.mp4", "größe 日本.mp4".encode(), b"\xff\xfe.mp4", b"http:x.mp4", b"a\nb%03d'.mp4"]
)
def test_any_file_name_works(make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    path = make_video(num_frames=5)
    monkeypatch.chdir(path.parent)
    odd = os.fsdecode(name)
    path.rename(odd)
    assert len(read_video(odd, ALL)) == 5
    Path(odd).write_bytes(b"not a video")
    with pytest.raises(VideoError) as refused:
        probe(odd)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no such file; check the path."),
        (lambda path: path.mkdir(), "it is a folder; name the files inside it."),
        (lambda path: path.touch(), "the file is empty; copy or download it again."),
        (lambda path: os.mkfifo(path), "it is not a regular file; copy it to one."),
        (
            lambda path: path.write_bytes(b"plain text, no video" * 100),
            "FFmpeg says 'invalid data found when processing input'; it is damaged, cut short or encrypted: "
            "fetch or convert it again, or leave it out.",
        ),
    ],
)
@pytest.mark.parametrize(
    "verb", [probe, lambda path: read_video(path, ALL), lambda path: read_video(path, Sampling("uniform", 4))]
)
def test_refusals_name_the_path_the_reason_and_the_next_step(
    tmp_path: Path, make: Callable[[Path], object], message: str, verb: Callable[[Path], object]
) -> None:
    path = tmp_path / "given.mp4"
    make(path)
    with pytest.raises(VideoError) as refused:
        verb(path)
    assert str(refused.value) == f"{path}: cannot be read as video: {message}"


def test_a_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(VideoError, match=r"cannot be read as video: .*; check the path\.$"):
        probe("a\0b.mp4")


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(
        VideoError, match=r"sound\.m4a: cannot be read as video: it has no video stream; name a file with"
    ):
        probe(path)


def test_a_file_cut_short_is_used_as_far_as_it_goes(make_video: Callable[..., Path]) -> None:
    path = make_video(options={"g": "12"}, container_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    reading = read_frames(path, ALL)
    count = sum(len(batch) for batch in reading)
    assert 20 < count < 80
    [note] = [note for note in reading.summary.notes if "before the end that its header promises" in note]
    assert f"it ends at {count / 25:.1f} s, {3.6 - count / 25:.1f} s before" in note
    with pytest.raises(VideoError, match="cannot be read as video: it "):
        read_video(path, ALL, Decoding(strict=True))


def test_playlists_do_not_reach_other_files_or_the_network(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/part.ts\n#EXT-X-ENDLIST\n", encoding="ascii"
    )
    with pytest.raises(VideoError, match=r"list\.m3u8: cannot be read as video"):
        probe(path)
