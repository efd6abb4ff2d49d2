"""`framecue score retrieval` as a user meets it: anyone's matrix, known answers, a line for each bad file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from framecue.cli.main import app
from framecue.errors import DatasetError, UsageError
from framecue.tasks.score_retrieval import score_retrieval


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", "retrieval", *map(str, arguments)])


def scored(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def refused(error: type[Exception], *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        score_retrieval(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def saved(tmp_path: Path):
    """Writes an array to a .npy file."""

    def save(array: Any, name: str = "m.npy") -> Path:
        np.save(tmp_path / name, np.asarray(array))
        return tmp_path / name

    return save


@pytest.fixture
def real_matrix(shared_data: Path) -> Path:
    return shared_data / "golden" / "retrieval_msrvtt1kA" / "msrvtt_titles_matrix.npy"


def test_known_answers(real_matrix):
    result = scored("--matrix", real_matrix)
    found = {key: round(value, 2) for key, value in result.items() if key.startswith(("t2v/", "v2t/"))}
    t2v = {"t2v/R1": 29.7, "t2v/R5": 55.8, "t2v/R10": 66.6, "t2v/MdR": 4, "t2v/MnR": 26.74}
    assert found.items() >= {**t2v, "t2v/tied_queries": 0, "v2t/R5": 54.9, "v2t/R10": 66.8, "v2t/R1": 28.25}.items()
    assert result["matrix"] == {"file": str(real_matrix), "texts": 1000, "videos": 1000}
    assert result["notes"] == [
        "9 of 1000 videos have a rival exactly as similar as their match: "
        "R@1 of v2t lies between 28.10 and 28.40 by how ties are broken."
    ]
    assert scored("--matrix", real_matrix, "--ties", "optimistic")["v2t/R1"] == pytest.approx(28.4)


def test_table(real_matrix):
    result = run("--matrix", real_matrix)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["text", "to", "video", "29.70", "55.80", "66.60", "4.00", "26.74", "1000"] in lines
    assert ["video", "to", "text", "28.25", "54.90", "66.80", "4.00", "27.09", "1000"] in lines
    assert ["95", "%", "interval", "26.9–32.6", "52.7–58.9", "63.6–69.5"] in lines
    assert "ties: equal similarities count as randomly ordered, and the expectation is given." in result.stdout
    assert "truth: the diagonal; texts of a video: 1." in result.stdout


def test_columns_are_texts(real_matrix, saved):
    turned = saved(np.load(real_matrix).T)
    plain, other = scored("--matrix", real_matrix), scored("--matrix", turned, "--columns-are-texts")
    assert plain["t2v/R1"] == other["t2v/R1"] == 29.7
    assert scored("--matrix", turned)["t2v/R1"] != 29.7
    assert plain["v2t/MnR"] == other["v2t/MnR"]


@pytest.mark.parametrize("form", ["npy", "json", "txt"])
def test_truth_of_several_captions(saved, tmp_path, form):
    truth = [0, 1, 1, 0]
    file = tmp_path / f"truth.{form}"
    if form == "npy":
        np.save(file, np.array(truth, dtype=np.uint8))
    else:
        file.write_text(json.dumps(truth) if form == "json" else "\r\n".join(map(str, truth)) + "\r\n\n")
    matrix = saved([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.1], [0.3, 0.1, 0.5]])
    result = scored("--matrix", matrix, "--truth", file)
    assert (result["t2v/MnR"], result["t2v/queries"]) == (1.5, 4)
    assert (result["v2t/R1"], result["v2t/queries"]) == (100.0, 2)
    assert result["truth"] == {"file": str(file), "captions_per_video": [2, 2], "videos_without_caption": 1}
    assert result["notes"] == ["videos without a text, which compete but are no queries of v2t: 1 of 3."]


def test_dual_softmax_is_marked(real_matrix):
    result = scored("--matrix", real_matrix, "--dsl", "0.01")
    assert result["t2v/R1"] == pytest.approx(32.7)
    used = result["protocol"]["post_processing"]
    assert used["uses_test_query_set"] is True
    assert (used["temperature"], used["directions"]) == (0.01, ["t2v", "v2t"])
    assert result["notes"][-1].startswith("some similarities are negative, and DSL lowers those")
    table = run("--matrix", real_matrix, "--dsl", "0.01").stdout
    assert "Cheng et al. 2021), which uses the whole query set at test time" in table


def test_query_bank_is_marked(real_matrix, saved):
    bank = saved(np.load(real_matrix)[:200] + np.float32(0.01), "bank.npy")
    result = scored("--matrix", real_matrix, "--query-bank", bank)
    used = result["protocol"]["post_processing"]
    assert (used["uses_test_query_set"], used["uses"], used["directions"]) == (
        False,
        "a bank of 200 other texts",
        ["t2v"],
    )
    assert result["v2t/R1"] == pytest.approx(28.25)
    assert "the query bank is of texts, so v2t is as without it." in result["notes"]
    itself = scored("--matrix", real_matrix, "--query-bank", "test", "--bank-temperature", "0.02")
    used = itself["protocol"]["post_processing"]
    assert (used["uses_test_query_set"], used["temperature"]) == (True, 0.02)
    assert used["uses"] == "the whole query set at test time"


def test_nothing_is_marked_without_options(saved):
    assert scored("--matrix", saved(np.eye(2)))["protocol"] == {
        "ties": "equal similarities count as randomly ordered, and the expectation is given",
        "video_to_text": "best own caption among all captions of other videos",
        "post_processing": None,
    }
    sets = scored("--matrix", saved(np.eye(2)), "--caption-sets")["protocol"]["video_to_text"]
    assert sets == "best own caption among the best captions of the other videos, as CLIP4Clip does"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3)), "has 2 texts and 3 videos, so no diagonal. Give the video of each text with --truth FILE."),
        (np.zeros(3), "must hold real numbers [texts, videos], found float64 [3]."),
        (np.float64(1.0), "must hold real numbers [texts, videos], found float64 []."),
        (np.zeros((2, 2, 2)), "must hold real numbers [texts, videos], found float64 [2, 2, 2]."),
        (np.zeros((2, 2), dtype=complex), "must hold real numbers [texts, videos], found complex128 [2, 2]."),
        (np.zeros((2, 2), dtype="i4,f4"), "found [('f0', '<i4'), ('f1', '<f4')] [2, 2]."),
        (np.array([["a"]]), "must hold real numbers [texts, videos], found <U1 [1, 1]."),
        (
            np.array([[1, np.nan], [np.inf, 0]]),
            "found 2 values NaN or infinite, the first in row 0, column 1 (from 0).",
        ),
    ],
)
def test_arrays_refused(saved, array, message):
    path = saved(array)
    text = refused(DatasetError, path)
    assert message in text
    assert text.startswith(str(path))


def test_empty_array_is_refused(saved):
    assert "m.npy" in refused(DatasetError, saved(np.zeros((0, 4))))


def test_files_refused(saved, tmp_path):
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([[{}]], dtype=object), allow_pickle=True)
    assert refused(DatasetError, objects) == (
        f"{objects} is no whole NumPy array of numbers. Write it again with numpy.save."
    )
    many = tmp_path / "many.npz"
    np.savez(many, a=np.eye(2))
    assert "holds several arrays (.npz). Save the similarities alone with numpy.save." in refused(DatasetError, many)
    assert "cannot be read: No such file or directory." in refused(DatasetError, tmp_path / "none.npy")
    assert "cannot be read: Is a directory." in refused(DatasetError, tmp_path)
    good = saved(np.eye(30)).read_bytes()
    file = tmp_path / "cut.npy"
    for data in (b"", good[:5], good[:60], good[:-1], b"\x93NUMPY\x01\x00\xff\xff" + good[10:], b"[[1, 2]]"):
        file.write_bytes(data)
        assert str(file) in refused(DatasetError, file)


def test_damaged_headers_never_end_in_another_error(saved):
    path = saved(np.eye(5))
    good, draw = path.read_bytes(), np.random.default_rng(0)
    messages = []
    for _ in range(300):
        bad = bytearray(good)
        for place in draw.integers(0, 128, draw.integers(1, 4)):
            bad[place] = draw.integers(0, 256)
        path.write_bytes(bad)
        try:
            score_retrieval(path)
        except DatasetError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(message.startswith(str(path)) and "\n" not in message for message in messages)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "0\n1", "truth must name a video for each of the 3 texts, found [2]."),
        ("t.txt", "0\n1\n3", "truth must be columns from 0 to 2, found 0 to 3; count the videos from 0."),
        ("t.txt", "0\n\n2", "entry 2 must be a column from 0 on, a whole number, found ''."),
        ("t.txt", "0\n1\nvideo7", "entry 3 must be a column from 0 on, a whole number, found 'video7'."),
        ("t.txt", "", "entry 1 must be"),
        ("t.txt", "0\n1\n" + "9" * 5000, "entry 3 must be"),
        ("t.json", "[0, 1, -1]", "entry 3 must be a column from 0 on, a whole number, found '-1'."),
        ("t.json", "[0, 1, true]", "entry 3 must be a column from 0 on, a whole number, found 'true'."),
        ("t.json", "[0, 1, 1.0]", "entry 3 must be"),
        ("t.json", '{"a": 1}', "must be a JSON list of whole numbers, one for each text."),
        ("t.json", "[0, 1", "is not valid JSON. Give a list of whole numbers, one for each text."),
        ("t.json", "[" * 100000, "is not valid JSON."),
        ("t.txt", b"\xff\xfe0", "byte 0x30 is not UTF-16. Save the file as UTF-8."),
    ],
)
def test_truth_refused(saved, tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    text = refused(DatasetError, saved(np.eye(3)), file)
    assert message in text
    assert str(file) in text


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((1, 3), dtype=int), np.array(["0", "1", "2"])])
def test_truth_arrays_refused(saved, array):
    message = refused(DatasetError, saved(np.eye(3)), saved(array, "t.npy"))
    assert "must be one row of whole numbers, the column of each text's video, found" in message


def test_the_other_way_round_is_guessed(saved):
    matrix, truth = saved(np.zeros((2, 3))), saved(np.array([0, 0, 1]), "t.npy")
    assert refused(DatasetError, matrix, truth).endswith("If the columns are the texts, say --columns-are-texts.")
    assert score_retrieval(matrix, truth, columns_are_texts=True)["t2v/queries"] == 3


def test_options_refused(saved):
    matrix = saved(np.eye(2))
    assert "exclude each other" in refused(UsageError, matrix, dsl=0.1, query_bank="test")
    assert "--dsl: temperature must be a number above 0, found 0" in refused(UsageError, matrix, dsl=0)
    assert "--bank-temperature: temperature must be" in refused(
        UsageError, matrix, query_bank="test", bank_temperature=float("nan")
    )
    assert "ties must be expected, optimistic, pessimistic" in refused(UsageError, matrix, ties="lucky")
    other = saved(np.zeros((2, 5)), "bank.npy")
    assert "query bank must have the same 2 videos, found 5 columns." in refused(DatasetError, matrix, query_bank=other)


def test_a_bad_file_ends_with_one_line_and_code_1(tmp_path):
    result = run("--matrix", tmp_path / "no\x1b[31m.npy")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "\x1b" not in result.stderr
    assert "Traceback" not in result.output
    assert run("--matrix", tmp_path, "--dsl", "0").exit_code != 0
