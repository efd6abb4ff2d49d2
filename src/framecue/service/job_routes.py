"""/api/classify and /api/localize: names for a video of the index, or for one that is sent along."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from framecue.errors import UsageError, VideoError
from framecue.service.questions import checked_labels, from_json, media_type_of, split_labels
from framecue.service.refusals import RefusedError
from framecue.service.schemas import LABELS_TEXT, ClassifyAnswer, LocalizeAnswer, SegmentAnswer, VideoQuestion
from framecue.service.state import Served, Service
from framecue.service.videos import find_file
from framecue.service.work import Stop
from framecue.types import Classification, Localization

router = APIRouter(prefix="/api", tags=["actions"])

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "A video."},
        "labels": {"type": "string", "description": f"{LABELS_TEXT} Without any, the adapter's own."},
    },
}
QUESTION = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": VideoQuestion.model_json_schema()},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}


@dataclass(frozen=True)
class _Asked:
    """A video's file and the names to look for; None = the adapter's own."""

    path: Path
    labels: list[str] | None


@router.post("/classify", openapi_extra=QUESTION)
async def classify(service: Served, request: Request) -> ClassifyAnswer:
    """How likely each label is what a video shows, best first."""

    def work(asked: _Asked) -> Classification:
        return service.collection.predictor.classify(asked.path, asked.labels, top_k=None)

    async with _asked(service, request) as asked:
        found = await service.job(request, lambda stop: work(asked))
    return ClassifyAnswer(
        labels=list(found.labels),
        scores=list(found.scores),
        none_of_these=found.none_of_these,
        calibration=found.calibration,
    )


@router.post("/localize", openapi_extra=QUESTION)
async def localize(service: Served, request: Request) -> LocalizeAnswer:
    """Where in a video the labels are seen, best first."""

    def work(asked: _Asked, stop: Stop) -> Localization:
        return service.collection.predictor.localize(asked.path, asked.labels, on_progress=stop.check)

    async with _asked(service, request) as asked:
        found = await service.job(request, lambda stop: work(asked, stop))
    segments = [
        SegmentAnswer(start_seconds=one.start_seconds, end_seconds=one.end_seconds, label=one.label, score=one.score)
        for one in found.segments
    ]
    return LocalizeAnswer(duration_seconds=found.duration_seconds, labels=list(found.labels), segments=segments)


@asynccontextmanager
async def _asked(service: Service, request: Request) -> AsyncIterator[_Asked]:
    """What a request asks about; its errors name a sent file as its sender does.

    Raises:
        RefusedError: neither JSON nor a form with a video, or one that is refused.
    """
    kind = media_type_of(request)
    if kind == "application/json":
        question = await from_json(VideoQuestion, request)
        labels = checked_labels(question.labels)
        video = await service.video(question.video_id)
        file = await service.reads.run(lambda: find_file(video, service.collection.roots))
        yield _Asked(file.path, labels)
    elif kind == "multipart/form-data":
        async with service.uploads.receive(request) as upload:
            if upload.is_image:
                raise RefusedError(415, f"{upload.name}: it is an image; send a video.", reason="type")
            names = [name for text in upload.fields.get("labels", []) for name in split_labels(text)]
            try:
                yield _Asked(upload.path, checked_labels(names or None))
            except (VideoError, UsageError) as error:
                raise upload.in_its_name(error) from error
    else:
        raise RefusedError(
            415, f"A question is application/json or multipart/form-data, found {kind or 'no Content-Type'}."
        )
