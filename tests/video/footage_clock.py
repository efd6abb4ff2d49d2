"""Videos whose clock, or whose choice of streams, is odd."""

import struct
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from footage import Footage, Sound, Track, find_box, joined, numbered, points, write

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


def gray(width: int, height: int, count: int = 25) -> list[np.ndarray]:
    return [np.full((height, width, 3), 128, np.uint8)] * count


def data_track_first(path: Path) -> None:
    """MOV with a timecode track as stream 0 and pictures as stream 1."""
    with av.open(str(path), "w", format="mpegts") as container:
        data = container.add_data_stream("bin_data")
        track = Track()
        track.add(container)
        packets = list(track.packets())
        note = av.Packet(b"\x00\x01\x02\x03")
        note.stream, note.time_base, note.pts, note.dts = data, Fraction(1, 90000), 0, 0
        for packet in packets[:1] + [note] + packets[1:]:
            container.mux(packet)


def cover_beside(codec: str, *, first: bool, with_pictures: bool = True) -> Make:
    """A still picture of 300 x 300 beside the pictures."""

    def make(path: Path) -> None:
        cover = Track(codec, frames=[np.full((300, 300, 3), 90, np.uint8)], size=(300, 300), disposition=COVER, options={"g": "1"})
        cover.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        other = Track() if with_pictures else Sound()
        write(path, *((cover, other) if first else (other, cover)), format="mp4")

    return make


GAP = [*range(25), *range(525, 550)]
"""At 25 a second: 20 s are missing after one."""
SMALL_GAP = [*range(25), *range(150, 175)]
UNEVEN = np.cumsum([0, 1, 3, 3, 10, 1, 1, 25, 2, 2, 1, 40, 1, 1]).tolist()

VIDEO_LATE = (video(start=10), sound())
SOUND_LATE = (video(), sound(start_seconds=0.5))

CLOCK = [
    Footage("start_26000.ts", "clock", ts_at(26000), pictures=SHOWN),
    Footage("start_26000_with_sound.ts", "clock", ts_at(26000, video(start=10), sound("mp2")), pictures=SHOWN),
    Footage("counter_runs_over.ts", "clock", ts_at(2**33 / 90000 - 1)),
    Footage("forward_1_h.ts", "clock", joined(tracks(video(), format="mpegts"), ts_at(3600, video(first=50))), jumps=1),
    Footage("forward_22_h.ts", "clock", joined(tracks(video(), format="mpegts"), ts_at(80000, video(first=50))), jumps=1),
    Footage("forward_30_s.ts", "clock", joined(tracks(video(), format="mpegts"), ts_at(30, video(first=50))), jumps=1),
    Footage("forward_5_s.ts", "clock", joined(tracks(video(), format="mpegts"), ts_at(7, video(first=50)))),
    Footage("backward_1_h.ts", "clock", joined(ts_at(3600), tracks(video(first=50), format="mpegts")), jumps=1),
    Footage("backward_26000_with_sound.ts", "clock",
            joined(ts_at(26000, video(), sound("mp2")), ts_at(5, video(first=50), sound("mp2"))), jumps=1),
    Footage("restarts_twice.ts", "clock",
            joined(*(tracks(video(first=50 * i), format="mpegts") for i in range(3))), jumps=2),
    Footage("b_frames.ts", "clock", tracks(video(options=B_FRAMES), format="mpegts")),
    Footage("b_frames.mp4", "clock", tracks(video(options=B_FRAMES)), pictures=SHOWN),
    Footage("b_frames.mkv", "clock", tracks(video(options=B_FRAMES))),
    Footage("b_frames.flv", "clock", tracks(video(options=B_FRAMES))),
    Footage("b_frames.avi", "clock", tracks(video("mpeg4", options={"bf": "2"}))),
    Footage("b_frames_h264.avi", "clock", tracks(video(options=B_FRAMES))),
    Footage("negative_first.mp4", "clock", tracks(video(start=-5, options={"bf": "0"}))),
    Footage("first_second_edited_out.mp4", "clock", with_edit(tracks(video(options=B_FRAMES)), 1.0, 1.0)),
    Footage("end_edited_out.mp4", "clock", with_edit(tracks(video(options={"bf": "0"})), 0.0, 1.2)),
    Footage("starts_at_2_s.mp4", "clock", tracks(video(start=50))),
    Footage("starts_at_5_s.mkv", "clock", tracks(video(start=125))),
    Footage("starts_at_5_s.webm", "clock", tracks(video("libvpx", start=125))),
    Footage("starts_at_3_s.flv", "clock", tracks(video(start=75))),
    Footage("sound_first.mp4", "clock", tracks(*VIDEO_LATE)),
    Footage("sound_first.mkv", "clock", tracks(*VIDEO_LATE)),
    Footage("sound_first.ts", "clock", tracks(video(start=10), sound("mp2"), format="mpegts")),
    Footage("sound_later.mp4", "clock", tracks(*SOUND_LATE)),
    Footage("sound_longer.mkv", "clock", tracks(video(), sound(seconds=4.0))),
    Footage("gap_20_s.mp4", "clock", tracks(video(ticks=GAP))),
    Footage("gap_20_s.mkv", "clock", tracks(video(ticks=GAP))),
    Footage("gap_5_s.mp4", "clock", tracks(video(ticks=SMALL_GAP))),
    Footage("gap_5_s.flv", "clock", tracks(video(ticks=SMALL_GAP))),
    Footage("uneven.mp4", "clock", tracks(video(count=14, ticks=UNEVEN))),
    Footage("uneven.mkv", "clock", tracks(video(count=14, ticks=UNEVEN))),
    Footage("uneven.webm", "clock", tracks(video("libvpx-vp9", count=14, ticks=UNEVEN))),
    Footage("uneven.ts", "clock", tracks(video(count=14, ticks=UNEVEN), format="mpegts")),
    Footage("fragmented.mp4", "clock", tracks(video(), movflags="frag_keyframe+empty_moov+default_base_moof")),
    Footage("raw.h264", "clock", tracks(video(options={"bf": "0"}))),
    Footage("raw_b_frames.h264", "clock", tracks(video(options=B_FRAMES))),
    Footage("raw.hevc", "clock", tracks(video("libx265", count=25))),
    Footage("raw.m1v", "clock", tracks(video("mpeg1video")),
            times=[i / 25 for i in range(50)], numbers=list(range(50)),
            why="formula: the stream has no clock; FFmpeg's parser leaves out a frame's time"),
    Footage("program_stream.mpg", "clock", tracks(video("mpeg2video"), sound("mp2"), format="dvd")),
    Footage("program_stream_b_frames.vob", "clock", tracks(video("mpeg2video", options={"bf": "2"}), format="vob")),
    Footage("windows.wmv", "clock", tracks(video("wmv2"), format="asf")),
    Footage("motion_jpeg.mov", "clock", tracks(video("mjpeg", pix_fmt="yuvj420p"))),
    Footage("ogg.ogv", "clock", tracks(video("libvpx"), format="ogg")),
    Footage("animation.gif", "clock", tracks(video("gif", pix_fmt="rgb8", count=20, rate=10)), frame_seconds=0.1),
    Footage("broadcast.mxf", "clock", tracks(video("mpeg2video"), format="mxf")),
    Footage("nut.nut", "clock", tracks(video("mpeg4", start=25), format="nut")),
]  # fmt: skip

