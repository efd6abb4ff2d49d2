"""Official caption files: the real ones at hand with published counts, the others as small files of their form."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from framecue.datasets.retrieval import CaptionSet, read_captions
from framecue.errors import DatasetError

ANNOTATIONS = Path("annotations")
NUM_MSRVTT = 10_000


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        read_captions(path, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def parts(read: CaptionSet) -> dict[str | None, int]:
    return dict(Counter(video.split for video in read.videos))


def msrvtt_data(ids: range, *, split: str = "train") -> dict[str, object]:
    """MSRVTT_data.json's form, two captions a video."""
    return {
        "info": {"contributor": "Microsoft MSM group"},
        "videos": [{"video_id": f"video{i}", "split": split, "category": 9} for i in ids],
        "sentences": [
            {"video_id": f"video{i}", "caption": f"take {j} of {i}", "sen_id": j} for i in ids for j in (1, 2)
        ],
    }


@pytest.fixture(scope="module")
def msrvtt_lists(shared_data) -> Path:
    return shared_data / ANNOTATIONS / "msrvtt"


@pytest.fixture
def msrvtt(msrvtt_lists, tmp_path) -> Path:
    """The real lists, with a file of captions of the official form."""
    for path in msrvtt_lists.glob("*.csv"):
        shutil.copyfile(path, tmp_path / path.name)
    write(tmp_path / "MSRVTT_data.json", msrvtt_data(range(NUM_MSRVTT)))
    return tmp_path


@pytest.mark.parametrize(
    ("protocol", "counts"),
    [
        ("9k", {"train": 9000, "test": 1000}),
        ("7k", {"train": 7010, "test": 1000}),
        ("full", {"train": 6513, "val": 497, "test": 2990}),
    ],
)
def test_msrvtt_protocols_have_the_published_counts(msrvtt, protocol, counts):
    read = read_captions(msrvtt, protocol=protocol)
    assert read.format == "msrvtt"
    assert parts(read) == counts
    assert read.notes == ()
    per_video = {part: {len(video.captions) for video in read.part(part)} for part in counts}
    assert per_video == {part: {1 if protocol != "full" and part == "test" else 2} for part in counts}
    ids = {part: {video.video_id for video in read.part(part)} for part in counts}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values())), "no video is in two parts"


def test_1k_a_is_the_test_of_9k_and_7k_and_7k_is_part_of_9k(msrvtt):
    nine, seven, full = (read_captions(msrvtt, protocol=protocol) for protocol in ("9k", "7k", "full"))
    ids = {
        name: {part: {video.video_id for video in read.part(part)} for part in ("train", "val", "test")}
        for name, read in (("9k", nine), ("7k", seven), ("full", full))
    }
    assert nine.part("test") == seven.part("test")
    assert ids["7k"]["train"] == ids["full"]["train"] | ids["full"]["val"]
    assert ids["9k"]["train"] == ids["7k"]["train"] | (ids["full"]["test"] - ids["9k"]["test"])
    assert ids["9k"]["test"] < ids["full"]["test"]


def test_the_real_1k_a_needs_no_other_file(msrvtt_lists):
    read = read_captions(msrvtt_lists, split="test")
    assert parts(read) == {"test": 1000}
    first = read.videos[0]
    assert (first.video_id, first.captions) == ("video9770", ("a person is connecting something to system",))
    alone = read_captions(msrvtt_lists / "MSRVTT_JSFUSION_test.csv")
    other = read_captions(msrvtt_lists / "fdvs_1kA_test.json")
    for same in (alone, other):
        assert [(video.video_id, video.captions, video.split) for video in same.videos] == [
            (video.video_id, video.captions, "test") for video in read.videos
        ]


def test_training_captions_that_are_not_there_are_asked_for(msrvtt_lists, msrvtt):
    told = refusal(msrvtt_lists)
    assert "MSRVTT_data.json (or train_val_videodatainfo.json and test_videodatainfo.json) is not there" in told
    assert "read as a folder" in refusal(msrvtt_lists / "MSRVTT_train.9k.csv")
    (msrvtt / "MSRVTT_data.json").unlink()
    write(msrvtt / "train_val_videodatainfo.json", msrvtt_data(range(7010)))
    assert parts(read_captions(msrvtt, protocol="7k")) == {"train": 7010, "test": 1000}
    assert "1,990 of 9,000 videos of train have no captions in train_val_videodatainfo.json" in refusal(msrvtt)
    write(msrvtt / "test_videodatainfo.json", msrvtt_data(range(7010, NUM_MSRVTT), split="test"))
    assert parts(read_captions(msrvtt)) == {"train": 9000, "test": 1000}


