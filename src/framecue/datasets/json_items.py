"""Items of a JSON list or object, each with its line, which the standard reader does not tell."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framecue.datasets.manifests import read_text
from framecue.errors import DatasetError

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_items(path: Path) -> Iterator[tuple[str, str | None, Any]]:
    """ "file:line", key (None in a list) and value of each item.

    Raises:
        DatasetError: the file cannot be read, is neither a list nor an object, or is not JSON from some line on.
    """
    text = read_text(path)
    lines = _Lines(path, text)
    opening = _skip_space(text, 0)
    if text[opening : opening + 1] not in ("[", "{"):
        raise DatasetError(f"{path}: not a JSON list or object. Restore the official file.")
    closing, keyed = ("]", False) if text[opening] == "[" else ("}", True)
    position = _skip_space(text, opening + 1)
    while text[position : position + 1] != closing:
        origin = lines.origin(position)
        key = None
        if keyed:
            key, position = _value(text, position, lines)
            if not isinstance(key, str):
                raise lines.error(position, "a key must be text in quotes")
            position = _expect(text, position, ":", lines)
        value, position = _value(text, position, lines)
        yield origin, key, value
        position = _skip_space(text, position)
        if text[position : position + 1] != closing:
            position = _expect(text, position, ",", lines)
            if text[position : position + 1] == closing:
                raise lines.error(position, "a comma before the end")
    rest = _skip_space(text, position + 1)
    if rest < len(text):
        raise lines.error(rest, "text after the end")


class _Lines:
    """Counts lines from one position to the next, so that a long file is not counted again for each item."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text, self._position, self._line = path, text, 0, 1

    def origin(self, position: int) -> str:
        self._line += self._text.count("\n", self._position, position)
        self._position = position
        return f"{self._path}:{self._line}"

    def error(self, position: int, what: str) -> DatasetError:
        return DatasetError(f"{self.origin(position)}: not valid JSON: {what}. Restore the official file.")


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _expect(text: str, position: int, sign: str, lines: _Lines) -> int:
    position = _skip_space(text, position)
    if text[position : position + 1] != sign:
        raise lines.error(position, f"a '{sign}' is missing")
    return _skip_space(text, position + 1)


def _value(text: str, position: int, lines: _Lines) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise lines.error(error.pos, error.msg) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets without end
        raise lines.error(position, "a number or a nesting of absurd size") from None
