import json
from pathlib import Path

import pytest

from framecue.datasets.localization import GroundTruth, check_span, match_files, meet_ids, read_ground_truth
from framecue.errors import DatasetError, UsageError
from framecue.types import AnnotatedVideo, Segment

THUMOS = Path("annotations", "thumos14")
ACTIVITYNET = Path("annotations", "activitynet", "anet_anno_action.json")


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def official(path: Path, segments: list[object], *, duration: object = 10.0, video: str = "a") -> Path:
    entry = {"subset": "validation", "duration": duration, "annotations": segments}
    return write(path, {"version": "VERSION 1.3", "taxonomy": [], "database": {video: entry}})


def entry(start: object, end: object, label: object = "run") -> dict[str, object]:
    return {"segment": [start, end], "label": label}


def refusal(path: Path, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        read_ground_truth(path, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def rows(truth: GroundTruth) -> set[tuple[str, float, float, str]]:
    return {(v.video_id, s.start_seconds, s.end_seconds, s.label) for v in truth.videos for s in v.segments}


def times(truth: GroundTruth) -> list[tuple[float, float]]:
    return [(s.start_seconds, s.end_seconds) for video in truth.videos for s in video.segments]


@pytest.mark.parametrize(
    ("file", "subsets", "num_segments"),
    [
        ("actionformer_thumos14.json", {"Test": 212, "Validation": 200}, 6365),
        ("official_txt", {"test": 213, "validation": 200}, 6365),
        ("official_txt/test", {"test": 213}, 3358),
        ("official_txt/validation", {"validation": 200}, 3007),
        ("afsd", {"test": 213, "validation": 200}, 6365),
        ("afsd/val_Annotation.csv", {"validation": 200}, 3007),
        ("afsd/test_Annotation.csv", {"test": 213}, 3358),
        ("afsd/thumos14_test_groundtruth.csv", {"test": 213}, 3358),
        ("afsd/thumos_gt.json", {"test": 210, "train": 200}, 6318),
        ("thumos_anno_action.json", {"test": 213, "validation": 200}, 6335),
    ],
)
def test_every_form_of_thumos14_is_read_with_its_counts(shared_data, file, subsets, num_segments):
    truth = read_ground_truth(shared_data / THUMOS / file)
    assert truth.subsets == subsets
    assert len(truth.videos) == sum(subsets.values())
    assert truth.num_segments == num_segments
    assert len(truth.labels) == 20
    assert "Ambiguous" not in truth.labels


@pytest.mark.parametrize("file", ["actionformer_thumos14.json", "afsd", "official_txt"])
def test_three_forms_of_thumos14_hold_the_same_segments(shared_data, file):
    truth = read_ground_truth(shared_data / THUMOS / file)
    assert rows(truth) == rows(read_ground_truth(shared_data / THUMOS / "official_txt"))


def test_the_evaluation_table_holds_the_test_segments_and_names_classes_by_number(shared_data):
    table = read_ground_truth(shared_data / THUMOS / "afsd" / "thumos14_test_groundtruth.csv")
    assert rows(table) == rows(read_ground_truth(shared_data / THUMOS / "official_txt" / "test"))


def test_afsd_lacks_the_segments_of_two_test_videos(shared_data):
    whole = rows(read_ground_truth(shared_data / THUMOS / "official_txt"))
    afsd = rows(read_ground_truth(shared_data / THUMOS / "afsd" / "thumos_gt.json"))
    assert afsd < whole
    assert {video for video, *_ in whole - afsd} == {"video_test_0000270", "video_test_0001496"}


def test_the_bmn_form_lacks_just_the_segments_that_begin_after_their_video_ends(shared_data):
    whole = read_ground_truth(shared_data / THUMOS / "official_txt")
    bmn = read_ground_truth(shared_data / THUMOS / "thumos_anno_action.json")
    late = {
        (video.video_id, s.start_seconds, s.end_seconds, s.label)
        for video in whole.videos
        for s in video.segments
        if s.start_seconds >= video.duration_seconds
    }
    assert len(late) == 30
    assert rows(whole) - rows(bmn) == late
    clipped = read_ground_truth(shared_data / THUMOS / "official_txt", clip=True)
    assert rows(clipped) == rows(bmn)
    assert any(": 30 segments lie beyond their videos: left out (first:" in note for note in clipped.notes)


def test_durations_of_the_forms_agree_to_half_a_second(shared_data):
    files = ("official_txt", "actionformer_thumos14.json", "afsd", "thumos_anno_action.json")
    durations = [
        {v.video_id: v.duration_seconds for v in read_ground_truth(shared_data / THUMOS / file).videos}
        for file in files
    ]
    for other in durations[1:]:
        shared = [video for video in durations[0] if other.get(video) is not None]
        assert len(shared) >= 412
        assert all(abs(durations[0][video] - other[video]) < 0.5 for video in shared)


@pytest.mark.parametrize(
    ("switch", "left_out"),
    [
        (213, set()),
        (212, {"video_test_0001292"}),
        (211, {"video_test_0001292", "video_test_0000270"}),
        (210, {"video_test_0001292", "video_test_0000270", "video_test_0001496"}),
    ],
)
def test_how_many_test_videos_of_thumos14_count_is_a_switch(shared_data, switch, left_out):
    path = shared_data / THUMOS / "official_txt"
    truth = read_ground_truth(path, subset="test", thumos_test=switch)
    ids = {video.video_id for video in truth.videos}
    assert len(ids) == switch
    assert {v.video_id for v in read_ground_truth(path, subset="test").videos} - ids == left_out
    assert any("left out by thumos_test" in note for note in truth.notes) == bool(left_out)


def test_212_and_210_are_what_actionformer_and_afsd_list(shared_data):
    folder = shared_data / THUMOS
    for switch, file in ((212, "actionformer_thumos14.json"), (210, "afsd/thumos_gt.json")):
        ours = read_ground_truth(folder / "official_txt", subset="test", thumos_test=switch)
        theirs = read_ground_truth(folder / file, subset="test")
        assert {v.video_id for v in ours.videos} == {v.video_id for v in theirs.videos}
        assert rows(ours) == rows(theirs)


def test_an_unknown_number_of_thumos_test_videos_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^thumos_test must be 213, 212, 211 or 210, found 214\.$"):
        read_ground_truth(official(tmp_path / "a.json", []), thumos_test=214)


def test_lists_to_avoid_take_away_one_class_of_a_video(shared_data):
    folder = shared_data / THUMOS
    whole = read_ground_truth(folder / "official_txt", subset="test")
    truth = read_ground_truth(folder / "official_txt", subset="test", blocked=folder / "test_avoid_videos.txt")
    gone = {(video, label) for video, _, _, label in rows(whole) - rows(truth)}
    listed = (folder / "test_avoid_videos.txt").read_text().split()
    assert gone == set(zip(listed[::2], listed[1::2], strict=True))
    assert len(truth.videos) == 213
    assert any(": 120 segments are of classes that are blocked in their videos" in note for note in truth.notes)


def test_every_cliff_diving_is_a_diving_too_unless_they_are_separated(shared_data):
    path = shared_data / THUMOS / "official_txt"
    whole, apart = read_ground_truth(path), read_ground_truth(path, separate_diving=True)
    gone = rows(whole) - rows(apart)
    cliff = {row for row in rows(whole) if row[3] == "CliffDiving"}
    assert {(*row[:3], "CliffDiving") for row in gone} == cliff
    assert len(cliff) == 217 + 143
    assert any(": 360 segments of Diving are ones of CliffDiving too: left out" in note for note in apart.notes)


def test_activitynet_in_the_bmn_form_takes_its_subsets_from_the_table_beside_it(shared_data):
    truth = read_ground_truth(shared_data / ACTIVITYNET)
    assert truth.subsets == {"training": 9649, "validation": 4728, "testing": 4851}
    assert (truth.num_segments, len(truth.labels)) == (22140, 200)
    assert all(not video.video_id.startswith("v_") or len(video.video_id) == 11 for video in truth.videos)
    notes = "\n".join(truth.notes)
    for count in (
        ": 12 segments end no later than they begin: left out",
        ": 215 segments reach out",
        ": 50 segments are given twice: both are kept",
        ": 19228 video ids have the prefix v_",
        ": 19228 videos have no subset",
    ):
        assert count in notes


def test_activitynets_validation_part_as_the_switches_leave_it(shared_data):
    path = shared_data / ACTIVITYNET
    official_way = read_ground_truth(path, subset="val", invalid="keep")
    ours = read_ground_truth(path, subset="validation", deduplicate=True, clip=True)
    assert len(official_way.videos) == len(ours.videos) == 4728
    assert official_way.num_segments - ours.num_segments == 3 + 19  # without a length, and given twice
    assert all(s.end_seconds <= v.duration_seconds for v in ours.videos for s in v.segments)
    assert len(read_ground_truth(path, subset="testing").labels) == 0


def test_the_authors_answer_files_and_the_local_videos_are_read(shared_data):
    expected = {
        "videos/segments.json": (12, 22, 11),
        "videos/thumos14_derived/gt.json": (3, 7, 3),
        "golden/tad_official_eval/anet_val400_gt.json": (400, 602, 174),
        "golden/synthetic_detection/small_ground_truth.json": (44, 172, 12),
        "golden/mmaction2_eval_localization/gt.json": (2, 4, 2),
    }
    for file, counts in expected.items():
        truth = read_ground_truth(shared_data / file)
        assert (len(truth.videos), truth.num_segments, len(truth.labels)) == counts


def test_times_may_be_texts_and_the_order_of_the_file_is_kept(tmp_path):
    truth = read_ground_truth(official(tmp_path / "a.json", [entry("3.5", "4"), entry(0, 1, "sit")]))
    assert times(truth) == [(3.5, 4.0), (0.0, 1.0)]
    assert truth.labels == ("run", "sit")
    assert truth.notes == ()


@pytest.mark.parametrize(("asked", "found"), [("Validation", 1), ("val", 1), ("TEST", 1), ("testing", 1)])
def test_a_subset_is_found_in_any_case_and_by_its_other_names(tmp_path, asked, found):
    parts = {"a": "validation", "b": "Test"}
    database = {key: {"subset": part, "duration": 9, "annotations": []} for key, part in parts.items()}
    truth = read_ground_truth(write(tmp_path / "a.json", {"database": database}), subset=asked)
    assert len(truth.videos) == found
    assert truth.subsets == {"validation": 1, "Test": 1}


def test_an_unknown_subset_is_refused_and_those_there_are_named(tmp_path):
    path = official(tmp_path / "a.json", [entry(0, 1)])
    assert refusal(path, subset="training") == (
        f"{path}: no subset 'training'; there are validation. Ask for one of these, or for all."
    )


def test_a_subset_is_refused_where_the_file_names_none(tmp_path):
    path = write(tmp_path / "a.json", {"a": {"duration_second": 3, "annotations": [entry(0, 1)]}})
    assert "no subset 'test'; the file names none." in refusal(path, subset="test")


def test_segments_out_of_their_video_are_kept_and_counted_or_clipped(tmp_path):
    path = official(tmp_path / "a.json", [entry(-2, 3), entry(8, 12), entry(11, 12), entry(4, 5)])
    kept = read_ground_truth(path)
    assert times(kept) == [(-2, 3), (8, 12), (11, 12), (4, 5)]
    assert kept.notes == (
        f"{path}: 3 segments reach out of their videos: kept as they are (first: a, -2 to 3 s of 10 s).",
    )
    clipped = read_ground_truth(path, clip=True)
    assert times(clipped) == [(0, 3), (8, 10), (4, 5)]
    assert clipped.notes == (
        f"{path}: 1 segment lies beyond the video: left out (video 'a', segment 3: 11 to 12 s, but the video lasts "
        "10 s; are these frame numbers, or times of another clock?).",
        f"{path}: 2 segments were clipped to their videos (first: a, -2 to 3 s of 10 s).",
    )


def test_segments_that_end_too_early_are_left_out_kept_or_refused(tmp_path):
    path = official(tmp_path / "a.json", [entry(1, 2), entry(5, 3), entry(4, 4)])
    dropped = read_ground_truth(path)
    assert times(dropped) == [(1, 2)]
    assert dropped.notes == (
        f"{path}: 2 segments end no later than they begin: left out (first: video 'a', segment 2: 5 to 3 s).",
    )
    kept = read_ground_truth(path, invalid="keep")
    assert times(kept) == [(1, 2), (5, 3), (4, 4)]
    assert "2 segments end no later than they begin: kept" in kept.notes[0]
    assert refusal(path, invalid="refuse") == (
        f"{path}, video 'a', segment 2: segment ends no later than it begins, found 5 to 3 s. "
        'Fix it, or let such entries be left out (invalid="drop").'
    )


def test_segments_shorter_than_asked_are_left_out(tmp_path):
    path = official(tmp_path / "a.json", [entry(1, 1.001), entry(2, 2.0009), entry(3, 4)])
    assert times(read_ground_truth(path)) == [(1, 1.001), (2, 2.0009), (3, 4)]
    truth = read_ground_truth(path, shortest_seconds=1e-3)
    assert times(truth) == [(3, 4)]  # 1.001 - 1 is below 1e-3 in floating point, and ActionFormer drops it too
    assert truth.notes == (f"{path}: 2 segments are too short to count: left out (first: a, 1.0 to 1.001 s).",)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (entry("NaN", 2), "1 segment has no finite times: left out (video 'a', segment 1: 'NaN' to 2)"),
        (entry(0, float("inf")), "1 segment has no finite times: left out (video 'a', segment 1: 0 to inf)"),
        (entry(None, 2), "1 segment has no finite times: left out (video 'a', segment 1: None to 2)"),
        (entry(True, 2), "1 segment has no finite times: left out (video 'a', segment 1: True to 2)"),
        (entry(0, 10**400), "1 segment has no finite times: left out (video 'a', segment 1: 0 to 1000"),
        (entry(0, 1, 7.5), "1 label is not a text: left out (video 'a', segment 1: 7.5)"),
        (entry(0, 1, " "), "1 label is not a text: left out (video 'a', segment 1: ' ')"),
        (entry(0, 1, "\ud800"), "1 label is not a text: left out (video 'a', segment 1: '\\ud800')"),
        ({"label": "run"}, "1 entry cannot be understood: left out (video 'a', segment 1: {'label': 'run'})"),
        ({"segment": [1], "label": "run"}, "1 entry cannot be understood: left out"),
        ("run", "1 entry cannot be understood: left out (video 'a', segment 1: 'run')"),
    ],
)
@pytest.mark.parametrize("invalid", ["drop", "keep"])
def test_what_cannot_be_right_is_left_out_and_counted(tmp_path, bad, told, invalid):
    path = official(tmp_path / "a.json", [bad, entry(1, 2, "sit")])
    truth = read_ground_truth(path, invalid=invalid)
    assert times(truth) == [(1, 2)]
    assert truth.labels == ("sit",)
    (note,) = truth.notes
    assert note.startswith(f"{path}: {told}")
    refusal(path, invalid="refuse")


