"""Reading the authors' checkpoint format: what is kept, found, assumed and refused. Numbers are in tests/parity."""

import argparse
import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from framecue.backbone import channels_of
from framecue.cli.main import app
from framecue.errors import AdapterError
from framecue.models.adapter import read_card
from framecue.models.efficient_prompt import Checkpoint, convert_checkpoint, read_checkpoint
from framecue.models.efficient_prompt_flags import TrainingFlags, settle_flags

TABLE, BLOCK = "embedding.weight", "temporalModelling.resblocks.{}.{}"


@pytest.fixture
def trained(shared_data):
    return load_file(shared_data / "golden" / "efficient_prompt" / "trainables_a5.safetensors")


@pytest.fixture
def small(tiny_backbone):
    """Trained tensors of a model with two temporal blocks over the built-in backbone, under the authors' names."""
    width, dim = tiny_backbone.text_tower.width, tiny_backbone.embed_dim
    shapes = {"attn.in_proj_weight": (3 * dim, dim), "attn.in_proj_bias": (3 * dim,)}
    shapes |= {"attn.out_proj.weight": (dim, dim), "attn.out_proj.bias": (dim,)}
    shapes |= {f"ln_{place}.{kind}": (dim,) for place in (1, 2) for kind in ("weight", "bias")}
    shapes |= {"mlp.c_fc.weight": (4 * dim, dim), "mlp.c_fc.bias": (4 * dim,)}
    shapes |= {"mlp.c_proj.weight": (dim, 4 * dim), "mlp.c_proj.bias": (dim,)}
    blocks = {BLOCK.format(layer, name): torch.randn(shape) for layer in (0, 1) for name, shape in shapes.items()}
    table = torch.randn(tiny_backbone.text_tower.context_length, width)
    return {TABLE: table, "temporalEmbedding.weight": torch.randn(16, dim), **blocks}


def adam(table, rows):
    """The optimizer's state as torch saves it, with gradients in these rows of the table."""
    squares = torch.zeros(table.shape)
    squares[list(rows)] = 1e-9
    return {"state": {150: {"step": torch.tensor(9.0), "exp_avg": squares, "exp_avg_sq": squares}}, "param_groups": []}


def convert(path, *words):
    return CliRunner().invoke(
        app, ["convert", "efficient-prompt", str(path), "--backbone", "tiny", "--out", str(path.parent / "out"), *words]
    )


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_whole_file_is_read_and_clip_is_dropped(
    trained, reference_checkpoint, reference_backbone, tmp_path, prefix
):
    """{state_dict, optimizer, iteration} with all of CLIP in it, as they save it (with or without DataParallel)."""
    clip = {f"clipmodel.{name}": tensor for name, tensor in load_file(reference_checkpoint).items()}
    state = {prefix + name: tensor for name, tensor in (clip | trained).items()}
    torch.save({"state_dict": state, "optimizer": {"lr": 1e-4}, "iteration": 1100}, tmp_path / "best.pth.tar")
    read = read_checkpoint(tmp_path / "best.pth.tar")
    assert set(read.trained) == set(trained)
    model, config = convert_checkpoint(read, reference_backbone, TrainingFlags())
    assert config.temporal_layers == 2
    assert config.suffix_layout == "absolute"
    assert torch.equal(model.prompt.table, trained[TABLE].float())
    assert torch.equal(model.temporal.positions, trained["temporalEmbedding.weight"].float())


def test_code_is_refused_and_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": {TABLE: torch.zeros(77, 8)}, "args": Payload()}, tmp_path / "evil.pth.tar")
    with pytest.raises(AdapterError, match="asks for code to be run on loading, which framecue refuses"):
        read_checkpoint(tmp_path / "evil.pth.tar")
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    with pytest.raises(AdapterError, match="no such file"):
        read_checkpoint(tmp_path / "absent.pth.tar")
    (tmp_path / "cut.pth.tar").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(AdapterError, match="cannot be read"):
        read_checkpoint(tmp_path / "cut.pth.tar")
    torch.save([1, 2], tmp_path / "list.pth.tar")
    with pytest.raises(AdapterError, match="expected a state dict, found list"):
        read_checkpoint(tmp_path / "list.pth.tar")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth.tar")
    with pytest.raises(AdapterError, match=r"prompt table embedding\.weight must be there, found weight"):
        read_checkpoint(tmp_path / "other.pth.tar")
    torch.save({TABLE: torch.zeros(77, 8), "classPrompt.weight": torch.zeros(2)}, tmp_path / "fork.pth.tar")
    with pytest.raises(AdapterError, match=r"classPrompt\.weight is not part of the authors' model"):
        read_checkpoint(tmp_path / "fork.pth.tar")


