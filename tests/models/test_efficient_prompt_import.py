"""Reading the authors' checkpoint format: what is kept, what is refused. Numbers are in tests/parity."""

import pytest
import torch
from safetensors.torch import load_file

from framecue.errors import AdapterError
from framecue.models.efficient_prompt import convert_checkpoint, read_checkpoint


@pytest.fixture
def trained(shared_data):
    return load_file(shared_data / "golden" / "efficient_prompt" / "trainables_a5.safetensors")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_whole_file_is_read_and_clip_is_dropped(
    trained, reference_checkpoint, reference_backbone, tmp_path, prefix
):
    """{state_dict, optimizer, iteration} with all of CLIP in it, as they save it (with or without DataParallel)."""
    clip = {f"clipmodel.{name}": tensor for name, tensor in load_file(reference_checkpoint).items()}
    state = {prefix + name: tensor for name, tensor in (clip | trained).items()}
    torch.save({"state_dict": state, "optimizer": {"lr": 1e-4}, "iteration": 1100}, tmp_path / "best.pth.tar")
    read = read_checkpoint(tmp_path / "best.pth.tar")
    assert set(read) == set(trained)
    model, config = convert_checkpoint(read, reference_backbone, n_prefix=16, n_suffix=16)
    assert config.temporal_layers == 2
    assert config.suffix_layout == "absolute"
    assert torch.equal(model.prompt.table, trained["embedding.weight"].float())
    assert torch.equal(model.temporal.positions, trained["temporalEmbedding.weight"].float())


def test_code_is_refused_and_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": {"embedding.weight": torch.zeros(77, 8)}, "args": Payload()}, tmp_path / "evil.pth.tar")
    with pytest.raises(AdapterError, match="asks for code to be run on loading, which framecue refuses"):
        read_checkpoint(tmp_path / "evil.pth.tar")
    assert not (tmp_path / "ran").exists()


def test_refusals(trained, tmp_path, tiny_backbone):
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
    with pytest.raises(AdapterError, match="does not fit backbone tiny"):
        convert_checkpoint(trained, tiny_backbone, n_prefix=16, n_suffix=16)


@pytest.mark.parametrize("value", [3, torch.full((77, 128), float("nan"))], ids=["a number", "not finite"])
def test_a_prompt_table_that_is_none_is_refused(tmp_path, value):
    torch.save({"state_dict": {"embedding.weight": value}}, tmp_path / "broken.pth.tar")
    with pytest.raises(AdapterError, match=r"embedding\.weight is no tensor of finite numbers"):
        read_checkpoint(tmp_path / "broken.pth.tar")


def test_sizes_out_of_range_are_refused(tiny_backbone):
    with pytest.raises(AdapterError, match="Checkpoint asks for n_prefix 100000000"):
        convert_checkpoint({"embedding.weight": torch.zeros(77, 128)}, tiny_backbone, n_prefix=10**8, n_suffix=0)