@pytest.mark.parametrize("duration", [None, 0, -3, "long", float("nan")])
def test_a_video_without_a_usable_duration_is_counted_and_its_segments_have_no_end(tmp_path, duration):
    truth = read_ground_truth(official(tmp_path / "a.json", [entry(3, 99)], duration=duration), clip=True)
    assert truth.videos[0].duration_seconds is None
    assert times(truth) == [(3, 99)]
    assert ": 1 video has no usable duration (a: " in truth.notes[0]


def test_segments_given_twice_are_kept_or_left_out_to_a_millisecond(tmp_path):
    segments = [entry(1, 2), entry(1.0009, 2.0), entry(1, 2, "sit"), entry(1.0021, 2), entry(1, 2)]
    path = official(tmp_path / "a.json", segments)
    assert read_ground_truth(path).num_segments == 5
    assert (
        "2 segments are given twice: both are kept (first: a, run, 1.0009 to 2 s)" in read_ground_truth(path).notes[0]
    )
    once = read_ground_truth(path, deduplicate=True)
    assert times(once) == [(1, 2), (1, 2), (1.0021, 2)]
    assert "2 segments are given twice: left out once" in once.notes[0]


def test_a_key_given_twice_is_counted(tmp_path):
    video = '"a": {"subset": "val", "duration": 9, "annotations": []}'
    truth = read_ground_truth(write(tmp_path / "a.json", f'{{"database": {{{video}, {video}}}}}'))
    assert len(truth.videos) == 1
    assert "1 key is given twice: the last counts (" in truth.notes[0]


