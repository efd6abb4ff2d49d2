"""Videos whose pixels are not square, whose pictures are turned, or whose size changes."""

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from footage import COLORS, Color, Footage, Track, joined, numbered, points, turn_matrix, write
from footage_clock import tracks, video

SHOWN = {0: points()}
B_FRAME_FREE = {"bf": "0"}


def with_container_aspect(path: Path, *, own: Fraction | None, container: tuple[int, int]) -> None:
    """MP4 whose "pasp" box says another aspect than its codec."""
    write(path, Track(sample_aspect=own or Fraction(1)))
    data = bytearray(path.read_bytes())
    start = data.index(b"pasp") + 4
    for offset, value in zip((start, start + 4), container, strict=True):
        data[offset : offset + 4] = value.to_bytes(4, "big")
    path.write_bytes(data)


def turned(path: Path, *matrix: int, **given: object) -> None:
    """MP4 with a display matrix."""
    write(path, Track(**given))  # type: ignore[arg-type]
    turn_matrix(path, *matrix)


def turned_points(degrees: int) -> list[tuple[float, float, Color]]:
    """Where the patches are when the picture has been turned clockwise."""
    spots = points()
    for _ in range(degrees // 90):
        spots = [(1 - y, x, color) for x, y, color in spots]
    return spots


def fitted_points(size: tuple[int, int], inside: tuple[int, int]) -> list[tuple[float, float, Color]]:
    """Where the patches of a picture of `size` are when it is fitted into another one, black at the sides."""
    scale = min(inside[0] / size[0], inside[1] / size[1])
    width, height = size[0] * scale / inside[0], size[1] * scale / inside[1]
    spots = [((1 - width) / 2 + x * width, (1 - height) / 2 + y * height, color) for x, y, color in points()]
    black: Color = (0, 0, 0)
    if width < 0.98:
        spots += [((1 - width) / 4, 0.5, black), (1 - (1 - width) / 4, 0.5, black)]
    if height < 0.98:
        spots += [(0.5, (1 - height) / 4, black), (0.5, 1 - (1 - height) / 4, black)]
    return spots


def pictures_of_sizes(path: Path, *sizes: tuple[int, int], codec: str, pix_fmt: str, format: str | None = None) -> None:
    """Intra pictures of several sizes in one track: ten of each, the header tells of the first alone."""
    encoded = []
    for number, size in enumerate(sizes):
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, pix_fmt, Fraction(1, 25)
        encoder.color_range = 2 if codec == "mjpeg" else 0
        encoder.options = {"qmin": "2", "qmax": "2"}
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(10 * number + i, *size), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            encoded += encoder.encode(frame)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], pix_fmt
        for index, packet in enumerate(encoded):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.duration = 1
            container.mux(packet)


def h264_piece(number: int, size: tuple[int, int], aspect: Fraction | None = None, **given: object):
    """Ten pictures as a raw stream or a transport stream, by the name of the file."""
    return tracks(video(count=10, first=10 * number, size=size, sample_aspect=aspect, options=B_FRAME_FREE), **given)