@pytest.mark.parametrize("value", [3, torch.full((77, 128), float("nan"))], ids=["a number", "not finite"])
def test_a_prompt_table_that_is_none_is_refused(tmp_path, value):
    torch.save({"state_dict": {TABLE: value}}, tmp_path / "broken.pth.tar")
    with pytest.raises(AdapterError, match=r"embedding\.weight is no tensor of finite numbers"):
        read_checkpoint(tmp_path / "broken.pth.tar")


def test_another_number_of_heads_is_another_model(reference, trained, reference_backbone, tmp_path):
    """Why the number must be told: the tensors are the same, the video embeddings are not."""
    read = Checkpoint(tmp_path, trained)
    eight, four = (convert_checkpoint(read, reference_backbone, TrainingFlags(heads=heads))[0] for heads in (8, 4))
    ours, theirs = eight.embed_video(reference["features"]), four.embed_video(reference["features"])
    assert (ours - theirs).abs().max() / theirs.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        ({}, {"heads": 3}, r"the heads must divide the \d+ features of backbone tiny, found 3"),
        ({}, {"n_prefix": 60}, "60 and 16 prompt vectors leave no room for a name in 77 positions"),
        ({}, {"n_prefix": 10**8}, "Checkpoint asks for n_prefix 100000000"),
        ({}, {"num_frames": 8, "sources": {"num_frames": "X"}}, "a row for each of 16 frames, X says 8"),
        ({}, {"layers": 1, "sources": {"layers": "X"}}, "has 2 temporal blocks, X says --tfm_layers 1"),
        ({}, {"temporal": False, "sources": {"temporal": "X"}}, "has 2 temporal blocks, X says --temporal 0"),
        ({TABLE: torch.zeros(76, 128)}, {}, r"embedding\.weight must be \[77, \d+\], found \[76, 128\]"),
        ({"temporalEmbedding.weight": torch.zeros(16, 7)}, {}, r"must be \[16, \d+\], found \[16, 7\]"),
        ({"temporalEmbedding.weight": None}, {}, "has temporal blocks but no temporalEmbedding"),
        ({BLOCK.format(0, "ln_1.bias"): torch.zeros(3)}, {}, r"does not fit backbone tiny .*ln_1\.bias"),
    ],
)
def test_what_does_not_fit_the_tensors_is_refused(small, tiny_backbone, tmp_path, change, flags, message):
    tensors = {name: tensor for name, tensor in (small | change).items() if tensor is not None}
    with pytest.raises(AdapterError, match=message):
        convert_checkpoint(Checkpoint(tmp_path, tensors), tiny_backbone, TrainingFlags(**flags))


def test_missing_blocks_are_refused(small, tiny_backbone, tmp_path):
    flags = TrainingFlags(temporal=True, sources={"temporal": "X"})
    without = {name: tensor for name, tensor in small.items() if "resblocks" not in name}
    with pytest.raises(AdapterError, match="has no temporal blocks, X says --temporal 1"):
        convert_checkpoint(Checkpoint(tmp_path, without), tiny_backbone, flags)
    second = {name: tensor for name, tensor in small.items() if "resblocks.0" not in name}
    with pytest.raises(AdapterError, match="temporal block 0 is missing"):
        convert_checkpoint(Checkpoint(tmp_path, second), tiny_backbone, TrainingFlags())


def test_another_clip_of_the_same_sizes_is_refused(reference_checkpoint, reference_backbone, trained, tmp_path):
    """ViT-B/32 has the sizes of ViT-B/16's text side, so that the tensors fit; the CLIP in the file does not."""
    clip = load_file(reference_checkpoint)
    clip["visual.proj"] = clip["visual.proj"] * 1.01
    with pytest.raises(AdapterError, match=r"trained on another CLIP than .* another visual_projection\.weight"):
        convert_checkpoint(Checkpoint(tmp_path, trained, clip), reference_backbone, TrainingFlags())


def test_trained_rows_tell_the_prompt_vectors(small, tiny_backbone, tmp_path):
    """As the authors' own gradients show (tests/parity): the prefix exactly, of the suffix the most there can be."""
    path = tmp_path / "iter55.pth.tar"
    torch.save({"state_dict": small, "optimizer": adam(small[TABLE], [1, 2, 3, 4, 6, 7, 8, 9, 10, 11])}, path)
    read = read_checkpoint(path)
    assert read.prompt_sizes == (4, 6)
    assert settle_flags(path, {}, read.told).n_prefix == 4
    with pytest.raises(AdapterError, match=r"--n-prefix must be 4 and --n-suffix 1 to 6, found 4 and 16"):
        convert_checkpoint(read, tiny_backbone, settle_flags(path, {}, read.told))
    assert convert_checkpoint(read, tiny_backbone, settle_flags(path, {"n_suffix": 4}, read.told))
    with pytest.raises(AdapterError, match="--n-prefix 16 is given, the optimizer's state in it says --prefix 4"):
        settle_flags(path, {"n_prefix": 16}, read.told)


