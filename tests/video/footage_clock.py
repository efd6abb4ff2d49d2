"""Videos whose clock, or whose choice of streams, is odd."""

import struct
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from footage import Footage, Sound, Track, joined, numbered, points, write

Make = Callable[[Path], None]
B_FRAMES = {"preset": "veryfast", "bf": "3", "g": "12"}
DEFAULT, NOT_DEFAULT = int(Disposition.default), 0
COVER = int(Disposition.attached_pic)
SHOWN = {0: points()}


def tracks(*made: Callable[[], Track | Sound], format: str | None = None, **options: str) -> Make:
    """A file of such tracks."""
    return lambda path: write(path, *(make() for make in made), format=format, **options)


def video(codec: str = "libx264", **given: object) -> Callable[[], Track]:
    return partial(Track, codec, **given)  # type: ignore[arg-type]


def sound(codec: str = "aac", **given: object) -> Callable[[], Sound]:
    return partial(Sound, codec, **given)  # type: ignore[arg-type]


def ts_at(seconds: float, *made: Callable[[], Track | Sound]) -> Make:
    """A transport stream whose clock starts there."""
    return tracks(*(made or (video(),)), format="mpegts", output_ts_offset=str(seconds), mpegts_copyts="1")


def with_edit(make: Make, start_seconds: float, seconds: float) -> Make:
    """An MP4 file whose first edit list shows this part of the media alone."""

    def edited(path: Path) -> None:
        make(path)
        data = bytearray(path.read_bytes())
        scale_of = {}
        for name, box in ((b"mvhd", 12), (b"mdhd", 12)):
            place = data.index(name) + 4 + box
            scale_of[name] = int.from_bytes(data[place : place + 4], "big")
        place = data.index(b"elst") + 12
        old_start = int.from_bytes(data[place + 4 : place + 8], "big", signed=True)
        data[place : place + 8] = struct.pack(
            ">ii", round(seconds * scale_of[b"mvhd"]), old_start + round(start_seconds * scale_of[b"mdhd"])
        )
        path.write_bytes(data)

    return edited


def evenly(start: float, count: int) -> list[float]:
    """Times at 25 frames a second."""
    return [start + i / 25 for i in range(count)]


def without_tags(path: Path) -> None:
    """Matroska that starts at 5 s and whose tracks do not say how long they are."""
    tracks(video(start=125))(path)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"NOTATION"))


def gray(width: int, height: int, count: int = 25) -> list[np.ndarray]:
    return [np.full((height, width, 3), 128, np.uint8)] * count


def noisy(first: int, count: int) -> list[np.ndarray]:
    """Numbered frames that take many bytes: a reader that looks at both ends of the file sees nothing before them."""
    frames = [numbered((first + i) % 256) for i in range(count)]
    for i, frame in enumerate(frames):
        frame[8:] = np.random.default_rng(i).integers(0, 255, frame[8:].shape, np.uint8)
    return frames


def data_track_first(path: Path) -> None:
    """MOV with a timecode track as stream 0 and pictures as stream 1."""
    with av.open(str(path), "w", format="mpegts") as container:
        data = container.add_data_stream("bin_data")
        track = Track()
        track.add(container)
        packets = list(track.packets())
        note = av.Packet(b"\x00\x01\x02\x03")
        note.stream, note.time_base, note.pts, note.dts = data, Fraction(1, 90000), 0, 0
        for packet in [*packets[:1], note, *packets[1:]]:
            container.mux(packet)


def cover_beside(codec: str, *, first: bool, with_pictures: bool = True) -> Make:
    """A still picture of 300 x 300 beside the pictures."""

    def make(path: Path) -> None:
        cover = Track(
            codec, frames=[np.full((300, 300, 3), 90, np.uint8)], size=(300, 300), disposition=COVER, options={"g": "1"}
        )
        cover.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        other = Track() if with_pictures else Sound()
        write(path, *((cover, other) if first else (other, cover)), format="mp4")

    return make


GAP = [*range(25), *range(525, 550)]
"""At 25 a second: 20 s are missing after one."""
SMALL_GAP = [*range(25), *range(150, 175)]
UNEVEN = np.cumsum([0, 1, 3, 3, 10, 1, 1, 25, 2, 2, 1, 40, 1, 1]).tolist()

PRIMING = "formula: FFmpeg 8.1 starts a sound track where it is heard, 5.1 where its encoder's 64 ms of priming begin"
NOTED = "formula: FFmpeg's readers of such files pass over damage without a word, so a gap like that is noted"