def test_9k_and_7k_have_no_validation_part(msrvtt):
    assert "protocol 9k has no part 'val'. Hold some training videos out, never the test." in refusal(
        msrvtt, split="val"
    )
    assert parts(read_captions(msrvtt, protocol="full", split="val")) == {"val": 497}


def test_damaged_msrvtt_lists_are_refused(msrvtt):
    train, test = msrvtt / "MSRVTT_train.9k.csv", msrvtt / "MSRVTT_JSFUSION_test.csv"
    whole = train.read_text()
    train.write_text(whole.replace("video0\n", "", 1))
    assert "MSRVTT_train.9k.csv: must list 9,000 videos, found 8,999" in refusal(msrvtt)
    train.write_text(whole.replace("video0\n", "video1\n", 1))
    assert "'video1' is listed twice" in refusal(msrvtt)
    train.write_text(whole.replace("video0\n", "video9770\n", 1))
    assert "train and 1k-A share 1 of their videos (video9770)" in refusal(msrvtt)
    train.unlink()
    assert "MSRVTT_train.9k.csv is not there" in refusal(msrvtt)
    train.write_text(whole)
    lines = test.read_text().splitlines(keepends=True)
    test.write_text("".join(lines[:-1]))
    assert "must list 1,000 videos, found 999" in refusal(msrvtt)
    test.write_text("".join([*lines[:-1], lines[1]]))
    assert "must list 1,000 videos, found 999" in refusal(msrvtt)
    test.write_text("id,text\n")
    assert "the header must be key,vid_key,video_id,sentence, found id, text" in refusal(msrvtt)
    test.unlink()
    assert "it is the test 1k-A" in refusal(msrvtt)
    assert parts(read_captions(msrvtt, split="train")) == {"train": 9000}


def test_one_msrvtt_file_has_the_parts_that_it_names(tmp_path):
    data = msrvtt_data(range(3))
    data["videos"][1]["split"], data["videos"][2]["split"] = "validate", "test"
    read = read_captions(write(tmp_path / "train_val_videodatainfo.json", data))
    assert read.format == "msrvtt"
    assert [(v.video_id, v.split, v.captions) for v in read.videos] == [
        ("video0", "train", ("take 1 of 0", "take 2 of 0")),
        ("video1", "val", ("take 1 of 1", "take 2 of 1")),
        ("video2", "test", ("take 1 of 2", "take 2 of 2")),
    ]
    data["sentences"] += [{"caption": "of nothing"}, {"video_id": "video0", "caption": None}]
    path = write(tmp_path / "MSRVTT_data.json", data)
    assert "MSRVTT_data.json, sentence 7: must have 'video_id' and 'caption'" in refusal(path)
    understood, empty = read_captions(path, invalid="drop").notes[:2]
    assert "1 entry cannot be understood" in understood
    assert "1 caption is empty: left out" in empty
    assert "must hold the lists 'videos' and 'sentences'" in refusal(write(path, {"info": {}, "videos": []}))


LSMDC = [
    "0001_American_Beauty_00.00.51.926-00.00.54.129\t00.00.51.926\t00.00.54.129\t00.00.51.926\t00.00.54.129\t{}",
    "0001_American_Beauty_00.00.59.812-00.01.08.302\t00.00.59.812\t00.01.08.302\t\t\t{}",
]


