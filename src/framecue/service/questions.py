"""Questions as clients put them, checked before any work begins."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from framecue.datasets.class_lists import split_names
from framecue.errors import DatasetError, MomentIndexError
from framecue.search import Filter, parse_condition
from framecue.service.refusals import RefusedError, shown, validation_line
from framecue.service.schemas import LABELS_TEXT, VIDEO_ID
from framecue.service.settings import MAX_LABEL_LETTERS, MAX_LABELS, MAX_TEXT_LETTERS, MAX_TOP_K

Question = TypeVar("Question", bound=BaseModel)
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_LETTERS, strip_whitespace=True)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_MAX_CONDITIONS = 20
_MAX_JSON_BYTES = 64 * 2**10
_JSON_SECONDS = 20.0


class Filters(BaseModel):
    """What a video must meet to be searched or listed; all of them together."""

    model_config = ConfigDict(extra="forbid")

    path: Text | None = Field(None, description="A folder, a file, or a pattern with * and ?.")
    after: datetime | None = Field(
        None, description="Recorded then or later; a date or a time, of the server's time zone where it names none."
    )
    before: datetime | None = Field(None, description="Recorded before then; as `after`.")
    min_duration: Seconds | None = Field(None, description="Seconds.")
    max_duration: Seconds | None = Field(None, description="Seconds.")
    where: list[Text] = Field([], max_length=_MAX_CONDITIONS, description="On metadata: `camera=3`, `rating>=4`.")

    def filter(self) -> Filter | None:
        """
        Raises:
            RefusedError: 422, a condition that is none.
        """
        try:
            conditions = tuple(parse_condition(text) for text in self.where)
        except MomentIndexError as error:
            raise RefusedError(422, str(error)) from error
        found = Filter(
            path=self.path or None,
            after=self.after,
            before=self.before,
            min_duration_seconds=self.min_duration,
            max_duration_seconds=self.max_duration,
            conditions=conditions,
        )
        return None if found == Filter() else found


class Listing(Filters):
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 24


class Asked(Filters):
    """What a search is asked, however the example is given."""

    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 24
    min_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="Least score of a match; what is below is listed as the nearest there is."
    )
    start: Seconds | None = Field(None, description="Where the example begins, in seconds.")
    end: Seconds | None = Field(None, description="Where the example ends.")

    @model_validator(mode="after")
    def _is_span(self) -> Self:
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError("end must be after start")
        return self


class SearchQuestion(Asked):
    """By a sentence `q`, or by a video of the index `like`, or a part of it."""

    q: Text | None = Field(None, description="A sentence that says what is to be seen.")
    like: Annotated[str, Field(pattern=VIDEO_ID)] | None = Field(None, description="Id of a video of the index.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (not (self.q or "").strip()) == (self.like is None):
            raise ValueError("give either a sentence as q or a video of the index as like")
        return self


class CurvesQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: Annotated[str, Field(max_length=MAX_LABELS * MAX_LABEL_LETTERS, description=LABELS_TEXT)]


class CutQuestion(BaseModel):
    """The file itself, or with `as=mp4` a part of it as H.264."""

    model_config = ConfigDict(extra="forbid")

    as_: Annotated[str | None, Field(alias="as", pattern="^mp4$", description="mp4: transcoded for browsers.")] = None
    start: Seconds = 0.0
    end: Seconds | None = None


class ThumbnailQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    t: Seconds = Field(0.0, description="Seconds; beyond the end gives the last frame.")
    width: Annotated[int, Field(ge=16, le=1280)] = 320


def split_labels(text: str) -> list[str]:
    """Names as the command line takes them: 'waving, "a, b"' -> ["waving", "a, b"].

    Raises:
        RefusedError: 422, quotes that do not end.
    """
    try:
        return split_names(text)
    except DatasetError as error:
        raise RefusedError(422, str(error)) from error


def checked_labels(labels: str | list[str] | None) -> list[str] | None:
    """The labels, few and short enough; a text is read as it was typed. What else makes a name, the predictor says.

    Raises:
        RefusedError: 422.
    """
    if labels is None:
        return None
    if isinstance(labels, str):
        labels = split_labels(labels)
    if len(labels) > MAX_LABELS:
        raise RefusedError(422, f"At most {MAX_LABELS} labels are taken at a time, found {len(labels)}; ask for fewer.")
    long = next((label for label in labels if len(label) > MAX_LABEL_LETTERS), None)
    if long is not None:
        raise RefusedError(
            422, f"A label may have {MAX_LABEL_LETTERS} letters, found {len(long)}: {long[:40]!r}...; shorten it."
        )
    return labels


def from_form(kind: type[Question], fields: dict[str, list[str]]) -> Question:
    """The fields of a form, as a query string would be read; empty ones count as not filled in.

    Raises:
        RefusedError: 422.
    """
    filled = {name: [value for value in values if value.strip()] for name, values in fields.items()}
    values: dict[str, Any] = {
        name: values if name == "where" else values[-1] for name, values in filled.items() if values
    }
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise RefusedError(422, validation_line(error.errors())) from error


async def from_json(kind: type[Question], request: Request) -> Question:
    """The body of a request.

    Raises:
        RefusedError: 408, 413 or 422.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_JSON_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _MAX_JSON_BYTES:
                    raise RefusedError(413, f"A question may have {_MAX_JSON_BYTES // 1024} KiB of JSON; ask for less.")
    except TimeoutError:
        raise RefusedError(408, f"The question took longer than {_JSON_SECONDS:g} s to come in.") from None
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RefusedError(422, validation_line(error.errors())) from error


def media_type_of(request: Request) -> str:
    """Of the body: "application/json"."""
    return shown(request.headers.get("content-type", "")).partition(";")[0].strip().lower()
