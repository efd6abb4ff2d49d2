"""Filters by path, date, duration and metadata: equal to a naive one, typed, and nothing in them is ever executed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moment_videos import BINDING, make_video, video_id

from framecue.errors import MomentIndexError
from framecue.search import Condition, Filter, MomentIndex, parse_condition
from framecue.search.filters import metadata_test, path_test
from framecue.types import MetadataValue


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> MomentIndex:
    index = MomentIndex.create(tmp_path_factory.mktemp("filters") / "index", BINDING)
    places = ("hall", "yard", "O'Brien's; DROP TABLE")
    items = [
        make_video(seed, num_moments=1 + seed % 5, camera=seed % 4, rating=seed / 4, place=places[seed % 3])
        for seed in range(24)
    ]
    items += [make_video(seed, public=seed % 2 == 0, number="7" if seed == 25 else 7) for seed in range(24, 28)]
    index.add(items)
    return index


def seeds(index: MomentIndex, where: Filter) -> list[int]:
    """Which of the drawn videos pass; the same for a search as for a list."""
    listed = {video.video_id for video in index.videos(where)}
    found = index.search(make_video(0).whole, top_k=1000, where=where)
    assert {hit.video.video_id for hit in found.hits[0]} == listed
    assert found.num_videos == len(listed)
    return [seed for seed in range(28) if video_id(seed) in listed]


def test_metadata(index: MomentIndex) -> None:
    assert seeds(index, Filter(metadata={"camera": 3})) == [3, 7, 11, 15, 19, 23]
    assert seeds(index, Filter(metadata={"camera": 3, "rating": (">=", 3)})) == [15, 19, 23]
    assert seeds(index, Filter(conditions=(parse_condition("rating>=4"), parse_condition("rating < 5")))) == [
        *range(16, 20)
    ]
    assert seeds(index, Filter(metadata={"place": "yard", "camera": (">", 1)})) == [7, 10, 19, 22]
    assert seeds(index, Filter(metadata={"public": True})) == [24, 26]
    assert seeds(index, Filter(conditions=(parse_condition("public=no"),))) == [25, 27]


def test_a_video_without_the_column_never_passes(index: MomentIndex) -> None:
    assert seeds(index, Filter(metadata={"public": ("!=", True)})) == [25, 27]
    assert seeds(index, Filter(metadata={"camera": ("!=", 0), "public": True})) == []


def test_columns_of_several_types_compare_with_each_as_its_own(index: MomentIndex) -> None:
    assert index.status().metadata_columns["number"] == "mixed"
    assert seeds(index, Filter(conditions=(parse_condition("number=7"),))) == [24, 25, 26, 27]
    assert seeds(index, Filter(metadata={"number": 7})) == [24, 26, 27]
    assert seeds(index, Filter(metadata={"number": ("<", 8)})) == [24, 26, 27]


def test_text_in_a_filter_is_only_ever_text(index: MomentIndex) -> None:
    quoted = "O'Brien's; DROP TABLE"
    assert seeds(index, Filter(metadata={"place": quoted})) == [*range(2, 24, 3)]
    for text in ("hall' OR '1'='1", "' OR 1=1 --", "hall\x00", "%", "*", "{0}", "__import__('os')"):
        assert seeds(index, Filter(metadata={"place": text})) == []
        assert seeds(index, Filter(path=text)) == ([*range(28)] if text == "*" else [])
    assert index.remove(["' OR 1=1 --", "*"]) == 0


def test_dates_and_durations(index: MomentIndex) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    assert seeds(index, Filter(after=start + timedelta(days=25))) == [25, 26, 27]
    assert seeds(index, Filter(before=start + timedelta(days=2))) == [0, 1]
    assert seeds(index, Filter(after=datetime(2024, 1, 3), before=datetime(2024, 1, 5))) == [2, 3]
    assert seeds(index, Filter(min_duration_seconds=10, max_duration_seconds=10, path="/videos/0")) == [3, 18]
    assert seeds(index, Filter(after=start + timedelta(days=9), before=start)) == []


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_day_without_a_zone_is_the_local_one(tmp_path: Path) -> None:
    index = MomentIndex.create(tmp_path / "index", BINDING)
    index.add([make_video(31), make_video(32)])  # midnight of the 1st and the 2nd of February 2024 in London
    assert len(index.videos(Filter(after=datetime(2024, 2, 1), before=datetime(2024, 2, 2)))) == 1
    assert index.videos(Filter(after=datetime(2024, 2, 1, 9, 1), before=datetime(2024, 2, 2, 9))) == []
    assert len(index.videos(Filter(after=datetime(2024, 2, 1, tzinfo=UTC), before=datetime(2024, 2, 2, 9)))) == 1
    assert len(index.videos(Filter(after=datetime.min, before=datetime.max))) == 2


@pytest.mark.parametrize(
    ("text", "path", "passes"),
    [
        ("/a/b", "/a/b/c.mp4", True),
        ("/a/b/", "/a/b/c/d.mp4", True),
        ("/a/b", "/a/bc/d.mp4", False),
        ("/a/b/c.mp4", "/a/b/c.mp4", True),
        ("/", "/a/b.mp4", True),
        ("b", "/a/b/c.mp4", True),
        ("./b", "/a/b/c.mp4", True),
        ("b/c.mp4", "/a/b/c.mp4", True),
        ("c.mp4", "/a/b/c.mp4", True),
        ("c", "/a/b/c.mp4", False),
        ("/b", "/a/b/c.mp4", False),
        ("*.mp4", "/a/b/c.mp4", True),
        ("*.avi", "/a/b/c.mp4", False),
        ("/a/*.mp4", "/a/b/c.mp4", True),
        ("/b/*.mp4", "/a/b/c.mp4", False),
        ("b/?.mp4", "/a/b/c.mp4", True),
        ("b/[a-c].mp4", "/a/b/c.mp4", True),
        ("b/[!a-c].mp4", "/a/b/c.mp4", False),
        ("x [1]", "/a/x [1]/c.mp4", True),
        ("B", "/a/b/c.mp4", False),
        ("caf\udce9.mp4", "/a/caf\\xe9.mp4", True),  # as the index stores bytes that are no UTF-8
        ("caf\udce9*", "/a/caf\\xe9.mp4", True),
        ("caf\\xe9.mp4", "/a/caf\\xe9.mp4", True),
        ("caf\xe9.mp4", "/a/caf\\xe9.mp4", False),
        ("café", "/a/cafe\u0301/c.mp4", True),
        ("cafe\u0301/?.mp4", "/a/café/c.mp4", True),
        ("caf?", "/a/cafe\u0301", True),
        ("cafe", "/a/cafe\u0301", False),
    ],
)
def test_path_filters(text: str, path: str, passes: bool) -> None:
    assert path_test(text)(path) is passes


def test_a_pattern_made_to_be_slow_is_not() -> None:
    started = time.monotonic()
    assert not path_test("a*" * 200 + "b")("/" + "a" * 1000)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("camera=3", Condition("camera", "=", "3")),
        (" camera == 3 ", Condition("camera", "=", "3")),
        ("rating>=4.5", Condition("rating", ">=", "4.5")),
        ("a!=b=c", Condition("a", "!=", "b=c")),
        ("a b<", Condition("a b", "<", "")),
        ("a=\n<b>", Condition("a", "=", "<b>")),
    ],
)
def test_conditions_are_read(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize("text", ["", "camera", "=3", ">=", "x" * 5000 + "=1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(MomentIndexError, match=r"is no condition on metadata; write for example camera=3") as error:
        parse_condition(text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            Filter(metadata={"camra": 3}),
            "No video has a metadata column 'camra'; columns there are: camera, number, place",
        ),
        (Filter(metadata={"camera": "north"}), "Metadata column 'camera' holds whole numbers, and 'north' is none"),
        (Filter(metadata={"camera": (">", "nan")}), "holds whole numbers, and 'nan' is none"),
        (Filter(metadata={"public": 3}), "holds true or false, and 3 is none"),
        (Filter(metadata={"place": 3}), "holds text, and 3 is none"),
        (Filter(metadata={"place": (">=", "hall")}), "holds text, which >= does not compare; ask with = or !="),
        (Filter(conditions=(parse_condition("place<4"),)), "holds text, which < does not compare"),
        (Filter(metadata={"public": (">", False)}), "holds true or false, which > does not compare"),
        (Filter(metadata={"number": ("<", "x")}), "holds values of several types, and 'x' is none"),
        (Filter(path=""), "A path filter is a folder, a file or a pattern"),
        (Filter(path="x" * 5000), "A path filter is a folder, a file or a pattern"),
    ],
)
def test_filters_that_cannot_be_applied_are_refused(index: MomentIndex, where: Filter, words: str) -> None:
    for ask in (index.videos, lambda where: index.search(make_video(0).whole, top_k=1, where=where)):
        with pytest.raises(MomentIndexError) as error:
            ask(where)
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_an_unknown_comparison_is_refused() -> None:
    with pytest.raises(MomentIndexError, match="'~' is no comparison; use one of =, !=, <"):
        Filter(metadata={"a": ("~", 1)}).all_conditions()  # type: ignore[dict-item]


VALUES = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(["", "a", "b", "1", "true"]))


@settings(max_examples=200, deadline=None)
@given(stored=VALUES, sign=st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), given_value=VALUES)
def test_typed_comparison_is_that_of_python(stored: MetadataValue, sign: str, given_value: MetadataValue) -> None:
    """Of two values of one type; of two types, nothing passes or the filter is refused."""
    kinds = [
        bool if isinstance(value, bool) else str if isinstance(value, str) else float for value in (stored, given_value)
    ]
    condition = Condition("x", sign, given_value)  # type: ignore[arg-type]
    if sign not in ("=", "!=") and kinds[0] is not float:
        with pytest.raises(MomentIndexError):
            metadata_test(condition, type(stored).__name__)
    elif kinds[0] is kinds[1]:
        signs = {"=": "__eq__", "!=": "__ne__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
        expected = getattr(kinds[0](stored), signs[sign])(kinds[0](given_value))
        assert metadata_test(condition, type(stored).__name__)({"x": stored}) is expected
    elif kinds[1] is not str:
        with pytest.raises(MomentIndexError):
            metadata_test(condition, type(stored).__name__)
    if sign in ("=", "!=") or kinds[1] is float:
        assert metadata_test(condition, "mixed")({}) is False


def test_filters_see_what_changed(tmp_path: Path) -> None:
    index = MomentIndex.create(tmp_path / "index", BINDING)
    index.add([make_video(seed, camera=1) for seed in range(4)])
    where = Filter(metadata={"camera": 1})
    assert len(index.videos(where)) == 4
    index.annotate({video_id(0): {"camera": 2}})
    index.remove([video_id(1)])
    index.add([make_video(9, camera=1)])
    assert {video.video_id for video in index.videos(where)} == {video_id(seed) for seed in (2, 3, 9)}
    query = np.stack([make_video(0).whole])
    assert {hit.video.video_id for hit in index.search(query, top_k=99, where=where).hits[0]} == {
        video_id(seed) for seed in (2, 3, 9)
    }


@pytest.mark.parametrize("text", ["a" + " " * 3990 + "=", " " * 2000 + "a = b" + " " * 1900])
def test_blanks_without_end_are_read_at_once(text: str) -> None:
    assert parse_condition(text).name == "a"  # a pattern with blanks on both sides took minutes


def test_dates_at_the_edge_of_the_calendar_are_compared(index):
    edge = timezone(timedelta(hours=14))
    assert len(index.videos(Filter(after=datetime(1, 1, 1, tzinfo=edge)))) == len(index.videos())
    assert not index.videos(Filter(after=datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=14)))))


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_durations_that_are_none_are_refused(seconds: float) -> None:
    with pytest.raises(MomentIndexError, match="must be a number of seconds from 0 on"):
        Filter(min_duration_seconds=seconds)
