"""What kind of file a video is: whether browsers play it, and whether it may be taken from strangers."""

from os import PathLike
from pathlib import Path

import av
from av.container import InputContainer

from framecue.video.decode import open_video, refusal

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

# fmt: off
SAFE_FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "asf", "flv", "mpeg", "mpegts", "mpegvideo",
    "ogg", "mxf", "nut", "ivf", "gif", "rm", "dv", "h264", "hevc", "m4v", "mjpeg", "yuv4mpegpipe",
)
# fmt: on
"""FFmpeg's readers of files that hold their own pictures. Left out are playlists (HLS, DASH, concat), which name other
files of this machine, still images, and readers that take anything for video."""


def media_type(path: str | PathLike[str]) -> str:
    """The type under which browsers play a file as it is; "application/octet-stream" where they do not.

    Raises:
        VideoError: not a video.
    """
    with open_video(Path(path)) as (container, stream):
        name = container.format.name
        codec = stream.codec_context.name
        plays = _CODEC_OF_DECODER.get(codec, codec) in _PLAYED.get(name, ()) and stream.pix_fmt in _PLAYED_PIXELS
        return _MEDIA_TYPES[name] if plays else OTHER_MEDIA_TYPE


def count_pixels(path: str | PathLike[str]) -> int:
    """Pixels of all frames of a stranger's file together, by its packets; the bound on the work it makes.

    Raises:
        VideoError: not a video, or one in a form that is not taken from strangers.
    """
    path = Path(path)
    _require_safe(path)
    with open_video(path) as (container, stream):
        num_packets = sum(packet.size > 0 for packet in container.demux(stream))
        return num_packets * stream.width * stream.height


def _require_safe(path: Path) -> None:
    # FFmpeg guesses the reader first and then looks whether it is allowed, so the same one is found later.
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(SAFE_FORMATS)}
    try:
        opened: InputContainer = av.open(str(path.absolute()), options=options, metadata_errors="ignore")
        opened.close()
    except (av.FFmpegError, UnicodeError, RuntimeError, ValueError, OSError) as error:
        why = "it is no video, or of a kind that is not taken (playlists, pictures)"
        raise refusal(path, why, "give an MP4, WebM, Matroska, AVI or MPEG file") from error
