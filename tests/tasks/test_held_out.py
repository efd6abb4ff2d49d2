"""What may be measured of data that changed since training: told by content, never by name, in all three tasks."""

from itertools import pairwise
from pathlib import Path

import pytest

from framecue.datasets.naming import shorten
from framecue.errors import AdapterError, DatasetError
from framecue.models.seen import PARTS, Said, Seen, SeenVideo, read_seen, seen_video
from framecue.tasks.held_out import NEW_DATA, find_held_out

TASKS = ("recognition", "localization", "retrieval")
LABELS = ("left", "right")


def said(task, row, label):
    """What is said of a video: its label, an action of that label and a second one, or the hash of its captions."""
    if task == "recognition":
        return (Said(label),)
    if task == "localization":
        return (Said(label, 1.0 + row, 3.0 + row), Said(label, 5.0 + row, 6.0 + row))
    return (Said(f"captions of {row}"),)


def video(task, row, label, **changes):
    made = SeenVideo(content_hash=f"{row:04x}", name=f"{label}/v{row}.mp4", annotation=said(task, row, label))
    return made.model_copy(update=changes)


def everything(task):
    """20 videos of two labels: the first 12 trained on, 4 chose the weights, 4 are the test; 2 of a held-out name."""
    videos = [video(task, row, LABELS[row % 2]) for row in range(20)]
    novel = [video(task, row, "up") for row in (20, 21)]
    names = () if task == "retrieval" else LABELS
    seen = Seen(
        task=task,
        class_names=names,
        novel_names=("up",) if names else (),
        train=videos[:12],
        val=videos[12:16],
        test=videos[16:],
        novel=novel if names else (),
    )
    return seen, [*videos, *(novel if names else ())]


def look(seen, now):
    return find_held_out(seen, now, where="data")


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


def names(videos):
    return [item.name for item in videos]


def test_what_is_as_it_was_is_measured_without_a_word(task):
    seen, now = everything(task)
    found = look(seen, now[::-1])
    assert (found.part, found.is_new, found.lines(), found.to_json()) == ("test", False, [], {})
    for name, part in seen.parts.items():
        assert [now[::-1][row] for row in found.rows[name]] == list(part)


def test_a_run_without_a_test_part_is_measured_on_the_videos_that_chose_its_weights(task):
    seen, now = everything(task)
    found = look(seen.model_copy(update={"test": ()}), now)
    assert found.part == "val"
    assert names(now[row] for row in found.rows["val"]) == names(seen.val)
    assert "val" in found.counts


def test_renamed_files_stay_in_their_part(task):
    """Every file has another name, one even that of a trained one."""
    seen, now = everything(task)
    moved = [item.model_copy(update={"name": f"elsewhere/{97 * row % 101}.mp4"}) for row, item in enumerate(now)]
    moved[16] = moved[16].model_copy(update={"name": now[0].name})
    found = look(seen, moved)
    assert found.rows["test"] == [16, 17, 18, 19]
    assert found.rows["train"] == list(range(12))
    assert found.lines() == [
        f"Under other names than in training, told by their content: {len(now)} ({shorten(names(moved), 3)})."
    ]
    assert found.to_json()["renamed"]["count"] == len(now)
    assert len(found.to_json()["renamed"]["first"]) == 10


def test_missing_videos_are_named_and_the_figure_says_of_how_many_it_is(task):
    seen, now = everything(task)
    found = look(seen, [*now[1:17], *now[18:]])
    assert found.lines() == [
        "Missing since training: 2 (left/v0.mp4, right/v17.mp4).",
        "The figures are over 3 of 4 held-out videos.",
    ]
    assert found.to_json()["held_out"]["test"] == {"measured": 3, "of": 4}
    assert found.to_json()["missing"] == {"count": 2, "first": ["left/v0.mp4", "right/v17.mp4"]}


def test_added_videos_are_named_and_not_measured(task):
    seen, now = everything(task)
    added = [video(task, 30 + row, "left") for row in range(12)]
    found = look(seen, [*added, *now])
    assert found.lines() == [
        "Added since training, not measured: 12 (left/v30.mp4, left/v31.mp4, left/v32.mp4 and 9 more)."
    ]
    assert all(row >= 12 for rows in found.rows.values() for row in rows)


def test_other_content_under_the_same_name_is_not_measured(task):
    seen, now = everything(task)
    now[18] = now[18].model_copy(update={"content_hash": "beef"})
    found = look(seen, now)
    assert found.rows["test"] == [16, 17, 19]
    assert found.lines()[0] == ("Other content under the same name than in training, not measured: 1 (left/v18.mp4).")
    assert set(found.changes) == {"other_content"}


def test_videos_that_were_in_no_part_are_neither_added_nor_missed(task):
    seen, now = everything(task)
    seen = seen.model_copy(update={"unused": (video(task, 30, "left"), video(task, 31, "left"))})
    assert look(seen, [*now, seen.unused[0].model_copy(update={"annotation": ()})]).lines() == []
    assert look(seen, list(seen.unused)).is_new


def test_another_annotation_is_named_and_not_measured(task):
    """A file moved to another class, an action of another label, other captions; a trained file is named as well."""
    seen, now = everything(task)
    for row in (2, 18):
        now[row] = (
            video(task, row, "right", content_hash=f"{row:04x}")
            if task != "retrieval"
            else now[row].model_copy(update={"annotation": (Said("other words"),)})
        )
    found = look(seen, now)
    assert found.rows["test"] == [16, 17, 19]
    assert 2 not in found.rows["train"]
    how = "other captions" if task == "retrieval" else "'left' then, 'right' now"
    assert found.changes == {"other_annotation": [f"{now[2].name}: {how}", f"{now[18].name}: {how}"]}


