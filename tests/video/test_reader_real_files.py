"""The reader against real files: the decode table, reference frames, odd and broken streams."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest

from framecue.errors import VideoError
from framecue.video.reader import VideoInfo, probe, read_frames, read_video
from framecue.video.sampling import Sampling, uniform_indices
from framecue.video.source import Decoding

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TABLE = DATA / "golden" / "decode_table.tsv"
ALL = Sampling("all")

# PyAV's default, strict decoding of tags cannot open it; the reader ignores bytes that are not UTF-8, and reads it.
STILL_IMAGE, SIX_STREAMS = (
    "corrupt.jpg",
    "nasa_13013.mp4",
)  # the table has the first of the streams, not the default one
READ_THOUGH_THE_TABLE_REFUSES = "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"

needs_data = pytest.mark.skipif(not TABLE.exists(), reason=f"the real videos are not here ({DATA})")


def table_rows() -> list[dict[str, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def thin(frames: np.ndarray) -> np.ndarray:
    """Every 7th pixel: enough to tell frames apart, little to hold."""
    return frames[:, :, ::7, ::7].copy()


@needs_data
@pytest.mark.parametrize("folder", sorted({row["file"].split("/")[1] for row in table_rows()}))
def test_every_file_is_read_or_refused_as_the_decode_table_says(folder: str) -> None:
    differences = []
    for row in table_rows():
        if row["file"].split("/")[1] == folder and Path(row["file"]).name != SIX_STREAMS:
            differences += [f"{row['file']}: {difference}" for difference in compare_with_table(row)]
    assert not differences, "\n".join(differences)


def compare_with_table(row: dict[str, str]) -> list[str]:
    path = DATA / row["file"]
    try:
        reading = read_frames(path, ALL)
        thinned = [(thin(batch.frames), batch.pts_seconds) for batch in reading]
        info = probe(path)
    except VideoError as error:
        lines = str(error)
        refused_well = lines.startswith(f"{path}: cannot be read as video: ") and "\n" not in lines and "; " in lines
        return [] if (row["error"] or path.name == STILL_IMAGE) and refused_well else [f"refused: {error}"]
    if row["error"]:  # what decodes is used, and what does not is told
        is_told = bool(reading.summary.notes) or path.name == READ_THOUGH_THE_TABLE_REFUSES
        return [] if is_told else ["read without a note, but is damaged"]
    frames, pts = (np.concatenate(parts) for parts in zip(*thinned, strict=True))
    return compare_times(row, pts + info.origin_seconds) + compare_info(row, info) + compare_uniform(path, frames, pts)


def compare_times(row: dict[str, str], pts: np.ndarray) -> list[str]:
    found = []
    if len(pts) != int(row["frames_decoded"]):
        found.append(f"{len(pts)} frames, the table has {row['frames_decoded']}")
    if (np.diff(pts) <= 0).any():
        found.append("times do not increase")
    first, last = float(row["first_pts_s"]), float(row["last_pts_s"])
    # The table has four decimals; Matroska three.
    if abs(pts[0] - first) > 6e-5:
        found.append(f"first PTS {pts[0]}, the table has {first}")
    # AVI stores no PTS. With B-frames FFmpeg's guesses arrive swapped in groups (.., 47, 49, 48): the table holds the
    # last to arrive, the reader sorts them, so that its last is later by one frame, or by two in groups of three.
    swapped = row["container"] == "avi" and row["irregular_pts"] == "1"
    allowed = [last + late / float(row["avg_fps"]) for late in (0, 1, 2)] if swapped else [last]
    if min(abs(pts[-1] - allowed_last) for allowed_last in allowed) > 6e-5:
        found.append(f"last PTS {pts[-1]}, the table has {last}")
    return found


def compare_info(row: dict[str, str], info: VideoInfo) -> list[str]:
    stored = (int(row["w"]), int(row["h"]))
    clockwise = -int(row["rotation"]) % 360
    with av.open(str(DATA / row["file"]), metadata_errors="ignore") as container:
        aspect = float(container.streams.video[0].sample_aspect_ratio or 1)
    if abs(aspect - 1) > 0.01:  # shown in square pixels
        stored = (round(stored[0] * max(1, aspect)), round(stored[1] * max(1, 1 / aspect)))
    expected = {
        "codec": row["vcodec"],
        "rotation_degrees": clockwise,
        "width": stored[clockwise % 180 == 90],
        "height": stored[clockwise % 180 != 90],
        "has_audio": bool(row["audio"]),
    }
    found = [
        f"{name} {getattr(info, name)}, not {value}" for name, value in expected.items() if getattr(info, name) != value
    ]
    if abs((info.average_fps or 0.0) - float(row["avg_fps"])) > 1e-6:
        found.append(f"average_fps {info.average_fps}, not {row['avg_fps']}")
    # The table's is the container's duration: sound outlasts the pictures by up to 0.12 s in these files.
    # Of MPEG streams it is FFmpeg's estimate, without the last frame.
    early = 1.01 / float(row["avg_fps"]) if row["container"].startswith("mpeg") else 1e-3
    if not -early < float(row["duration_s"]) - info.duration_seconds < 0.12:
        found.append(f"duration_seconds {info.duration_seconds}, not {row['duration_s']}")
    return found


def compare_uniform(path: Path, frames: np.ndarray, pts: np.ndarray) -> list[str]:
    """Seeking and stopping early must not change a bit."""
    few = read_video(path, Sampling("uniform", 8))
    indices = uniform_indices(len(pts), 8)
    same = np.array_equal(thin(few.frames), frames[indices]) and np.array_equal(few.pts_seconds, pts[indices])
    return [] if same else [f"uniform:8 gives {few.pts_seconds}, not {pts[indices]}"]


@needs_data
@pytest.mark.parametrize("stream", [0, 3])
def test_frames_and_times_equal_the_reference(stream: int, tmp_path: Path) -> None:
    """Tolerance 0 for pixels: the same swscale path. Half of the last digit for times, which have six decimals."""
    path = tmp_path / "one_stream.mp4"
    with av.open(str(DATA / "videos/odd/torchcodec/nasa_13013.mp4")) as source, av.open(str(path), "w") as target:
        copy = target.add_stream_from_template(source.streams[stream])
        for packet in source.demux(source.streams[stream]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    golden = DATA / "golden" / "torchcodec_frames"
    batch = read_video(path, ALL)
    references = sorted(golden.glob(f"nasa_13013.stream{stream}.frame*.npy"))
    assert len(references) >= 4
    for reference in references:
        index = int(reference.stem[-6:])
        np.testing.assert_array_equal(
            batch.frames[index].transpose(1, 2, 0), np.load(reference), err_msg=reference.name
        )
    assert_times(batch.pts_seconds, golden / f"nasa_13013.mp4.stream{stream}.all_frames_info.json")


@needs_data
def test_a_clock_that_does_not_start_at_zero_is_kept_as_the_origin() -> None:
    path = DATA / "videos/odd/torchcodec/test_non_zero_start.mp4"
    batch = read_video(path, ALL)
    assert batch.pts_seconds[0] == 0
    assert_times(
        batch.pts_seconds + probe(path).origin_seconds,
        DATA / "golden/torchcodec_frames/test_non_zero_start.mp4.stream0.all_frames_info.json",
    )


def assert_times(pts_seconds: np.ndarray, frames_info: Path) -> None:
    expected = [float(frame["pts_time"]) for frame in json.loads(frames_info.read_text(encoding="utf-8"))]
    np.testing.assert_allclose(pts_seconds, expected, rtol=0, atol=5.01e-7)


@needs_data
def test_truly_variable_rate_is_sampled_by_time() -> None:
    path = DATA / "videos/gmdcsa24/Subject 3/Fall/20.mp4"
    every = read_video(path, ALL)
    assert np.ptp(np.diff(every.pts_seconds)) > 0.01
    picked = read_video(path, Sampling("fps", 5))
    grid = every.pts_seconds[0] + np.arange(len(picked)) / 5
    shown = np.searchsorted(every.pts_seconds, grid + 1.5e-3, side="right") - 1
    np.testing.assert_array_equal(picked.pts_seconds, every.pts_seconds[shown])
    np.testing.assert_array_equal(picked.frames, every.frames[shown])


@needs_data
@pytest.mark.parametrize(
    ("name", "matrix"), [("bt601_limited_range", 601), ("bt601_full_range", 601), ("bt709_full_range", 709)]
)
def test_colors_follow_the_stated_matrix_and_range(name: str, matrix: int) -> None:
    """Against the formula of the standard. The median is compared: chroma is filtered differently at sharp edges."""
    path = DATA / f"videos/odd/torchcodec/{name}.mp4"
    ours = read_video(path, Sampling("uniform", 1)).frames[0].transpose(1, 2, 0)
    errors = {m: float(np.median(np.abs(ours - rgb_by_formula(path, m)))) for m in (601, 709)}
    assert errors[matrix] < 1
    assert errors[matrix] < errors[1310 - matrix] / 2


def rgb_by_formula(path: Path, matrix: int) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    frame = frames[uniform_indices(len(frames), 1)[0]]
    is_full = frame.format.name.startswith("yuvj")
    luma, *chroma = frame.reformat(format="yuvj444p" if is_full else "yuv444p").to_ndarray().astype(float)
    blue, red = (plane - 128 for plane in chroma)
    if not is_full:
        luma, blue, red = (luma - 16) * 255 / 219, blue * 255 / 224, red * 255 / 224
    kr, kb = (0.299, 0.114) if matrix == 601 else (0.2126, 0.0722)
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    return np.clip(np.stack([r, (luma - kr * r - kb * b) / (1 - kr - kb), b], axis=-1), 0, 255)


@needs_data
def test_damage_in_the_middle_is_told_or_refused_after_the_batches_before_it() -> None:
    path = DATA / "videos/odd/decord/corrupted.mp4"
    reading = read_frames(path, ALL, chunk_frames=4)
    assert sum(map(len, reading)) > 4
    assert any("missing" in note or "passed over" in note for note in reading.summary.notes)
    seen = []
    with pytest.raises(VideoError, match=r"corrupted\.mp4: cannot be read as video: it is damaged at .* s"):
        seen.extend(read_frames(path, ALL, chunk_frames=4, decoding=Decoding(strict=True)))
    assert seen


@needs_data
@pytest.mark.parametrize(("name", "degrees"), [("video_0", 0), ("video_90", 90), ("video_180", 180)])
def test_rotated_phone_videos_are_upright(name: str, degrees: int) -> None:
    """Against PyAV's own reading of the matrix: degrees counterclockwise."""
    path = DATA / f"videos/odd/decord/{name}.mov"
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    upright = np.rot90(first.to_ndarray(format="rgb24"), first.rotation // 90)
    assert probe(path).rotation_degrees == degrees
    np.testing.assert_array_equal(read_video(path, ALL).frames[0].transpose(1, 2, 0), upright)
