"""Videos whose pixels are not square, whose pictures are turned, or whose size changes."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from footage import Color, Footage, Track, joined, numbered, points, turn_matrix, write
from footage_clock import tracks, video

Make = Callable[[Path], None]
B_FRAME_FREE = {"bf": "0"}


def with_container_aspect(path: Path, *, own: Fraction | None, container: tuple[int, int]) -> None:
    """MP4 whose "pasp" box says another aspect than its codec."""
    write(path, Track(sample_aspect=own or Fraction(1)))
    data = bytearray(path.read_bytes())
    start = data.index(b"pasp") + 4
    for offset, value in zip((start, start + 4), container, strict=True):
        data[offset : offset + 4] = value.to_bytes(4, "big")
    path.write_bytes(data)


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


def motion_jpeg(*given: tuple[int, int] | Path) -> None:
    """Sizes and a path: ten pictures of each size in one track, the header tells of the first alone."""
    *sizes, path = given
    codec, pix_fmt = "mjpeg", "yuvj420p"
    encoded = []
    for number, size in enumerate(sizes):
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, pix_fmt, Fraction(1, 25)
        encoder.color_range = 2
        encoder.options = {"qmin": "2", "qmax": "2"}
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(10 * number + i, *size), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            encoded += encoder.encode(frame)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], pix_fmt
        for index, packet in enumerate(encoded):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.duration = 1
            container.mux(packet)


def squeezed(name: str, make: Make, size: tuple[int, int], within: int = 3) -> Footage:
    return Footage(name, make, "aspect", size, {0: points()}, within)


def on_its_side(name: str, degrees: int, size: tuple[int, int], *matrix: int, **given: object) -> Footage:
    """MP4 with a display matrix."""

    def make(path: Path) -> None:
        write(path, Track(**given))  # type: ignore[arg-type]
        turn_matrix(path, *matrix)

    return Footage(name, make, "aspect", size, {0: turned_points(degrees)}, rotation_degrees=degrees)


def changing(name: str, make: Make, *, frame: int, shown: tuple[int, int], size=(64, 48)) -> Footage:
    """Pictures of another shown size are in place at this frame."""
    return Footage(name, make, "size", size, {0: points(), frame: fitted_points(shown, size)}, within=8)


WIDE, SMALL, TALL = (96, 48), (32, 24), (48, 80)


def pieces(other: tuple[int, int], codec: str = "libx264", aspect: Fraction | None = None) -> Make:
    """Transport stream of ten pictures of 64 x 48 and ten of another size."""
    given = {"count": 10, "options": B_FRAME_FREE}
    second = video(codec, first=10, size=other, sample_aspect=aspect, **given)
    return joined(
        tracks(video(codec, **given), format="mpegts"), tracks(second, format="mpegts", output_ts_offset="0.4")
    )


ASPECT = [
    squeezed("4_3.mp4", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48)),
    squeezed("4_3.mkv", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48)),
    squeezed("4_3.ts", tracks(video(sample_aspect=Fraction(4, 3)), format="mpegts"), (85, 48)),
    squeezed("2_1.mov", tracks(video("prores_ks", pix_fmt="yuv422p10le", sample_aspect=Fraction(2))), (128, 48), 5),
    squeezed(
        "dvd_wide.mpg",
        tracks(video("mpeg2video", size=(180, 144), sample_aspect=Fraction(64, 45)), format="dvd"),
        (256, 144),
        4,
    ),
    squeezed("tall.mp4", tracks(video(sample_aspect=Fraction(1, 2))), (64, 96)),
    squeezed("codec_alone.avi", tracks(video("mpeg4", sample_aspect=Fraction(16, 11))), (93, 48), 4),
    squeezed("codec_alone.flv", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48)),
    squeezed("codec_alone.h264", tracks(video(sample_aspect=Fraction(4, 3))), (85, 48)),
    squeezed(
        "container_says_more.mp4", partial(with_container_aspect, own=Fraction(4, 3), container=(2, 1)), (128, 48)
    ),
    squeezed(
        "container_says_square.mp4", partial(with_container_aspect, own=Fraction(4, 3), container=(1, 1)), (64, 48)
    ),
    squeezed("nonsense.mp4", partial(with_container_aspect, own=Fraction(4, 3), container=(1000, 1)), (64, 48)),
    on_its_side("turned_90.mp4", 90, (48, 64), 0, 1, -1, 0),
    on_its_side("turned_180.mp4", 180, (64, 48), -1, 0, 0, -1),
    on_its_side("turned_90_4_3.mp4", 90, (48, 85), 0, 1, -1, 0, sample_aspect=Fraction(4, 3)),
    on_its_side("turned_270_2_1.mp4", 270, (48, 128), 0, -1, 1, 0, sample_aspect=Fraction(2)),
]

SIZE = [
    changing(
        "wider.h264",
        joined(tracks(video(count=10)), tracks(video(count=10, first=10, size=WIDE))),
        frame=19,
        shown=WIDE,
    ),
    changing("wider.ts", pieces(WIDE), frame=19, shown=WIDE),
    changing("smaller.ts", pieces(SMALL), frame=19, shown=SMALL),
    # The decoder loses a picture where the size changes, here and in FFmpeg's program.
    changing("wider_mpeg2.ts", pieces(WIDE, "mpeg2video"), frame=18, shown=WIDE),
    changing("aspect_changes.ts", pieces((64, 48), aspect=Fraction(2)), frame=19, shown=(128, 48)),
    changing("taller.mkv", partial(motion_jpeg, (64, 48), TALL), frame=19, shown=TALL),
    changing("there_and_back.avi", partial(motion_jpeg, (64, 48), WIDE, (64, 48)), frame=15, shown=WIDE),
    changing(
        "turns_on_its_side.mov", partial(motion_jpeg, (96, 64), (64, 96)), frame=15, shown=(64, 96), size=(96, 64)
    ),
]
