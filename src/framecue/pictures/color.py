"""Pictures of high dynamic range or wide gamut as an SDR screen of BT.709 shows them. Pure arithmetic on code values.

Display light is in units of diffuse white, which is 203 nit in HDR (BT.2408) and the brightest white in SDR.

    PQ      EOTF of BT.2100
    HLG     inverse OETF of BT.2100, then its OOTF for a screen of 1,000 nit, whose system gamma is 1.2
    gamma   BT.1886, 2.4, for all SDR footage

The light is brought to BT.709's primaries. Of HDR, its luminance then follows the curve of BT.2446 method C, linear up
to a knee and logarithmic above it, with constants of our own: below the knee nothing changes, so that what an SDR
camera would have recorded looks as it does there, and 10,000 nit, the most that PQ can say, is white. All three
channels are scaled alike. A channel that is still above 1 is brought to it by mixing in gray of the same luminance, so
that bright colors stay apart from each other; a channel below 0, a color that BT.709 lacks, is 0.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Transfer = Literal["pq", "hlg", "gamma", "linear"]
Primaries = Literal["bt709", "bt2020", "p3"]
Light = npt.NDArray[np.float32]

WHITE_NITS = 203.0
PEAK_NITS = 10_000.0
HLG_PEAK_NITS = 1_000.0
HLG_SYSTEM_GAMMA = 1.2
DISPLAY_GAMMA = 2.4
KNEE = 0.8
"""Of diffuse white, 162 nit or the SDR level 232: nothing below it changes."""

# From linear light of these primaries, with D65 as white, to BT.709's (BT.2087; SMPTE EG 432-1).
_TO_BT709: dict[str, npt.NDArray[np.float64]] = {
    "bt709": np.eye(3),
    "bt2020": np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]),
    "p3": np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),
}
_LUMA_BT709 = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_BLOCK_PIXELS = 2**16
_CODES = 2**16


@dataclass(frozen=True)
class Coding:
    """What the 16-bit RGB values of a picture mean.

    Attributes:
        white_code: the code of the largest nominal value.
    """

    transfer: Transfer
    primaries: Primaries
    white_code: int


def to_sdr(coded: npt.NDArray[np.uint16], coding: Coding) -> npt.NDArray[np.uint8]:
    """Coded RGB [..., 3] -> BT.709 for a screen of gamma 2.4, uint8 [..., 3]; see the head of this module."""
    shown = np.empty(coded.shape, dtype=np.uint8)
    flat_in, flat_out = coded.reshape(-1, 3), shown.reshape(-1, 3)
    levels = _levels()
    for start in range(0, len(flat_in), _BLOCK_PIXELS):
        light = display_light(flat_in[start : start + _BLOCK_PIXELS], coding)
        if coding.transfer in ("pq", "hlg"):
            light = compress_highlights(light)
        light = fit_gamut(light)
        # The root spreads dark values over the table.
        flat_out[start : start + _BLOCK_PIXELS] = levels[(np.sqrt(light) * (_CODES - 1) + 0.5).astype(np.uint16)]
    return shown


def display_light(coded: npt.NDArray[np.uint16], coding: Coding) -> Light:
    """Coded RGB [N, 3] -> linear light of BT.709's primaries in units of diffuse white, [N, 3]; may be negative."""
    light = _light_of_code(coding.transfer, coding.white_code)[coded]
    if coding.transfer == "hlg":
        scene_luminance = light @ _LUMA_BT2020
        light *= (HLG_PEAK_NITS / WHITE_NITS) * scene_luminance[:, None] ** np.float32(HLG_SYSTEM_GAMMA - 1)
    return light @ _TO_BT709[coding.primaries].T.astype(np.float32)


def compress_highlights(light: Light) -> Light:
    """Scales pixels [N, 3] whose luminance is above the knee."""
    luminance = light @ _LUMA_BT709
    bright = luminance > KNEE
    if bright.any():
        light[bright] *= (shoulder(luminance[bright]) / luminance[bright])[:, None]
    return light


def shoulder(luminance: Light) -> Light:
    """The curve of BT.2446 method C above its knee: k2 ln(Y / Y_ip - k3) + k4, which goes on where the line ends, as
    steep as the line, and reaches 1 at `PEAK_NITS`."""
    steepness = _shoulder_steepness()
    return KNEE + KNEE * steepness * np.log((luminance / KNEE - 1 + steepness) / steepness)


@lru_cache(maxsize=1)
def _shoulder_steepness() -> float:
    """1 - k3, by bisection: the larger, the brighter the peak is shown."""
    peak, low, high = PEAK_NITS / WHITE_NITS / KNEE - 1, 1e-6, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if KNEE + KNEE * middle * math.log1p(peak / middle) < 1 else (low, middle)
    return low


def fit_gamut(light: Light) -> Light:
    """Pixels [N, 3] with all channels in [0, 1]."""
    above = light.max(axis=1) > 1
    if above.any():
        luminance = np.clip(light[above] @ _LUMA_BT709, 0, 1)[:, None]
        excess = light[above] - luminance
        light[above] = luminance + excess * ((1 - luminance) / np.maximum(excess.max(axis=1, keepdims=True), 1e-6))
    return np.clip(light, 0, 1)


@lru_cache(maxsize=8)
def _light_of_code(transfer: Transfer, white_code: int) -> Light:
    """[65536]: light of each code; of HLG the scene's, in [0, 1]."""
    value = np.clip(np.arange(_CODES) / white_code, 0, 1)
    if transfer == "pq":
        root = value ** (1 / 78.84375)
        light = (np.clip(root - 0.8359375, 0, None) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        light = light * (10_000 / WHITE_NITS)
    elif transfer == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    elif transfer == "gamma":
        light = value**DISPLAY_GAMMA
    else:
        light = value
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _levels() -> npt.NDArray[np.uint8]:
    """[65536]: SDR level of each square root of light."""
    root = np.arange(_CODES) / (_CODES - 1)
    return np.round(255 * root ** (2 / DISPLAY_GAMMA)).astype(np.uint8)
