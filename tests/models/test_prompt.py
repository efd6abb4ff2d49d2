"""Prompt slots and vectors: places, layouts, limits, and zero vectors = plain CLIP."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecue.backbone import TokenizedText
from framecue.config import PRESETS, ModelConfig
from framecue.errors import PromptTooLongError
from framecue.models.builders import build_model
from framecue.models.prompt import PromptVectors, prompt_slots
from framecue.models.video_text import num_trainable

SOS, EOS, PAD = 90, 91, 0


def names_of_lengths(*lengths: int) -> TokenizedText:
    """Names of 1, 2, 3, ... tokens; a name's token ids are 1 .. n."""
    eos = torch.tensor([1 + n for n in lengths])
    tokens = torch.full((len(lengths), int(eos.max()) + 1), PAD)
    for row, n in zip(tokens, lengths, strict=True):
        row[0], row[1 : n + 1], row[n + 1] = SOS, torch.arange(1, n + 1), EOS
    return TokenizedText(tuple(f"name{n}" for n in lengths), tokens, eos, 1, PAD)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_slots_are_the_sequence_written_out(lengths, n_prefix, n_suffix):
    """Compared with the plain list [SOS, prefix, name, suffix, EOS] of each name."""
    slots = prompt_slots(names_of_lengths(*lengths), n_prefix=n_prefix, n_suffix=n_suffix, context_length=30)
    assert slots.sos.tolist() == [SOS]
    for row, n in enumerate(lengths):
        body = [*range(1, n + 1), *(("suffix", j) for j in range(n_suffix)), EOS]
        eos = int(slots.eos_index[row])
        assert eos == n + n_suffix == len(body) - 1
        found = [
            ("suffix", int(slots.suffix_row[row, j])) if slots.is_suffix[row, j] else int(slots.tokens[row, j])
            for j in range(eos + 1)
        ]
        assert found == body
        assert not slots.is_suffix[row, eos + 1 :].any()


@pytest.mark.parametrize(("n_name", "suffix_rows", "eos"), [(1, range(18, 34), 34), (2, range(19, 35), 35)])
def test_absolute_layout_is_the_authors_table(n_name, suffix_rows, eos):
    """The worked example of 16 + X + 16: prefix rows 1-16, suffix rows by absolute position."""
    prompt = PromptVectors(1, n_prefix=16, n_suffix=16, layout="absolute", table_rows=77)
    prompt.table.data = torch.arange(77.0)[:, None]
    slots = prompt_slots(names_of_lengths(n_name, 5), n_prefix=16, n_suffix=16, context_length=77).select(
        torch.tensor([0])
    )
    texts = prompt(slots, slots.sos[:, None].float(), -slots.tokens[..., None].float())
    assert texts.prefix[:, 0].tolist() == [SOS, *range(1, 17)]
    body = texts.body[0, :, 0].tolist()
    assert body[n_name : n_name + 16] == list(suffix_rows)
    assert 17 + int(texts.eos_index[0]) == eos
    assert body[int(texts.eos_index[0])] == -EOS


def test_layouts_agree_where_names_are_equally_long(tiny_backbone):
    names = ["moving left", "moving right"]
    relative = build_model(ModelConfig(n_prefix=3, n_suffix=2, temporal_layers=0), tiny_backbone, seed=1)
    absolute = build_model(
        ModelConfig(n_prefix=3, n_suffix=2, temporal_layers=0, suffix_layout="absolute"), tiny_backbone, seed=2
    )
    slots = relative.slots(names)
    n_name = int(slots.eos_index[0]) - 2
    assert int(slots.eos_index[1]) - 2 == n_name
    absolute.prompt.table.data[1:4] = relative.prompt.prefix.data
    absolute.prompt.table.data[4 + n_name : 6 + n_name] = relative.prompt.suffix.data
    torch.testing.assert_close(relative.embed_text(slots), absolute.embed_text(slots))


@pytest.mark.parametrize("layout", ["relative", "absolute"])
def test_zero_prompts_equal_plain_clip(tiny_backbone, layout):
    names = ["moving left", "a small red star", "turning clockwise and growing"]
    model = build_model(
        ModelConfig(n_prefix=0, n_suffix=0, temporal_layers=0, suffix_layout=layout), tiny_backbone, seed=0
    )
    for path in ("full", "truncated", "shared"):
        torch.testing.assert_close(
            model.embed_text(model.slots(names), path=path), tiny_backbone.encode_text(names, path=path)
        )


def test_the_43_token_limit(reference_backbone):
    """16 + 43 + 16 fills CLIP's 77 positions; one token more is refused, and the name is told."""
    model = build_model(ModelConfig(temporal_layers=0), reference_backbone, seed=0)
    assert model.embed_text(model.slots(["run " * 43])).shape == (1, 512)
    with pytest.raises(PromptTooLongError, match=r"'run run .* has 44 tokens; with 16 prefix and 16 suffix .* for 43;"):
        model.slots(["walk", "run " * 44])


def test_parameter_counts(reference_backbone):
    """To the unit (the paper's A5: 6,352,384 in the authors' layout)."""

    def count(**changes) -> int:
        return num_trainable(build_model(ModelConfig(**changes), reference_backbone, seed=0))

    assert count(preset="A5", suffix_layout="absolute") == 6_352_384
    assert count(preset="A4", suffix_layout="absolute") == 3_200_000
    assert count(preset="A6", suffix_layout="absolute") == 9_504_768
    assert count(preset="A7", suffix_layout="absolute") == 12_657_152
    assert count(preset="A3", suffix_layout="absolute") == 39_424
    assert count(preset="A3") == 16_384
    assert count(preset="A5") - count(preset="A4") == 3_152_384
    for preset, numbers in PRESETS.items():
        expected = 512 * (numbers["n_prefix"] + numbers["n_suffix"])
        if numbers["temporal_layers"]:
            expected += 8_192 + numbers["temporal_layers"] * 3_152_384
        assert count(preset=preset) == expected


def test_gradients_reach_the_vectors_alone(tiny_backbone):
    model = build_model(ModelConfig(n_prefix=2, n_suffix=2, temporal_layers=1), tiny_backbone, seed=0)
    before = tiny_backbone.model.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        model(torch.randn(2, 16, tiny_backbone.embed_dim), model.slots(["a", "b c"]))[:, 0].sum().backward()
        optimizer.step()
    for name, tensor in tiny_backbone.model.state_dict().items():
        assert torch.equal(tensor, before[name]), f"the frozen {name} changed"
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not any("text_model" in name or "vision_model" in name for name in model.state_dict())
