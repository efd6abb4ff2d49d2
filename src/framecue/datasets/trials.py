"""What a recognition protocol is made of, and its text form: split lists in the authors' format.

A list names a video as `class/stem`, so that neither the place of the data nor the ending of its files matters.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from framecue.datasets.naming import class_key, shorten
from framecue.errors import DatasetError
from framecue.files import name_form
from framecue.types import Record, Skipped


@dataclass(frozen=True)
class Trial:
    """One training of a protocol, and what it is measured on.

    Attributes:
        name: "episode 17", "draw 3", "seed 1".
        seed: for the weights and batches of this trial.
        train: what the weights are fitted to.
        val: what chooses weights; may be empty; of classes of `class_names` alone, and never tested.
        class_names: what is trained on, in score order.
        tests: records by part: "test"; or "base" and "novel"; or "full", "half 0", "half 1" ... Parts of the same first
            word, such as "full split 1" and "full split 2", are averaged.
        test_names: for each part the candidate names, in score order.
        split: the official split that it is of, where a number is the mean over several; else None.

    Raises:
        DatasetError: a video has two uses, a part has a class that is no candidate, or train or a test part is empty.
    """

    name: str
    seed: int
    train: list[Record]
    val: list[Record]
    class_names: tuple[str, ...]
    tests: dict[str, list[Record]]
    test_names: dict[str, tuple[str, ...]]
    split: int | None = None

    def __post_init__(self) -> None:
        if self.tests.keys() != self.test_names.keys():
            raise ValueError(
                f"tests and test_names must have the same parts, got {[*self.tests]} {[*self.test_names]}."
            )
        parts = {"train": self.train, **self.tests}
        for part, records in parts.items():
            if not records:
                raise DatasetError(f"The {part} part of {self.name} has no videos. Give it some.")
        names = {"train": self.class_names, "val": self.class_names, **self.test_names}
        for part, records in {**parts, "val": self.val}.items():
            strange = sorted({str(record.label) for record in records} - set(names[part]))
            if strange:
                raise DatasetError(
                    f"The {part} part of {self.name} has classes that are not among its {len(names[part])} names: "
                    f"{shorten(strange, 3)}. Leave them out, or name them."
                )
        self._refuse_second_use()

    def _refuse_second_use(self) -> None:
        uses = {video_id(record): "train" for record in self.train}
        for part, records in {"val": self.val, **self.tests}.items():
            for record in records:
                use = uses.get(video_id(record))
                if use is not None and use != part:
                    raise DatasetError(
                        f"{record.path} is in the {use} and in the {part} part of {self.name}. Keep it in one."
                    )
            if part == "val":
                uses |= {video_id(record): "val" for record in records}


@dataclass(frozen=True)
class Protocol:
    """The trials whose mean and spread make one number of a table.

    Attributes:
        name: "closed-set", "few-shot-5-way-5-shot", "few-shot-all-way-16-shot", "zero-shot", "base-to-novel",
            "cross-dataset".
        description: one sentence that a paper could print.
        source: "drawn from seed 0", or the folder or file of the split lists.
        source_hash: SHA-256 over the split lists; equal hashes mean equal videos and names in every part.
        skipped: what split lists named and the data does not have.
        lists: the split lists of all trials by file name (see `split_lists`), to be written for others.
    """

    name: str
    description: str
    source: str
    source_hash: str
    trials: list[Trial]
    skipped: list[Skipped] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict, repr=False, compare=False)


def drawn(name: str, description: str, source: str, trials: list[Trial], *data: Collection[Record]) -> Protocol:
    """A protocol whose hash is that of its own lists; `data` are all records of each data set."""
    lists = split_lists(trials, *data)
    return Protocol(name, description, source, hash_lists(lists), trials, lists=lists)


def video_id(record: Record) -> tuple[str, float | None, float | None]:
    """Equal for records of the same part of the same file."""
    return str(record.path), record.start_seconds, record.end_seconds


def label_of(record: Record) -> str:
    """The record's class, which every protocol needs.

    Raises:
        DatasetError: it has none.
    """
    if record.label is None:
        raise DatasetError(f"{record.origin}: {record.path} has no label, which training and evaluation need.")
    return record.label


def labels_of(records: Iterable[Record]) -> tuple[str, ...]:
    """The classes of the records, sorted: their score order."""
    return tuple(sorted({label_of(record) for record in records}))


def timed_stem(record: Record) -> str:
    """File name without its ending; of a part of a file with its times, whole seconds in Kinetics' form.

    "abc" from 48 to 58 s is "abc_000048_000058".
    """
    stem = normal_stem(record.path.stem)
    if record.start_seconds is None and record.end_seconds is None:
        return stem
    times = (record.start_seconds or 0.0, float("inf") if record.end_seconds is None else record.end_seconds)
    whole = all(seconds.is_integer() for seconds in map(float, times))
    return "_".join([stem, *(f"{seconds:06.0f}" if whole else f"{seconds:g}" for seconds in times)])


def normal_stem(text: str) -> str:
    """The form of `files.name_form`, without white space at the ends."""
    return name_form(text).strip()


def portable_names(records: Collection[Record]) -> dict[Record, str]:
    """ "class/stem" for each record, wherever the data lies; with the folder above it where two would be the same.

    The class is written as the video's folder where that is the class's name ("ApplyEyeMakeup"), else as the label.
    """
    names = {record: f"{_folder_name(record)}/{timed_stem(record)}" for record in records}
    count = Counter(names.values())
    return {record: _longer(record, name) if count[name] > 1 else name for record, name in names.items()}


def _longer(record: Record, name: str) -> str:
    above = record.path.parts[-3:-2] if class_key(record.path.parent.name) == class_key(label_of(record)) else ()
    return "/".join([*above, name])


def _folder_name(record: Record) -> str:
    folder, label = record.path.parent.name, label_of(record)
    return folder if class_key(folder) == class_key(label) else label


def split_lists(trials: Sequence[Trial], *data: Collection[Record]) -> dict[str, str]:
    """Every list of the trials by its file name: `train/split_0.list`, `test/split_0.list` with lines `class/stem`.

    A part "half 0" has the folder `half_0`. The names of a part are in `classes/PART/split_0.list`, a name a line, but
    only where they are not just the classes of its videos. `data` are all records of each data set, among which names
    must tell videos apart.
    """
    names = {record: name for records in data for record, name in portable_names(records).items()}
    lists = {}
    for number, trial in enumerate(trials):
        for part, records in uses(trial).items():
            if records:
                lists[list_file(part, number)] = as_list(names[record] for record in records)
            candidates = part_names(trial).get(part)
            if candidates is not None and candidates != labels_of(records):
                lists[list_file(part, number, classes=True)] = as_list(candidates)
    return lists


def uses(trial: Trial) -> dict[str, list[Record]]:
    """Records by part, train and val among them."""
    return {"train": trial.train, "val": trial.val, **trial.tests}


def part_names(trial: Trial) -> dict[str, tuple[str, ...]]:
    """Names by part; val has those of train."""
    return {"train": trial.class_names, **trial.test_names}


def list_file(part: str, number: int, *, classes: bool = False) -> str:
    """Name of a list within the folder of a protocol."""
    return f"{'classes/' if classes else ''}{part.replace(' ', '_')}/split_{number}.list"


def as_list(lines: Iterable[str]) -> str:
    """The text of a list."""
    return "".join(f"{line}\n" for line in lines)


def hash_lists(lists: Mapping[str, str]) -> str:
    """SHA-256 over file names and lines, whose order, line ends and spelling of the class do not matter."""
    digest = hashlib.sha256()
    for name in sorted(lists):
        lines = sorted(normal_name(line.strip()) for line in lists[name].splitlines() if line.strip())
        digest.update(f"{name}\n{as_list(lines)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def normal_name(text: str) -> str:
    """A line `class/stem` with the class in one spelling, the same for "ApplyEyeMakeup" and "apply eye makeup"."""
    group, slash, stem = text.rpartition("/")
    return f"{class_key(group)}{slash}{stem}"
