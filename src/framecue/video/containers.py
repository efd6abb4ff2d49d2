"""What kind of file a video is: whether browsers play it, and how much work it makes."""

from os import PathLike
from pathlib import Path

from framecue.video.decode import read_packets
from framecue.video.guard import guarded_call
from framecue.video.source import Decoding, open_video

_MP4, _MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_PLAYED = {
    _MP4: frozenset(("h264", "av1", "vp9")),
    _MATROSKA: frozenset(("vp8", "vp9", "av1")),
}
"""Codecs that Chromium, Firefox and Safari of today play in each container. FFmpeg reads WebM and Matroska as one."""
_PLAYED_PIXELS = frozenset(("yuv420p", "yuvj420p"))
_CODEC_OF_DECODER = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}
_MEDIA_TYPES = {_MP4: "video/mp4", _MATROSKA: "video/webm"}
OTHER_MEDIA_TYPE = "application/octet-stream"


def media_type(path: str | PathLike[str]) -> str:
    """The type under which browsers play a file as it is; "application/octet-stream" where they do not.

    Raises:
        VideoError: not a video.
    """
    return guarded_call(_media_type, Path(path), None)


def count_pixels(path: str | PathLike[str]) -> int:
    """Pixels of all frames of a stranger's file together, by its packets; the bound on the work it makes.

    Raises:
        VideoError: not a video.
    """
    return guarded_call(_count_pixels, Path(path), None)


def _media_type(path: Path, decoding: Decoding | None) -> str:
    with open_video(path, decoding) as source:
        stream, name = source.stream, source.container.format.name
        codec = stream.codec_context.name
        plays = _CODEC_OF_DECODER.get(codec, codec) in _PLAYED.get(name, ()) and stream.pix_fmt in _PLAYED_PIXELS
        return _MEDIA_TYPES[name] if plays else OTHER_MEDIA_TYPE


def _count_pixels(path: Path, decoding: Decoding | None) -> int:
    with open_video(path, decoding) as source:
        num_packets = sum(packet is not None and packet.size > 0 for packet in read_packets(source))
        return num_packets * source.stream.width * source.stream.height
