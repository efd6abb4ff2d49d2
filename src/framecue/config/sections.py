"""The sections of a run config and their meaning; field docstrings are the help text."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from framecue.files import WrittenNames, name_form


def _user_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("must be a path, found a null character in it")
    return WrittenNames().find(Path(os.path.expanduser(path)))


UserPath = Annotated[Path, AfterValidator(_user_path)]
Precision = Literal["fp32", "bf16", "fp16"]
SamplingText = Annotated[str, Field(pattern=r"^(all|fps:(\d*[1-9]\d*(\.\d+)?|\d+\.\d*[1-9]\d*)|uniform:[1-9]\d*)$")]
DataFormat = Literal["auto", "folder", "csv", "jsonl", "hmdb51", "ucf101", "kinetics", "something", "list"]
TaskName = Literal["recognition", "localization", "retrieval"]
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

RunPreset = Literal["paper", "robust"]
RUN_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    "robust": {
        "train": {"distill_text": 5.0},
        "blend": {"temporal_weights": (1.0, 0.8, 0.6), "handcrafted_weights": (0.5,)},
    },
}
"""Sections that a run preset fills where they are not given (docs/results.md has the evidence for each)."""


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
    """File of class names that labels which are numbers stand for; null = of `list` the one beside the lists."""
    split: Literal[1, 2, 3] = 1
    """Official split (hmdb51, ucf101, numbered lists). Tables of the mean over three take this alone if set."""
    missing: Literal["error", "skip"] = "error"
    """What to do when a listed video is not there: stop, or go on without it and list it."""
    val_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Part of the readable training videos kept to choose weights by, classes in proportion; used without val part."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Keep these classes only; null keeps all."""
    held_out: tuple[str, ...] = ()
    """Class names never trained on, evaluated as novel."""
    descriptions: UserPath | None = None
    """Class descriptions joined to the handcrafted prompts: .json {name: [text, ...]}, or lines `name: text`."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        if self.format in ("hmdb51", "ucf101") and self.annotations is None:
            raise ValueError(
                f"'data.annotations' must name the folder of split files when 'data.format' is {self.format}"
            )
        classes = {name_form(name).casefold() for name in self.classes or ()}
        held_out = self.held_out if self.classes is not None else ()
        outside = [name for name in held_out if name_form(name).casefold() not in classes]
        if outside:
            raise ValueError(f"'data.held_out' must be among 'data.classes', found {', '.join(outside)}")
        return self


class BackboneConfig(Section):
    """The frozen image-language model."""

    id: str = Field(default="openai/clip-vit-base-patch16", min_length=1)
    """Hub id, local folder or checkpoint file; "tiny" is the built-in one."""
    precision: Precision | None = None
    """Arithmetic of the image tower; null = fp32 on CPU, bf16 on GPU."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order of colors that the image tower gets; every checkpoint wants rgb, the authors' extraction gives bgr."""
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
    temporal_gate: bool = False
    """Learned gate on what the temporal module adds to the mean frame feature, zero at the start (ReZero)."""
    temporal_weight: float = Field(default=1.0, ge=0, le=1)
    """Part of what the temporal module adds that is kept; 0 = the frozen mean frame feature."""
    handcrafted_weight: float = Field(default=0.0, ge=0, le=1)
    """Part of the handcrafted prompts in a name's embedding, the rest is the learned prompt's; 1 = frozen text."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:  # Any: raw YAML, checked by the field types afterwards
        if not isinstance(values, Mapping) or not isinstance(values.get("preset"), str):
            return values
        return {**PRESETS.get(values["preset"], {}), **values}


class TrainConfig(Section):
    """Optimization: AdamW, cosine schedule with warm restarts, sampled negatives."""

    iterations: PositiveInt = 1100
    """Optimizer steps; a finished run goes on where more are asked for."""
    init_from: UserPath | None = None
    """Adapter whose weights training starts from, of the same backbone and model; null = random ones."""
    batch_size: PositiveInt = 64
    """Videos per step."""
    balance: Literal["none", "classes"] = "none"
    """How a step draws videos. none: all alike; classes: a class, all alike, then one of its videos."""
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
    windows: Literal["exact", "authors"] = "exact"
    """Training windows. exact: strides kept, every start alike; authors: the grid, the fallback to stride 1 and the
    last start left out, as in the authors' program."""
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
    distill_text: NonNegativeFloat = 0.0
    """Weight of 1 - cosine between a name's learned and handcrafted embedding (KgCoOp)."""
    distill_video: NonNegativeFloat = 0.0
    """Weight of 1 - cosine between a video's embedding and its frozen mean frame feature (PromptSRC)."""
    distill_logits: NonNegativeFloat = 0.0
    """Weight of the divergence from frozen CLIP's answer over the same names (FROSTER, PromptSRC)."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of a moving average of the weights, which then is what is validated and kept; 0 = off."""


