"""An adapter measured after its data changed: what was held out is measured, what changed is named, in all tasks."""

import json
import shutil
from pathlib import Path

import pytest

from framecue.cli.results import print_results
from framecue.errors import AdapterError, DatasetError, UsageError
from framecue.models.adapter import CARD, read_card
from framecue.models.seen import PARTS, read_seen
from framecue.tasks.held_out import NEW_DATA
from framecue.training.evaluate import evaluate_adapter
from small_runs import LABELS, TRAIN, entries_of, run_config, write_clips, write_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module", params=TRAIN)
def trained(request, clips, tiny_backbone, tmp_path_factory):
    """Task, adapter folder and results of a run on twelve clips."""
    folder = tmp_path_factory.mktemp(request.param)
    source = write_data(request.param, folder / "data", entries_of(clips, range(12)), broken=True)
    result = TRAIN[request.param](run_config(request.param, source, folder / "run"), backbone=tiny_backbone)
    return request.param, result.adapter, result.results


def numbers_of(videos):
    """The numbers of the clips, which stand in their names."""
    return [int(Path(video.name).stem.removeprefix("v")) for video in videos]


def held_out(adapter):
    """The part that is measured, and the numbers of its clips; those that were trained on."""
    seen = read_seen(adapter)
    part = "test" if seen.test else "val"
    return part, numbers_of(seen.parts[part]), numbers_of(seen.train)


def figures(results, part):
    """What was measured, without the probe, which needs the training videos."""
    return {name: row for name, row in results[part].items() if "B-II" not in name}


def test_an_adapter_remembers_the_parts_of_its_run(trained):
    task, adapter, results = trained
    seen = read_seen(adapter)
    part, measured, learned = held_out(adapter)
    assert part == results["protocol"]["part"] == ("val" if task == "recognition" else "test")
    assert sorted([*learned, *numbers_of(seen.val), *numbers_of(seen.test)]) == list(range(12))
    assert len(measured) >= 2
    assert seen.class_names == read_card(adapter).class_names


def test_data_as_they_were_give_the_same_bytes(trained):
    _, adapter, results = trained
    assert json.dumps(evaluate_adapter(adapter).results) == json.dumps(results)


def test_renamed_and_moved_videos_are_measured_as_what_they_were(trained, clips, tmp_path, capsys):
    task, adapter, results = trained
    entries = {f"z{97 * number % 101}": pair for number, pair in enumerate(entries_of(clips, range(12)).values())}
    source = write_data(task, tmp_path, entries, broken=True)
    found = evaluate_adapter(adapter, [f"data.source={source}"]).results
    part, _, _ = held_out(adapter)
    assert found[part] == results[part]
    assert found["protocol"]["part_chose_the_weights"] is (part == "val")
    said = found["data_since_training"]
    assert said["renamed"]["count"] == 12
    print_results(found)
    assert capsys.readouterr().out.splitlines()[0].startswith("Under other names than in training, told by their cont")


def test_what_is_missing_added_or_of_another_annotation_is_named_and_the_rest_is_measured(trained, clips, tmp_path):
    task, adapter, results = trained
    part, measured, learned = held_out(adapter)
    entries = entries_of(clips, [number for number in range(16) if number != measured[0]])
    other = entries[f"v{learned[0]}"]
    entries[f"v{learned[0]}"] = (other[0], LABELS[1 - LABELS.index(other[1])])
    found = evaluate_adapter(adapter, [f"data.source={write_data(task, tmp_path, entries)}"]).results
    said = found["data_since_training"]
    assert said["missing"]["count"] == said["other_annotation"]["count"] == 1
    assert f"v{measured[0]}" in said["missing"]["first"][0]
    assert f"v{learned[0]}" in said["other_annotation"]["first"][0]
    assert said["added"]["count"] == 4
    assert said["held_out"][part] == {"measured": len(measured) - 1, "of": len(measured)}
    assert f"The figures are over {len(measured) - 1} of {len(measured)} held-out videos." in said["lines"]
    assert found["protocol"]["num_train_videos"] == results["protocol"]["num_train_videos"] == len(learned)
    assert found[part].keys() == figures(found, part).keys()
    size = found["protocol"]["num_videos"] if task == "retrieval" else next(iter(found[part].values()))["num_videos"]
    assert size == len(measured) - 1


def test_files_that_are_gone_from_below_a_list_are_missing(trained, clips, tmp_path):
    task, adapter, _ = trained
    part, measured, _ = held_out(adapter)
    source = write_data(task, tmp_path, entries_of(clips, range(12)))
    next(tmp_path.rglob(f"v{measured[0]}.mp4")).unlink()
    found = evaluate_adapter(adapter, [f"data.source={source}"]).results
    assert found["data_since_training"]["missing"]["count"] == 1
    assert found["data_since_training"]["held_out"][part]["measured"] == len(measured) - 1
    for path in tmp_path.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"[Nn]one of|No videos found"):
        evaluate_adapter(adapter, [f"data.source={source}"])


def test_other_content_under_the_same_name_is_not_measured(trained, clips, tmp_path):
    task, adapter, _ = trained
    part, measured, _ = held_out(adapter)
    entries = entries_of(clips, range(12))
    entries[f"v{measured[0]}"] = (clips[12 + measured[0] % 2], LABELS[measured[0] % 2])
    found = evaluate_adapter(adapter, [f"data.source={write_data(task, tmp_path, entries)}"]).results
    assert found["data_since_training"]["other_content"]["count"] == 1
    assert found["data_since_training"]["held_out"][part]["measured"] == len(measured) - 1