VIDEO_LATE = (video(start=10), sound())
SOUND_LATE = (video(), sound(start_seconds=0.5))

clock = partial(Footage, kind="clock")
stream = partial(Footage, kind="stream")
PREVIEW = video(frames=gray(64, 48, 50), disposition=NOT_DEFAULT)
LARGE_PREVIEW = video(frames=gray(160, 120, 50), size=(160, 120), disposition=NOT_DEFAULT)
TS = {"format": "mpegts"}

CLOCK = [
    clock("start_26000.ts", ts_at(26000), pictures=SHOWN),
    clock("start_26000_with_sound.ts", ts_at(26000, video(start=10), sound("mp2")), pictures=SHOWN),
    clock("counter_runs_over.ts", ts_at(2**33 / 90000 - 1)),
    clock("forward_1_h.ts", joined(tracks(video(), **TS), ts_at(3600, video(first=50))), jumps=1),
    clock("forward_22_h.ts", joined(tracks(video(), **TS), ts_at(80000, video(first=50))), jumps=1),
    clock("forward_30_s.ts", joined(tracks(video(), **TS), ts_at(30, video(first=50))), jumps=1),
    clock("forward_5_s.ts", joined(tracks(video(), **TS), ts_at(7, video(first=50))),
            missing_seconds=5.0, why=NOTED),
    clock("backward_1_h.ts", joined(ts_at(3600), tracks(video(first=50), format="mpegts")), jumps=1),
    clock("backward_26000_with_sound.ts",
            joined(ts_at(26000, video(), sound("mp2")), ts_at(5, video(first=50), sound("mp2"))), jumps=1,
            times=evenly(0.030067, 100), numbers=list(range(100)),
            why="formula: no gap in the pictures; FFmpeg 5.1 leaves none in the sound, 16 ms later"),
    clock("restarts_twice.ts",
            joined(*(tracks(video(first=50 * i), format="mpegts") for i in range(3))), jumps=2),
    clock("b_frames.ts", tracks(video(options=B_FRAMES), format="mpegts")),
    clock("b_frames.mp4", tracks(video(options=B_FRAMES)), pictures=SHOWN),
    clock("b_frames.mkv", tracks(video(options=B_FRAMES))),
    clock("b_frames.flv", tracks(video(options=B_FRAMES))),
    clock("b_frames.avi", tracks(video("mpeg4", options={"bf": "2"}))),
    clock("b_frames_h264.avi", tracks(video(options=B_FRAMES)),
            times=evenly(0.04, 50), numbers=list(range(50)),
            why="FFmpeg 8.1 through PyAV; 5.1 says 0.04 s later, by how far it reads ahead"),
    clock("negative_first.mp4", tracks(video(start=-5, options={"bf": "0"}))),
    clock("first_second_edited_out.mp4", with_edit(tracks(video(options=B_FRAMES)), 1.0, 1.0)),
    clock("end_edited_out.mp4", with_edit(tracks(video(options={"bf": "0"})), 0.0, 1.2)),
    clock("starts_at_2_s.mp4", tracks(video(start=50))),
    clock("starts_at_5_s.mkv", tracks(video(start=125))),
    clock("starts_at_5_s_without_tags.mkv", without_tags),
    clock("live.mkv", tracks(video(start=125), live="1")),
    clock("starts_at_5_s.webm", tracks(video("libvpx", start=125))),
    clock("starts_at_3_s.flv", tracks(video(start=75))),
    clock("sound_first.mp4", tracks(*VIDEO_LATE)),
    clock("sound_first.mkv", tracks(*VIDEO_LATE),
            times=evenly(0.4, 50), numbers=list(range(50)), why=PRIMING),
    clock("sound_first.ts", tracks(video(start=10), sound("mp2"), format="mpegts")),
    clock("sound_later.mp4", tracks(*SOUND_LATE)),
    clock("sound_longer.mkv", tracks(video(), sound(seconds=4.0)),
            times=evenly(0.0, 50), numbers=list(range(50)), why=PRIMING),
    clock("gap_20_s.mp4", tracks(video(ticks=GAP))),
    clock("gap_20_s.mkv", tracks(video(ticks=GAP)), missing_seconds=20.0, why=NOTED),
    clock("gap_5_s.mp4", tracks(video(ticks=SMALL_GAP))),
    clock("gap_5_s.flv", tracks(video(ticks=SMALL_GAP)), missing_seconds=5.0, why=NOTED),
    clock("uneven.mp4", tracks(video(count=14, ticks=UNEVEN))),
    clock("uneven.mkv", tracks(video(count=14, ticks=UNEVEN))),
    clock("uneven.webm", tracks(video("libvpx-vp9", count=14, ticks=UNEVEN))),
    clock("uneven.ts", tracks(video(count=14, ticks=UNEVEN), format="mpegts")),
    clock("fragmented.mp4", tracks(video(), movflags="frag_keyframe+empty_moov+default_base_moof")),
    clock("raw.h264", tracks(video(options={"bf": "0"}))),
    clock("raw_b_frames.h264", tracks(video(options=B_FRAMES))),
    clock("raw.hevc", tracks(video("libx265", count=25))),
    clock("raw.m1v", tracks(video("mpeg1video")),
            times=evenly(0.0, 50), numbers=list(range(50)),
            why="formula: the stream has no clock; FFmpeg's parser leaves out a frame's time"),
    clock("raw.mjpeg", tracks(video("mjpeg", pix_fmt="yuvj420p"))),
    clock("raw.m4v", tracks(video("mpeg4"), format="m4v")),
    clock("raw.y4m", tracks(video("rawvideo"), format="yuv4mpegpipe")),
    clock("vp8.ivf", tracks(video("libvpx"), format="ivf")),
    clock("tape.dv", tracks(video("dvvideo", size=(720, 576), count=10), format="dv"),
            size=(768, 576)),
    clock("phone.3gp", tracks(video("h263", size=(128, 96)), format="3gp"), size=(140, 96)),
    clock("sound_in_the_middle.ts",
            joined(tracks(video(count=250), **TS), ts_at(10, video(first=250, count=25), sound("mp2", seconds=1.0)),
                   ts_at(11, video(frames=noisy(275, 100))))),
    clock("program_stream.mpg", tracks(video("mpeg2video"), sound("mp2"), format="dvd")),
    clock("program_stream_b_frames.vob", tracks(video("mpeg2video", options={"bf": "2"}), format="vob")),
    clock("windows.wmv", tracks(video("wmv2"), format="asf")),
    clock("motion_jpeg.mov", tracks(video("mjpeg", pix_fmt="yuvj420p"))),
    clock("ogg.ogv", tracks(video("libvpx"), format="ogg")),
    clock("animation.gif", tracks(video("gif", pix_fmt="rgb8", count=20, rate=10)), frame_seconds=0.1),
    clock("broadcast.mxf", tracks(video("mpeg2video"), format="mxf")),
    clock("nut.nut", tracks(video("mpeg4", start=25), format="nut")),
]  # fmt: skip