class BlendConfig(Section):
    """How much of the trained parts is kept after training: candidates between frozen and trained.

    All combinations are measured on the validation part, of trained classes alone; the most frozen one within
    `standard_errors` of the best is taken (the one-standard-error rule). Empty lists keep the model's own value;
    without validation videos the middle of each list is taken.
    """

    temporal_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Candidates for model.temporal_weight."""
    handcrafted_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Candidates for model.handcrafted_weight."""
    trained_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Candidates for how far all trained tensors go from their start to their end (WiSE-FT, Open-VCLIP)."""
    standard_errors: NonNegativeFloat = 1.0
    """Validation accuracy that may be given up for being nearer to the frozen model, in standard errors."""


class LocalizationConfig(Section):
    """Finding actions in untrimmed videos; read by task localization alone. `data` then means: source, the folder of
    videos; annotations, the ground truth file; held_out, names whose segments are never trained on."""

    train_subset: str = "training"
    """Subset of the ground truth to train on, in any case; THUMOS14 trains on its validation subset."""
    val_subset: str | None = None
    """Subset for model selection; null = a part (data.val_fraction) of the training videos."""
    test_subset: str | None = "validation"
    """Subset to measure on; null = none."""
    deduplicate: bool = False
    """Remove ground-truth segments given twice, as OpenTAD and ActionFormer do and the official evaluator does not."""
    blocked: UserPath | None = None
    """File of videos, or of ambiguous videos and classes, left out of the ground truth."""
    thumos_test: Literal[213, 212, 211, 210] = 213
    """How many of THUMOS14's test videos count; papers differ in leaving out ones with doubtful annotations."""
    proposals: UserPath | None = None
    """Classify these proposals (ActivityNet JSON, BSN CSV) instead of training a proposal network."""
    train_parts: tuple[Literal["proposals", "classifier"], ...] = Field(
        default=("proposals", "classifier"), min_length=1
    )
    """What is trained, jointly where both are; without "classifier" the frozen backbone names the proposals."""
    window: int = Field(default=256, ge=8, le=100_000)
    """Frame features the proposal network sees at once; longer videos are cut into overlapping windows."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Part of a window shared with the next; actions longer than it may be cut."""
    width: int = Field(default=256, ge=8)
    """Channels of the proposal network."""
    levels: int = Field(default=6, ge=1, le=12)
    """Levels of the temporal pyramid; each is half as long as the one before."""
    stem_layers: NonNegativeInt = 2
    """Convolution blocks before the pyramid."""
    head_layers: NonNegativeInt = 2
    """Convolutions of each of the two head towers."""
    first_range: float = Field(default=4.0, ge=1)
    """Boundary distances up to this many features belong to the first level; the range doubles at each level."""
    center_radius: PositiveFloat = 1.5
    """Points within this many strides of an action's center are positive (ActionFormer's center sampling)."""
    windows_per_step: PositiveInt = 8
    """Windows in a training step, beside `train.batch_size` segments for the classifier."""
    location_weight: NonNegativeFloat = 1.0
    """Weight of the boundary loss."""
    quality_weight: NonNegativeFloat = 1.0
    """Weight of the quality loss."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout on the frame features that enter the proposal network, in training."""
    jitter: float = Field(default=0.1, ge=0, lt=0.5)
    """Largest shift of a training segment's ends, as a part of its length: the classifier meets imprecise proposals."""
    context: float = Field(default=0.0, ge=0, le=1)
    """Widening of a segment at each end before it is classified, as a part of its length."""
    fusion_weights: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(0.3, 0.5, 0.7, 1.0), min_length=1)
    """Candidates w for the score proposal^(1 - w) * class^w; the best on the validation part is kept."""
    max_proposals: PositiveInt = 200
    """Proposals classified per window."""
    max_segments: PositiveInt = 200
    """Segments reported per video and measured."""
    nms_sigma: PositiveFloat = 0.5
    """How much overlap soft-NMS bears; AFSD takes 0.5 on THUMOS14, 0.85 on ActivityNet."""
    tious: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(0.3, 0.4, 0.5, 0.6, 0.7), min_length=1)
    """Overlaps at which a segment counts as found; THUMOS14's five by default, ActivityNet has 0.5 to 0.95."""
    external_scores: UserPath | None = None
    """Video-level class scores of another, often supervised, classifier. Off by default, recorded when used."""

    @property
    def trains_classifier(self) -> bool:
        """False where the frozen backbone names the proposals."""
        return "classifier" in self.train_parts

    @model_validator(mode="after")
    def _check(self) -> "LocalizationConfig":
        if self.test_subset is not None and self.test_subset.lower() == self.train_subset.lower():
            raise ValueError(
                "'localization.test_subset' must not be the training subset; null measures on the validation part"
            )
        if self.val_subset is not None and self.val_subset.lower() == self.train_subset.lower():
            raise ValueError(
                "'localization.val_subset' must not be the training subset; null keeps a part of its videos for "
                "validation (data.val_fraction)"
            )
        if self.val_subset is not None and self.val_subset.lower() == (self.test_subset or "").lower():
            raise ValueError(
                "'localization.test_subset' must not be the validation subset; null measures on it, and says that it "
                "chose the weights"
            )
        if self.proposals is not None and not self.trains_classifier:
            raise ValueError(
                "'localization.train_parts' must hold classifier where 'localization.proposals' are given: else "
                "nothing is trained"
            )
        return self


