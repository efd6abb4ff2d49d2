"""The typed run config: one YAML file per run, `a.b=c` overrides on the command line, unknown keys refused.

Relative paths in a config are taken from the current directory, not from the config file's folder; `~` is expanded.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from framecue.errors import ConfigError, UsageError
from framecue.files import write_text


def _user_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("must be a path, found a null character in it")
    return Path(os.path.expanduser(path))


UserPath = Annotated[Path, AfterValidator(_user_path)]
Precision = Literal["fp32", "bf16", "fp16"]
SamplingText = Annotated[str, Field(pattern=r"^(all|fps:(\d*[1-9]\d*(\.\d+)?|\d+\.\d*[1-9]\d*)|uniform:[1-9]\d*)$")]
DataFormat = Literal["auto", "folder", "csv", "jsonl", "hmdb51", "ucf101", "kinetics", "something", "list"]
PresetName = Literal["A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"]

PRESETS: dict[str, dict[str, int]] = {
    "A0": {"n_prefix": 2, "n_suffix": 2, "temporal_layers": 0},
    "A1": {"n_prefix": 4, "n_suffix": 4, "temporal_layers": 0},
    "A2": {"n_prefix": 8, "n_suffix": 8, "temporal_layers": 0},
    "A3": {"n_prefix": 16, "n_suffix": 16, "temporal_layers": 0},
    "A4": {"n_prefix": 16, "n_suffix": 16, "temporal_layers": 1},
    "A5": {"n_prefix": 16, "n_suffix": 16, "temporal_layers": 2},
    "A6": {"n_prefix": 16, "n_suffix": 16, "temporal_layers": 3},
    "A7": {"n_prefix": 16, "n_suffix": 16, "temporal_layers": 4},
}
"""The paper's named variants: prompt vectors before and after the name, and temporal layers."""


class Section(BaseModel):
    """Base of the config's sections: frozen, unknown keys refused, field docstrings kept as help."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class DataConfig(Section):
    """Which labelled videos, in which file format."""

    source: UserPath
    """Folder with a folder per class, a .csv or .jsonl manifest, or for official sets the folder of videos."""
    format: DataFormat = "auto"
    """How the videos are listed; auto looks at the files. list: lines `path number`."""
    annotations: UserPath | None = None
    """Official split files: their folder, or one file (kinetics, something, list)."""
    labels: UserPath | None = None
    """File of class names that the numbers of `list` stand for; null = the one beside the lists."""
    split: Literal[1, 2, 3] = 1
    """Which of the official splits (hmdb51, ucf101, and lists that are numbered)."""
    missing: Literal["error", "skip"] = "error"
    """What to do when a listed video is not there: stop, or go on without it and list it."""
    val_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Part of each class's training videos kept for model selection; used only when the source has no val part."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Keep these classes only; null keeps all."""
    held_out: tuple[str, ...] = ()
    """Class names never trained on, evaluated as novel."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        if self.format in ("hmdb51", "ucf101") and self.annotations is None:
            raise ValueError(
                f"'data.annotations' must name the folder of split files when 'data.format' is {self.format}"
            )
        outside = [name for name in self.held_out if self.classes is not None and name not in self.classes]
        if outside:
            raise ValueError(f"'data.held_out' must be among 'data.classes', found {', '.join(outside)}")
        return self


class BackboneConfig(Section):
    """The frozen image-language model."""

    id: str = Field(default="openai/clip-vit-base-patch16", min_length=1)
    """Hub id, local folder or checkpoint file; "tiny" is the built-in one."""
    precision: Precision | None = None
    """Arithmetic of the image tower; null = fp32 on CPU, bf16 on GPU."""
    device: str = Field(default="auto", min_length=1)
    """auto, cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""


class FeaturesConfig(Section):
    """Which frames are encoded, and where their features are kept."""

    store: UserPath | None = None
    """Feature store; null = features.lance in `out`."""
    sampling: SamplingText = "fps:8"
    """Frames to keep: all, fps:NUMBER or uniform:COUNT."""
    dtype: Literal["float16", "float32"] = "float16"
    """Storage type of the features."""


