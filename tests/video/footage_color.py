"""Videos whose pixels need care: color codings, depths, alpha, pixel aspect, turns, sizes that change.

Every picture is made by the formula of its coding from levels of an SDR screen, and stored without loss where its codec
can. What is wanted is the level it was made from; for highlights of HDR what the stated curve makes of so many nit.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
from footage import (
    COLORS,
    Color,
    Footage,
    Track,
    insert_into_boxes,
    patches,
    points,
    write,
)

Make = Callable[[Path], None]

# FFmpeg's numbers (ITU-T H.273).
BT709, BT601, BT2020 = 1, 6, 9
PQ, HLG, P3 = 16, 18, 12
LIMITED, FULL = 1, 2
UNTAGGED = 2
LUMA = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}
"""Weights of red and blue."""

WHITE_NITS = 203.0
SDR_GAMMA = 2.4
HLG_GAMMA = 1.2
SHOWN_NITS: dict[float, float] = {203: 239, 400: 244, 600: 246, 1000: 248, 2000: 250, 4000: 252, 10000: 255}
"""Levels of gray highlights under the curve of docs: BT.2446 method C with its knee at 0.8 of diffuse white."""

# From BT.709's primaries to wider ones, both with D65 (BT.2087; P3 from its chromaticities).
WIDER = {
    BT2020: np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]),
    P3: np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]]),
    BT709: np.eye(3),
}


# --- formulas


def coded(levels: np.ndarray, *, transfer: int = BT709, primaries: int = BT709) -> np.ndarray:
    """SDR levels of 255 [..., 3] -> R'G'B' in [0, 1] of that coding, diffuse white at 203 nit."""
    if transfer not in (PQ, HLG) and primaries == BT709:
        return levels / 255
    light = (levels / 255) ** SDR_GAMMA @ WIDER[primaries].T
    return of_nits(light * WHITE_NITS, transfer) if transfer in (PQ, HLG) else light ** (1 / SDR_GAMMA)