@pytest.mark.parametrize("change", ["only trained", "labels swapped", "trained among new", "nothing held out"])
def test_what_cannot_be_measured_is_refused(trained, clips, tmp_path, change):
    task, adapter, _ = trained
    _, measured, learned = held_out(adapter)
    entries = entries_of(clips, range(12))
    said = {
        "only trained": r"was trained on all \d+ videos there",
        "labels swapped": "list of captions seems re-ordered"
        if task == "retrieval"
        else "every '(left|right)' of training",
        "trained among new": "1 others were trained on",
        "nothing held out": f"none of the {len(measured)} videos that were held out in training is there as it was",
    }[change]
    if change == "only trained":
        entries = entries_of(clips, learned)
    elif change == "trained among new":
        entries = entries_of(clips, [learned[0], *range(12, 16)])
    elif change == "nothing held out":
        entries = entries_of(clips, [number for number in range(16) if number not in measured])
        if task == "retrieval":  # the validation videos are there, and are not taken for the test
            assert set(learned) < {int(name[1:]) for name in entries}
    elif task == "retrieval":
        source = Path(write_data(task, tmp_path, entries))
        lines = [json.loads(line) for line in source.read_text().splitlines()]
        captions = [line["caption"] for line in lines]
        moved = [line | {"caption": other} for line, other in zip(lines, [*captions[1:], captions[0]], strict=True)]
        source.write_text("".join(json.dumps(line) + "\n" for line in moved))
    else:
        entries = {name: (clip, LABELS[1 - LABELS.index(label)]) for name, (clip, label) in entries.items()}
    if not (task == "retrieval" and change == "labels swapped"):
        source = write_data(task, tmp_path, entries)
    with pytest.raises(DatasetError, match=said):
        evaluate_adapter(adapter, [f"data.source={source}"])


def test_new_data_are_measured_as_such(trained, clips, tmp_path, capsys):
    task, adapter, results = trained
    source = write_data(task, tmp_path, entries_of(clips, range(12, 16)), broken=True)
    found = evaluate_adapter(adapter, [f"data.source={source}"]).results
    assert found["protocol"]["part"] == NEW_DATA
    assert found["protocol"]["part_chose_the_weights"] is False
    assert found[NEW_DATA].keys() == figures(results, results["protocol"]["part"]).keys()
    assert found["data_since_training"]["known_to_the_run"] == 0
    print_results(found)
    assert NEW_DATA in capsys.readouterr().out


def test_names_of_new_data_must_be_known_or_held_out(trained, clips, tmp_path):
    task, adapter, _ = trained
    if task == "retrieval":
        pytest.skip("captions are no classes")
    entries = {f"v{number}": (clips[number], "up" if number == 12 else "LEFT") for number in range(12, 16)}
    source = f"data.source={write_data(task, tmp_path, entries)}"
    if task == "recognition":
        with pytest.raises(DatasetError, match=r"trained on 2 classes, up not among them; name them in data\.held_out"):
            evaluate_adapter(adapter, [source])
    found = evaluate_adapter(adapter, [source, "data.held_out=[up]"]).results
    assert next(iter(found["novel"].values()))["num_videos"] == 1
    assert found["protocol"]["held_out_classes"] == ["up"]
    with pytest.raises(DatasetError, match="the adapter was trained on left; leave"):
        evaluate_adapter(adapter, [source, "data.held_out=[up, left]"])


def test_data_that_are_gone_are_asked_for(trained, tmp_path):
    _, adapter, _ = trained
    with pytest.raises(AdapterError, match=r"there is nothing at .*nowhere, data\.source .* say where it lies now"):
        evaluate_adapter(adapter, [f"data.source={tmp_path / 'nowhere'}"])


def test_an_adapter_that_does_not_say_what_it_saw_is_refused(trained, tmp_path):
    _, adapter, _ = trained
    shutil.copytree(adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / PARTS).unlink()
    with pytest.raises(AdapterError, match=r"does not say which videos it was trained on .* train it again"):
        evaluate_adapter(tmp_path / "adapter")
    card = json.loads((tmp_path / "adapter" / CARD).read_text())
    (tmp_path / "adapter" / CARD).write_text(json.dumps(card | {"format_version": 4}))
    with pytest.raises(AdapterError, match="has format_version 4"):
        evaluate_adapter(tmp_path / "adapter")


@pytest.mark.parametrize("override", ["train.lr=1", "model.n_prefix=3", "localization.window=8", "seed=1"])
def test_what_is_no_matter_of_a_measurement_is_refused(trained, override):
    _, adapter, _ = trained
    with pytest.raises(UsageError, match=rf"Override '{override}' is no matter of a measurement; .* data\.\*, eval"):
        evaluate_adapter(adapter, [override])


def test_what_is_measured_may_be_changed(trained):
    task, adapter, _ = trained
    found = evaluate_adapter(adapter, ["evaluate.baselines=[]"]).results
    if task != "retrieval":
        assert not any("B-I" in name for name in found[found["protocol"]["part"]])


def test_labels_in_another_spelling_are_those_of_the_run(trained, clips, tmp_path):
    task, adapter, results = trained
    if task == "retrieval":
        pytest.skip("captions are sentences, no names")
    entries = {name: (clip, label.upper()) for name, (clip, label) in entries_of(clips, range(12)).items()}
    found = evaluate_adapter(adapter, [f"data.source={write_data(task, tmp_path, entries)}"]).results
    part, _, _ = held_out(adapter)
    assert found[part] == results[part]