@pytest.mark.parametrize("case", ["a5_16_16_t2", "p4_q4_t1"])
def test_rows_of_the_authors_gradients(reference, trained, tmp_path, case):
    gradient = reference[f"{case}.grad.embedding"]
    rows = (gradient != 0).any(dim=1).nonzero().flatten().tolist()
    torch.save({"state_dict": trained, "optimizer": adam(trained[TABLE], rows)}, tmp_path / "best.pth.tar")
    prefix, most = read_checkpoint(tmp_path / "best.pth.tar").prompt_sizes
    assert prefix == {"a5_16_16_t2": 16, "p4_q4_t1": 4}[case]
    assert most >= {"a5_16_16_t2": 16, "p4_q4_t1": 4}[case]


# --- the verb


def test_what_nothing_tells_is_assumed_aloud_and_kept_in_the_card(small, tmp_path):
    torch.save({"state_dict": small}, tmp_path / "best.pth.tar")
    done = convert(tmp_path / "best.pth.tar")
    assert done.exit_code == 0, done.output
    flags = "--n-prefix 16, --n-suffix 16, --heads 8, --normalize, --views 5, --no-bgr"
    assert f"assumed, as in the authors' README: {flags}" in done.stderr
    assert "change every score without an error" in done.stderr
    card = read_card(tmp_path / "out")
    assert card.model.temporal_heads == 8
    assert card.converted["checkpoint"] == "best.pth.tar"
    assert card.converted["sources"]["heads"] == "assumed"


def test_flags_given_are_taken_without_a_remark(small, tmp_path):
    torch.save({"state_dict": small}, tmp_path / "best.pth.tar")
    words = ["--n-prefix", "4", "--n-suffix", "3", "--heads", "4", "--no-normalize", "--views", "2", "--bgr"]
    done = convert(tmp_path / "best.pth.tar", *words, "--temperature", "0.1", "--sampling", "fps:4")
    assert done.exit_code == 0, done.output
    assert "assumed" not in done.stderr
    card = read_card(tmp_path / "out")
    model = card.model
    assert (model.n_prefix, model.n_suffix, model.temporal_heads, model.normalize) == (4, 3, 4, False)
    assert (model.temperature, card.num_views, card.sampling) == (0.1, 2, "fps:4")
    assert channels_of(card.preprocessing) == "bgr"


@pytest.mark.parametrize("place", ["running_command.txt", "args", "namespace", "name"])
def test_what_is_told_beside_the_tensors_is_found(small, tmp_path, place):
    """The authors' program writes its command beside its checkpoints; forks keep it in the file, or in the name."""
    flags = {"prefix": 4, "postfix": 4, "tfm_heads": 4, "tfm_layers": 2, "featnorm": 0, "valEnsemble": 3, "lr": 1e-4}
    whole: dict = {"state_dict": small}
    path = tmp_path / ("hmdb_4heads_iter55.pth.tar" if place == "name" else "best.pth.tar")
    if place == "running_command.txt":
        commands = [{"command_time_stamp": "2022_07_15_10_00", **flags}, {**flags, "tfm_heads": 2, "test": "best"}]
        (tmp_path / place).write_text("".join(json.dumps(command, indent=2) for command in commands))
    elif place != "name":
        whole["args"] = argparse.Namespace(**flags) if place == "namespace" else flags
    torch.save(whole, path)
    done = convert(path)
    assert done.exit_code == 0, done.output
    assert "says how it was trained:" in done.stderr
    model = read_card(tmp_path / "out").model
    assert model.temporal_heads == 4
    assert place == "name" or (model.n_prefix, model.n_suffix, model.normalize) == (4, 4, False)
    assert ("--heads 8" in done.stderr, "--prefix" in done.stderr) == (False, False)
    assert ("--n-prefix 16" in done.stderr) == (place == "name")
    refused = convert(path, "--heads", "8")
    assert refused.exit_code == 1
    assert "--heads 8 is given" in refused.stderr
    assert "says --tfm_heads 4" in refused.stderr


def test_the_authors_folder_name_tells(small, tmp_path):
    folder = tmp_path / (
        "2022_07_15_10_00-dataset_HMDB51-openset_0-iter_1e+03-bs_64-numFrames_16-temporal_1-tfmL_1-prompt_8+X+4-Temp"
    )
    folder.mkdir()
    torch.save({"state_dict": small}, folder / "checkpoint_iter55.pth.tar")
    refused = convert(folder / "checkpoint_iter55.pth.tar")
    assert refused.exit_code == 1
    assert "has 2 temporal blocks, the name of its folder says --tfm_layers 1" in refused.stderr


def test_a_damaged_command_file_is_refused(small, tmp_path):
    torch.save({"state_dict": small}, tmp_path / "best.pth.tar")
    (tmp_path / "running_command.txt").write_text("{'prefix': 16")
    refused = convert(tmp_path / "best.pth.tar")
    assert refused.exit_code == 1
    assert "running_command.txt: must hold the training flags as JSON" in refused.stderr