STREAM = [
    stream("default_second.mkv",
            tracks(PREVIEW, video(disposition=DEFAULT)), pictures=SHOWN),
    stream("default_second.mp4",
            tracks(PREVIEW, video(disposition=DEFAULT)), pictures=SHOWN),
    stream("large_preview_first.mkv",
            tracks(LARGE_PREVIEW, video(disposition=DEFAULT)),
            pictures=SHOWN),
    stream("none_is_default.mkv",
            tracks(PREVIEW,
                   video(size=(160, 120), disposition=NOT_DEFAULT), default_mode="passthrough"),
            size=(160, 120), pictures=SHOWN),
    stream("larger_second.ts",
            tracks(video(frames=gray(64, 48, 50)), video(size=(160, 120)), format="mpegts"),
            size=(160, 120), pictures=SHOWN),
    stream("cover_last.mp4", cover_beside("mjpeg", first=False), pictures=SHOWN),
    stream("cover_first.mp4", cover_beside("png", first=True), pictures=SHOWN),
    stream("cover_and_sound.m4a", cover_beside("mjpeg", first=False, with_pictures=False), size=None,
            refused="it has no video stream"),
    stream("sound_alone.mp4", tracks(sound()), size=None, refused="it has no video stream"),
    stream("sound_alone.mkv", tracks(sound("libopus", rate=48000)), size=None,
            refused="it has no video stream"),
    stream("sound_track_first.mkv", tracks(sound(), video()), pictures=SHOWN, times=evenly(0.0, 50),
            why=PRIMING),
    stream("data_track_first.ts", data_track_first, pictures=SHOWN),
]  # fmt: skip
