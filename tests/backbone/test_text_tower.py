"""The three text paths agree, in outputs and gradients, for causal and bidirectional towers."""

import pytest
import torch
from transformers import SiglipTextConfig, SiglipTextModel

from framecue.backbone import TextEmbeddings, TextTower
from framecue.errors import PromptTooLongError


@pytest.fixture(scope="module")
def siglip_tower() -> TextTower:
    torch.manual_seed(0)
    config = SiglipTextConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        vocab_size=50,
        projection_size=24,
    )
    return TextTower(SiglipTextModel(config).eval().requires_grad_(False), None, causal=False)


def make_texts(width: int, prefix_length: int) -> TextEmbeddings:
    body = torch.randn(5, 9, width)
    return TextEmbeddings(
        torch.randn(prefix_length, width).requires_grad_(), body.requires_grad_(), torch.tensor([8, 3, 5, 8, 1])
    )


@pytest.mark.parametrize("prefix_length", [0, 1, 17])
@pytest.mark.parametrize("path", ["truncated", "shared"])
def test_fast_paths_equal_the_full_one(tiny_backbone, path, prefix_length):
    tower = tiny_backbone.text_tower
    texts = make_texts(tower.width, prefix_length)
    weights = torch.randn(5, tiny_backbone.embed_dim)

    def run(path):
        out = tower(texts, path)
        inputs = [texts.prefix, texts.body] if prefix_length else [texts.body]
        return out.detach(), *torch.autograd.grad((out * weights).sum(), inputs)

    for ours, reference in zip(run(path), run("full"), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5 * float(reference.abs().max().clamp(min=1)))


def test_what_follows_eos_changes_nothing(tiny_backbone):
    tower = tiny_backbone.text_tower
    texts = make_texts(tower.width, 3)
    body = texts.body.detach().clone()
    for row, eos in zip(body, texts.eos_index.tolist(), strict=True):
        row[eos + 1 :] = 7.0
    other = TextEmbeddings(texts.prefix, body, texts.eos_index)
    for path in ("full", "truncated", "shared"):
        torch.testing.assert_close(tower(texts, path), tower(other, path))


def test_a_prefix_row_changes_every_text(tiny_backbone):
    tower = tiny_backbone.text_tower
    texts = make_texts(tower.width, 3)
    change = torch.zeros_like(texts.prefix)
    change[1] = torch.randn(tower.width)
    moved = TextEmbeddings(texts.prefix + change, texts.body, texts.eos_index)
    assert ((tower(texts) - tower(moved)).abs().amax(dim=1) > 1e-4).all()


def test_no_gradient_reaches_the_frozen_weights(tiny_backbone):
    texts = make_texts(tiny_backbone.text_tower.width, 2)
    tiny_backbone.text_tower(texts).sum().backward()
    assert texts.prefix.grad is not None
    assert all(parameter.grad is None for parameter in tiny_backbone.model.parameters())


def test_bidirectional_towers_take_the_full_path(siglip_tower):
    """Equal to transformers' own forward, whatever path is asked for."""
    tokens = torch.randint(2, 50, (3, 16))
    embedded = siglip_tower.embed_tokens(tokens)
    texts = TextEmbeddings(embedded[0, :0], embedded, torch.tensor([15, 15, 15]))
    expected = siglip_tower.text_model(input_ids=tokens).pooler_output
    for path in ("full", "truncated", "shared"):
        torch.testing.assert_close(siglip_tower(texts, path), expected)


def test_too_long_is_refused(tiny_backbone):
    tower = tiny_backbone.text_tower
    with pytest.raises(ValueError, match=r"78 positions, the text tower takes 77"):
        tower(TextEmbeddings(torch.zeros(70, tower.width), torch.zeros(1, 8, tower.width), torch.tensor([7])))
    with pytest.raises(PromptTooLongError, match=r"tokens, tiny takes at most 77"):
        tiny_backbone.encode_text(["word " * 200])


def test_bf16_is_close(tiny_backbone):
    from framecue.backbone import load_backbone

    half = load_backbone("tiny", device="cpu", precision="bf16", text_precision="bf16")
    names = ["moving left", "a red circle", "growing"]
    ours, exact = half.encode_text(names), tiny_backbone.encode_text(names)
    assert torch.cosine_similarity(ours, exact).min() > 0.999
    frames = torch.randint(0, 256, (4, 3, half.image_size, half.image_size), dtype=torch.uint8)
    assert torch.cosine_similarity(half.encode_frames(frames), tiny_backbone.encode_frames(frames)).min() > 0.995
    assert half.weights_hash == tiny_backbone.weights_hash
