"""Find a checkpoint and build the frozen backbone from it."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from framecue.backbone import openai_layout
from framecue.backbone.backbone import Backbone, Precision
from framecue.backbone.preprocess import Channels, Preprocessing
from framecue.errors import BackboneError

TINY = "tiny"  # the built-in backbone, trained on rendered shapes by scripts/train_tiny_clip.py
FAMILIES = {"clip": True, "metaclip_2": True, "siglip": False}  # model_type -> the text tower is causal
_FEWEST_WORDS = 100
_HUB_TOKENIZER = "openai/clip-vit-base-patch16"


def load_backbone(
    source: str | Path,
    *,
    device: str | torch.device = "auto",
    precision: Precision | None = None,
    text_precision: Precision | None = None,
    tokenizer: str | Path | None = None,
    channels: Channels = "rgb",
) -> Backbone:
    """Load a frozen backbone.

    Args:
        source: "tiny" (built in), a hub id, a folder in transformers' layout, or a file in OpenAI's layout.
        device: "auto" takes a GPU where there is one.
        precision: of the image tower; None = fp32 on a CPU, bf16 on a GPU.
        text_precision: of the text tower, with the same default.
        tokenizer: hub id or folder of a tokenizer, for checkpoint files that carry none.
        channels: order of colors that the image tower gets.

    Raises:
        BackboneError: the checkpoint cannot be found, read, or driven.
    """
    device = _pick_device(device)
    default: Precision = "bf16" if device.type == "cuda" else "fp32"
    precision, text_precision = precision or default, text_precision or default
    if "fp16" in (precision, text_precision) and device.type == "cpu":
        raise BackboneError("precision fp16 is for GPUs, the device is cpu; take bf16 or fp32.")
    if str(source) == TINY:
        with resources.as_file(resources.files("framecue.backbone") / "tiny") as folder:
            model, words, preprocessing, causal = _from_transformers(str(folder), TINY)
        name = TINY
    elif Path(source).is_file():
        model, words, preprocessing, causal = _from_openai_file(Path(source), tokenizer)
        name = Path(source).name
    else:
        name = Path(source).name if Path(source).is_dir() else str(source)
        model, words, preprocessing, causal = _from_transformers(str(source), name, tokenizer)
    return Backbone(
        model,
        words,
        replace(preprocessing, channels=channels),
        name=name,
        causal=causal,
        precision=precision,
        text_precision=text_precision,
        device=device,
    )


def _pick_device(device: str | torch.device) -> torch.device:
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise BackboneError(f"device {device!r} is none that torch knows; take auto, cpu or cuda.") from error
    try:
        torch.empty(0, device=picked).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BackboneError(f"device {device!r} cannot be used here ({reason}); take cpu or auto.") from error
    return picked


def _from_transformers(
    source: str, name: str, tokenizer: str | Path | None = None
) -> tuple[Any, Any, Preprocessing, bool]:
    from transformers import AutoConfig, AutoModel
    from transformers.image_processing_base import ImageProcessingMixin

    if Path(source).exists() and not (Path(source) / "config.json").is_file():
        raise BackboneError(f"Backbone {source}: a checkpoint folder holds config.json, this one does not.")
    with _quiet_transformers():
        try:
            config = _cached_first(AutoConfig.from_pretrained, source)
            if config.model_type not in FAMILIES:
                raise BackboneError(
                    f"Backbone {name}: model type {config.model_type!r} is not supported; "
                    f"these are: {', '.join(sorted(FAMILIES))}."
                )
            # "eager" attention, which a config may ask for, ignores is_causal: the text tower would see what follows.
            model, found = _cached_first(
                AutoModel.from_pretrained,
                source,
                config=config,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
            )
            if found["missing_keys"]:  # transformers goes on with random numbers there
                raise ValueError(f"its weights lack {min(found['missing_keys'])}")
            words = _cached_first(_read_tokenizer, str(tokenizer or source))
            processor, _ = _cached_first(ImageProcessingMixin.get_image_processor_dict, source)
        except BackboneError:
            raise
        except Exception as error:  # transformers lets through whatever a damaged file provokes
            reason = " ".join(str(error).split())[:240]
            if Path(source).is_dir():
                raise BackboneError(
                    f"Backbone {name}: the checkpoint folder cannot be read ({reason}); it must hold config.json, "
                    "weights, tokenizer and preprocessor_config.json that fit together: fetch it again."
                ) from error
            raise BackboneError(
                f"Backbone {name!r} is not built in, not a checkpoint folder, and could not be had from the model hub; "
                f"give 'tiny', a folder, or a hub id that is reachable or cached. ({reason})"
            ) from error
    image_size = config.vision_config.image_size
    try:
        preprocessing = Preprocessing.from_processor_config(processor, image_size=image_size)
    except ValueError as error:
        raise BackboneError(f"Backbone {name}: its preprocessor_config.json is not understood ({error}).") from error
    return model, words, preprocessing, FAMILIES[config.model_type]


def _read_tokenizer(source: str, **options: Any) -> Any:
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(source, **options)
    if len(words) < _FEWEST_WORDS:  # what transformers makes where the files are absent: every text reads the same
        raise OSError(f"no tokenizer files in {source}")
    return words


def _cached_first(read: Callable[..., Any], source: str, **options: Any) -> Any:
    """What the disk holds needs no network: without one, the hub's client tries for half a minute for each file."""
    try:
        return read(source, local_files_only=True, **options)
    except (OSError, ValueError):
        return read(source, **options)


