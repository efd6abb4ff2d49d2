"""The flags that a checkpoint of the authors was trained with.

No tensor tells the number of attention heads, nor whether embeddings were normalized, and a wrong value changes every
score without an error. The flags are looked for where the authors' program leaves them (`src/config.py`): in
running_command.txt beside the checkpoint, and in the name of its folder. Forks also keep them in the file's name, or in
the file, under "args".
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from framecue.errors import AdapterError

COMMAND = "running_command.txt"


@dataclass(frozen=True)
class TrainingFlags:
    """What a checkpoint was trained with; the defaults are those of the command in the authors' README.

    Attributes:
        n_prefix, n_suffix: their `--prefix` and `--postfix`.
        heads: of the temporal module, their `--tfm_heads`.
        normalize: their `--featnorm`; False compares by the raw dot product, without temperature.
        num_views: their `--valEnsemble`.
        bgr: whether the features are of frames with red and blue swapped, as their feat/visfeat.py makes them.
        temporal, layers, num_frames: their `--temporal`, `--tfm_layers`, `--numFrames`; None = as the tensors tell.
        sources: who says so, by field; a field without one was assumed.
    """

    n_prefix: int = 16
    n_suffix: int = 16
    heads: int = 8
    normalize: bool = True
    num_views: int = 5
    bgr: bool = False
    temporal: bool | None = None
    layers: int | None = None
    num_frames: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def assumed(self) -> list[str]:
        """Fields that neither a tensor nor anybody tells."""
        return [name for name in FLAGS if name not in self.sources and getattr(self, name) is not None]

    def notes(self) -> list[str]:
        """What is to be known of where the flags are from, a sentence each."""
        lines = []
        for source in dict.fromkeys(self.sources.values()):
            if source != GIVEN:
                said = [name for name, other in self.sources.items() if other == source]
                lines.append(f"{source} says how it was trained: {self._spelled(said)}")
        if self.assumed:
            lines.append(
                f"nothing tells the rest of how it was trained; assumed, as in the authors' README: "
                f"{self._spelled(self.assumed)}. Other heads or prompt vectors change every score without an error: "
                f"give the options to settle it, or lay its {COMMAND} beside it"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Values and sources, for the adapter's card."""
        return {
            "flags": {name: getattr(self, name) for name in FLAGS},
            "sources": {name: self.sources.get(name, "assumed") for name in FLAGS},
        }

    def _spelled(self, names: Iterable[str]) -> str:
        return ", ".join(_spell(name, getattr(self, name)) for name in names)


def _spell(name: str, value: int) -> str:
    option = FLAGS[name].option
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-")
    return f"{option} {value}"


class Flag(NamedTuple):
    """One of their flags: its name in their program ("" = none), ours, and the least number that tells anything."""

    theirs: str
    option: str
    least: int = 0


FLAGS = {
    "n_prefix": Flag("prefix", "--n-prefix"),
    "n_suffix": Flag("postfix", "--n-suffix"),
    "heads": Flag("tfm_heads", "--heads", 1),
    "normalize": Flag("featnorm", "--normalize"),
    "num_views": Flag("valEnsemble", "--views", 1),
    "bgr": Flag("", "--bgr"),
    "temporal": Flag("temporal", "--temporal"),
    "layers": Flag("tfm_layers", "--tfm_layers"),
    "num_frames": Flag("numFrames", "--num-frames", 1),
}
GIVEN = "the command line"

_FOLDER = re.compile(r"numframes_(?P<num_frames>\d+)-temporal_(?P<temporal>\d)-tfml_(?P<layers>\d+)-")
_PROMPT = re.compile(r"prompt_(?P<n_prefix>\d+)\+x\+(?P<n_suffix>\d+)")
_HEADS = re.compile(
    r"(?:^|[^a-z]|tfm|num|n)heads?[-_=]?(?P<heads>[1-9]\d*)|(?P<heads_first>[1-9]\d*)[-_]?heads?(?![a-z])"
)


class Told(NamedTuple):
    """The value of a flag, and who says so."""

    value: int
    source: str


def told_flags(path: Path, args: Mapping[str, Any]) -> dict[str, Told]:
    """What is known of the training of the checkpoint at `path`; the surest source wins.

    Args:
        args: the flags kept in the checkpoint itself, under the authors' names; empty where it keeps none.

    Raises:
        AdapterError: running_command.txt is damaged.
    """
    told = _from_names(path)
    told |= _under_our_names(_read_command(path.parent / COMMAND), f"{COMMAND} beside it")
    return told | _under_our_names(args, 'its own "args"')


def settle_flags(path: Path, asked: Mapping[str, int | None], told: Mapping[str, Told]) -> TrainingFlags:
    """What is asked for, then what is told, then what is assumed.

    Raises:
        AdapterError: what is asked contradicts what is told.
    """
    values: dict[str, Any] = {name: known.value for name, known in told.items()}
    sources = {name: known.source for name, known in told.items()}
    for name, value in asked.items():
        if value is None:
            continue
        if values.get(name, value) != value:
            flag, known = FLAGS[name], told[name]
            raise AdapterError(
                f"Checkpoint {path}: {_spell(name, value)} is given, {known.source} says --{flag.theirs} "
                f"{known.value}. Leave {flag.option} out, or move the checkpoint away from what is not its own."
            )
        values[name] = value
        sources.setdefault(name, GIVEN)
    for name in {"normalize", "temporal"} & values.keys():
        values[name] = bool(values[name])
    return TrainingFlags(**values, sources=sources)


def _read_command(path: Path) -> Mapping[str, Any]:
    """The first object of the file is the command of the training; later evaluations are appended to it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise AdapterError(f"{path}: cannot be read ({type(error).__name__}). Repair or remove it.") from error
    try:
        command, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except ValueError as error:
        raise AdapterError(f"{path}: must hold the training flags as JSON ({error}). Repair or remove it.") from error
    return command if isinstance(command, Mapping) else {}


def _under_our_names(flags: Mapping[str, Any], source: str) -> dict[str, Told]:
    told = {}
    for name, flag in FLAGS.items():
        value = flags.get(flag.theirs)
        if isinstance(value, int) and value >= flag.least:
            told[name] = Told(int(value), source)
    return told


def _from_names(path: Path) -> dict[str, Told]:
    told = {}
    for text, source in ((path.absolute().parent.name, "the name of its folder"), (path.name, "its name")):
        for pattern in (_FOLDER, _PROMPT, _HEADS):
            match = pattern.search(text.lower())
            for name, value in (match.groupdict() if match else {}).items():
                if value is not None:
                    told[name.removesuffix("_first")] = Told(int(value), source)
    return told
