"""An adapter measured again, whatever its task, on the data of its own config or on others."""

from collections.abc import Sequence
from pathlib import Path

from framecue.config import RunConfig, build_config
from framecue.errors import AdapterError, ConfigError, UsageError
from framecue.models.adapter import CARD, AdapterCard, load_whole_adapter, read_card
from framecue.models.localization import LocalizationModel
from framecue.models.seen import PARTS, read_seen
from framecue.training.localization import evaluate_localization_adapter
from framecue.training.recognition import RunProgress, RunResult, evaluate_recognition_adapter, load_run_backbone
from framecue.training.retrieval import evaluate_retrieval_adapter

SECTIONS = ("data", "evaluate")
KEYS = {
    "localization": ("train_subset", "val_subset", "test_subset"),
    "retrieval": ("format", "protocol"),
}
"""What may be changed for a measurement: all of some sections, and what else says where the data are."""

_PATHS = ("source", "annotations", "labels", "descriptions")


def evaluate_adapter(
    folder: str | Path, overrides: Sequence[str] = (), *, progress: RunProgress | None = None
) -> RunResult:
    """Measure a trained adapter again. The same inputs give the same bytes.

    Videos are told by their content. Those that were held out in training are measured, whatever they are called and
    wherever they lie now; those that were trained on never are. What is missing, added or annotated in another way is
    named. Data that hold no video of the run are measured as new data.

    Args:
        overrides: `a.b=c`, of the keys that say where the data are and how they are measured: `data.source=FOLDER`.

    Raises:
        AdapterError: the adapter was not made by `framecue train`, so that it names no data; its config or what it has
            seen is damaged; its data are not there.
        ConfigError, UsageError: an override is not understood, or changes more than the measurement.
        DatasetError: the data cannot be used, or nothing of them may be measured.
    """
    folder, progress = Path(folder), progress or RunProgress()
    card = read_card(folder)
    if not card.config:
        raise AdapterError(
            f"Adapter {folder} names no data to be measured on (it was converted, not trained here); "
            "use it with `framecue classify`."
        )
    seen = read_seen(folder)
    if (card.task, card.class_names) != (seen.task, seen.class_names):
        raise AdapterError(
            f"Adapter {folder}: {CARD} and {PARTS} are of different runs (tasks or classes differ); take both "
            "as `framecue train` wrote them, or train again."
        )
    config = measured_config(card, overrides, folder)
    model = load_whole_adapter(folder, load_run_backbone(config), card)
    if isinstance(model, LocalizationModel):
        return evaluate_localization_adapter(config, card, seen, model, folder, progress)
    if card.task == "retrieval":
        return evaluate_retrieval_adapter(config, card, seen, model, folder, progress)
    return evaluate_recognition_adapter(config, card, seen, model, folder, progress)


def measured_config(card: AdapterCard, overrides: Sequence[str], folder: Path) -> RunConfig:
    """The config of the adapter's run with these changes; what lies in the old source lies in the new one."""
    for text in overrides:
        section, _, key = text.partition("=")[0].strip().partition(".")
        if section not in SECTIONS and key not in KEYS.get(section, ()):
            known = [f"{name}.*" for name in SECTIONS] + [f"{name}.{key}" for name in KEYS for key in KEYS[name]]
            raise UsageError(
                f"Override '{text}' is no matter of a measurement; `framecue evaluate` takes {', '.join(known)}."
            )
    try:
        trained = build_config(card.config, name=f"in {folder / CARD}")
    except ConfigError as error:
        raise AdapterError(
            f"Adapter {folder}: {error} Take the file as `framecue train` wrote it, or train again."
        ) from error
    source = build_config(card.config, overrides, name=str(folder)).data.source.absolute()
    moved = [
        f"data.{name}={source / path.relative_to(trained.data.source)}"
        for name in _PATHS[1:]
        if (path := getattr(trained.data, name)) is not None and path.is_relative_to(trained.data.source)
    ]
    config = build_config(card.config, [*moved, *overrides], name=str(folder))
    # A file that is not there is named after the comparison, not refused before it.
    config = config.model_copy(update={"data": config.data.model_copy(update={"missing": "skip"})})
    for name in _PATHS:
        path = getattr(config.data, name)
        if path is not None and not path.exists():
            raise AdapterError(
                f"Adapter {folder}: there is nothing at {path}, data.{name} of its training; say where it lies now, "
                f"such as data.{name}=PATH."
            )
    return config