class ModelConfig(Section):
    """The trained part. Fields given beside `preset` win over it; the default values are those of A5."""

    preset: PresetName | None = None
    """Named variant of the paper, sets n_prefix, n_suffix and temporal_layers where they are not given."""
    n_prefix: int = Field(default=16, ge=0, le=1000)
    """Learned prompt vectors before the class name."""
    n_suffix: int = Field(default=16, ge=0, le=1000)
    """Learned prompt vectors after the class name."""
    suffix_layout: Literal["relative", "absolute"] = "relative"
    """relative: the same suffix vectors for every name; absolute: the authors' table, rows by token position."""
    temporal_layers: int = Field(default=2, ge=0, le=100)
    """Temporal Transformer layers; 0 = mean of the raw frame features."""
    temporal_heads: PositiveInt = 8
    """Attention heads of the temporal Transformer."""
    num_frames: int = Field(default=16, ge=1, le=100_000)
    """Frame features per training window and per view."""
    temperature: PositiveFloat = 0.07
    """Divisor of the cosine."""
    normalize: bool = True
    """Normalize video and text embeddings to unit length before they are compared."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:  # Any: raw YAML, checked by the field types afterwards
        if not isinstance(values, Mapping) or not isinstance(values.get("preset"), str):
            return values
        return {**PRESETS.get(values["preset"], {}), **values}


class TrainConfig(Section):
    """Optimization: AdamW, cosine schedule with warm restarts, sampled negatives."""

    iterations: PositiveInt = 1100
    """Optimizer steps."""
    batch_size: PositiveInt = 64
    """Videos per step."""
    lr: PositiveFloat = 1e-4
    """Learning rate at the start."""
    weight_decay: NonNegativeFloat = 0.01
    """AdamW's weight decay."""
    restart_iterations: PositiveInt = 200_000
    """Length of the first cosine period in steps (T_0)."""
    min_lr_ratio: float = Field(default=0.01, ge=0, le=1)
    """Lowest learning rate as a part of `lr`."""
    max_negatives: NonNegativeInt = 400
    """Candidate classes per step: the batch's own, and random others up to this number (authors: numContrast)."""
    strides: tuple[PositiveInt, ...] = Field(default=(1, 2, 3, 3, 3, 4), min_length=1)
    """Frame strides of training windows, drawn with equal chance; repeat one to weight it."""
    validate_every: PositiveInt = 100
    """Steps between validations; the best adapter on the validation part is kept."""
    save_every: PositiveInt = 100
    """Steps between training states to resume from."""
    log_every: PositiveInt = 10
    """Steps between log lines."""
    text_path: Literal["auto", "shared", "truncated", "full"] = "auto"
    """Text tower: shared prefix, cut at the last EOS, or full length; auto takes the fastest that fits."""
    precision: Literal["fp32", "bf16"] | None = None
    """Arithmetic of the text tower in training; null = fp32 on CPU, bf16 on GPU."""


class EvaluateConfig(Section):
    """What is measured after training."""

    views: PositiveInt = 5
    """Evenly spread windows per video whose scores are averaged."""
    batch_size: PositiveInt = 64
    """Videos per forward pass."""
    baselines: tuple[Literal["B-I", "B-II"], ...] = ("B-I", "B-II")
    """Printed beside the result: B-I frozen backbone with `templates`, B-II linear probe."""
    templates: tuple[str, ...] = Field(
        default=("a photo of {}.", "a video of {}.", "a photo of a person {}.", "a video of a person {}."), min_length=1
    )
    """Handcrafted prompts of B-I; {} takes the class name, and the text embeddings are averaged."""

    @field_validator("templates")
    @classmethod
    def _one_slot(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"every template must hold {{}} once, found {template!r}")
        return templates


class RunConfig(Section):
    """One run: task, seed, output folder and the sections."""

    task: Literal["recognition"] = "recognition"
    """What is trained."""
    seed: NonNegativeInt = 0
    """Seed of every random draw of the run."""
    out: UserPath
    """Folder of the run: adapter, logs, training state, resolved config."""
    data: DataConfig
    backbone: BackboneConfig = BackboneConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run config and apply `a.b=c` overrides, whose values are parsed as YAML.

    The command line is the later layer: `model.preset=A3` there also outranks n_prefix, n_suffix and temporal_layers of
    the file, and only fields given on the command line as well win over it.

    Raises:
        ConfigError: the file cannot be read, or has unknown, missing or unfit keys; all of them in one line.
        UsageError: an override is not of the form `a.b=c`.
    """
    path = Path(path)
    values = _read_yaml(path)
    changes = [_parse_override(text) for text in overrides]
    if any(keys == ["model", "preset"] for keys, _ in changes) and isinstance(values.get("model"), dict):
        governed = PRESETS["A5"]
        values["model"] = {key: value for key, value in values["model"].items() if key not in governed}
    for keys, value in changes:
        _set(values, keys, value)
    values = {
        key: value for key, value in values.items() if value is not None
    }  # `train:` with all its keys commented out
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(detail) for detail in _root_causes(error.errors()))
        raise ConfigError(f"Config {path}: {problems}{'' if problems.endswith('?') else '.'}") from None


def save_config(config: RunConfig, path: str | Path) -> None:
    """Write every key of `config` as YAML; the file appears whole or not at all.

    Raises:
        ConfigError: the file cannot be written (no such folder, no right, disk full).
    """
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigError(
            f"Config {path} cannot be written: {error.strerror}. Free space or choose another out."
        ) from None


class KeyHelp(NamedTuple):
    """A dotted key, what it means, and its default as YAML; `default` is None where the key is required."""

    key: str
    text: str
    default: str | None


def describe_keys(section: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[KeyHelp]:
    """Help for every key of a run config, in file order."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from describe_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield KeyHelp(
                prefix + name, field.description or "", None if field.is_required() else _plain(field.default)
            )


