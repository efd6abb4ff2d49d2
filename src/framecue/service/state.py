"""What the routes share: the collection, the lanes in which its work is done, and the bounds."""

import threading
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from framecue.api.collection import Collection
from framecue.api.index_folder import CACHE
from framecue.errors import FramecueError, MomentIndexError
from framecue.service.cache import DiskCache
from framecue.service.metrics import Metrics, Sizes
from framecue.service.refusals import RefusedError
from framecue.service.settings import ServiceSettings
from framecue.service.uploads import Uploads
from framecue.service.work import Lane, Stop, unless_gone
from framecue.types import IndexedVideo

T = TypeVar("T")
_READERS = 4


class Service:
    """One collection being served.

    Questions to the text tower and jobs on video files have one thread each, which is the lock of the model they use: a
    sentence never waits for somebody's long video.
    """

    def __init__(self, collection: Collection, *, token: str | None, settings: ServiceSettings) -> None:
        self.collection, self.token, self.settings = collection, token, settings
        self.closing = threading.Event()
        self.metrics = Metrics(self._sizes)
        waiting, seconds = settings.max_waiting, settings.query_seconds
        self.questions = Lane("answers to questions", workers=1, max_waiting=waiting, seconds=seconds)
        self.reads = Lane("the index", workers=_READERS, max_waiting=waiting, seconds=seconds)
        self.pictures = Lane("pictures", workers=settings.picture_workers, max_waiting=waiting, seconds=seconds)
        self.jobs = Lane("work on videos", workers=1, max_waiting=settings.max_uploads, seconds=settings.job_seconds)
        self.uploads = Uploads(settings, rejected=self.metrics.upload_rejected)
        self.cache = DiskCache(
            settings.cache_folder or collection.folder / CACHE,
            max_bytes=settings.max_cache_bytes,
            run=self.pictures.run,
            count=self.metrics.cache,
        )

    async def ask(self, lane: Lane, work: Callable[[], T]) -> T:
        """Work on the index, in a lane. What the index refuses while it is sound was asked wrongly: 422."""
        return await lane.run(lambda: self._told(work))

    async def job(self, request: Request, work: Callable[[Stop], T]) -> T:
        """Work on a video file: given up when its time is over, the client is gone, or the server shuts down."""
        stop = Stop(self.settings.job_seconds, self.closing)
        return await unless_gone(request, stop, self.jobs, lambda: self._told(lambda: work(stop)))

    async def video(self, video_id: str) -> IndexedVideo:
        """A video of the index as it is now.

        Raises:
            RefusedError: 404, it has no such video.
        """
        try:
            return await self.ask(self.reads, lambda: self.collection.index.video(video_id))
        except RefusedError as error:
            if error.status != 422:
                raise
            raise RefusedError(404, f"The index has no video {video_id[:12]}...; it may have been removed.") from error

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except MomentIndexError as error:
            if error.__cause__ is not None:  # something below failed: the index is the trouble, not the question
                raise
            self.collection.status()  # raises in its own words where the index is gone
            raise RefusedError(422, str(error)) from error

    def _sizes(self) -> Sizes:
        sizes: Sizes = {
            "cache_bytes": self.cache.num_bytes,
            "jobs_pending": self.jobs.pending,
            "questions_pending": self.questions.pending,
            "pictures_pending": self.pictures.pending,
        }
        try:
            status = self.collection.status().index
        except FramecueError:  # metrics still say how the server is
            return {**sizes, "index_readable": 0}
        return {
            **sizes,
            "index_readable": 1,
            "index_videos": status.num_videos,
            "index_moments": status.num_moments,
            "index_video_seconds": status.total_seconds,
            "index_bytes": status.size_bytes,
        }

    def close(self) -> None:
        """Long work ends at its next step, temporary files go."""
        self.closing.set()
        for lane in (self.questions, self.reads, self.pictures, self.jobs):
            lane.close()
        self.cache.close()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
"""A route's parameter: the service it belongs to."""
