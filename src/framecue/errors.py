"""Named errors. Each message names the thing, the rule, what was found and the next step, on one line.

The command line prints the message of any `FramecueError` alone and exits with code 1 (`UsageError`: 2).
"""


class FramecueError(Exception):
    """Base of every error that framecue raises on purpose."""


class UsageError(FramecueError):
    """The call itself is wrong: options that exclude each other, a value outside its choices."""


class ConfigError(FramecueError):
    """A run config has an unknown key, a missing key or a value outside its range."""


class BackboneError(FramecueError):
    """A backbone checkpoint is missing, incomplete, or of a family that framecue cannot drive."""


class PromptTooLongError(FramecueError):
    """A class name or sentence does not fit the text tower's context together with its prompt vectors."""


class VideoError(FramecueError):
    """A file cannot be read as video; the message says why. Batch verbs list it and go on."""


class WorkerDiedError(FramecueError):
    """A process that did a job ended before the job did.

    Args:
        kind: "crash", "cpu" (too much CPU time), "hang", or "killed" (from outside, which says nothing of the job).
        reason: for people.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class StoreError(FramecueError):
    """A feature store is missing, damaged, or lacks what was asked of it."""


class MakerMismatchError(StoreError):
    """Features, or an adapter, were made by another backbone, preprocessing or sampling than the one at hand."""


class MomentIndexError(FramecueError):
    """A moment index is missing, damaged, locked by another writer, or lacks what was asked of it."""


class DatasetError(FramecueError):
    """A data source is empty, names files that are not there, or has a line that cannot be understood."""


class AdapterError(FramecueError):
    """An adapter folder or a foreign checkpoint is missing, damaged, or does not fit the backbone."""


class CheckpointError(FramecueError):
    """A training state cannot be resumed: damaged, or written by another config."""
