"""Damaged videos: each fault in each kind of container, with how much of the pictures it takes."""

from collections.abc import Callable
from pathlib import Path

import av
from footage import Footage, find_box, points
from footage_clock import sound, tracks, video

Make = Callable[[Path], None]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
FASTSTART = {"movflags": "faststart"}
SHOWN = {0: points()}
COUNT, SECONDS = 100, 4.0


def cut(make: Make, kept_seconds: float, *, torn_bytes: int = 20) -> Make:
    """Ends a file within the first picture that begins at or after `kept_seconds`, so many bytes into it."""

    def made(path: Path) -> None:
        make(path)
        [(start, size), *_] = [place for time, place in packets_of(path) if time >= kept_seconds - 0.001]
        path.write_bytes(path.read_bytes()[: start + min(torn_bytes, size // 2)])

    return made


def zeroed(make: Make, start_seconds: float, end_seconds: float) -> Make:
    """Overwrites all pictures of a range, and what lies between them, with zeros."""

    def made(path: Path) -> None:
        make(path)
        places = [place for time, place in packets_of(path) if start_seconds - 0.001 <= time < end_seconds - 0.001]
        start, end = min(start for start, _ in places), max(start + size for start, size in places)
        data = bytearray(path.read_bytes())
        data[start:end] = bytes(end - start)
        path.write_bytes(data)

    return made


def packets_of(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """Of the pictures: seconds from the first, place and size in bytes, in the order of the file."""
    with av.open(str(path)) as container:
        found = [
            (float(packet.pts * packet.time_base), (packet.pos, packet.size))
            for packet in container.demux(video=0)
            if packet.size and packet.pts is not None and packet.pos is not None
        ]
    first = min(time for time, _ in found)
    return [(time - first, place) for time, place in found]


def without_index(path: Path) -> None:
    """MP4 whose recorder lost power before it wrote the "moov" box."""
    tracks(video())(path)
    data = path.read_bytes()
    path.write_bytes(data[: find_box(data, b"moov")[0]])


def first_bytes(make: Make, num_bytes: int) -> Make:
    def made(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[:num_bytes])

    return made


def long(codec: str = "libx264", *, with_sound: str = "", format: str | None = None, **options: str) -> Make:
    """4 s with a keyframe every second."""
    coding = {"g": "25"} | ({"bf": "0", "x264-params": "scenecut=0"} if codec == "libx264" else {})
    made = [video(codec, count=COUNT, options=coding, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")]
    return tracks(*made, *([sound(with_sound, seconds=SECONDS)] if with_sound else []), format=format, **options)


def damaged(name: str, make: Make, missing_seconds: float, **given: object) -> Footage:
    return Footage(name, make, "damage", pictures=SHOWN, missing_seconds=missing_seconds, **given)  # type: ignore[arg-type]


def refused(name: str, make: Make, message: str) -> Footage:
    return Footage(name, make, "damage", size=None, refused=message)


NOT_SAID = 0.0
"""The container does not promise a length."""

DAMAGE = [
    damaged("cut.mp4", cut(long(**FASTSTART), 2.4), 1.6),
    damaged("cut_with_sound.mp4", cut(long(with_sound="aac", **FASTSTART), 2.4), 1.6),
    damaged("cut.mov", cut(long("mjpeg", **FASTSTART), 2.4), 1.6, within=6),
    # The last fragment that began promises pictures up to 3 s.
    damaged("cut_fragmented.mp4", cut(long(**FRAGMENTED), 2.4), 0.6),
    damaged("cut.mkv", cut(long(), 2.4), 1.6),
    damaged("cut.webm", cut(long("libvpx"), 2.4), 1.6),
    damaged("cut.ts", cut(long(format="mpegts"), 2.4), NOT_SAID),
    damaged("cut.avi", cut(long("mpeg4"), 2.4), 1.6),
    damaged("cut_with_sound.avi", cut(long("mpeg4", with_sound="mp2"), 2.4), 1.6),
    damaged("cut.flv", cut(long(), 2.4), 1.6),
    damaged("zeroed.mp4", zeroed(long(), 1.0, 2.0), 1.0),
    damaged("zeroed_fragmented.mp4", zeroed(long(**FRAGMENTED), 1.2, 1.8), 0.6),
    # FFmpeg's reader does not find the next cluster.
    damaged("zeroed.mkv", zeroed(long(), 1.0, 3.0), 3.0),
    damaged("zeroed.ts", zeroed(long(format="mpegts"), 1.0, 3.0), 2.0),
    damaged("zeroed.avi", zeroed(long("mpeg4"), 1.0, 2.0), 1.0),
    damaged("zeroed.flv", zeroed(long(), 1.0, 3.0), 2.0),
    damaged("zeroed_motion_jpeg.mov", zeroed(long("mjpeg"), 1.0, 2.0), 1.0, within=6),
    damaged("zeroed.webm", zeroed(long("libvpx"), 1.0, 3.0), 2.0),
    damaged("zeroed.ogv", zeroed(long("libvpx", format="ogg"), 1.0, 3.0), 2.0),
    damaged("zeroed.mxf", zeroed(long("mpeg2video", format="mxf"), 1.0, 3.0), 2.0),
    damaged("zeroed.mpg", zeroed(long("mpeg2video", format="dvd"), 1.0, 3.0), 2.0),
    damaged("zeroed_start.mp4", zeroed(long(), 0.0, 1.0), 1.0),
    damaged("zeroed_start.mov", zeroed(long("mjpeg"), 0.0, 1.0), 1.0, within=6),
    damaged("zeroed_start.avi", zeroed(long("mpeg4"), 0.0, 1.0), 1.0),
    damaged("zeroed_end.mp4", zeroed(long(), 3.0, 4.0), 1.0),
    damaged("zeroed_end.mkv", zeroed(long(), 3.0, 4.0), 1.0),
    damaged("zeroed_end.flv", zeroed(long(), 3.0, 4.0), 1.0),
    refused("without_moov.mp4", without_index, "cannot be read as video"),
    refused("header_alone.mkv", first_bytes(long(), 300), "cannot be read as video"),
    refused("header_alone.mp4", first_bytes(long(**FASTSTART), 1500), "cannot be read as video"),
    refused("noise.ts", lambda path: path.write_bytes(bytes(range(256)) * 100), "cannot be read as video"),
]
