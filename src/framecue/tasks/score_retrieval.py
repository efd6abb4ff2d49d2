"""Anyone's similarity matrix of texts and videos: files in, figures of both directions and how they were made, out."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from framecue.datasets.manifests import read_text
from framecue.errors import DatasetError, UsageError
from framecue.metrics.query_sets import DualSoftmax, QueryBank, Revision
from framecue.metrics.retrieval import RetrievalScores, Rivals, Ties, retrieval_scores

Matrix = npt.NDArray[np.number]

TEST_QUERIES: Literal["test"] = "test"
"""In the place of a query bank: the test queries themselves."""

_TIES = {
    "expected": "equal similarities count as randomly ordered, and the expectation is given",
    "optimistic": "of equal similarities the match counts as first",
    "pessimistic": "of equal similarities the match counts as last",
}
_RIVALS = {
    "captions": "best own caption among all captions of other videos",
    "caption sets": "best own caption among the best captions of the other videos, as CLIP4Clip does",
}
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")


def score_retrieval(
    matrix: str | Path,
    truth: str | Path | None = None,
    *,
    columns_are_texts: bool = False,
    dsl: float | None = None,
    query_bank: str | Path | None = None,
    bank_temperature: float = 0.05,
    ties: Ties = "expected",
    rivals: Rivals = "captions",
) -> dict[str, Any]:
    """R@1, R@5, R@10, median and mean rank of both directions ("t2v/R1" and so on), for JSON.

    Args:
        matrix: .npy file [texts, videos]; it is read from the disk as needed.
        truth: .npy, .json (a list) or .txt (a line each) with the column of each text's video, from 0; None is the
            diagonal.
        columns_are_texts: the file is [videos, texts].
        dsl: temperature of the dual softmax; uses the whole set of test queries.
        query_bank: .npy file [other texts, videos] for QB-Norm (of the same layout as `matrix`), or "test" for the test
            queries themselves.
        ties, rivals: see `metrics.retrieval`.

    Raises:
        DatasetError: a file cannot be read, or what is in it does not fit.
        UsageError: options that exclude each other, or a value outside its choices.
    """
    if ties not in _TIES or rivals not in _RIVALS:
        raise UsageError(f"ties must be {', '.join(_TIES)} and rivals {', '.join(_RIVALS)}, found {ties} and {rivals}.")
    path = Path(matrix)
    similarity = _read_matrix(path, columns_are_texts)
    videos = _diagonal(similarity, path) if truth is None else _read_truth(Path(truth))
    revision = _revision(dsl, query_bank, bank_temperature, columns_are_texts)

    def by(policy: Ties) -> RetrievalScores:
        return retrieval_scores(similarity, videos, revision=revision, ties=policy, rivals=rivals)

    try:
        scores = by(ties)
    except ValueError as error:
        hint = _layout_hint(similarity, videos)
        raise DatasetError(f"{path}{'' if truth is None else f' with {truth}'}: {error}{hint}") from None
    figures = scores.to_json()
    tied = figures["t2v/tied_queries"] or figures["v2t/tied_queries"]
    bounds = (by("pessimistic").to_json(), by("optimistic").to_json()) if tied else (figures, figures)
    captions = np.bincount(videos, minlength=similarity.shape[1])
    return {
        "matrix": {"file": str(path), "texts": similarity.shape[0], "videos": similarity.shape[1]},
        "truth": {
            "file": None if truth is None else str(truth),
            "captions_per_video": [int(captions[captions > 0].min()), int(captions.max())],
            "videos_without_caption": int((captions == 0).sum()),
        },
        "protocol": {
            "ties": _TIES[ties],
            "video_to_text": _RIVALS[rivals],
            "post_processing": _described(revision, query_bank),
        },
        **figures,
        "ci95": {name: list(interval) for name, interval in scores.intervals().items()},
        "notes": _notes(figures, bounds, captions, similarity, revision),
    }


def _read_matrix(path: Path, transposed: bool) -> Matrix:
    """[texts, videos].

    Raises:
        DatasetError: as `_read_array`, or the array is no table of numbers.
    """
    array = _read_array(path)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iuf":
        raise DatasetError(f"{path} must hold real numbers [texts, videos], found {array.dtype} {list(array.shape)}.")
    return array.T if transposed else array


def _read_array(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file, on the disk; nothing in the file is run.

    Raises:
        DatasetError: no such file, or not such an array.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror or 'not a NumPy array'}. Give an array as numpy.save writes it."
        ) from None
    except Exception:  # a damaged header makes NumPy raise errors of many kinds
        raise DatasetError(f"{path} is no whole NumPy array of numbers. Write it again with numpy.save.") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DatasetError(f"{path} holds several arrays (.npz). Save the similarities alone with numpy.save.")
    return array


def _diagonal(similarity: Matrix, path: Path) -> npt.NDArray[np.int64]:
    num_texts, num_videos = similarity.shape
    if num_texts != num_videos:
        found = f"{num_texts} texts and {num_videos} videos"
        raise DatasetError(f"{path} has {found}, so no diagonal. Give the video of each text with --truth FILE.")
    return np.arange(num_texts)


def _read_truth(path: Path) -> npt.NDArray[np.int64]:
    """int [N], not yet compared with the matrix.

    Raises:
        DatasetError: the file cannot be read, or is no list of whole numbers.
    """
    if path.suffix.lower() == ".npy":
        array = _read_array(path)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DatasetError(
                f"{path} must be one row of whole numbers, the column of each text's video, found {array.dtype} "
                f"{list(array.shape)}."
            )
        return np.array(array, dtype=np.int64)
    text = read_text(path)
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise DatasetError(f"{path} is not valid JSON. Give a list of whole numbers, one for each text.") from None
        if not isinstance(values, list):
            raise DatasetError(f"{path} must be a JSON list of whole numbers, one for each text.")
        lines = [str(value) if type(value) is int else json.dumps(value) for value in values]
    else:
        lines = text.rstrip().split("\n")
    for number, line in enumerate(lines, start=1):
        if not _WHOLE_NUMBER.fullmatch(line.strip()):
            found = " ".join(line.split())[:40]
            raise DatasetError(f"{path}: entry {number} must be a column from 0 on, a whole number, found '{found}'.")
    return np.array([int(line) for line in lines], dtype=np.int64)


def _revision(
    dsl: float | None, query_bank: str | Path | None, bank_temperature: float, columns_are_texts: bool
) -> Revision | None:
    if dsl is not None and query_bank is not None:
        raise UsageError("DSL and a query bank exclude each other; give one of --dsl and --query-bank.")
    try:
        if dsl is not None:
            return DualSoftmax(dsl)
        itself = QueryBank(None, bank_temperature)
    except ValueError as error:
        raise UsageError(f"{'--dsl' if dsl is not None else '--bank-temperature'}: {error}") from None
    if query_bank is None or query_bank == TEST_QUERIES:
        return itself if query_bank else None
    try:
        return QueryBank(_read_matrix(Path(query_bank), columns_are_texts), bank_temperature)
    except ValueError as error:
        raise DatasetError(f"{query_bank}: {error}") from None


def _described(revision: Revision | None, query_bank: str | Path | None) -> dict[str, Any] | None:
    """How the figures were helped, for whoever compares them."""
    if revision is None:
        return None
    if isinstance(revision, DualSoftmax):
        method = {"method": "dual softmax (DSL; Cheng et al. 2021)", "uses": "the whole query set at test time"}
        return {
            **method,
            "uses_test_query_set": True,
            "directions": ["t2v", "v2t"],
            "temperature": revision.temperature,
        }
    bank = revision.bank
    return {
        "method": "QB-Norm (dynamic inverted softmax; Bogolin et al. 2022)",
        "uses": "the whole query set at test time" if bank is None else f"a bank of {len(bank)} other texts",
        "uses_test_query_set": bank is None,
        "directions": ["t2v", "v2t"] if bank is None else ["t2v"],
        "temperature": revision.temperature,
        "query_bank": None if bank is None else str(query_bank),
    }


def _notes(
    figures: dict[str, float],
    bounds: tuple[dict[str, float], dict[str, float]],
    captions: npt.NDArray[np.int64],
    similarity: Matrix,
    revision: Revision | None,
) -> list[str]:
    """What readers of the figures have to know."""
    lines = []
    for direction, queries in (("t2v", "texts"), ("v2t", "videos")):
        tied = figures[f"{direction}/tied_queries"]
        if tied:
            low, high = (figures_of[f"{direction}/R1"] for figures_of in bounds)
            count = f"{tied} of {figures[f'{direction}/queries']} {queries}"
            lines.append(
                f"{count} have a rival exactly as similar as their match: R@1 of {direction} lies between "
                f"{low:.2f} and {high:.2f} by how ties are broken."
            )
    silent = int((captions == 0).sum())
    if silent:
        lines.append(f"videos without a text, which compete but are no queries of v2t: {silent} of {len(captions)}.")
    if isinstance(revision, DualSoftmax) and similarity.min() < 0:
        lines.append("some similarities are negative, and DSL lowers those that its softmax finds probable.")
    if isinstance(revision, QueryBank) and revision.bank is not None:
        lines.append("the query bank is of texts, so v2t is as without it.")
    return lines


def _layout_hint(similarity: Matrix, videos: npt.NDArray[np.int64]) -> str:
    """The next step where the matrix seems to lie the other way round."""
    if len(videos) == similarity.shape[1] != similarity.shape[0]:
        return " If the columns are the texts, say --columns-are-texts."
    return ""
