"""/api/search, /api/videos and /api/status: what is in the index."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Query, Request

from framecue.errors import UsageError, VideoError
from framecue.features.identity import path_text
from framecue.service.questions import (
    Asked,
    CurvesQuestion,
    Listing,
    SearchQuestion,
    checked_labels,
    from_form,
)
from framecue.service.refusals import RefusedError, shown
from framecue.service.schemas import (
    BuildingAnswer,
    CurvesAnswer,
    SearchAnswer,
    StatusAnswer,
    VideoAnswer,
    VideoId,
    VideoList,
)
from framecue.service.state import Served, Service
from framecue.service.videos import listed, moment_answer, video_answer
from framecue.types import SearchResult

router = APIRouter(prefix="/api", tags=["index"])

EXAMPLE_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "An image or a video."},
                        **Asked.model_json_schema()["properties"],
                    },
                }
            }
        },
    }
}


@router.get("/search")
async def search(service: Served, question: Annotated[SearchQuestion, Query()]) -> SearchAnswer:
    """The moments that a sentence describes, or that are like a video of the index; best first, other videos only."""
    if question.like is not None:
        await service.video(question.like)  # an unknown one is a 404, whatever else is wrong
    text = None if question.like is not None else question.q
    search = _search_of(service, question, text=text, video=question.like)
    return await _timed(lambda: service.ask(service.questions, search))


@router.post("/search", openapi_extra=EXAMPLE_FORM)
async def search_by_example(service: Served, request: Request) -> SearchAnswer:
    """The moments that are like an uploaded image or video, or like the part `start` to `end` of it."""
    async with service.uploads.receive(request) as upload:
        asked = from_form(Asked, upload.fields)
        image, video = (upload.path, None) if upload.is_image else (None, upload.path)
        search = _search_of(service, asked, image=image, video=video)
        try:
            return await _timed(lambda: service.job(request, lambda stop: search()))
        except (VideoError, UsageError) as error:
            raise upload.in_its_name(error) from error


def _search_of(
    service: Service,
    asked: Asked,
    *,
    text: str | None = None,
    image: Path | None = None,
    video: str | Path | None = None,
) -> Callable[[], SearchResult]:
    """The search that is asked for, its filter checked already.

    Raises:
        RefusedError: 422, a condition that is none, or times beside what has none.
    """
    where = asked.filter()
    if video is None and (asked.start is not None or asked.end is not None):
        raise RefusedError(422, "A sentence and an image have no start and no end; leave them out.")
    return lambda: service.collection.search(
        text,
        image=image,
        video=video,
        start_seconds=asked.start,
        end_seconds=asked.end,
        top_k=asked.top_k,
        where=where,
        min_score=asked.min_score,
    )


@router.get("/videos")
async def videos(service: Served, question: Annotated[Listing, Query()]) -> VideoList:
    """Videos of the index in the order of their paths, a part of them at a time."""
    where = question.filter()
    found = await service.ask(service.reads, lambda: service.collection.index.videos(where))
    part = found[question.offset : question.offset + question.limit]
    return VideoList(total=len(found), videos=[listed(video) for video in part])


@router.get("/videos/{video_id}")
async def video(service: Served, video_id: VideoId) -> VideoAnswer:
    """One video of the index, and whether its file is still there and plays in a browser."""
    found = await service.video(video_id)
    return await service.reads.run(lambda: video_answer(found, service.collection.roots))


@router.get("/videos/{video_id}/curves")
async def curves(service: Served, video_id: VideoId, question: Annotated[CurvesQuestion, Query()]) -> CurvesAnswer:
    """How strongly each label is seen at each time of a video, from what is stored of it."""
    await service.video(video_id)
    labels = checked_labels(question.labels) or []
    found = await service.ask(service.questions, lambda: service.collection.curves(video_id, labels))
    return CurvesAnswer(
        labels=list(found.labels),
        edges_seconds=found.edges_seconds.tolist(),
        scores=found.scores.T.tolist(),
    )


@router.get("/status")
async def status(service: Served) -> StatusAnswer:
    """What the index holds, what made it, and whether it is being added to."""
    return await service.reads.run(lambda: _status(service))


async def _timed(work: Callable[[], Awaitable[SearchResult]]) -> SearchAnswer:
    started = monotonic()
    found = await work()
    return SearchAnswer(
        query=found.query,
        nothing_matches=found.nothing_matches,
        verdict=found.verdict,
        min_score=found.min_score,
        num_videos=found.num_videos,
        exact=found.exact,
        took_seconds=monotonic() - started,
        moments=[moment_answer(moment, is_match=found.is_match(moment)) for moment in found.moments],
    )


def _status(service: Service) -> StatusAnswer:
    found = service.collection.status()
    index, building = found.index, found.building
    return StatusAnswer(
        folder=path_text(service.collection.folder.absolute()),
        num_videos=index.num_videos,
        num_moments=index.num_moments,
        total_seconds=index.total_seconds,
        size_bytes=index.size_bytes,
        neighbours=index.neighbours,
        recall_at_10=index.recall_at_10,
        roots=[path_text(root) for root in found.roots],
        metadata_columns=dict(index.metadata_columns),
        backbone=found.backbone,
        adapter=found.adapter or None,
        building=BuildingAnswer(
            videos_done=building.videos_done,
            num_videos=building.num_videos,
            current=shown(building.current),
            elapsed_seconds=building.elapsed_seconds,
            seconds_left=building.seconds_left,
        )
        if building is not None
        else None,
        version=str(index.version),
    )
