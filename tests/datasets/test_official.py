from collections import Counter
from pathlib import Path

import pytest

from framecue.datasets.official import looks_like, read_hmdb51, read_ucf101
from framecue.datasets.records import load_records
from framecue.errors import DatasetError

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"
VIDEOS = ANNOTATIONS.parent / "videos"


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def refusal(*args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        load_records(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


HMDB = {
    "run_test_split1.txt": "#1_run.avi 1 \nb.avi 2 \nc.avi 0 \n",
    "sit_up_test_split1.txt": "d.avi 1 \n",
    "class_list.txt": "run\n",
}
UCF = {
    "classInd.txt": "1 RunFast\r\n2 SitUp\r\n",
    "trainlist01.txt": "RunFast/v_RunFast_g01_c01.avi 1\r\nSitUp/v_SitUp_g01_c01.avi 2\r\n",
    "testlist01.txt": "SitUp/v_SitUp_g02_c01.avi\r\n",
}


def official(root: Path, files: dict[str, str], **changed: str) -> Path:
    root.mkdir()
    for name, text in {**files, **{f"{key}.txt": value for key, value in changed.items()}}.items():
        (root / name).write_bytes(text.encode())
    return root


def test_hmdb51(tmp_path):
    videos = make(tmp_path / "v", "run/#1_run.avi", "b.avi", "sit_up/d.avi")
    records, _ = load_records(videos, annotations=official(tmp_path / "splits", HMDB))
    assert [(r.path.relative_to(videos).as_posix(), r.label, r.split) for r in records] == [
        ("run/#1_run.avi", "run", "train"),
        ("b.avi", "run", "test"),
        ("sit_up/d.avi", "sit up", "train"),
    ]


def test_ucf101_within_its_archive_folder(tmp_path):
    videos = make(
        tmp_path / "v", "RunFast/v_RunFast_g01_c01.avi", "SitUp/v_SitUp_g01_c01.avi", "SitUp/v_SitUp_g02_c01.avi"
    )
    (tmp_path / "splits").mkdir()
    official(tmp_path / "splits" / "ucfTrainTestlist", UCF)
    records, _ = load_records(videos, annotations=tmp_path / "splits")
    assert [(record.label, record.split) for record in records] == [
        ("run fast", "train"),
        ("sit up", "train"),
        ("sit up", "test"),
    ]


@pytest.mark.parametrize(
    ("files", "changed", "options", "said"),
    [
        (
            HMDB,
            {"run_test_split1": "a.avi 3\n"},
            {},
            "run_test_split1.txt:1: a line must be 'name.avi 0|1|2', found 'a.avi 3'",
        ),
        (HMDB, {}, {"split": 2, "format": "hmdb51"}, "holds no HMDB-51 files for split 2"),
        (
            UCF,
            {"trainlist01": "RunFast/a.avi 2\n"},
            {},
            "trainlist01.txt:1: class 'RunFast' has number 1 in classInd.txt, found 2",
        ),
        (UCF, {"testlist01": "\nFly/a.avi\n"}, {}, "testlist01.txt:2: class 'Fly' is not in"),
        (UCF, {"testlist01": "a.avi\n"}, {}, "testlist01.txt:1: a video must be written Class/name.avi, found 'a.avi'"),
        (UCF, {"classInd": "RunFast\n"}, {}, "classInd.txt:1: a line must be 'number Class', found 'RunFast'"),
        (UCF, {}, {"split": 3}, "holds no UCF-101 files for split 3"),
        (UCF, {}, {}, "None of the 3 videos listed is there"),
        ({"x.txt": ""}, {}, {}, "holds no official files of HMDB-51"),
    ],
)
def test_official_files_refused(tmp_path, files, changed, options, said):
    annotations = official(tmp_path / "splits", files, **changed)
    assert said in refusal(make(tmp_path / "v", "x"), annotations=annotations, **options)


def test_official_format_needs_annotations(tmp_path):
    assert "Format 'ucf101' needs the folder of official split files" in refusal(tmp_path, format="ucf101")


def real(name: str) -> Path:
    path = ANNOTATIONS / name
    if not path.is_dir():
        pytest.skip(f"no {path}: the real annotation files are not on this machine")
    return path


@pytest.mark.parametrize(
    ("name", "split", "train", "test", "classes"),
    [
        ("hmdb51", 1, 3570, 1530, 51),
        ("hmdb51", 2, 3570, 1530, 51),
        ("hmdb51", 3, 3570, 1530, 51),
        ("efficient_prompt/HMDB51", 1, 3570, 1530, 51),
        ("ucf101", 1, 9537, 3783, 101),
        ("ucf101", 2, 9586, 3734, 101),
        ("ucf101", 3, 9624, 3696, 101),
    ],
)
def test_counts_of_the_official_splits(name, split, train, test, classes):
    annotations = real(name)
    assert looks_like(annotations) == ("ucf101" if name == "ucf101" else "hmdb51")
    read = read_ucf101 if name == "ucf101" else read_hmdb51
    records = read(Path("videos"), annotations, split=split)
    assert Counter(record.split for record in records) == {"train": train, "test": test}
    assert len({record.label for record in records}) == classes
    assert len({record.path for record in records}) == len(records)


def test_authors_hmdb51_lists_equal_the_official_ones():
    authors, official_files = (
        {(record.path, record.label, record.split) for record in read_hmdb51(Path("v"), real(name))}
        for name in ("efficient_prompt/HMDB51", "hmdb51")
    )
    assert authors == official_files


def test_real_clips_against_the_official_list():
    annotations = real("ucf101")
    records, skipped = load_records(VIDEOS / "ucf101", annotations=annotations, missing="skip")
    assert {"push ups", "baby crawling", "punch"} <= {record.label for record in records}
    assert len(records) + len(skipped) == 13320
    assert "of the 13320 videos listed are missing" in refusal(VIDEOS / "ucf101", annotations=annotations)
