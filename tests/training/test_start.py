"""Runs that start from an adapter's weights: what may differ, what is refused, and that nothing old is held out."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from framecue.cli.results import print_results
from framecue.errors import AdapterError, CheckpointError, DatasetError, FramecueError, UsageError
from framecue.models.adapter import TENSORS, read_card
from framecue.models.seen import PARTS, read_seen
from framecue.training.evaluate import evaluate_adapter
from framecue.training.localization import train_localization
from framecue.training.recognition import train_recognition
from framecue.training.start import require_fresh
from small_runs import TRAIN, entries_of, run_config, write_clips, write_data

NEW = {"train": {"iterations": 2}}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def first(clips, tiny_backbone, tmp_path_factory):
    """The adapter of a run on eight of the clips."""
    folder = tmp_path_factory.mktemp("first")
    source = write_data("recognition", folder / "data", entries_of(clips, range(8)))
    return train_recognition(run_config("recognition", source, folder / "run"), backbone=tiny_backbone).adapter


def more(first, source, out, task="recognition", **train):
    return run_config(task, source, out, train={"iterations": 2, "init_from": str(first), **train})


def test_training_goes_on_from_the_weights_with_new_classes_and_more_videos(
    first, clips, tiny_backbone, tmp_path, capsys
):
    entries = entries_of(clips, range(16))
    entries |= {f"v{number}": (clips[number], "up") for number in range(12, 16)}
    config = more(first, write_data("recognition", tmp_path / "data", entries), tmp_path / "run", lr=1e-12)
    result = train_recognition(config, backbone=tiny_backbone)
    before, after = (load_file(folder / TENSORS) for folder in (first, result.adapter))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-9)
    card = read_card(result.adapter)
    assert card.class_names == ("left", "right", "up")
    assert card.started_from == result.results["started_from"]
    assert card.started_from["adapter"] == str(first)
    assert (card.started_from["iterations"], card.started_from["num_train_videos"]) == (3, len(read_seen(first).train))
    print_results(result.results)
    assert f"Started from the weights of {first} (3 steps on " in capsys.readouterr().out
    # What the first adapter was trained on is drawn into no part, and is known to the second.
    old, seen = {video.content_hash for video in read_seen(first).train}, read_seen(result.adapter)
    assert {*seen.trained_before} == old
    assert not old & {video.content_hash for video in (*seen.val, *seen.test)}
    assert seen.val
    again = evaluate_adapter(result.adapter)
    assert json.dumps(again.results) == json.dumps(result.results)
    capsys.readouterr()


def test_what_was_trained_on_before_is_measured_by_neither(first, clips, tiny_backbone, tmp_path):
    source = write_data("recognition", tmp_path / "data", entries_of(clips, range(8, 16)))
    result = train_recognition(more(first, source, tmp_path / "run"), backbone=tiny_backbone)
    old = [int(video.name.split("/v")[1].removesuffix(".mp4")) for video in read_seen(first).train]
    source = write_data("recognition", tmp_path / "old", entries_of(clips, old))
    with pytest.raises(DatasetError, match=f"was trained on all {len(old)} videos there"):
        evaluate_adapter(result.adapter, [f"data.source={source}"])


def test_old_training_videos_in_a_given_part_are_refused(first, clips, tiny_backbone, tmp_path):
    trained = read_seen(first).train[0].name
    for part, numbers in (("train", range(8, 16)), ("test", (int(trained.split("/v")[1].removesuffix(".mp4")),))):
        write_data("recognition", tmp_path / "data" / part, entries_of(clips, numbers))
    with pytest.raises(
        DatasetError, match=r"trained on 1 of the videos to be held out \(test/.*\); put them into the tr"
    ):
        train_recognition(more(first, str(tmp_path / "data"), tmp_path / "run"), backbone=tiny_backbone)


def test_old_names_cannot_be_held_out(first, clips, tiny_backbone, tmp_path):
    source = write_data("recognition", tmp_path / "data", entries_of(clips, range(8, 16)))
    config = more(first, source, tmp_path / "run")
    config = config.model_copy(update={"data": config.data.model_copy(update={"held_out": ("Left",)})})
    with pytest.raises(DatasetError, match=r"data\.held_out: the adapter .* was trained on Left; hold out other names"):
        train_recognition(config, backbone=tiny_backbone)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"n_prefix": 3}}, r"holds another model \(model\.n_prefix 2 there, 3 here\); give the run"),
        ({"model": {"temperature": 0.1}}, r"holds another model \(model\.temperature 0\.07 there, 0\.1 here\)"),
    ],
)
def test_another_model_is_refused(first, clips, tiny_backbone, tmp_path, sections, said):
    source = write_data("recognition", tmp_path / "data", entries_of(clips, range(8)))
    config = run_config("recognition", source, tmp_path / "run", train={"init_from": str(first)}, **sections)
    with pytest.raises(AdapterError, match=said):
        train_recognition(config, backbone=tiny_backbone)


def test_another_task_and_another_backbone_are_refused(first, clips, tiny_backbone, reference_backbone, tmp_path):
    source = write_data("localization", tmp_path / "data", entries_of(clips, range(8)))
    with pytest.raises(AdapterError, match="was trained for recognition, this run is of localization"):
        train_localization(more(first, source, tmp_path / "run", "localization"), backbone=tiny_backbone)
    with pytest.raises(FramecueError, match="was trained on backbone tiny"):
        train_recognition(more(first, source, tmp_path / "run"), backbone=reference_backbone)


def test_a_start_from_other_weights_is_another_run(first, clips, tiny_backbone, tmp_path):
    source = write_data("recognition", tmp_path / "data", entries_of(clips, range(8, 16)))
    train_recognition(run_config("recognition", source, tmp_path / "run", **NEW), backbone=tiny_backbone)
    with pytest.raises(CheckpointError, match=r"train\.init_from was None, is weights [0-9a-f]{16}; "):
        train_recognition(more(first, source, tmp_path / "run"), backbone=tiny_backbone)


def test_an_adapter_that_does_not_say_what_it_saw_is_a_start_that_says_so(
    first, clips, tiny_backbone, tmp_path, capsys
):
    shutil.copytree(first, tmp_path / "adapter")
    (tmp_path / "adapter" / PARTS).unlink()
    source = write_data("recognition", tmp_path / "data", entries_of(clips, range(8, 16)))
    result = train_recognition(more(tmp_path / "adapter", source, tmp_path / "run"), backbone=tiny_backbone)
    print_results(result.results)
    assert "(3 steps on videos that are not known)" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["localization", "retrieval"])
def test_the_other_tasks_start_from_their_adapters(task, clips, tiny_backbone, tmp_path):
    source = write_data(task, tmp_path / "data", entries_of(clips, range(12)))
    one = TRAIN[task](run_config(task, source, tmp_path / "one", **NEW), backbone=tiny_backbone)
    old = {video.content_hash for video in read_seen(one.adapter).train}
    numbers = [int(video.name.removeprefix("v").removesuffix(".mp4")) for video in read_seen(one.adapter).train]
    source = write_data(
        task,
        tmp_path / "more",
        entries_of(clips, [*numbers, *range(12, 16)]),
        subset=("training",) * 12 + ("validation",),
    )
    two = TRAIN[task](more(one.adapter, source, tmp_path / "two", task, lr=1e-12), backbone=tiny_backbone)
    before, after = (load_file(result.adapter / TENSORS) for result in (one, two))
    assert all(torch.allclose(after[name], tensor, rtol=0, atol=1e-9) for name, tensor in before.items())
    seen = read_seen(two.adapter)
    assert {*seen.trained_before} == old
    assert not old & {video.content_hash for video in (*seen.val, *seen.test)}
    assert seen.test


def test_tables_start_anew(first, tmp_path):
    with pytest.raises(UsageError, match=r"train\.init_from is for a single run .* Leave it out"):
        require_fresh(more(first, str(tmp_path), tmp_path / "run"))
