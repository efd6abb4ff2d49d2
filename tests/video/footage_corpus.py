"""All videos of the corpus."""

from footage import Footage
from footage_clock import CLOCK, STREAM

CORPUS: list[Footage] = [*CLOCK, *STREAM]