ASPECT = [
    Footage("4_3.mp4", "aspect", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48), SHOWN),
    Footage("4_3.mkv", "aspect", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48), SHOWN),
    Footage("4_3.ts", "aspect", tracks(video(sample_aspect=Fraction(4, 3)), format="mpegts"), (85, 48), SHOWN),
    Footage("2_1.mov", "aspect", tracks(video("prores_ks", pix_fmt="yuv422p10le", sample_aspect=Fraction(2))),
            (128, 48), SHOWN, 5),
    Footage("dvd_wide.mpg", "aspect",
            tracks(video("mpeg2video", size=(180, 144), sample_aspect=Fraction(64, 45)), format="dvd"),
            (256, 144), SHOWN, 4),
    Footage("tall.mp4", "aspect", tracks(video(sample_aspect=Fraction(1, 2))), (64, 96), SHOWN),
    Footage("codec_alone.avi", "aspect", tracks(video("mpeg4", sample_aspect=Fraction(16, 11))), (93, 48), SHOWN, 4),
    Footage("codec_alone.flv", "aspect", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48), SHOWN),
    Footage("codec_alone.h264", "aspect", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48), SHOWN),
    Footage("container_says_more.mp4", "aspect",
            partial(with_container_aspect, own=Fraction(4, 3), container=(2, 1)), (128, 48), SHOWN),
    Footage("container_says_square.mp4", "aspect",
            partial(with_container_aspect, own=Fraction(4, 3), container=(1, 1)), (64, 48), SHOWN),
    Footage("nonsense.mp4", "aspect",
            partial(with_container_aspect, own=Fraction(4, 3), container=(1000, 1)), (64, 48), SHOWN),
    Footage("turned_90.mp4", "aspect", lambda path: turned(path, 0, 1, -1, 0),
            (48, 64), {0: turned_points(90)}, rotation_degrees=90),
    Footage("turned_180.mp4", "aspect", lambda path: turned(path, -1, 0, 0, -1), (64, 48), {0: turned_points(180)},
            rotation_degrees=180),
    Footage("turned_90_4_3.mp4", "aspect", lambda path: turned(path, 0, 1, -1, 0, sample_aspect=Fraction(4, 3)),
            (48, 85), {0: turned_points(90)}, rotation_degrees=90),
    Footage("turned_270_2_1.mp4", "aspect", lambda path: turned(path, 0, -1, 1, 0, sample_aspect=Fraction(2)),
            (48, 128), {0: turned_points(270)}, rotation_degrees=270),
]  # fmt: skip

WIDE, SMALL, TALL = (96, 48), (32, 24), (48, 80)
SIZE = [
    Footage("wider.h264", "size", joined(h264_piece(0, (64, 48)), h264_piece(1, WIDE)),
            pictures={0: points(), 19: fitted_points(WIDE, (64, 48))}, within=6),
    Footage("wider.ts", "size", joined(h264_piece(0, (64, 48), format="mpegts"),
                                       h264_piece(1, WIDE, format="mpegts", output_ts_offset="0.4")),
            pictures={0: points(), 19: fitted_points(WIDE, (64, 48))}, within=6),
    Footage("smaller.ts", "size", joined(h264_piece(0, (64, 48), format="mpegts"),
                                         h264_piece(1, SMALL, format="mpegts", output_ts_offset="0.4")),
            pictures={0: points(), 19: fitted_points(SMALL, (64, 48))}, within=8),
    Footage("taller.mkv", "size", lambda path:
            pictures_of_sizes(path, (64, 48), TALL, codec="mjpeg", pix_fmt="yuvj420p"),
            pictures={0: points(), 19: fitted_points(TALL, (64, 48))}, within=8),
    Footage("there_and_back.avi", "size",
            lambda path: pictures_of_sizes(path, (64, 48), WIDE, (64, 48), codec="mjpeg", pix_fmt="yuvj420p"),
            pictures={0: points(), 15: fitted_points(WIDE, (64, 48)), 25: points()}, within=8),
    Footage("turns_on_its_side.mov", "size",
            lambda path: pictures_of_sizes(path, (96, 64), (64, 96), codec="mjpeg", pix_fmt="yuvj420p"),
            (96, 64), {0: points(), 15: fitted_points((64, 96), (96, 64))}, 8),
    Footage("wider.mpg", "size",
            joined(tracks(video("mpeg2video", count=10), format="mpeg2video"),
                   tracks(video("mpeg2video", count=10, first=10, size=WIDE), format="mpeg2video")),
            pictures={0: points(), 19: fitted_points(WIDE, (64, 48))}, within=8),
    Footage("aspect_changes.ts", "size",
            joined(h264_piece(0, (64, 48), format="mpegts"),
                   h264_piece(1, (64, 48), Fraction(2), format="mpegts", output_ts_offset="0.4")),
            pictures={0: points(), 19: fitted_points((128, 48), (64, 48))}, within=8),
]  # fmt: skip