def _from_openai_file(path: Path, tokenizer: str | Path | None) -> tuple[Any, Any, Preprocessing, bool]:
    from transformers import CLIPConfig, CLIPModel

    state = openai_layout.read_state_dict(path)
    if not openai_layout.is_openai_layout(state):
        raise BackboneError(
            f"Backbone {path}: expected OpenAI's Vision Transformer layout (visual.conv1.weight, visual.proj, ...), "
            f"found {', '.join(sorted(state)[:3])}, ...; for transformers' layout give the folder."
        )
    sizes = openai_layout.config_from_state(state)
    model = CLIPModel(CLIPConfig(**sizes))
    try:
        model.load_state_dict(openai_layout.to_transformers_layout(state), strict=True)
    except RuntimeError as error:
        raise BackboneError(
            f"Backbone {path}: tensors do not fit together ({' '.join(str(error).split())[:200]})."
        ) from error
    words = _clip_tokenizer(path, tokenizer)
    image_size = sizes["vision_config"]["image_size"]
    return model, words, Preprocessing(image_size, shortest_edge=image_size), True


def _clip_tokenizer(checkpoint: Path, tokenizer: str | Path | None) -> Any:
    """CLIP's byte-pair tokenizer: the one named, else files beside the checkpoint, else the hub's."""
    from transformers import CLIPTokenizer

    merges_file = Path(tokenizer or checkpoint.parent / "bpe_simple_vocab_16e6.txt.gz")
    if merges_file.is_file():
        return read_openai_merges(merges_file)
    beside = any((checkpoint.parent / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    source = str(tokenizer or (checkpoint.parent if beside else _HUB_TOKENIZER))
    with _quiet_transformers():
        try:
            return CLIPTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise BackboneError(
                f"Backbone {checkpoint}: it carries no tokenizer, and none could be read from {source}; put CLIP's "
                "vocab.json and merges.txt (or bpe_simple_vocab_16e6.txt.gz) beside it."
            ) from error


def read_openai_merges(path: Path) -> Any:
    """CLIP's tokenizer from OpenAI's `bpe_simple_vocab_16e6.txt.gz`; vocabulary order as in simple_tokenizer.py."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges: Any = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocab = {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep loading reports and progress bars of transformers off the terminal; errors still come as exceptions."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # its retries, a line or two each
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