def _plain(value: Any) -> str:  # Any: a field's default
    return yaml.safe_dump(
        list(value) if isinstance(value, tuple) else value, default_flow_style=True, width=1000
    ).split("\n")[0]


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, which PyYAML takes silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in reversed(node.value):
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{what}{where} is not valid YAML: {problem}. Mind the indentation and the colons.") from None
    except (ValueError, RecursionError) as error:  # 2001-99-99, which YAML takes for a date; brackets without end
        raise ConfigError(f"{what} holds a value that YAML cannot read: {error}. Put text in quotes.") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"Config {path} cannot be read: {error.strerror}. Name a YAML file of a run.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"Config {path} is not UTF-8 text. Save it as UTF-8.") from None
    values = _parse_yaml(text, f"Config {path}")
    if not isinstance(values, dict):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"Config {path} must hold keys such as 'data:' and 'out:', found {found}.")
    return values


def _parse_override(text: str) -> tuple[list[str], Any]:
    key, separator, value = text.partition("=")
    keys = key.strip().split(".")
    if not separator or not all(keys):
        raise UsageError(f"Override '{text}' must have the form section.key=value, for example train.lr=3e-4.")
    return keys, _parse_yaml(value, f"Override '{text}'")


def _set(values: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    *sections, last = keys
    for depth, key in enumerate(sections, start=1):
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            raise ConfigError(f"Override '{'.'.join(keys)}': '{'.'.join(sections[:depth])}' is a value, not a section.")
    values[last] = value


def _root_causes(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without "the list is too short" where it is so only because its items were refused."""
    parents = {detail["loc"][:-1] for detail in details}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in parents]


def _dotted(location: tuple[int | str, ...]) -> str:
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in location))


def _explain(detail: ErrorDetails) -> str:
    """One clause for one of pydantic's findings."""
    key = _dotted(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _explain_unknown(key)
    if detail["type"] == "missing":
        needed = [item for item in describe_keys() if item.default is None and f"{item.key}.".startswith(f"{key}.")]
        return "; ".join(f"missing key '{item.key}' ({item.text.rstrip('.')})" for item in needed)
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return message if message.startswith("'") else f"'{key}' {message}"
    found = " ".join(repr(detail["input"]).split())
    found = found if len(found) <= 60 else f"{found[:57]}..."
    message = _MESSAGES.get(detail["type"]) or detail["msg"].replace("Input should be", "must be")
    return f"'{key}' {message}, found {found}"


_MESSAGES = {
    "tuple_type": "must be a list, as [a, b]",
    "model_type": "must be a section with keys of its own",
    "string_type": "must be text; put it in quotes",
    "string_pattern_mismatch": "must be all, fps:NUMBER or uniform:COUNT",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "path_type": "must be a path; put it in quotes",
    "invalid_key": "is a key that is not text; put it in quotes",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
}
"""Plainer words for pydantic's error types."""


def _explain_unknown(key: str) -> str:
    """The nearest right key by last name, in the same section first; where none is near, the keys there are."""
    known = list(dict.fromkeys([*RunConfig.model_fields, *(item.key for item in describe_keys())]))
    section, _, name = key.rpartition(".")
    there = [other for other in known if other.rpartition(".")[0] == section] or [*RunConfig.model_fields]
    for candidates in (there, known):
        close = difflib.get_close_matches(name, [other.rpartition(".")[2] for other in candidates], n=1)
        if close:
            nearest = dict.fromkeys(f"'{other}'" for other in candidates if other.rpartition(".")[2] == close[0])
            return f"unknown key '{key}'; did you mean {' or '.join(nearest)}?"
    return f"unknown key '{key}'; the keys there are {', '.join(there)}"
