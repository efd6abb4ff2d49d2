"""What the tests of the routes share."""

from typing import Any

TOKEN = "a-token_that.is/long+enough=="


def error_of(answer: Any, status: int) -> str:
    """The one line of an error with that status, checked to be one."""
    assert answer.status_code == status, (answer.status_code, answer.text[:300])
    body = answer.json()
    assert list(body) == ["error"]
    line = body["error"]
    assert line
    assert "\n" not in line
    assert "Traceback" not in line
    return line
