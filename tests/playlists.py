"""Files that name other files and addresses, and a trap that tells whether anything went there."""

import ctypes
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

_IN_OPEN, _IN_ACCESS = 0x20, 0x01


class Trap:
    """A secret video beside the playlists, and a listener on loopback.

    Attributes:
        folder: where the playlists lie, with the secret in it.
        secret: a real video, so that whoever follows a playlist has something to read.
        address: http address at the listener.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret.ts"
        _write_video(self.secret)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if (
            self._watch < 0
            or self._libc.inotify_add_watch(self._watch, os.fsencode(self.secret), _IN_OPEN | _IN_ACCESS) < 0
        ):
            raise OSError(ctypes.get_errno(), "no inotify")
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self.address = f"http://127.0.0.1:{self.port}"
        self._calls: list[bytes] = []
        self._open = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def touched(self) -> list[str]:
        """What came since the last question: "secret" and "listener"."""
        seen = set()
        if select.select([self._watch], [], [], 0)[0] and os.read(self._watch, 65536):
            seen.add("secret")
        # A connection is known to the kernel before it is known to the thread.
        waiting = select.select([self._tcp, self._udp], [], [], 0)[0]
        if self._calls or waiting:
            self._calls.clear()
            seen.add("listener")
        return sorted(seen)

    def close(self) -> None:
        self._open = False
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join()
        self._tcp.close()
        self._udp.close()
        os.close(self._watch)

    def _listen(self) -> None:
        while True:
            for ready in select.select([self._tcp, self._udp], [], [])[0]:
                if ready is self._udp:
                    self._calls.append(self._udp.recv(2048))
                    continue
                connection, _ = self._tcp.accept()
                with connection:
                    if not self._open:
                        return
                    self._calls.append(b"connected")
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def trap(folder: Path) -> Iterator[Trap]:
    made = Trap(folder)
    try:
        yield made
    finally:
        made.close()


def _write_video(path: Path, codec: str = "mpeg4") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# --- text


def _concat(there: str) -> str:
    return f"ffconcat version 1.0\nfile '{there}'\nduration 1\n"


def _hls(there: str) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:1.0,\n{there}\n#EXT-X-ENDLIST\n"
    )


def _hls_master(there: str) -> str:
    return f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=99999,CODECS="avc1.42e00a"\n{there}\n'


def _hls_key(there: str) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
        f'#EXT-X-KEY:METHOD=AES-128,URI="{there}",IV=0x00000000000000000000000000000001\n'
        "#EXTINF:1.0,\nsecret.ts\n#EXT-X-ENDLIST\n"
    )


def _dash(there: str) -> str:
    return f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S" minBufferTime="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period duration="PT1S"><AdaptationSet mimeType="video/mp4"
 contentType="video"><Representation id="1" bandwidth="9999" width="64" height="48" codecs="mp4v">
<BaseURL>{there}</BaseURL></Representation></AdaptationSet></Period></MPD>
"""


def _sdp(port: int) -> str:
    return (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=No Name\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n"
    )


def _imf(there: str) -> str:
    return f"""<?xml version="1.0"?>
<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:
0b5fb2a8-0001-4000-8000-000000000000</Id><ContentTitle>{there}</ContentTitle><EditRate>25 1</EditRate><SegmentList/>
</CompositionPlaylist>
"""


def _asx(there: str) -> str:
    return f'<ASX version="3.0"><Entry><Ref href="{there}"/></Entry></ASX>\n'


def _asf_reference(there: str) -> str:
    return f"[Reference]\nRef1={there}\nRef2={there}\n"


def _pls(there: str) -> str:
    return f"[playlist]\nNumberOfEntries=1\nFile1={there}\nVersion=2\n"


def _smil(there: str) -> str:
    return f'<smil><body><video src="{there}"/></body></smil>\n'


def _real(there: str) -> str:
    return there + "\n"


def _metadata(there: str) -> str:
    return f";FFMETADATA1\ntitle={there}\n"


# --- QuickTime


def _alias(there: Path) -> bytes:
    """A Macintosh alias with the absolute path of the media, as an entry of a "dref" box."""
    colons = ("disk" + str(there).replace("/", ":")).encode()
    colons += b"\0" * (len(colons) % 2)
    name = bytes([len(there.name)]) + there.name.encode().ljust(63, b"\0")
    record = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12) + name + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(colons)) + colons + struct.pack(">HH", 0xFFFF, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def _url(there: str) -> bytes:
    text = there.encode() + b"\0"
    return struct.pack(">I4sI", 12 + len(text), b"url ", 0) + text


def write_movie(path: Path, reference: bytes) -> None:
    """MOV whose only track lies elsewhere: the entry of its "dref" box says where."""
    _write_video(path.with_suffix(".mov"))
    data = bytearray(path.with_suffix(".mov").read_bytes())
    path.with_suffix(".mov").unlink()
    start = data.index(b"dref") - 4
    old = int.from_bytes(data[start : start + 4], "big")
    box = struct.pack(">I4sII", 16 + len(reference), b"dref", 0, 1) + reference
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        # The last one before the box: a handler of the data, "dinf" beside it, has the same names in other places.
        place = data.rindex(name, 0, start) - 4
        size = int.from_bytes(data[place : place + 4], "big") + len(box) - old
        data[place : place + 4] = size.to_bytes(4, "big")
    data[start : start + old] = box
    place = data.index(b"mdat") + 4
    size = int.from_bytes(data[place - 8 : place - 4], "big") - 8
    data[place : place + size] = bytes(size)
    path.write_bytes(data)


def _text(make: Callable[[str], str], *, address: bool) -> Callable[[Path, Trap], None]:
    def write(path: Path, trap: Trap) -> None:
        there = f"{trap.address}/secret.ts" if address else str(trap.secret)
        path.write_text(make(there), encoding="utf-8")

    return write


def _beside(make: Callable[[str], str]) -> Callable[[Path, Trap], None]:
    return lambda path, trap: path.write_text(make(trap.secret.name), encoding="utf-8") and None


PLAYLISTS: dict[str, Callable[[Path, Trap], None]] = {
    "concat_beside": _beside(_concat),
    "concat_file": _text(_concat, address=False),
    "concat_address": _text(_concat, address=True),
    "hls_beside": _beside(_hls),
    "hls_address": _text(_hls, address=True),
    "hls_master": _text(_hls_master, address=True),
    "hls_key": _text(_hls_key, address=True),
    "dash_beside": _beside(_dash),
    "dash_address": _text(_dash, address=True),
    "sdp": lambda path, trap: path.write_text(_sdp(trap.port + 2), encoding="ascii") and None,
    "imf": _text(_imf, address=True),
    "asx": _text(_asx, address=True),
    "asf_reference": _text(_asf_reference, address=True),
    "pls": _text(_pls, address=True),
    "smil": _text(_smil, address=True),
    "real": _text(_real, address=True),
    "metadata": _text(_metadata, address=True),
    "movie_alias": lambda path, trap: write_movie(path, _alias(trap.secret)),
    "movie_url": lambda path, trap: write_movie(path, _url(f"{trap.address}/secret.ts")),
}
"""Kind -> writes such a file, which leads to the trap."""

OWN_ENDINGS = {"concat": ".ffconcat", "hls": ".m3u8", "dash": ".mpd", "sdp": ".sdp", "movie": ".mov", "imf": ".xml"}


def names_of(kind: str) -> list[str]:
    """Under which names to try it: as a video, and as what it is."""
    own = OWN_ENDINGS.get(kind.split("_")[0])
    return [f"{kind}.mp4", f"{kind}.mkv", *([f"{kind}{own}"] if own else [])]
