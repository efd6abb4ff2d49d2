"""The typed run config: one YAML file per run, `a.b=c` overrides on the command line, unknown keys refused.

Relative paths in a config are taken from the current directory, not from the config file's folder; `~` is expanded.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from framecue.config.sections import (
    PRESETS,
    RUN_PRESETS,
    BackboneConfig,
    BlendConfig,
    CaptionFormat,
    DataConfig,
    DataFormat,
    EvaluateConfig,
    FeaturesConfig,
    LocalizationConfig,
    ModelConfig,
    Precision,
    PresetName,
    RetrievalConfig,
    RunConfig,
    RunPreset,
    SamplingText,
    Section,
    TaskName,
    TrainConfig,
    UserPath,
)
from framecue.errors import ConfigError, UsageError
from framecue.files import write_text

__all__ = [
    "PRESETS",
    "RUN_PRESETS",
    "BackboneConfig",
    "BlendConfig",
    "CaptionFormat",
    "DataConfig",
    "DataFormat",
    "EvaluateConfig",
    "FeaturesConfig",
    "KeyHelp",
    "LocalizationConfig",
    "ModelConfig",
    "Precision",
    "PresetName",
    "RetrievalConfig",
    "RunConfig",
    "RunPreset",
    "SamplingText",
    "Section",
    "TaskName",
    "TrainConfig",
    "UserPath",
    "build_config",
    "describe_keys",
    "load_config",
    "save_config",
]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run config and apply `a.b=c` overrides, whose values are parsed as YAML.

    The command line is the later layer: `model.preset=A3` there also outranks n_prefix, n_suffix and temporal_layers of
    the file, `preset=paper` or `robust` what these presets govern, and only fields given on the command line as well
    win over them.

    Raises:
        ConfigError: the file cannot be read, or has unknown, missing or unfit keys; all of them in one line.
        UsageError: an override is not of the form `a.b=c`.
    """
    return build_config(_read_yaml(Path(path)), overrides, name=str(path))


def build_config(values: dict[str, Any], overrides: Sequence[str] = (), *, name: str) -> RunConfig:
    """A run config from plain data, with overrides as `load_config` takes them; `name` stands in its messages.

    Raises:
        ConfigError, UsageError: as `load_config`.
    """
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    changes = [_parse_override(text) for text in overrides]
    if any(keys == ["model", "preset"] for keys, _ in changes) and isinstance(values.get("model"), dict):
        governed = PRESETS["A5"]
        values["model"] = {key: value for key, value in values["model"].items() if key not in governed}
    if any(keys == ["preset"] for keys, _ in changes):
        for section, governed in RUN_PRESETS["robust"].items():
            if isinstance(values.get(section), dict):
                values[section] = {key: value for key, value in values[section].items() if key not in governed}
    for keys, value in changes:
        _set(values, keys, value)
    values = {
        key: value for key, value in values.items() if value is not None
    }  # `train:` with all its keys commented out
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(detail) for detail in _root_causes(error.errors()))
        raise ConfigError(f"Config {name}: {problems}{'' if problems.endswith('?') else '.'}") from None


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
