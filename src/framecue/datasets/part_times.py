"""Parts that lie outside their videos, by one rule in all tasks, and the guess what their times were meant to be.

What lies wholly outside is left out and told by its line; where more than half of the entries do, the times are another
thing than seconds, and the data are refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from framecue.errors import DatasetError, VideoError
from framecue.video.reader import probe

TOLERANCE_SECONDS = 0.5
"""Borne beyond the end of a video: containers and annotators round differently."""

_LEAST_SECONDS = 0.1  # a shorter part is nobody's guess


class TimedPart(NamedTuple):
    """A part of a video, and where the video ends.

    Attributes:
        origin: "file:line", or file, video and place.
        start_seconds, end_seconds: as it was asked for; None = to the end.
        duration_seconds: when the video ends.
        path: the video file, None where there is none at hand.
    """

    origin: str
    start_seconds: float
    end_seconds: float | None
    duration_seconds: float
    path: Path | None = None

    def told(self) -> str:
        """One line of where it is, with the guess; the file's frame rate is looked up for it."""
        rate = None if self.path is None else frame_rate(self.path)
        times = (self.start_seconds, self.end_seconds, self.duration_seconds)
        return f"{self.origin}: {outside_sentence(*times, rate)}"


def outside_sentence(
    start_seconds: float, end_seconds: float | None, duration_seconds: float, fps: float | None = None
) -> str:
    """ "50 to 60 s, but the video lasts 20 s; if these are frame numbers, divide by the frame rate of 10: 5 to 6 s"."""
    until = "its end" if end_seconds is None else f"{end_seconds:g} s"
    guess = _guess(start_seconds, end_seconds, duration_seconds, fps)
    return f"{start_seconds:g} to {until}, but the video lasts {float(f'{duration_seconds:.2f}'):g} s; {guess}"


def _guess(start: float, end: float | None, duration: float, fps: float | None) -> str:
    last = start if end is None else end
    units = [("frame numbers", f"the frame rate of {fps:.5g}", fps)] if fps else []
    for name, divisor, per_second in (*units, ("milliseconds", "1000", 1000.0)):
        inside = start / per_second < duration and last / per_second <= duration + TOLERANCE_SECONDS
        if inside and (end is None or (end - start) / per_second >= _LEAST_SECONDS):
            until = "" if end is None else f" to {end / per_second:.4g}"
            return f"if these are {name}, divide by {divisor}: {start / per_second:.4g}{until} s"
    if float(start).is_integer() and float(last).is_integer():
        return "are these frame numbers, or times of another clock?"
    return "are these times of another clock? They are seconds from where a player starts"


def frame_rate(path: Path) -> float | None:
    """Frames per second as the file says, None where it says nothing or cannot be read."""
    try:
        return probe(path).average_fps
    except VideoError:
        return None


def refuse_most_outside(outside: Sequence[TimedPart], number: int, what: str = "entries") -> None:
    """Refuse data of which more than half lies outside its videos.

    Args:
        number: of all entries.

    Raises:
        DatasetError: naming the first line, with the guess.
    """
    if 2 * len(outside) > number:
        end = "" if (first := outside[0].told()).endswith("?") else "."
        raise DatasetError(
            f"{first}{end} {len(outside)} of the {number} {what} lie outside their videos, too many to leave out. "
            "Write times in seconds."
        )
