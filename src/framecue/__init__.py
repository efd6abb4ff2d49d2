"""framecue: teach a frozen CLIP your videos."""

__version__ = "0.1.0"
