"""What the verbs share."""

import pytest

from framecue.cli.common import names_asked, printable
from framecue.errors import DatasetError, UsageError


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


def test_names_are_typed_or_come_from_a_file(tmp_path, capsys):
    names = ["from left, slowly", "waving"]
    file = tmp_path / "names.txt"
    file.write_text("from left, slowly\nwaving\n", encoding="utf-16")
    assert names_asked('"from left, slowly", waving', None, None) == names_asked(None, file, None) == names
    assert names_asked(None, None, "adapter") is None
    assert capsys.readouterr().err == ""


def test_what_is_hardly_meant_is_remarked_upon(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my labels.txt").write_text("one only\n")
    assert names_asked("my labels.txt, b", None, None) == ["my labels.txt", "b"]
    assert capsys.readouterr().err == (
        "--labels: 'my labels.txt' is taken for a name, and is that of a file too; to take the names in it, say "
        "--labels-file 'my labels.txt'\n"
    )
    assert names_asked("red; blue", None, "adapter") == ["red; blue"]
    assert capsys.readouterr().err == "--labels gives a single name, 'red; blue'; several are separated by commas\n"
    assert names_asked(None, tmp_path / "my labels.txt", None) == ["one only"]
    assert "my labels.txt gives a single name, 'one only'; several are one a line" in capsys.readouterr().err
    assert names_asked("x" * 5000 + ",a\0b", None, None) == ["x" * 5000, "a\0b"]


def test_names_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "odd.txt").write_bytes("fällt\nx".encode("cp1252"))
    with pytest.raises(UsageError, match="--labels and --labels-file both give the names; give one of them"):
        names_asked("a", tmp_path / "odd.txt", None)
    with pytest.raises(UsageError, match="--labels: Names '\"a, b': quotes around a name must end at its end"):
        names_asked('"a, b', None, None)
    with pytest.raises(UsageError, match="Nothing to choose from"):
        names_asked(" , ", None, None)
    with pytest.raises(DatasetError, match=r"odd.txt:1: byte 0xe4 is not UTF-8, perhaps Latin-1"):
        names_asked(None, tmp_path / "odd.txt", None)