def test_an_id_with_and_without_its_prefix_is_one_video(tmp_path):
    entries = {"duration": 9, "annotations": []}
    path = write(tmp_path / "a.json", {"v_QOlSCBRmfWY": entries, "QOlSCBRmfWY": entries, "v_run": entries})
    truth = read_ground_truth(path)
    assert [video.video_id for video in truth.videos] == ["QOlSCBRmfWY", "v_run"]
    assert "1 key is given twice" in truth.notes[0]
    assert "1 video id has the prefix v_" in truth.notes[1]


def test_labels_that_differ_in_spelling_only_are_told(tmp_path):
    truth = read_ground_truth(official(tmp_path / "a.json", [entry(1, 2, "long jump"), entry(3, 4, "Long-jump")]))
    assert truth.labels == ("Long-jump", "long jump")
    assert ": 1 label differs from another in case, spaces or hyphens only" in truth.notes[0]


def test_blocked_and_asked_for_videos_and_labels(tmp_path):
    database = {
        name: {"subset": "val", "duration": 9, "annotations": [entry(0, 1), entry(2, 3, "sit")]} for name in "abc"
    }
    path = write(tmp_path / "a.json", {"database": database})
    blocked = write(tmp_path / "blocked.json", ["a", "z"])
    truth = read_ground_truth(path, blocked=blocked, videos=["a", "b", "q"], labels=["SIT"])
    assert rows(truth) == {("b", 2, 3, "sit")}
    told = [note.removeprefix(f"{path}: ") for note in truth.notes]
    assert told == [
        "1 video is blocked: left out (a).",
        "1 blocked video is not in the ground truth: no effect (z).",
        "1 video was not asked for: left out (c).",
        "1 video that was asked for is not there (q).",
        "1 segment is of a class not asked for: left out (b, run).",
    ]
    assert [v.video_id for v in read_ground_truth(path, blocked=["a"]).videos] == ["b", "c"]
    assert "no class 'stand' in the data" in refusal(path, labels=["stand"])
    assert "is no list of blocked videos" in refusal(path, blocked=write(tmp_path / "b.json", [1]))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"results": {"a": []}}', "holds predictions ('results'), not ground truth. Give the annotation file."),
        ('{"a": 1, "b": 2}', "is no ground truth of a known form: it must hold 'database', or videos with"),
        (
            "[1, 2]",
            "is no ground truth of a known form: it must hold 'database', or videos with 'annotations', found list",
        ),
        ("{}", "is no ground truth of a known form"),
        ('{"database": {}}', "holds no videos that can be used. Give a file with at least one."),
        ('{"database": {"a": 3}}', "holds no videos that can be used."),
        ('{"database":\n {"a": }}', ":2: not valid JSON: Expecting value. Restore the file"),
        ('{"a":' + "[" * 100_000, "a number or a nesting of absurd size. Restore the file."),
        ("", ":1: not valid JSON"),
    ],
)
def test_a_file_of_no_known_form_is_refused_in_one_line(tmp_path, content, told):
    path = write(tmp_path / "a.json", content)
    assert refusal(path).startswith(str(path))
    assert told in refusal(path)


