"""Recognition protocols: from records to trials, by seed alone (method.md 3.2; peers' protocols where said).

A train, val or test part is that of the records. Where they have no test part, their val part is tested (Kinetics).
Published lists are read by `framecue.datasets.split_files`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from framecue.datasets.class_lists import Names, find_classes, refuse_shared
from framecue.datasets.draws import (
    VideoDraw,
    by_label,
    check_records,
    check_seeds,
    of_classes,
    parts_of,
    ranked_classes,
    require_positive,
    require_videos,
    with_validation,
)
from framecue.datasets.naming import class_key, shorten
from framecue.datasets.splits import Partition
from framecue.datasets.trials import Protocol, Trial, drawn, labels_of
from framecue.errors import DatasetError, UsageError
from framecue.types import Record


def closed_set(records: Iterable[Record], *, val_fraction: float = 0.1, seeds: Iterable[int] = (0,)) -> Protocol:
    """The data's own parts, one trial a seed; a missing val part is drawn from train by the trial's seed.

    Raises:
        DatasetError: no train or test part, or test classes without training videos.
    """
    parts, seeds = parts_of(records), check_seeds(seeds)
    names = labels_of(parts.train)
    trials = [
        _trial(seed, with_validation(parts.train, parts.val, val_fraction, seed), names, {"test": (parts.test, names)})
        for seed in seeds
    ]
    description = (
        f"Closed set: trained on the {len(parts.train)} training videos of {len(names)} classes, "
        f"tested on {len(parts.test)} others of the same classes; {_seeds_text(seeds, 'training')}."
    )
    return drawn("closed-set", description, _source(bool(parts.val), val_fraction), trials, _all(parts))


def closed_set_over_splits(
    by_split: Mapping[int, Iterable[Record]], *, val_fraction: float = 0.1, seeds: Iterable[int] = (0,)
) -> Protocol:
    """The closed set of each official split, with one trial a split and seed; what is reported is their mean.

    Args:
        by_split: the records of each split, as HMDB-51 and UCF-101 have three.

    Raises:
        DatasetError: as `closed_set`.
    """
    records = {number: [*part] for number, part in by_split.items()}
    seeds = check_seeds(seeds)
    single = {number: closed_set(part, val_fraction=val_fraction, seeds=seeds) for number, part in records.items()}
    trials = [
        replace(trial, name=f"split {number} {trial.name}", split=number)
        for number, protocol in single.items()
        for trial in protocol.trials
    ]
    parts = [parts_of(part) for part in records.values()]
    description = (
        f"Closed set, mean over the official splits {_listed(single)}: trained on the "
        f"{_listed(len(part.train) for part in parts)} training videos of {len(trials[0].class_names)} classes, tested "
        f"on {_listed(len(part.test) for part in parts)} others of the same classes; {_seeds_text(seeds, 'training')} "
        "of each."
    )
    source = next(iter(single.values())).source
    return drawn("closed-set", description, source, trials, *records.values())


def episodes(
    records: Iterable[Record],
    *,
    ways: int = 5,
    shots: int = 5,
    count: int = 200,
    pool: Names | None = None,
    seed: int = 0,
) -> Protocol:
    """Few-shot episodes: in each, `ways` classes are drawn and `shots` videos of each; all their others are queries.

    Parts of the records do not matter, as in the authors' lists, where training and query videos may be cut from one
    source. There is no validation part.

    Args:
        pool: classes to draw from; None = all.

    Raises:
        DatasetError: more ways than classes in the pool, or a class without a video left to be a query.
    """
    require_positive(ways=ways, shots=shots, count=count)
    everything = check_records(records)
    labels = labels_of(everything)
    labels = tuple(sorted(labels if pool is None else find_classes(pool, labels, asked_by="pool")))
    if ways > len(labels):
        raise DatasetError(f"{ways}-way episodes need {ways} classes, the pool has {len(labels)}. Ask for fewer ways.")
    groups, draw = by_label(of_classes(everything, labels)), VideoDraw(everything)
    require_videos(groups, shots + 1, f"A {shots}-shot episode with queries")
    trials = []
    for number in range(count):
        name = f"episode {number}"
        chosen = tuple(sorted(ranked_classes(labels, seed, name)[:ways]))
        ranked = [draw.ranked(groups[label], seed, name) for label in chosen]
        train = draw.in_order(record for group in ranked for record in group[:shots])
        queries = draw.in_order(record for group in ranked for record in group[shots:])
        trials.append(Trial(name, seed + number, train, [], chosen, {"test": queries}, {"test": chosen}))
    description = (
        f"{shots}-shot {ways}-way: in each of {count} episodes trained from scratch on {shots} videos of each of "
        f"{ways} classes drawn from {len(labels)}, tested on all other videos of these classes."
    )
    return drawn(f"few-shot-{ways}-way-{shots}-shot", description, f"drawn from seed {seed}", trials, everything)


def few_shot(records: Iterable[Record], *, shots: int, draws: int = 10, seed: int = 0) -> Protocol:
    """Few-shot with all classes: `shots` training videos of each class, tested on the whole test part.

    Within a draw the videos of fewer shots are among those of more, so that accuracy over shots compares.
    There is no validation part.

    Raises:
        DatasetError: a class with fewer training videos, or test classes without any.
    """
    require_positive(shots=shots, draws=draws)
    parts = parts_of(records)
    require_videos(by_label(parts.train), shots, f"A {shots}-shot training")
    names, draw = labels_of(parts.train), VideoDraw(parts.train)
    trials = [
        Trial(
            f"draw {number}",
            seed + number,
            draw.few(parts.train, shots, seed, f"draw {number}"),
            [],
            names,
            {"test": parts.test},
            {"test": names},
        )
        for number in range(draws)
    ]
    return drawn(
        f"few-shot-all-way-{shots}-shot",
        all_way_text(shots, names, trials),
        f"drawn from seed {seed}",
        trials,
        _all(parts),
    )


def all_way_text(shots: int, names: Sequence[str], trials: Sequence[Trial]) -> str:
    """The sentence for few-shot training with all classes."""
    return (
        f"{shots}-shot {len(names)}-way: trained on {shots} training videos of each of all {len(names)} classes, "
        f"tested on the {len(trials[0].tests['test'])} videos of the test part; {len(trials)} draws."
    )


def zero_shot(
    records: Iterable[Record],
    *,
    train_classes: Names,
    test_classes: Names,
    val_fraction: float = 0.1,
    seeds: Iterable[int] = (0,),
) -> Protocol:
    """Trained on the training videos of some classes, tested on the test videos of others among the others' names.

    Where the data has no test part at all, every video of the test classes is tested.

    Raises:
        DatasetError: a class is in both lists or not in the data, or has no videos where it needs them.
    """
    parts, seeds = parts_of(records, tested=False), check_seeds(seeds)
    known = labels_of(_all(parts))
    seen = find_classes(train_classes, known, asked_by="train_classes")
    unseen = find_classes(test_classes, known, asked_by="test_classes")
    refuse_shared(seen, unseen, "train and test class")
    names, test_names = tuple(sorted(seen)), tuple(sorted(unseen))
    train = _each(parts.train, seen, "training")
    test = _each(parts.test or parts.train, unseen, "test")
    val = of_classes(parts.val, names)
    trials = [
        _trial(seed, with_validation(train, val, val_fraction, seed), names, {"test": (test, test_names)})
        for seed in seeds
    ]
    description = (
        f"Zero-shot: trained on the {len(train)} training videos of {len(names)} classes, tested on {len(test)} videos "
        f"of {len(test_names)} classes never trained on, among their own names; {_seeds_text(seeds, 'training')}."
    )
    return drawn("zero-shot", description, _source(bool(val), val_fraction), trials, _all(parts))


def base_to_novel(
    records: Iterable[Record],
    *,
    base: Names | None = None,
    novel: Names | None = None,
    shots: int | None = 16,
    val_fraction: float = 0.1,
    seeds: Iterable[int] = (0, 1, 2),
    seed: int = 0,
) -> Protocol:
    """Trained on base classes, tested on base and on novel classes, each among their own names (ViFi-CLIP's protocol).

    Validation videos are training videos of base classes that were not drawn, at most `shots` a class, of other sources
    than the drawn ones where names tell the source; where the data has a val part, they are taken from that.

    Args:
        base, novel: classes of published lists. If one is None, all classes that the other does not name; if both, the
            classes are halved by `seed`, in the same way for all trials, the odd one to base.
        shots: training videos a class; None = all but those of `val_fraction`.

    Raises:
        DatasetError: a class is in both lists or not in the data, or has fewer training videos than `shots`.
    """
    parts, seeds = parts_of(records), check_seeds(seeds)
    seen, unseen, division = _divide(labels_of([*parts.train, *parts.test]), base, novel, seed)
    names, novel_names = tuple(sorted(seen)), tuple(sorted(unseen))
    pool, val_pool = _each(parts.train, seen, "training"), of_classes(parts.val, names)
    if shots is not None:
        require_positive(shots=shots)
        require_videos(by_label(pool), shots, f"A {shots}-shot training")
    tests = {
        "base": (_each(parts.test, seen, "test"), names),
        "novel": (_each(parts.test, unseen, "test"), novel_names),
    }
    draw = VideoDraw([*parts.train, *parts.val])
    trials = []
    for number in seeds:
        if shots is None:
            part = with_validation(pool, val_pool, val_fraction, number)
        else:
            train = draw.few(pool, shots, number, "shots")
            part = Partition(train, draw.validation(val_pool or pool, train, shots, number, "shots"), [])
        trials.append(_trial(number, part, names, tests))
    source = _source(bool(val_pool), val_fraction) if shots is None else f"drawn from {_numbers(seeds)}"
    return drawn(
        "base-to-novel",
        base_to_novel_text(shots, trials, division),
        source + (f", classes halved by seed {seed}" if base is None and novel is None else ""),
        trials,
        _all(parts),
    )


def base_to_novel_text(shots: int | None, trials: Sequence[Trial], division: str) -> str:
    """The sentence for base-to-novel trials."""
    first = trials[0]
    return (
        f"Base to novel: trained on {'all' if shots is None else shots} training videos of each of "
        f"{len(first.class_names)} base classes, tested on {len(first.tests['base'])} videos of these and on "
        f"{len(first.tests['novel'])} of {len(first.test_names['novel'])} novel classes, each among their own names "
        f"({division}); {_seeds_text([trial.seed for trial in trials], 'draw' if shots else 'training')}."
    )


def cross_dataset(
    train_records: Iterable[Record],
    test_records: Iterable[Record] | Mapping[int, Iterable[Record]],
    *,
    val_fraction: float = 0.1,
    seeds: Iterable[int] = (0,),
    halves: int = 10,
    seed: int = 0,
) -> Protocol:
    """Trained on one data set, tested on another among its names: all of them ("full"), and random halves of them.

    The half-class protocol is that of Text4Vis and BIKE: `halves` random halves of the classes (rounded down), here by
    `seed` and the same for all trials. Test names that are training names too are kept and told in the description.
    Where the second data set has no parts, all of it is tested.

    Args:
        test_records: of the second data set; or by official split, whose test parts are "full split 1" and so on.

    Raises:
        DatasetError: no training videos, no test videos, or too few test classes to halve.
    """
    parts, seeds = parts_of(train_records, tested=False), check_seeds(seeds)
    if halves < 0:
        raise UsageError(f"halves must be at least 0, found {halves}.")
    by_split = test_records if isinstance(test_records, Mapping) else {None: test_records}
    others = {number: check_records(records) for number, records in by_split.items()}
    tests: dict[str, tuple[list[Record], tuple[str, ...]]] = {}
    for number, records in others.items():
        tests |= _full_and_halves(records, halves, seed, "" if number is None else f" split {number}")
    names, val = labels_of(parts.train), of_classes(parts.val, labels_of(parts.train))
    trials = [_trial(number, with_validation(parts.train, val, val_fraction, number), names, tests) for number in seeds]
    over = [number for number in others if number is not None]
    full = [part for name, part in tests.items() if name.startswith("full")]
    test_names = full[0][1]
    shared = sorted({class_key(name) for name in names} & {class_key(name) for name in test_names})
    told = [name for name in test_names if class_key(name) in shared]
    description = (
        f"Cross-data-set: trained on the {len(parts.train)} training videos of {len(names)} classes, tested on "
        f"{_listed(len(test) for test, _ in full)} videos of another data set among its {len(test_names)} names"
        + (f", mean over its official splits {_listed(over)}" if over else "")
        + (f", and among {halves} random halves of the names" if halves else "")
        + (f"; {len(told)} of these names are training names too ({shorten(told)})" if told else "; no name is shared")
        + f"; {_seeds_text(seeds, 'training')}."
    )
    source = _source(bool(val), val_fraction) + (f", halves by seed {seed}" if halves else "")
    return drawn("cross-dataset", description, source, trials, _all(parts), *others.values())


def _full_and_halves(
    records: Sequence[Record], halves: int, seed: int, tail: str
) -> dict[str, tuple[list[Record], tuple[str, ...]]]:
    """The test part of a data set, or all of one without parts, whole and by random halves of its names."""
    test = parts_of(records, trained=False).test if any(record.split for record in records) else [*records]
    names = labels_of(test)
    if halves and len(names) < 4:
        raise DatasetError(f"Halves need at least 4 test classes, found {len(names)}. Set halves to 0.")
    tests = {f"full{tail}": (test, names)}
    for number in range(halves):
        half = tuple(sorted(ranked_classes(names, seed, f"half {number}")[: len(names) // 2]))
        tests[f"half {number}{tail}"] = (of_classes(test, half), half)
    return tests


def _all(parts: Partition) -> list[Record]:
    return [*parts.train, *parts.val, *parts.test]


def _trial(
    seed: int, part: Partition, names: tuple[str, ...], tests: dict[str, tuple[list[Record], tuple[str, ...]]]
) -> Trial:
    records = {name: videos for name, (videos, _) in tests.items()}
    candidates = {name: labels for name, (_, labels) in tests.items()}
    return Trial(f"seed {seed}", seed, part.train, part.val, names, records, candidates)


def _divide(
    labels: tuple[str, ...], base: Names | None, novel: Names | None, seed: int
) -> tuple[dict[str, str], dict[str, str], str]:
    """Base and novel classes with where each was asked for, and how they were divided."""
    seen = None if base is None else find_classes(base, labels, asked_by="base")
    unseen = None if novel is None else find_classes(novel, labels, asked_by="novel")
    if seen is not None and unseen is not None:
        refuse_shared(seen, unseen, "base and novel")
        return seen, unseen, "classes as listed"
    if seen is None and unseen is None:
        order = ranked_classes(labels, seed, "base")
        seen = dict.fromkeys(order[: (len(order) + 1) // 2], "base")
        division = f"classes halved by seed {seed}"
    else:
        division = "base classes as listed, novel all others" if seen else "novel classes as listed, base all others"
    seen = {label: "base" for label in labels if label not in (unseen or {})} if seen is None else seen
    unseen = {label: "novel" for label in labels if label not in seen} if unseen is None else unseen
    if not seen or not unseen:
        raise DatasetError(
            f"All {len(labels)} classes are {'base' if seen else 'novel'}. Leave some for the other part."
        )
    return seen, unseen, division


def _each(records: Sequence[Record], asked: dict[str, str], part: str) -> list[Record]:
    """Records of the classes, each of which must have some."""
    kept = of_classes(records, asked)
    bare = sorted(asked.keys() - {record.label for record in kept})
    if bare:
        raise DatasetError(
            f"{asked[bare[0]]}: {len(bare)} of the {len(asked)} classes have no {part} videos in the data "
            f"({shorten(bare, 3)}). Leave them out, or add videos."
        )
    return kept


def _source(has_val: bool, val_fraction: float) -> str:
    if has_val or not val_fraction:
        return "the data's own parts"
    return f"the data's own parts, {val_fraction:g} of train drawn for validation by the seed of the trial"


def _listed(numbers: Iterable[int]) -> str:
    """ "3570, 3570 and 3570"; a single one as it is."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def _numbers(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _seeds_text(seeds: Sequence[int], what: str) -> str:
    return f"{len(seeds)} {what}{'s' if len(seeds) > 1 else ''} ({_numbers(seeds)})"
