"""Protocols from published split files, and drawn ones written in the same form for others to use.

The authors' form is a folder with `train/split_0.list`, `train/split_1.list` ... and the same in `test`, each line
`class/video`; their C-way lists have `train` alone and are tested on the official test part.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from framecue.datasets.class_lists import find_classes, read_class_list, refuse_shared
from framecue.datasets.draws import VideoDraw, by_label, check_records, of_classes, parts_of
from framecue.datasets.list_reader import ListReader, list_files, numbered_lists, refuse_tested
from framecue.datasets.manifests import read_text
from framecue.datasets.naming import is_text, shorten
from framecue.datasets.protocols import all_way_text, base_to_novel_text
from framecue.datasets.trials import Protocol, Trial, hash_lists, labels_of, list_file, split_lists, uses
from framecue.datasets.video_lists import Missing, read_video_list
from framecue.errors import DatasetError, UsageError
from framecue.files import write_text
from framecue.types import Record

_PROTOCOL_FILE = "protocol.json"


def episodes_from_lists(records: Iterable[Record], folder: str | Path, *, missing: Missing = "error") -> Protocol:
    """The authors' few-shot episodes: 25 videos in `train/split_i.list`, the queries in `test/split_i.list`.

    Without a folder `test` the queries are all other videos of the classes.

    Args:
        missing: "skip" leaves out videos that are not in the data, and episodes of which a class has none left.

    Raises:
        DatasetError: the folder or a line of a list cannot be used, or lists disagree; the message names file and line.
    """
    records, folder = check_records(records), Path(folder)
    reader, groups, trials = ListReader(records, missing), by_label(records), []
    for number, train_file, test_file in numbered_lists(folder):
        train = reader.train(train_file)
        classes = labels_of(train)
        if test_file is None:
            queries = [record for label in classes for record in groups[label] if record not in train]
        else:
            queries = reader.test(test_file, train, classes)
        if train and queries:
            tests, names = {"test": queries}, {"test": classes}
            trials.append(Trial(f"episode {number}", number, list(train), [], classes, tests, names))
    reader.require(trials, folder)
    description = (
        f"{reader.shots}-shot {reader.ways}-way: in each of {len(trials)} published episodes trained from scratch on "
        f"{reader.shots} videos of each of {reader.ways} classes, tested on "
        f"{'those listed' if (folder / 'test').is_dir() else 'all others'} of these classes."
    )
    name = f"few-shot-{reader.ways}-way-{reader.shots}-shot"
    return reader.protocol(name, description, folder, trials, list_files(folder))


def few_shot_from_lists(records: Iterable[Record], folder: str | Path, *, missing: Missing = "error") -> Protocol:
    """The authors' few-shot draws over all classes: `train/split_i.list`, tested on the data's test part.

    A folder `test` beside `train`, as `write_split_lists` makes, is used instead of the test part.

    Raises:
        DatasetError: as `episodes_from_lists`; also where a training video is in the test part.
    """
    records, folder = check_records(records), Path(folder)
    parts, reader, trials = parts_of(records), ListReader(records, missing), []
    for number, train_file, test_file in numbered_lists(folder):
        train = reader.train(train_file)
        names = labels_of(train)
        if test_file is None:
            refuse_tested(train, parts.test)
        tested = parts.test if test_file is None else reader.test(test_file, train, names)
        if train and tested:
            trials.append(Trial(f"draw {number}", number, list(train), [], names, {"test": tested}, {"test": names}))
    reader.require(trials, folder)
    description = all_way_text(reader.shots, trials[0].class_names, trials)
    name = f"few-shot-all-way-{reader.shots}-shot"
    return reader.protocol(name, description, folder, trials, list_files(folder))


def base_to_novel_from_lists(
    records: Iterable[Record],
    *,
    train: Sequence[str | Path],
    base_test: str | Path,
    novel_test: str | Path,
    base_labels: str | Path,
    novel_labels: str | Path,
    missing: Missing = "error",
) -> Protocol:
    """ViFi-CLIP's base-to-novel lists: lines `path number`, and for each side a CSV `id,name`.

    Validation videos are drawn as in `protocols.base_to_novel`, from training videos that no list names.

    Args:
        train: a list of base-class videos for each trial.

    Raises:
        DatasetError: a list cannot be used; the message names file and line.
        UsageError: no training list is given.
    """
    if not train:
        raise UsageError("train must name at least one list of training videos, found none.")
    records = check_records(records)
    parts, labels = parts_of(records, tested=False), labels_of(records)
    base, novel = read_class_list(base_labels), read_class_list(novel_labels)
    seen = find_classes(base, labels, asked_by=str(base_labels))
    unseen = find_classes(novel, labels, asked_by=str(novel_labels))
    refuse_shared(seen, unseen, "base and novel")
    names = {"base": tuple(sorted(seen)), "novel": tuple(sorted(unseen))}
    reader, draw, trials = ListReader(records, missing), VideoDraw(records), []
    for number, file in enumerate(train):
        found = reader.train(Path(file), base)
        refuse_tested(found, parts.test)
        tests = {
            "base": reader.test(Path(base_test), found, names["base"], base),
            "novel": reader.test(Path(novel_test), found, names["novel"], novel),
        }
        if found and all(tests.values()):
            tested = {*tests["base"]}
            free = [record for record in of_classes(parts.val or parts.train, seen) if record not in tested]
            val = draw.validation(free, [*found], reader.shots, number, "shots")
            trials.append(Trial(f"seed {number}", number, [*found], val, names["base"], tests, names))
    files = {"base": base_test, "novel": novel_test, "base labels": base_labels, "novel labels": novel_labels}
    files |= {list_file("train", number): file for number, file in enumerate(train)}
    folder = Path(base_test).parent
    reader.require(trials, folder)
    description = base_to_novel_text(reader.shots, trials, f"classes and videos as listed{reader.renamed()}")
    return reader.protocol("base-to-novel", description, folder, trials, files)


def write_split_lists(protocol: Protocol, folder: str | Path) -> None:
    """Write the lists of a protocol in the authors' form, and a `protocol.json` that names it and its trials.

    Videos of a part are in `PART/split_i.list`; validation in `val`, a part "half 0" in `half_0`. `classes/PART` holds
    the names of a part where they are not just the classes of its videos.

    Raises:
        DatasetError: lists cannot tell two videos apart, or the folder holds other lists.
    """
    folder = Path(folder)
    for number, trial in enumerate(protocol.trials):
        for part, records in uses(trial).items():
            lines = protocol.lists.get(list_file(part, number), "").splitlines()
            if len(set(lines)) != len(records) or not is_text("".join(lines)):
                raise DatasetError(
                    f"The {len(records)} videos of {part} in {trial.name} cannot be told apart in lists: some share "
                    "class and file name, or have line breaks or stray bytes in it. Give the files names of their own."
                )
    written = {name: read_text(path) for name, path in list_files(folder).items()}
    other = sorted(name for name, text in written.items() if protocol.lists.get(name) != text)
    if other:
        raise DatasetError(f"{folder} holds other lists ({shorten(other, 3)}). Choose an empty folder.")
    for name, text in protocol.lists.items():
        write_text(folder / name, text)
    about = {
        "name": protocol.name,
        "description": protocol.description,
        "source": protocol.source,
        "source_hash": protocol.source_hash,
        "lists_hash": hash_lists(protocol.lists),
        "trials": [
            {"name": trial.name, "seed": trial.seed, "parts": [*trial.tests]}
            | ({} if trial.split is None else {"split": trial.split})
            for trial in protocol.trials
        ],
    }
    write_text(folder / _PROTOCOL_FILE, json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read_split_lists(
    records: Iterable[Record],
    folder: str | Path,
    *,
    test_records: Iterable[Record] | None = None,
    missing: Missing = "error",
) -> Protocol:
    """The protocol that `write_split_lists` wrote, on the same videos wherever they now lie.

    Args:
        test_records: the second data set of a cross-data-set protocol.

    Raises:
        DatasetError: the folder was not written so or was changed since, or a video is not there.
    """
    folder = Path(folder)
    about = _read_about(folder)
    data = [check_records(part) for part in (records, test_records) if part is not None]
    readers = [ListReader(part, missing) for part in data]
    trials = []
    for number, entry in enumerate(about["trials"]):
        trial = _read_trial(folder, number, entry, readers[0], readers[-1])
        if trial is not None:
            trials.append(trial)
    readers[0].require(trials, folder)
    skipped = [item for reader in readers for item in reader.skipped()]
    name, description, source, source_hash = (about[key] for key in ("name", "description", "source", "source_hash"))
    return Protocol(name, description, source, source_hash, trials, skipped, split_lists(trials, *data))


def _read_about(folder: Path) -> dict[str, Any]:  # Any: JSON, whose keys are checked here
    file = folder / _PROTOCOL_FILE
    try:
        about = json.loads(read_text(file))
        trials = [(entry["name"], int(entry["seed"]), [*entry["parts"]]) for entry in about["trials"]]
        texts = [about[key] for key in ("name", "description", "source", "source_hash", "lists_hash")]
    except (ValueError, TypeError, KeyError, RecursionError):
        trials, texts = [], [None]
    if not trials or not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{file} does not describe a protocol. Write the split lists again.")
    if hash_lists({name: read_text(path) for name, path in list_files(folder).items()}) != about["lists_hash"]:
        raise DatasetError(
            f"{folder}: the lists are not those that {_PROTOCOL_FILE} was written with. Write them again, "
            "or remove it to read the lists as published ones."
        )
    return dict(about)


def _read_trial(
    folder: Path, number: int, entry: dict[str, Any], data: ListReader, test_data: ListReader
) -> Trial | None:
    """A trial of the lists, or None where a class of it has lost all its videos."""
    found: dict[str, list[Record]] = {"train": [], "val": []}
    names: dict[str, tuple[str, ...]] = {}
    for part in ("train", "val", *entry["parts"]):
        file = folder / list_file(part, number)
        if part == "val" and not file.is_file():
            continue
        reader = data if part in ("train", "val") else test_data
        found[part] = [*reader.find(file, read_video_list(file))]
        listed = folder / list_file(part, number, classes=True)
        names[part] = reader.spelled(read_class_list(listed)) if listed.is_file() else labels_of(found[part])
    if not all(found[part] for part in ("train", *entry["parts"])):
        return None
    train, val = found.pop("train"), found.pop("val")
    candidates = {part: names[part] for part in entry["parts"]}
    return Trial(entry["name"], entry["seed"], train, val, names["train"], found, candidates, entry.get("split"))
