"""Frames to stored frame features."""

import os

# Lance logs the conflicts of concurrent writers, with which the store deals. It reads this when it is imported.
os.environ.setdefault("LANCE_LOG", "error")