CaptionFormat = Literal[
    "auto", "json", "jsonl", "csv", "msrvtt", "lsmdc", "didemo", "smit", "msvd", "activitynet_captions"
]


class RetrievalConfig(Section):
    """Text-video retrieval; read by task retrieval alone. `data` then means: source, the file of captions, or the
    folder of videos; annotations, the official caption files, or their folder."""

    format: CaptionFormat = "auto"
    """How the captions are written; auto looks at the file."""
    protocol: Literal["9k", "7k", "full"] | None = None
    """MSR-VTT: which videos are trained on and tested; 9k and 7k are tested on 1k-A. Null = 9k."""
    symmetric: bool = False
    """Loss in both directions, video to text and text to video; the paper's is video to text alone."""
    truncate: bool = True
    """Cut captions that do not fit beside the prompt vectors, and count them; false = refuse them."""
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Part of the videos kept for the test; used only when the source has no splits at all."""


class EvaluateConfig(Section):
    """What is measured after training."""

    views: PositiveInt = 5
    """Windows per video whose scores are averaged."""
    random_views: bool = False
    """Draw these windows from the seed, as training windows are and as the authors do; false = evenly spread."""
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

    task: TaskName = "recognition"
    """What is trained."""
    preset: RunPreset = "paper"
    """paper: the published method, and a line that says where the run departs from the authors' program; robust:
    keeps what CLIP knew of unseen names. Keys given win over it."""
    seed: NonNegativeInt = 0
    """Seed of every random draw of the run."""
    out: UserPath
    """Folder of the run: adapter, logs, training state, resolved config."""
    data: DataConfig
    backbone: BackboneConfig = BackboneConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    blend: BlendConfig = BlendConfig()
    localization: LocalizationConfig = LocalizationConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:  # Any: raw YAML, checked by the field types afterwards
        if not isinstance(values, Mapping) or not isinstance(values.get("preset"), str):
            return values
        merged = dict(values)
        for section, defaults in RUN_PRESETS.get(values["preset"], {}).items():
            given = merged.get(section)
            if given is None or isinstance(given, Mapping):
                merged[section] = {**defaults, **(given or {})}
        return merged

    @model_validator(mode="after")
    def _check(self) -> "RunConfig":
        if self.task == "retrieval" and self.train.balance != "none":
            raise ValueError("'train.balance' is for videos with classes, which captions are not; leave it at none")
        return self
