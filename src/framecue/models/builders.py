"""From a config to a module tree, on one screen."""

import torch

from framecue.backbone import Backbone
from framecue.config import LocalizationConfig, ModelConfig
from framecue.errors import ConfigError
from framecue.models.handcrafted import Handcrafted
from framecue.models.localization import LocalizationModel
from framecue.models.prompt import PromptVectors
from framecue.models.proposals import ProposalNetwork
from framecue.models.temporal import TemporalTransformer
from framecue.models.video_text import VideoTextModel


def build_model(
    config: ModelConfig,
    backbone: Backbone,
    *,
    seed: int | None = None,
    handcrafted: Handcrafted | None = None,
) -> VideoTextModel:
    """The trained parts with fresh weights, on the backbone's device.

    With ViT-B/16, "absolute" layout: A3 has 39,424 trained numbers (16,384 in "relative"), A5 6,352,384.

    Args:
        handcrafted: frozen texts, where an ensemble, a distillation or a choice between them is wanted.
        seed: of the initial weights; None = the global generator goes on. The global generator's state is restored.

    Raises:
        ConfigError: the temporal heads do not divide the backbone's D.
    """
    if config.temporal_layers and backbone.embed_dim % config.temporal_heads:
        raise ConfigError(
            f"model.temporal_heads must divide the {backbone.embed_dim} features of backbone {backbone.name}, "
            f"found {config.temporal_heads}; take 1, 2, 4 or 8."
        )
    # Weights are drawn on the CPU, so that a seed gives the same ones on every device.
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        tower = backbone.text_tower
        prompt = PromptVectors(
            tower.width,
            n_prefix=config.n_prefix,
            n_suffix=config.n_suffix,
            layout=config.suffix_layout,
            table_rows=tower.context_length,
            n_sos=1 if tower.causal else 0,
        )
        temporal = None
        if config.temporal_layers:
            temporal = TemporalTransformer(
                backbone.embed_dim,
                num_frames=config.num_frames,
                layers=config.temporal_layers,
                heads=config.temporal_heads,
            )
    model = VideoTextModel(
        backbone,
        prompt,
        temporal,
        temperature=config.temperature,
        normalize=config.normalize,
        gated=config.temporal_gate,
        handcrafted=handcrafted,
        temporal_weight=config.temporal_weight,
        handcrafted_weight=config.handcrafted_weight,
    )
    return model.to(backbone.device)


def build_localization(
    config: ModelConfig,
    localization: LocalizationConfig,
    backbone: Backbone,
    *,
    seed: int | None = None,
    handcrafted: Handcrafted | None = None,
) -> LocalizationModel:
    """Both stages with fresh weights; without a proposal network where proposals are imported or not trained.

    Args:
        seed, handcrafted: as `build_model` takes them.

    Raises:
        ConfigError: as `build_model`.
    """
    classifier = build_model(config, backbone, seed=seed, handcrafted=handcrafted)
    if "proposals" not in localization.train_parts or localization.proposals is not None:
        return LocalizationModel(classifier, None)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        network = ProposalNetwork(
            backbone.embed_dim,
            width=localization.width,
            levels=localization.levels,
            stem_layers=localization.stem_layers,
            head_layers=localization.head_layers,
            dropout=localization.dropout,
        )
    return LocalizationModel(classifier, network.to(backbone.device))