def test_lsmdc_is_read_from_tabs_alone(tmp_path):
    clip, other = (line.partition("\t")[0] for line in LSMDC)
    train = [
        LSMDC[0].format('"SOMEONE" is on the bed.'),
        LSMDC[0].format("SOMEONE's \"eyes"),
        LSMDC[1].format("She stares."),
    ]
    write(tmp_path / "LSMDC16_annos_training.csv", "\n".join(train) + "\n")
    write(tmp_path / "LSMDC16_annos_val.csv", LSMDC[0].replace("American", "African").format("He waits.") + "\r\n")
    test = LSMDC[0].replace("0001", "1012").format("A car stops.")
    write(tmp_path / "LSMDC16_challenge_1000_publictect.csv", test + "\n")
    write(tmp_path / "LSMDC16_annos_test.csv", LSMDC[1].format("A further test.") + "\n")
    write(tmp_path / "LSMDC16_multiple_choice_valid.csv", "1\t2\t3\n")
    read = read_captions(tmp_path)
    assert read.format == "lsmdc"
    assert any("2 files are no part of the published protocol: not read" in note for note in read.notes)
    assert parts(read) == {"train": 2, "val": 1, "test": 1}
    assert [v.captions for v in read.part("train")] == [
        ('"SOMEONE" is on the bed.', "SOMEONE's \"eyes"),
        ("She stares.",),
    ]
    assert [v.video_id for v in read.part("train")] == [clip, other]
    assert (read.videos[0].start_seconds, read.videos[0].end_seconds) == (None, None)
    movie = tmp_path / "avi" / "0001_American_Beauty"
    movie.mkdir(parents=True)
    (movie / f"{clip}.avi").write_bytes(b"")
    found = read_captions(tmp_path, split="train", videos=tmp_path / "avi")
    assert [video.path for video in found.videos] == [movie / f"{clip}.avi"]
    path = write(tmp_path / "LSMDC16_annos_training.csv", train[0] + "\nbroken\tline\n")
    assert f"{path}:2: a line must have 6 columns separated by tabs, found 2" in refusal(path)


def test_didemo_sentences_are_joined_in_the_order_of_the_file(tmp_path):
    def entry(video: str, text: object) -> dict[str, object]:
        return {"annotation_id": 1, "video": video, "description": text, "times": [[0, 0], [0, 1]], "num_segments": 6}

    said = [("b@N0_1.mov", "second first. "), ("a@N0_2.avi", "alone"), ("b@N0_1.mov", "then this"), ("b@N0_1.mov", " ")]
    path = write(tmp_path / "val_data.json", [entry(video, text) for video, text in said])
    read = read_captions(path)
    assert (read.format, parts(read)) == ("didemo", {"val": 2})
    assert [(v.video_id, v.captions) for v in read.videos] == [
        ("b@N0_1.mov", ("second first. then this",)),
        ("a@N0_2.avi", ("alone",)),
    ]
    assert any("1 caption is empty" in note for note in read.notes)
    sentences = read_captions(path, paragraph=False).videos
    assert [v.captions for v in sentences] == [("second first.", "then this"), ("alone",)]
    (tmp_path / "b@N0_1.mp4").write_bytes(b"")
    assert [v.path for v in read_captions(path, videos=tmp_path).videos] == [tmp_path / "b@N0_1.mp4"]
    bad = write(tmp_path / "val_data.json", [entry("a", "fine"), entry("b", 3)])
    assert f"{bad}:1: an entry must have the texts 'video' and 'description'" in refusal(bad)


def test_real_didemo_paragraphs(shared_data):
    """1,003 of the 1,004 published test videos: the file at hand, as others use it, lacks one that cannot be read."""
    folder = shared_data / ANNOTATIONS / "didemo"
    read = read_captions(folder)
    assert (read.format, parts(read)) == ("didemo", {"test": 1003})
    joined = json.loads((folder / "test_data.json").read_text())
    assert all(len(video.captions) == 1 for video in read.videos)
    assert sum(video.captions[0] == joined[video.video_id]["caption"].strip() for video in read.videos) > 990
    published = (shared_data / ANNOTATIONS / "collaborative_experts" / "didemo" / "test_list.txt").read_text().split()
    assert {v.video_id for v in read.videos} < {name.rpartition(".")[0] for name in published}
    assert len(published) == 1004


def test_real_msvd_in_its_parts(shared_data):
    folder = shared_data / ANNOTATIONS / "msvd"
    for source in (folder, folder / "captions_msvd.json"):
        read = read_captions(source)
        assert (read.format, parts(read)) == ("msvd", {"train": 1200, "val": 100, "test": 670})
        assert sum(len(video.captions) for video in read.part("test")) == 27763
        assert len(read.notes) == 2
        assert "1 caption may stand for an empty cell: kept, and better left out" in read.notes[0]
        assert "10845 captions are given twice for one video: all kept" in read.notes[1]


