"""/media and /thumbnails: the videos themselves, moments of them for browsers that cannot play them, and pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from framecue.files import write_bytes
from framecue.service.questions import CutQuestion, ThumbnailQuestion
from framecue.service.refusals import RefusedError, answer, busy
from framecue.service.schemas import VideoId
from framecue.service.state import Served, Service
from framecue.service.videos import ServedFile, find_file
from framecue.types import IndexedVideo
from framecue.video.cut import cut_video
from framecue.video.source import Decoding
from framecue.video.thumbnail import thumbnail_jpeg

router = APIRouter(tags=["media"])

MOMENT_HEIGHT = 720
REVALIDATED = {"Cache-Control": "private, no-cache"}
KEPT = {"Cache-Control": "private, max-age=3600"}


class RangedFile(FileResponse):
    """A file by ranges, with the one form of errors, and 304 for what the client has already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = Headers(scope=scope).get("if-none-match", "")
        etag = self.headers["etag"]
        if known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            kept = {name: self.headers[name] for name in ("etag", "cache-control", "last-modified")}
            await Response(status_code=304, headers=kept)(scope, receive, send)
            return
        refusal: Response | None = None

        async def send_or_refuse(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                size = self.headers["content-length"]
                refusal = answer(
                    message["status"],
                    f"The range {Headers(scope=scope).get('range', '')[:80]!r} is none of this file's {size} bytes.",
                    {"Content-Range": f"bytes */{size}"} if message["status"] == 416 else None,
                )
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, send_or_refuse)
        if refusal is not None:
            await refusal(scope, receive, send)


@router.head("/media/{video_id}", include_in_schema=False)
@router.get("/media/{video_id}", response_class=Response)
async def media(service: Served, video_id: VideoId, question: Annotated[CutQuestion, Query()]) -> Response:
    """A video's file, whole or by ranges; or, with `as=mp4`, the part `start` to `end` of it as H.264.

    A file that changed since it was indexed is refused (409): moments of it would be other ones.
    """
    video = await service.video(video_id)
    file = await service.reads.run(lambda: find_file(video, service.collection.roots))
    if question.as_ is not None:
        return await _moment(service, video, file, question)
    kind = await service.reads.run(lambda: file.media_type)
    return RangedFile(file.path, headers=REVALIDATED, media_type=kind, stat_result=file.status)


async def _moment(service: Service, video: IndexedVideo, file: ServedFile, question: CutQuestion) -> Response:
    longest = service.settings.max_moment_seconds
    start = question.start
    end = min(start + longest, video.duration_seconds) if question.end is None else question.end
    if not start < end <= start + longest + 1e-6:
        raise RefusedError(
            422,
            f"A moment to be transcoded must begin in the video, end after it begins and last at most {longest:g} s, "
            f"found {start:g} to {end:g} s of {video.duration_seconds:.2f} s.",
        )

    def write(path: Path) -> None:
        cut_video(file.path, path, start, end, max_height=MOMENT_HEIGHT, decoding=Decoding(video.stream_index))

    key = ("moment", *file.key, round(start, 3), round(end, 3))
    return await _cached(service, video, key, ".mp4", "video/mp4", write)


@router.head("/thumbnails/{video_id}.jpg", include_in_schema=False)
@router.get("/thumbnails/{video_id}.jpg", response_class=Response)
async def thumbnail(service: Served, video_id: VideoId, question: Annotated[ThumbnailQuestion, Query()]) -> Response:
    """What is on screen at `t` seconds, as JPEG."""
    video = await service.video(video_id)
    file = await service.reads.run(lambda: find_file(video, service.collection.roots))
    seconds = round(min(question.t, video.duration_seconds), 3)

    def write(path: Path) -> None:
        write_bytes(
            path, thumbnail_jpeg(file.path, seconds, width=question.width, decoding=Decoding(video.stream_index))
        )

    key = ("thumbnail", *file.key, seconds, question.width)
    return await _cached(service, video, key, ".jpg", "image/jpeg", write)


async def _cached(
    service: Service,
    video: IndexedVideo,
    key: tuple[object, ...],
    suffix: str,
    kind: str,
    write: Callable[[Path], None],
) -> Response:
    roots = service.collection.roots

    def write_unless_changed(path: Path) -> None:
        write(path)
        find_file(video, roots)  # it may have changed meanwhile

    try:
        path = await service.cache.get(video.video_id, key, suffix, write_unless_changed)
        # Whoever removes the video clears the cache after that: what is made of it later is dropped here.
        await _drop_unless_indexed(service, video, path)
        return RangedFile(path, headers=KEPT, media_type=kind, stat_result=path.stat())
    except FileNotFoundError:  # a small cache and many who ask, or a cache that is being cleared
        raise busy("The picture had to make room for others before it was sent; ask for it again.") from None


async def _drop_unless_indexed(service: Service, video: IndexedVideo, path: Path) -> None:
    """
    Raises:
        RefusedError: 404, the video was removed.
    """
    try:
        await service.video(video.video_id)
    except RefusedError:
        path.unlink(missing_ok=True)
        raise
