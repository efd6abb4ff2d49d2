"""Files that nobody ought to be sent: videos damaged in many ways, playlists, picture bombs, sparse files."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from playlists import PLAYLISTS, Trap, names_of

SEEDS = (
    "b_frames.mp4", "b_frames.mkv", "b_frames.flv", "b_frames.avi", "start_26000_with_sound.ts", "fragmented.mp4",
    "raw_b_frames.h264", "raw.hevc", "raw.m1v", "program_stream.mpg", "windows.wmv", "motion_jpeg.mov", "ogg.ogv",
    "animation.gif", "broadcast.mxf", "nut.nut", "uneven.webm", "default_second.mkv", "cover_last.mp4", "hlg.mp4",
    "pq_12_bit.mkv", "prores.mov", "alpha_png.mov", "alpha_animation.mov", "rgb_raw.avi", "16_bit.mkv", "4_3.ts",
    "turned_90_4_3.mp4", "taller.mkv", "wider.ts", "first_second_edited_out.mp4", "sound_alone.mp4",
)  # fmt: skip
"""Of the corpus of footage."""

SPARSE_BYTES = 4 * 2**30
_LARGEST = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\x00\x00\x00", bytes(4))


@dataclass(frozen=True)
class Seed:
    """A whole video."""

    name: str
    data: bytes


Mutate = Callable[[random.Random, Seed, Seed], bytes]


def flip_bits(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    data = bytearray(seed.data)
    for _ in range(rng.choice((1, 3, 30, 300))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_bits_of_header(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    data = bytearray(seed.data)
    for _ in range(rng.choice((1, 4, 12))):
        data[rng.randrange(min(len(data), 600))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    return seed.data[: rng.randrange(1, len(seed.data))]


def cut_at_front(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    return seed.data[rng.randrange(1, len(seed.data)) :]


def zero(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    start, end = sorted(rng.sample(range(len(seed.data)), 2))
    return seed.data[:start] + bytes(end - start) + seed.data[end:]


def swap(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    """Blocks in another order."""
    size = rng.choice((16, 188, 512, 4096))
    blocks = [seed.data[i : i + size] for i in range(0, len(seed.data), size)]
    for _ in range(rng.choice((1, 4, len(blocks)))):
        first, second = rng.randrange(len(blocks)), rng.randrange(len(blocks))
        blocks[first], blocks[second] = blocks[second], blocks[first]
    return b"".join(blocks)


def repeat(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    start, end = sorted(rng.sample(range(len(seed.data)), 2))
    return seed.data[:end] + seed.data[start:end] * rng.choice((1, 2, 20)) + seed.data[end:]


def enlarge_fields(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    """Numbers of headers at their limits; in MP4 most lie at the end."""
    data = bytearray(seed.data)
    for _ in range(rng.choice((1, 2, 8))):
        span = min(len(data) - 4, rng.choice((200, 1000, 3000)))
        place = rng.randrange(span) if rng.random() < 0.5 else len(data) - 4 - rng.randrange(span)
        data[place : place + 4] = rng.choice(_LARGEST)
    return bytes(data)


def splice(rng: random.Random, seed: Seed, other: Seed) -> bytes:
    """The head of one file and the tail of another."""
    return seed.data[: rng.randrange(1, len(seed.data))] + other.data[rng.randrange(len(other.data)) :]


def nest(rng: random.Random, seed: Seed, other: Seed) -> bytes:
    place = rng.randrange(len(seed.data))
    return seed.data[:place] + other.data + seed.data[place:]


def noise(rng: random.Random, seed: Seed, _: Seed) -> bytes:
    return seed.data[: rng.choice((4, 16, 64, 256))] + rng.randbytes(rng.choice((100, 5000, 200_000)))


DAMAGE: dict[str, Mutate] = {
    "bits": flip_bits, "header bits": flip_bits_of_header, "cut": cut, "cut at front": cut_at_front, "zeroed": zero,
    "swapped": swap, "repeated": repeat, "fields": enlarge_fields, "spliced": splice, "nested": nest, "noise": noise,
}  # fmt: skip


# --- picture bombs


def _png(width: int, height: int, rows: int) -> bytes:
    """A black PNG, of which only so many rows are there."""
    packed = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join([*(packed.compress(row) for _ in range(rows)), packed.flush()])
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"IDAT", data),
            (b"IEND", b""),
        )
    )


def _jpeg(width: int, height: int) -> bytes:
    """A gray JPEG, whole: its blocks say nothing new, in 4 bytes per 16 x 16 pixels."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 30)).save(out, "JPEG", subsampling="4:2:0")
    data = out.getvalue()
    size = data.index(b"\xff\xc0") + 5
    scan = data.index(b"\xff\xda") + 14
    header = data[:size] + struct.pack(">HH", height, width) + data[size + 4 : scan]
    # By the standard's tables, bits 00 1010 are a block of luma without change, 00 00 one of chroma.
    return header + b"\x28\xa2\x8a\x00" * (-(-width // 16) * -(-height // 16)) + b"\xff\xd9"


def _avi(codec: bytes, width: int, height: int, pictures: list[bytes]) -> bytes:
    """An AVI whose header says that size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    def group(kind: bytes, *parts: bytes) -> bytes:
        return chunk(b"LIST", kind + b"".join(parts))

    count = len(pictures)
    header = struct.pack("<14I", 40_000, 0, 0, 0x10, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vids" + codec + struct.pack("<12I", 0, 0, 0, 1, 25, 0, count, 0, 0, 0, 0, 0)
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, codec, 0, 0, 0, 0, 0)
    body = group(b"hdrl", chunk(b"avih", header), group(b"strl", chunk(b"strh", stream), chunk(b"strf", picture)))
    body += group(b"movi", *(chunk(b"00dc", picture) for picture in pictures))
    return chunk(b"RIFF", b"AVI " + body)


BOMBS: dict[str, Callable[[], bytes]] = {
    "jpeg_16000.mjpeg": lambda: _jpeg(16_000, 16_000) * 5,
    "jpeg_65500.avi": lambda: _avi(b"MJPG", 64, 48, [_jpeg(65_500, 4_000)] * 5),
    "jpeg_11500.avi": lambda: _avi(b"MJPG", 11_500, 11_500, [_jpeg(11_500, 11_500)] * 5),
    "jpeg_grows.avi": lambda: _avi(b"MJPG", 64, 48, [_jpeg(64, 48), _jpeg(8_000, 8_000)] * 4),
    "png_60000.avi": lambda: _avi(b"MPNG", 60_000, 60_000, [_png(60_000, 60_000, 10)] * 5),
    "png_whole.avi": lambda: _avi(b"MPNG", 12_000, 10_000, [_png(12_000, 10_000, 10_000)] * 6),
    "raw_65500.avi": lambda: _avi(b"\0\0\0\0", 65_500, 65_500, [bytes(1000)] * 5),
    "y4m.y4m": lambda: b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(100_000),
    "screen.gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6)
    + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00\x3b",
    "frame.ivf": lambda: b"DKIF" + struct.pack("<HH4sHHIIII", 0, 32, b"VP80", 65_535, 65_535, 25, 1, 30, 0)
    + struct.pack("<IQ", 30, 0) + b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + bytes(20),
}  # fmt: skip

SPARSE = (".mp4", ".mkv", ".ts", ".avi", ".flv", ".mpg", ".h264", ".wmv", ".mjpeg", ".m4v")


# --- all of them


def write_mutant(number: int, seed: int, folder: Path, seeds: list[Seed], trap: Trap) -> tuple[Path, str]:
    """The file of that number: its path and what was done."""
    rng = random.Random(f"{seed}/{number}")
    turn = number % 10
    if turn == 3:
        kind = list(PLAYLISTS)[number // 10 % len(PLAYLISTS)]
        path = folder / f"{number}-{rng.choice(names_of(kind))}"
        PLAYLISTS[kind](path, trap)
        return path, "playlist"
    if number % 30 == 7:
        name = list(BOMBS)[number // 30 % len(BOMBS)]
        path = folder / f"{number}-{name}"
        path.write_bytes(BOMBS[name]())
        return path, "bomb"
    first, second = rng.choice(seeds), rng.choice(seeds)
    if number % 60 == 11:
        suffix = SPARSE[number // 60 % len(SPARSE)]
        first = next((one for one in seeds if one.name.endswith(suffix)), first)
        path = folder / f"{number}{suffix}"
        with path.open("wb") as file:
            file.write(first.data if rng.random() < 0.7 else first.data[: len(first.data) // 2])
            file.truncate(SPARSE_BYTES)
        return path, "sparse"
    kind = list(DAMAGE)[rng.randrange(len(DAMAGE))]
    path = folder / f"{number}{Path(first.name).suffix}"
    path.write_bytes(DAMAGE[kind](rng, first, second))
    return path, kind