def test_a_file_that_is_not_there_or_not_utf8_is_refused(tmp_path):
    assert "cannot be read: No such file" in refusal(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b'{"database": "\xff"}')
    assert "b.json:1: byte 0xff is not UTF-8" in refusal(tmp_path / "b.json")
    (tmp_path / "folder").mkdir()
    assert "holds no files CLASS_val.txt or CLASS_test.txt" in refusal(tmp_path / "folder")


def test_a_line_break_in_an_id_does_not_break_a_line(tmp_path):
    truth = read_ground_truth(official(tmp_path / "a.json", [entry(9, 19), entry(2, 1)], video="a\nb"))
    assert len(truth.notes) == 2
    assert all(len(note.splitlines()) == 1 for note in truth.notes)


def test_our_own_table_is_read_with_rows_counted_that_will_not_do(tmp_path):
    text = (
        "Video,Start,t-end,label,subset,duration\n"
        "a,0,1.5,run,val,9\n"
        "a,2,1,run,val,9\n"
        "a,3,4,sit,val,8\n"
        "b,,,,test,5\n"
        "a,5\n"
        ",1,2,run,val,9\n"
    )
    path = write(tmp_path / "a.csv", text)
    truth = read_ground_truth(path)
    assert rows(truth) == {("a", 0, 1.5, "run"), ("a", 3, 4, "sit")}
    assert [(v.video_id, v.subset, v.duration_seconds) for v in truth.videos] == [("a", "val", 9), ("b", "test", 5)]
    told = [note.removeprefix(f"{path}: ") for note in truth.notes]
    assert told == [
        f"2 entries cannot be understood: left out (first: {path}:6: 2 columns where the header has 6).",
        f"1 segment ends no later than it begins: left out ({path}:3: 2 to 1 s).",
        "1 row contradicts an earlier one on its video's duration or subset: the earlier counts "
        f"({path}:4: 'a', val, 8).",
    ]