def test_other_times_of_an_action_are_another_annotation():
    seen, now = everything("localization")
    now[16] = now[16].model_copy(update={"annotation": (Said("left", 2.0, 3.0),)})
    now[17] = now[17].model_copy(update={"annotation": (Said("right", 2.0, 3.0), Said("right", 4.0, 5.0))})
    found = look(seen, now)
    assert found.changes == {"other_annotation": ["left/v16.mp4: 2 segments then, 1 now", "right/v17.mp4: other times"]}
    assert found.rows["test"] == [18, 19]


def test_another_part_of_the_same_file_is_not_measured():
    seen, now = everything("recognition")
    parts = [item.model_copy(update={"start_seconds": 0.0, "end_seconds": 5.0}) for item in seen.test]
    seen = seen.model_copy(update={"test": tuple(parts)})
    now = [*now[:16], parts[0].model_copy(update={"end_seconds": 6.5}), *parts[1:], *now[20:]]
    found = look(seen, now)
    assert found.rows["test"] == [17, 18, 19]
    assert found.changes == {"other_annotation": ["left/v16.mp4: 0 s to 5 s then, 0 s to 6.5 s now"]}


@pytest.mark.parametrize("task", ["recognition", "localization"])
@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        ({"left": "right", "right": "left"}, "every 'left' of training is 'right' now, and 2 of .* seems re-ordered"),
        ({"left": "leftwards"}, "every 'left' of training is 'leftwards' now, and 1 of .* the class seems renamed"),
    ],
)
def test_labels_that_changed_all_in_one_way_are_refused(task, renamed, said):
    seen, now = everything(task)
    changed = [
        item.model_copy(
            update={"annotation": tuple(one._replace(text=renamed.get(one.text, one.text)) for one in item.annotation)}
        )
        for item in now
    ]
    with pytest.raises(DatasetError, match=f"data: {said}"):
        look(seen, changed)


def test_captions_that_moved_to_other_videos_are_refused():
    """A line lost at the top of a list: every video has the captions of the next."""
    seen, now = everything("retrieval")
    shifted = [item.model_copy(update={"annotation": other.annotation}) for item, other in pairwise(now)]
    with pytest.raises(
        DatasetError, match=r"19 of 19 videos have .* left/v0\.mp4 those of right/v1\.mp4: .* re-ordered"
    ):
        look(seen, shifted)
    swapped = [
        now[1].model_copy(update={"annotation": now[0].annotation}),
        now[0].model_copy(update={"annotation": now[1].annotation}),
        *now[2:],
    ]
    assert set(look(seen, swapped).changes) == {"other_annotation"}


def test_only_trained_videos_are_refused(task):
    seen, now = everything(task)
    with pytest.raises(DatasetError, match="data: none of its videos is there"):
        look(seen, [])
    with pytest.raises(DatasetError, match=r"data: the adapter was trained on all 12 videos there \(left/v0\.mp4, .*"):
        look(seen, now[:12])


def test_trained_videos_among_new_ones_are_refused(task):
    seen, now = everything(task)
    with pytest.raises(
        DatasetError, match=r"none of the \d videos .* 1 others were trained on \(left/v0\.mp4\).* no oth"
    ):
        look(seen, [now[0], *(video(task, row, "left") for row in range(30, 40))])


def test_what_an_earlier_adapter_was_trained_on_is_never_measured(task):
    seen, _ = everything(task)
    seen = seen.model_copy(update={"trained_before": (f"{30:04x}",)})
    with pytest.raises(DatasetError, match="trained on all 1 videos there"):
        look(seen, [video(task, 30, "left")])


def test_nothing_left_is_refused_with_what_happened(task):
    seen, now = everything(task)
    gone = [now[0].model_copy(update={"content_hash": "beef"}), *now[1:12], *now[12:16]]
    with pytest.raises(
        DatasetError, match=r"is there as it was\. Missing .* Other content .*left/v0\.mp4\)\. .*Restore"
    ):
        look(seen, gone)


def test_data_that_the_run_does_not_know_are_new(task):
    seen, _ = everything(task)
    found = look(seen, [video(task, row, "left") for row in range(30, 40)])
    assert (found.part, found.is_new, found.to_json()) == (NEW_DATA, True, {"known_to_the_run": 0})
    assert found.lines() == ["The run knows none of these videos; they are measured as new data."]


def test_what_is_remembered_is_written_and_read(tmp_path, task):
    seen, _ = everything(task)
    (tmp_path / PARTS).write_text(seen.model_dump_json(), encoding="utf-8")
    assert read_seen(tmp_path) == seen


def test_names_are_below_the_data_and_annotations_in_one_order(tmp_path):
    (tmp_path / "list.csv").touch()
    actions = [Said("b", 4.0, 5.0), Said("a", 1.0, 2.0)]
    for source in (tmp_path, tmp_path / "list.csv"):
        made = seen_video("00", tmp_path / "left" / "v.mp4", source, actions)
        assert (made.name, made.annotation) == ("left/v.mp4", (actions[1], actions[0]))
    assert seen_video("00", Path("/elsewhere/v.mp4"), tmp_path, ()).name == "/elsewhere/v.mp4"


def test_an_adapter_that_does_not_say_what_it_saw_is_refused(tmp_path):
    with pytest.raises(AdapterError, match=r"does not say which videos .* train it again"):
        read_seen(tmp_path)
    (tmp_path / PARTS).write_text('{"task": "recognition", "train": [{}]}')
    with pytest.raises(AdapterError, match=r"parts\.json is not valid at train\.0\.content_hash: .* train it again"):
        read_seen(tmp_path)
    (tmp_path / PARTS).write_bytes(b"\xff")
    with pytest.raises(AdapterError, match=r"parts\.json is not valid at the file"):
        read_seen(tmp_path)
