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
    n_prefix: Annotated[int | None, typer.Option(min=0, help="Their --prefix.", show_default="as found, or 16")] = None,
    n_suffix: Annotated[
        int | None, typer.Option(min=0, help="Their --postfix.", show_default="as found, or 16")
    ] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Their --tfm_heads.", show_default="as found, or 8")] = None,
    normalize: Annotated[bool | None, typer.Option(help="Their --featnorm.", show_default="as found, or on")] = None,
    temporal: Annotated[
        bool | None, typer.Option(help="Their --temporal.", show_default="on if the file has temporal blocks")
    ] = None,
    num_frames: Annotated[
        int | None, typer.Option(min=1, help="Their --numFrames.", show_default="the file's temporal positions")
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, help="Their --valEnsemble.", show_default="as found, or 5")
    ] = None,
    temperature: Annotated[float, typer.Option(min=1e-6, help="Divisor of the cosine; 0.07 in their program.")] = 0.07,
    sampling: Annotated[
        str, typer.Option(help="Frames its features were of: all, fps:NUMBER or uniform:COUNT; all in their program.")
    ] = "all",
    bgr: Annotated[
        bool | None,
        typer.Option(
            help="Whether its features are of frames with red and blue swapped, as their feat/visfeat.py makes them.",
            show_default="no",
        ),
    ] = None,
    class_names: Annotated[
        Path | None, typer.Option(help="File of names: one a line, CSV or JSON; else give --labels when classifying.")
    ] = None,
) -> None:
    """Convert a checkpoint of the method's authors to an adapter.

    Their file also holds all of CLIP; only the trained tensors are kept. No code of the file is ever run.

    How it was trained is taken from running_command.txt beside the file, from its own "args", and from names, where
    they tell. What nothing tells is assumed as in the authors' README, and named: a wrong number of heads or of prompt
    vectors changes every score without an error. What does not fit the tensors is refused.
    """
    from framecue.backbone import load_backbone
    from framecue.datasets.class_lists import read_class_list
    from framecue.models.adapter import make_card, save_adapter
    from framecue.models.efficient_prompt import convert_checkpoint, read_checkpoint
    from framecue.models.efficient_prompt_flags import settle_flags
    from framecue.models.video_text import num_trainable
    from framecue.video.sampling import parse_sampling

    sampling = parse_sampling(sampling).text
    read = read_checkpoint(checkpoint)
    asked = {
        "n_prefix": n_prefix,
        "n_suffix": n_suffix,
        "heads": heads,
        "normalize": normalize,
        "temporal": temporal,
        "num_frames": num_frames,
        "num_views": views,
        "bgr": bgr,
    }
    flags = settle_flags(checkpoint, asked, read.told)
    names = list(read_class_list(class_names).names) if class_names is not None else []
    frozen = load_backbone(backbone, device="cpu", channels="bgr" if flags.bgr else "rgb")
    model, config = convert_checkpoint(read, frozen, flags, temperature=temperature)
    if names:
        model.slots(names)  # refuses a name that does not fit beside the prompt vectors
    card = make_card(
        frozen,
        config,
        names,
        backbone_id=backbone,
        sampling=sampling,
        num_views=flags.num_views,
        converted={"checkpoint": checkpoint.name} | flags.to_json(),
    )
    save_adapter(out, model, card)
    for line in flags.notes():
        note(f"{checkpoint}: {line}")
    note(f"{out}: {num_trainable(model):,} trained numbers, {len(names)} class names, layout {config.suffix_layout}")