def test_json_lines_are_read_as_the_table_is(tmp_path):
    lines = [{"video": "a", "start": 0, "end": 1, "label": "run", "duration": 9}, ["no"], {"video": 5}]
    path = write(tmp_path / "a.jsonl", "\n".join(json.dumps(line) for line in lines))
    truth = read_ground_truth(path)
    assert rows(truth) == {("a", 0, 1, "run")}
    assert f'2 entries cannot be understood: left out (first: {path}:2: ["no"])' in truth.notes[0]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ('"video\nid",start,end,label', "the header needs a column for the video, found video id, start, end, label."),
        ("video,start,label", "the header needs a column for the end, found video, start, label. Name it 'end'."),
        (
            "video,start,end,END,label",
            "two columns have the same name, found video, start, end, END, label. Rename one.",
        ),
    ],
)
def test_a_table_whose_header_will_not_do_is_refused(tmp_path, header, told):
    path = write(tmp_path / "a.csv", f"{header}\n")
    assert told in refusal(path)
    assert refusal(path).startswith(f"{path}:")


def test_a_text_line_of_other_than_three_words_is_counted(tmp_path):
    (tmp_path / "HighJump_val.txt").write_text("video_validation_0000001  1 2\nvideo_validation_0000001 3\n\n")
    truth = read_ground_truth(tmp_path)
    assert rows(truth) == {("video_validation_0000001", 1, 2, "HighJump")}
    assert "1 entry cannot be understood: left out" in truth.notes[0]


