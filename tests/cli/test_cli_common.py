"""What the verbs share."""

import pytest

from framecue.cli.common import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Grüße 你好 שלום 👩‍👧.mp4", "Grüße 你好 שלום 👩‍👧.mp4"),
        ("two\nlines\r\x1b[31m", r"two\nlines\r\x1b[31m"),
        ("stray \udcff byte", r"stray \udcff byte"),
        ("ends as \u202egpj.mp4\u2066\u2028", r"ends as \u202egpj.mp4\u2066\u2028"),
    ],
)
def test_names_leave_the_terminal_alone(name, shown):
    assert printable(name) == shown
