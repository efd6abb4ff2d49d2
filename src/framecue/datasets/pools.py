"""The classes that published few-shot episodes are drawn from: the usual meta-test classes of each data set."""

from collections.abc import Mapping
from pathlib import Path

from framecue.datasets.class_lists import ClassList, read_class_list
from framecue.datasets.list_reader import numbered_lists
from framecue.datasets.video_lists import read_video_list

PUBLISHED_POOLS: Mapping[str, str] = {
    "hmdb51": "fencing, kick, kick ball, pick, pour, pushup, run, sit, smoke, talk",
    "ucf101": "blowing candles, clean and jerk, cliff diving, cutting in kitchen, diving, floor gymnastics, golf "
    "swing, handstand walking, horse race, ice dancing, jump rope, pommel horse, punch, rock climbing indoor, salsa "
    "spin, skiing, sky diving, still rings, surfing, tennis swing, volleyball spiking",
    "kinetics400": "blasting sand, busking, cutting watermelon, dancing ballet, dancing charleston, dancing macarena, "
    "diving cliff, filling eyebrows, folding paper, hula hooping, hurling (sport), ice skating, paragliding, "
    "playing drums, playing monopoly, playing trumpet, pushing car, riding elephant, shearing sheep, side kick, "
    "stretching arm, tap dancing, throwing axe, unboxing",
}
"""By data set, names with commas between: all that occur in the 200 episodes of Ju et al. (ECCV 2022)."""


def published_pool(dataset: str) -> ClassList | None:
    """The pool of a data set that has one."""
    text = PUBLISHED_POOLS.get(dataset)
    if text is None:
        return None
    names = tuple(text.split(", "))
    return ClassList(names, tuple(range(len(names))), (f"published pool of {dataset}",) * len(names))


def read_pool(path: Path) -> ClassList:
    """Class names of a file; of a folder of published episodes, `train/split_0.list` ..., all that occur in them.

    Raises:
        DatasetError: the file or the folder cannot be used.
    """
    if path.is_file():
        return read_class_list(path)
    origins: dict[str, str] = {}
    for _, file, _ in numbered_lists(path):
        for video in read_video_list(file):
            origins.setdefault(video.group, video.origin)
    names = tuple(sorted(origins))
    return ClassList(names, tuple(range(len(names))), tuple(origins[name] for name in names))
