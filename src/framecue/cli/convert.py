"""framecue convert efficient-prompt CHECKPOINT --out ADAPTER_DIR"""

from pathlib import Path
from typing import Annotated

import typer

from framecue.cli.common import DEFAULT_BACKBONE, note

app = typer.Typer(no_args_is_help=True, help="Bring in checkpoints of other programs.")


@app.callback()
def _group() -> None:
    """Bring in checkpoints of other programs."""


@app.command("efficient-prompt")
def efficient_prompt(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pth.tar, a bare state dict, or safetensors.")],
    out: Annotated[Path, typer.Option(metavar="ADAPTER_DIR", help="Folder to write the adapter to.")],
    backbone: Annotated[str, typer.Option(help="The CLIP it was trained on.")] = DEFAULT_BACKBONE,
    n_prefix: Annotated[int, typer.Option(min=0, help="Their --prefix; the file does not say.")] = 16,
    n_suffix: Annotated[int, typer.Option(min=0, help="Their --postfix.")] = 16,
    temporal: Annotated[
        bool | None, typer.Option(help="Their --temporal.", show_default="on if the file has temporal blocks")
    ] = None,
    class_names: Annotated[
        Path | None, typer.Option(help="File of names: one a line, CSV or JSON; else give --labels when classifying.")
    ] = None,
) -> None:
    """Convert a checkpoint of the method's authors to an adapter.

    Their file also holds all of CLIP; only the trained tensors are kept. No code of the file is ever run.
    """
    from framecue.backbone import load_backbone
    from framecue.datasets.class_lists import read_class_list
    from framecue.models.adapter import make_card, save_adapter
    from framecue.models.efficient_prompt import convert_checkpoint, read_checkpoint
    from framecue.models.video_text import num_trainable

    state = read_checkpoint(checkpoint)
    names: list[str] = []
    if class_names is not None:
        names = list(read_class_list(class_names).names)
    frozen = load_backbone(backbone, device="cpu")
    model, config = convert_checkpoint(state, frozen, n_prefix=n_prefix, n_suffix=n_suffix, temporal=temporal)
    if names:
        model.slots(names)  # refuses a name that does not fit beside the prompt vectors
    # The authors encode every frame; their evaluation averages five windows.
    card = make_card(frozen, config, names, backbone_id=backbone, sampling="all", num_views=5)
    save_adapter(out, model, card)
    note(f"{out}: {num_trainable(model):,} trained numbers, {len(names)} class names, layout {config.suffix_layout}")