def video(video_id: str, duration: float | None = 10.0) -> AnnotatedVideo:
    return AnnotatedVideo(video_id, duration, "val", (Segment(0, 1, "run"),), None, "gt.json, video 'a'")


def test_local_videos_are_found_by_their_ids(shared_data):
    for folder in (shared_data, shared_data / "videos"):
        truth = read_ground_truth(shared_data / "videos" / "segments.json")
        found, skipped = match_files(truth.videos, folder)
        assert not skipped
        assert [v.path for v in found] == [shared_data / v.video_id for v in truth.videos]


def test_ids_meet_the_paths_of_the_same_files():
    known = ["v/a/Fall/13.mp4", "v/a/Fall/19.mp4", "v/a/ADL/19.mp4", "v/b/v_GGSY1Qvo990.mp4", "plain", "c/20.mp4"]
    given = [
        "13",
        "ADL/19.mp4",
        "GGSY1Qvo990",
        "plain",
        "other/plain",
        "/home/v/a/Fall/19.avi",
        "20",
        "b/c/20.mp4",
        "21",
    ]
    assert meet_ids(given, known) == {
        "13": "v/a/Fall/13.mp4",
        "ADL/19.mp4": "v/a/ADL/19.mp4",
        "GGSY1Qvo990": "v/b/v_GGSY1Qvo990.mp4",
        "/home/v/a/Fall/19.avi": "v/a/Fall/19.mp4",
    }, "20 and b/c/20.mp4 are both c/20.mp4, and plain is given itself"
    assert meet_ids(["19"], known) == {}, "two files have this name"
    assert meet_ids(["d/13"], ["c/13"]) == {}
    assert meet_ids(["Fall/13.mp4"], ["13"]) == {"Fall/13.mp4": "13"}


