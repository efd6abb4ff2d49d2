"""What `localize` gives: a table, one file for all videos, or subtitles and pictures of each, written as it is done."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import typer

from framecue.cli.common import clock, note, printable
from framecue.errors import VideoError
from framecue.files import why_not_written, write_text
from framecue.report.percents import score_percent
from framecue.report.segment_files import FILE_PER_VIDEO, ONE_FILE, subtitle_files
from framecue.types import AnnotatedVideo, Localization, Skipped
from framecue.video.source import Decoding

NONE_OF_THESE = "none of the named actions"
FILM = "uniform:10"


class Outputs:
    """The outputs of one run. One that cannot be written is listed in `unwritten`, and the rest go on.

    Args:
        form: "table" or a format of `report.segment_files`.
        out: file or folder; None = standard output.
        timeline: folder for pictures, or None.
        truths: annotations by path; drawn, and their ids are written.
        decoding: how the videos are read for pictures.

    Attributes:
        answers: of the videos so far, without their curves, which are too much to be kept of all.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        form: str,
        out: Path | None,
        timeline: Path | None,
        truths: Mapping[Path, AnnotatedVideo],
        *,
        external_data: str | None,
        decoding: Decoding | None = None,
    ) -> None:
        self._form, self._out, self._timeline, self._truths = form, out, timeline, truths
        self._num_videos, self._external_data, self._decoding = len(paths), external_data, decoding
        is_by_video = out is not None and form in FILE_PER_VIDEO
        self._subtitles = dict(zip(paths, subtitle_files(paths, form, out), strict=True)) if is_by_video and out else {}
        self.answers: list[Localization] = []
        self.unwritten: list[Skipped] = []

    def add(self, answer: Localization) -> None:
        """Writes what the video has of its own."""
        if self._timeline is not None:
            self._draw(answer, self._timeline)
        self.answers.append(replace(answer, curves=None))
        if answer.path in self._subtitles:
            self._write(self._subtitles[answer.path], FILE_PER_VIDEO[self._form](answer))

    def finish(self) -> None:
        """Writes or prints what is of all videos together."""
        if self._form == "table":
            _print_table(self.answers)
        elif self._form in ONE_FILE:
            text = self._of_all()
            if self._out is None or not self._write(self._out, text):  # hours of work are not thrown away
                typer.echo(text, nl=False)
        elif self._out is None:
            for answer in self.answers:
                typer.echo(FILE_PER_VIDEO[self._form](answer), nl=False)

    @contextmanager
    def kept_when_cut_short(self) -> Iterator[None]:
        """If the run ends early, the one file for all goes into a ".part" file beside it, and the table is printed."""
        try:
            yield
        except BaseException:
            if self._form == "table":
                _print_table(self.answers)
            if self._out is not None and self._form in ONE_FILE and self.answers:
                part = self._out.with_name(f"{self._out.stem}.part{self._out.suffix}")
                if self._write(part, self._of_all()):
                    note(f"it holds {len(self.answers)} of {self._num_videos} videos, as the run was cut short")
            raise

    def _of_all(self) -> str:
        ids = {path: video.video_id for path, video in self._truths.items()}
        return ONE_FILE[self._form](self.answers, ids, self._external_data)

    def _write(self, path: Path, text: str) -> bool:
        try:
            write_text(path, text)
        except OSError as error:
            self._leave_out(path, why_not_written(error))
            return False
        note(f"wrote {path}")
        return True

    def _draw(self, answer: Localization, folder: Path) -> None:
        from framecue.report.timeline import write_timeline
        from framecue.video.reader import read_video
        from framecue.video.sampling import parse_sampling

        path = _picture_path(folder, answer.path, [earlier.path for earlier in self.answers])
        truth = self._truths.get(answer.path)
        try:
            frames = read_video(answer.path, parse_sampling(FILM), self._decoding)
            write_timeline(answer, path, truth=None if truth is None else truth.segments, frames=frames)
        except VideoError as error:  # it has changed since its segments were found
            self._leave_out(path, f"{error}")
        except OSError as error:
            self._leave_out(path, why_not_written(error))

    def _leave_out(self, path: Path, reason: str) -> None:
        self.unwritten.append(Skipped(path, f"cannot be written: {reason}"))


def _picture_path(folder: Path, video: Path, taken: Sequence[Path]) -> Path:
    """Its name with .svg; with a number where another video of that name has a picture."""
    same = sum(path.stem == video.stem for path in taken)
    return folder / (f"{video.stem}.svg" if not same else f"{video.stem}#{same + 1}.svg")


def _print_table(answers: Sequence[Localization]) -> None:
    """A video's name has a line of its own and labels come last: however long they are, nothing of them is cut."""
    for answer in answers:
        nothing = "" if answer.segments else f": {NONE_OF_THESE}"
        typer.echo(f"{printable(answer.path)} ({clock(answer.duration_seconds, tenths=True)}){nothing}")
        for found in answer.segments:
            times = f"{clock(found.start_seconds, tenths=True)} - {clock(found.end_seconds, tenths=True)}"
            bar = "█" * round(20 * min(found.score, 1))
            typer.echo(f"  {times}  {score_percent(found.score):>5}  {bar:20}  {printable(found.label)}")