STREAM = [
    Footage("default_second.mkv", "stream",
            tracks(video(frames=gray(64, 48, 50), disposition=NOT_DEFAULT), video(disposition=DEFAULT)), pictures=SHOWN),
    Footage("default_second.mp4", "stream",
            tracks(video(frames=gray(64, 48, 50), disposition=NOT_DEFAULT), video(disposition=DEFAULT)), pictures=SHOWN),
    Footage("large_preview_first.mkv", "stream",
            tracks(video(frames=gray(160, 120, 50), size=(160, 120), disposition=NOT_DEFAULT), video(disposition=DEFAULT)),
            pictures=SHOWN),
    Footage("none_is_default.mkv", "stream",
            tracks(video(frames=gray(64, 48, 50), disposition=NOT_DEFAULT),
                   video(size=(160, 120), disposition=NOT_DEFAULT), default_mode="passthrough"),
            size=(160, 120), pictures=SHOWN),
    Footage("larger_second.ts", "stream",
            tracks(video(frames=gray(64, 48, 50)), video(size=(160, 120)), format="mpegts"),
            size=(160, 120), pictures=SHOWN),
    Footage("cover_last.mp4", "stream", cover_beside("mjpeg", first=False), pictures=SHOWN),
    Footage("cover_first.mp4", "stream", cover_beside("png", first=True), pictures=SHOWN),
    Footage("cover_and_sound.m4a", "stream", cover_beside("mjpeg", first=False, with_pictures=False), size=None,
            refused="it has no video stream"),
    Footage("sound_alone.mp4", "stream", tracks(sound()), size=None, refused="it has no video stream"),
    Footage("sound_alone.mkv", "stream", tracks(sound("libopus", rate=48000)), size=None, refused="it has no video stream"),
    Footage("sound_track_first.mkv", "stream", tracks(sound(), video()), pictures=SHOWN),
    Footage("data_track_first.ts", "stream", data_track_first, pictures=SHOWN),
]  # fmt: skip