def of_nits(nits: np.ndarray, transfer: int) -> np.ndarray:
    """Display light [..., 3] of BT.2020's primaries -> R'G'B' in [0, 1] (BT.2100)."""
    if transfer == PQ:
        power = (np.clip(nits, 0, None) / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    display = np.clip(nits, 0, None) / 1000
    luminance = (display @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
    scene = display * np.maximum(luminance, 1e-9) ** (1 / HLG_GAMMA - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def yuv(rgb: np.ndarray, matrix: int, *, bits: int, full: bool) -> np.ndarray:
    """R'G'B' [..., 3] in [0, 1] -> code values of Y, Cb, Cr."""
    red, blue = LUMA[matrix]
    y = rgb @ np.array([red, 1 - red - blue, blue])
    cb, cr = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    scale = 2 ** (bits - 8)
    most = 2**bits - 1
    if full:
        values = np.stack([most * y, most * cb + 128 * scale, most * cr + 128 * scale], axis=-1)
    else:
        values = scale * np.stack([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr], axis=-1)
    return np.clip(np.round(values), 0, most)


def frame_of(planes: Sequence[np.ndarray], pix_fmt: str) -> av.VideoFrame:
    """A frame from its planes of full size; smaller ones take every second value of what is the same around it."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=True):
        kind = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
        across, down = -(-width // plane.width), -(-height // plane.height)
        rows = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        rows[:, : plane.width] = values[::down, ::across]
        plane.update(rows.tobytes())
    return frame


def yuv_frame(rgb: np.ndarray, pix_fmt: str, matrix: int, *, full: bool = False, alpha: np.ndarray | None = None):
    """R'G'B' in [0, 1] as a planar YUV frame."""
    bits = av.VideoFormat(pix_fmt).components[0].bits
    planes = [*np.moveaxis(yuv(rgb, matrix, bits=bits, full=full), -1, 0)]
    if alpha is not None:
        planes.append(np.round(alpha * (2**bits - 1)))
    return frame_of(planes, pix_fmt)


def rgb_frame(rgb: np.ndarray, pix_fmt: str, alpha: np.ndarray | None = None) -> av.VideoFrame:
    """R'G'B' in [0, 1] as a planar RGB frame, whose planes are green, blue, red."""
    most = 2 ** av.VideoFormat(pix_fmt).components[0].bits - 1
    planes = [np.round(rgb[..., channel] * most) for channel in (1, 2, 0)]
    return frame_of(planes + ([np.round(alpha * most)] if alpha is not None else []), pix_fmt)


# --- codings

LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {},
    "ffv1": {},
    "prores_ks": {"qscale": "1"},
    "mpeg2video": {},
    "mjpeg": {},
    "libsvtav1": {"crf": "5", "preset": "12"},
}


def tagged(
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (128, 96),
    matrix: int = BT601,
    tag: int | None = None,
    full: bool = False,
    transfer: int = UNTAGGED,
    primaries: int = UNTAGGED,
    colors: Sequence[Color] = COLORS,
    nits: Sequence[float] = (),
    count: int = 3,
    **options: str,
) -> Make:
    """A video of flat patches.

    Args:
        matrix: that the pixels are made with.
        tag: of the matrix in the file; None = that one.
        nits: grays of so much display light, instead of `colors`.
    """
    wide = primaries if primaries in WIDER else BT709
    if nits:
        rgb = of_nits(patches(*size, [(value,) * 3 for value in nits]), transfer)
    else:
        rgb = coded(patches(*size, colors), transfer=transfer, primaries=wide)
    rgb = np.clip(rgb, 0, 1)
    is_rgb = pix_fmt.startswith("gbr")
    range_tag = (FULL if full else LIMITED) if not is_rgb else FULL
    tags = {"color_range": range_tag, "colorspace": 0 if is_rgb else matrix if tag is None else tag}
    tags |= {"color_trc": transfer, "color_primaries": primaries}

    def make(path: Path) -> None:
        frames = []
        for _ in range(count):
            frame = rgb_frame(rgb, pix_fmt) if is_rgb else yuv_frame(rgb, pix_fmt, matrix, full=full)
            frame.color_range, frame.colorspace = tags["color_range"], tags["colorspace"]
            frame.color_trc, frame.color_primaries = transfer, primaries
            frames.append(frame)
        given = dict(LOSSLESS.get(codec, {}))
        if codec == "libx265":
            names = {BT2020: "bt2020nc", BT709: "bt709", BT601: "smpte170m", UNTAGGED: "undef"}
            given["x265-params"] = "log-level=none:lossless=1" + "".join(
                f":{key}={value}"
                for key, value in {
                    "colormatrix": names[tags["colorspace"]],
                    "transfer": {PQ: "smpte2084", HLG: "arib-std-b67", BT709: "bt709"}.get(transfer, "undef"),
                    "colorprim": {BT2020: "bt2020", BT709: "bt709", P3: "smpte432"}.get(primaries, "undef"),
                    "range": "full" if full else "limited",
                }.items()
            )
        write(path, Track(codec, size=size, pix_fmt=pix_fmt, frames=frames, options=given | options, tags=tags))

    return make


def color(name: str, *, within: int = 3, shown: Sequence[Color] | None = None, **given: object) -> Footage:
    """A row of flat patches."""
    size = given.get("size", (128, 96))
    nits = given.get("nits", ())
    if nits:
        shown = [(SHOWN_NITS[value],) * 3 for value in nits]  # type: ignore[attr-defined]
    wanted = {0: points(shown or given.get("colors", COLORS), strip=0)}  # type: ignore[arg-type]
    return Footage(name, tagged(**given), "color", size, wanted, within)  # type: ignore[arg-type]


def patched(name: str, make: Make, colors: Sequence[Color], within: int = 3) -> Footage:
    """A row of patches that are not made by `tagged`."""
    return Footage(name, make, "color", (128, 96), {0: points(colors, strip=0)}, within)


HDR = {"codec": "libx265", "pix_fmt": "yuv420p10le", "matrix": BT2020, "primaries": BT2020}
DEEP = {"codec": "ffv1", "matrix": BT709}
BRIGHT = (203, 400, 600, 1000, 2000, 4000, 10000)
GRAYS: tuple[Color, ...] = tuple((level,) * 3 for level in (0, 20, 60, 100, 140, 180, 220, 255))


def dolby_vision(path: Path) -> None:
    """Profile 8.4 as phones record it: an HLG picture, and a box that says what else it could be."""
    tagged(**HDR, transfer=HLG)(path)
    # Version 1.0, profile 8, level 4, no enhancement layer, base layer compatible with HLG (4).
    flags = (8 << 9) | (4 << 3) | 0b101
    box = bytes((0, 0, 0, 32)) + b"dvvC" + bytes((1, 0)) + flags.to_bytes(2, "big") + bytes((4 << 4,)) + bytes(19)
    insert_into_boxes(path, box, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1")


def alpha_video(codec: str, pix_fmt: str) -> Make:
    """The patches, of which every second one is half transparent."""

    def make(path: Path) -> None:
        levels = patches(128, 96)
        share = patches(128, 96, [(share,) for share in ALPHAS])[..., 0]
        rgba = np.round(np.dstack([levels, 255 * share])).astype(np.uint8)
        if pix_fmt.startswith("yuva"):
            frames = [yuv_frame(levels / 255, pix_fmt, BT601, alpha=share)] * 3
        else:
            frames = [av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pix_fmt)] * 3
        write(path, Track(codec, size=(128, 96), pix_fmt=pix_fmt, frames=frames, options=LOSSLESS.get(codec, {})))

    return make


ALPHAS = (1.0, 0.5) * 4
ON_BLACK = tuple(tuple(level * share for level in levels) for levels, share in zip(COLORS, ALPHAS, strict=True))


def plain_rgb(codec: str, pix_fmt: str, colors: Sequence[Color] = COLORS) -> Make:
    """The patches in a format that FFmpeg itself converts to without loss."""

    def make(path: Path) -> None:
        picture = patches(128, 96, colors).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
        write(path, Track(codec, size=(128, 96), pix_fmt=pix_fmt, frames=[frame] * 3))

    return make


def gray(pix_fmt: str, *, full: bool, codec: str = "ffv1") -> Make:
    """Eight grays in one plane."""

    def make(path: Path) -> None:
        most = 2 ** av.VideoFormat(pix_fmt).components[0].bits - 1
        value = patches(128, 96, GRAYS)[..., 0] / 255
        plane = np.round(value * most if full else (16 + 219 * value) * (most + 1) / 256)
        frame = frame_of([plane], pix_fmt)
        frame.color_range = FULL if full else LIMITED
        tags = {"color_range": FULL if full else LIMITED}
        write(path, Track(codec, size=(128, 96), pix_fmt=pix_fmt, frames=[frame] * 3, tags=tags))

    return make


COLOR = [
    color("bt601_limited.mp4", matrix=BT601),
    color("bt601_full.mp4", matrix=BT601, full=True),
    color("bt709_limited_sd.mp4", matrix=BT709, primaries=BT709, transfer=BT709),
    color("bt709_full_sd.mkv", matrix=BT709, full=True),
    color("bt601_on_hd.mp4", matrix=BT601, size=(1280, 720)),
    color("untagged_sd.mp4", matrix=BT601, tag=UNTAGGED),
    color("untagged_pal.mp4", matrix=BT601, tag=UNTAGGED, size=(720, 576)),
    color("untagged_hd.mp4", matrix=BT709, tag=UNTAGGED, size=(1280, 720)),
    color("untagged_hd.ts", matrix=BT709, tag=UNTAGGED, size=(1280, 720)),
    color("untagged_tall.mp4", matrix=BT709, tag=UNTAGGED, size=(480, 640)),
    color("untagged.avi", codec="mjpeg", pix_fmt="yuvj420p", matrix=BT601, tag=UNTAGGED, full=True, within=4),
    color("untagged_mpeg2.mpg", codec="mpeg2video", matrix=BT601, tag=UNTAGGED, count=8, within=4),
    color("bt2020_sdr.mp4", codec="libx265", pix_fmt="yuv420p10le", matrix=BT2020, primaries=BT2020, transfer=14),
    color("bt2020_sdr_8_bit.mkv", matrix=BT2020, primaries=BT2020, transfer=BT709, within=5),
    color("p3_sdr.mp4", codec="libx265", pix_fmt="yuv444p10le", matrix=BT709, primaries=P3, transfer=BT709),
    color("pq.mp4", **HDR, transfer=PQ),
    color("pq.mkv", **HDR, transfer=PQ),
    color("pq.ts", **HDR, transfer=PQ),
    color("pq_full_range.mp4", **HDR, transfer=PQ, full=True),
    color("pq_12_bit.mkv", codec="ffv1", pix_fmt="yuv422p12le", matrix=BT2020, primaries=BT2020, transfer=PQ),
    color("pq_rgb_16_bit.mkv", codec="ffv1", pix_fmt="gbrp16le", primaries=BT2020, transfer=PQ),
    color("pq_av1.mkv", codec="libsvtav1", pix_fmt="yuv420p10le", matrix=BT2020, primaries=BT2020, transfer=PQ),
    color("pq_highlights.mp4", **HDR, transfer=PQ, nits=BRIGHT, within=2),
    color("hlg.mp4", **HDR, transfer=HLG),
    color("hlg.mov", **HDR, transfer=HLG),
    color("hlg_422.mkv", codec="ffv1", pix_fmt="yuv422p10le", matrix=BT2020, primaries=BT2020, transfer=HLG),
    color("hlg_highlights.mp4", **HDR, transfer=HLG, nits=BRIGHT[:4], within=2),
    patched("dolby_vision_8_4.mp4", dolby_vision, COLORS),
    color("444.mp4", pix_fmt="yuv444p", matrix=BT601),
    color("422.mp4", pix_fmt="yuv422p", matrix=BT601),
    color("10_bit.mkv", **DEEP, pix_fmt="yuv420p10le"),
    color("10_bit_h264.mp4", pix_fmt="yuv420p10le", matrix=BT709),
    color("10_bit_full.mkv", **DEEP, pix_fmt="yuv420p10le", full=True),
    color("12_bit_444.mkv", **DEEP, pix_fmt="yuv444p12le"),
    color("16_bit.mkv", **DEEP, pix_fmt="yuv420p16le"),
    color("prores.mov", codec="prores_ks", pix_fmt="yuv422p10le", matrix=BT709),
    color("rgb_planes.avi", codec="utvideo", pix_fmt="gbrp"),
    color("rgb_planes_10_bit.mkv", codec="ffv1", pix_fmt="gbrp10le"),
    color("rgb_planes_16_bit.mkv", codec="ffv1", pix_fmt="gbrp16le"),
    patched("rgb_h264.mp4", plain_rgb("libx264rgb", "rgb24"), COLORS),
    patched("rgb_png.mov", plain_rgb("png", "rgb24"), COLORS, 0),
    patched("rgb_raw.avi", plain_rgb("rawvideo", "bgr24"), COLORS, 0),
    patched("gray_8_bit.mkv", gray("gray", full=True), GRAYS),
    patched("gray_10_bit.mkv", gray("gray10le", full=True), GRAYS),
    patched("gray_16_bit.mkv", gray("gray16le", full=True), GRAYS),
    patched("gray_limited.mkv", gray("gray", full=False), GRAYS),
    patched("gray_hevc.mp4", gray("gray10le", full=False, codec="libx265"), GRAYS),
    patched("alpha_ffv1.mkv", alpha_video("ffv1", "yuva420p"), ON_BLACK),
    patched("alpha_ffv1_10_bit.mkv", alpha_video("ffv1", "yuva444p10le"), ON_BLACK),
    patched("alpha_png.mov", alpha_video("png", "rgba"), ON_BLACK),
    patched("alpha_animation.mov", alpha_video("qtrle", "argb"), ON_BLACK),
    patched("alpha_prores.mov", alpha_video("prores_ks", "yuva444p10le"), ON_BLACK, 4),
]  # fmt: skip
