"""An adapter measured again on the data of its own config, whatever its task."""

from pathlib import Path

from pydantic import ValidationError

from framecue.config import RunConfig
from framecue.errors import AdapterError
from framecue.models.adapter import CARD, load_whole_adapter, read_card
from framecue.models.localization import LocalizationModel
from framecue.training.localization import evaluate_localization_adapter
from framecue.training.recognition import RunProgress, RunResult, evaluate_recognition_adapter, load_run_backbone
from framecue.training.retrieval import evaluate_retrieval_adapter


def evaluate_adapter(folder: str | Path, *, progress: RunProgress | None = None) -> RunResult:
    """Measure a trained adapter again on the data of its own config. The same inputs give the same bytes.

    Raises:
        AdapterError: the adapter was not made by `framecue train`, so that it names no data; or its config is damaged.
        DatasetError: the data cannot be used, or are not those of its training.
    """
    folder, progress = Path(folder), progress or RunProgress()
    card = read_card(folder)
    if not card.config:
        raise AdapterError(
            f"Adapter {folder} names no data to be measured on (it was converted, not trained here); "
            "use it with `framecue classify`."
        )
    try:
        config = RunConfig.model_validate(card.config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AdapterError(
            f"Adapter {folder}: the run config in {CARD} is not valid at {where}: {first['msg']}; "
            "take the file as `framecue train` wrote it, or train again."
        ) from error
    model = load_whole_adapter(folder, load_run_backbone(config), card)
    if isinstance(model, LocalizationModel):
        return evaluate_localization_adapter(config, card, model, folder, progress)
    if card.task == "retrieval":
        return evaluate_retrieval_adapter(config, card, model, folder, progress)
    return evaluate_recognition_adapter(config, card, model, folder, progress)