def test_files_are_found_with_and_without_prefix_ending_and_folders(tmp_path):
    names = ("x/v_QOlSCBRmfWY.mp4", "x/1.MKV", "y/1.mp4", "y/2.webm", "y/2.txt", "z/3.mp4", "z/3.avi", "w/a.b.mp4")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    ids = ("QOlSCBRmfWY", "other/x/1.mkv", "y/1", "2", "1", "3", "z/3.avi", "a.b", "4")
    found, skipped = match_files([video(name) for name in ids], tmp_path)
    assert {v.video_id: v.path.relative_to(tmp_path).as_posix() for v in found} == {
        "QOlSCBRmfWY": "x/v_QOlSCBRmfWY.mp4",
        "other/x/1.mkv": "x/1.MKV",
        "y/1": "y/1.mp4",
        "2": "y/2.webm",
        "z/3.avi": "z/3.avi",
        "a.b": "w/a.b.mp4",
    }
    assert [(s.path.name, s.reason) for s in skipped] == [
        ("1", "2 files go by this id: x/1.MKV, y/1.mp4"),
        ("3", "2 files go by this id: z/3.avi, z/3.mp4"),
        ("4", f"no video of this name below {tmp_path}"),
    ]


@pytest.mark.parametrize("span", [9.0, 10.0, 11.0])
def test_features_that_span_the_video_about_are_fine(span):
    assert check_span(video("a"), span) is None
    assert check_span(video("a", None), span * 100) is None


@pytest.mark.parametrize(("duration", "span", "told"), [(10, 11.5, "1.15"), (100, 120, "1.20"), (10, 0.0, "0.00")])
def test_features_of_another_fps_are_told_in_one_line(duration, span, told):
    assert check_span(video("a", duration), span) == (
        f"a: the features span {span:.2f} s, the annotation (gt.json, video 'a') says {duration:.2f} s, {told} times. "
        "Check their fps, or extract them again."
    )
    assert check_span(video("a", 100), 105) is None