def test_msvd_without_its_files(tmp_path):
    path = write(tmp_path / "captions_msvd.json", {"a_0_1": ["x"], "b_0_1": ["y"], "c_0_1": ["z"]})
    assert read_captions(path).format == "json"
    assert "train_list.txt and its like are not there" in refusal(path, format="msvd")
    write(tmp_path / "train_list.txt", "a_0_1\n")
    write(tmp_path / "test_list.txt", "b_0_1\n")
    read = read_captions(tmp_path)
    assert parts(read) == {"train": 1, "test": 1}
    assert "1 video is in no list: left out (captions_msvd.json:1, c_0_1)" in read.notes[0]
    write(tmp_path / "test_list.txt", "b_0_1\na_0_1\n")
    assert "'a_0_1' is in " in refusal(tmp_path)
    path.rename(tmp_path / "raw-captions.pkl")
    assert "a pickle can run any code" in refusal(tmp_path)


def test_real_activitynet_captions_as_paragraphs_and_as_segments(shared_data):
    folder = shared_data / ANNOTATIONS / "activitynet_captions"
    read = read_captions(folder / "val_1.json")
    assert (read.format, parts(read)) == ("activitynet_captions", {"val": 4917})
    first = read.videos[0]
    assert first.video_id == "v_uqiMw7tQ1Cc"
    assert first.captions == (
        "A weight lifting tutorial is given. The coach helps the guy in red with the proper body placement and lifting "
        "technique.",
    )
    segments = read_captions(folder / "val_1.json", paragraph=False).videos
    assert len({video.video_id for video in segments}) == 4917
    assert sum(len(video.captions) for video in segments) == 17505
    assert [(v.start_seconds, v.end_seconds) for v in segments[:2]] == [(0.28, 55.15), (13.79, 54.32)]
    both = read_captions(folder)
    assert [video.captions for video in both.videos] == [video.captions for video in read.videos]
    assert any("1 file is no part of the published protocol: not read (val_2.json)" in note for note in both.notes)


@pytest.mark.parametrize("pair", [[3, 3], [5, 2], [-1, 2], [1], "ab", [True, 2], [float("nan"), 2], [0, 10**400], None])
def test_activitynet_times_that_are_none_keep_their_sentence(tmp_path, pair):
    entry = {"duration": 9, "timestamps": [[0, 4], pair], "sentences": ["one", "two"]}
    read = read_captions(write(tmp_path / "train.json", {"v_a": entry}), paragraph=False)
    assert [(v.captions, v.start_seconds, v.end_seconds) for v in read.videos] == [
        (("one",), 0.0, 4.0),
        (("two",), None, None),
    ]
    assert any("1 sentence has times that are none" in note for note in read.notes)


def test_lists_of_ids_beside_activitynet_captions_are_not_read(tmp_path):
    write(tmp_path / "train.json", {"v_a": {"duration": 9, "timestamps": [[0, 4]], "sentences": ["one"]}})
    write(tmp_path / "train_ids.json", ["v_a"])
    read = read_captions(tmp_path)
    assert (read.format, parts(read)) == ("activitynet_captions", {"train": 1})
    assert any("1 file is no part of the published protocol: not read (train_ids.json)" in note for note in read.notes)


def test_damaged_activitynet_entries(tmp_path):
    good = {"duration": 9, "timestamps": [[0, 4]], "sentences": ["one"]}
    for bad, message in (
        ({"timestamps": [], "sentences": ["one"]}, "'b' needs as many timestamps as sentences, found 0 and 1"),
        ({"timestamps": None, "sentences": ["one"]}, "found NoneType and 1"),
        ({"timestamps": [], "sentences": "one"}, "an entry must have a list of texts 'sentences'"),
        ([], "an entry must have a list of texts 'sentences'"),
    ):
        path = write(tmp_path / "train.json", json.dumps({"a": good, "b": bad}, indent=1))
        assert message in refusal(path, paragraph=False)
        read = read_captions(path, paragraph=False, invalid="drop")
        assert [video.video_id for video in read.videos] == ["a"]
        assert "1 entry cannot be understood" in read.notes[0]


def test_spoken_moments_take_their_part_from_the_file_alone(tmp_path):
    clip = "training/adult+female+singing/yt-1_2.mp4"
    write(tmp_path / "smit_train.json", {clip: "a woman is singing on a stage"})
    write(tmp_path / "smit_test.csv", "id,transcription\nvalidation/diving/x_3.mp4,a man jumps\n")
    read = read_captions(tmp_path, format="smit")
    assert {video.video_id: video.split for video in read.videos} == {
        clip: "train",
        "validation/diving/x_3.mp4": "test",
    }
    assert "Spoken Moments are read from .json, .jsonl, .csv or .tsv" in refusal(
        write(tmp_path / "smit_val.txt", "a b"), format="smit"
    )
