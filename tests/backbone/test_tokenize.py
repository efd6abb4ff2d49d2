"""Texts are cleaned as the makers of each backbone clean them, to the letter and to the token.

The expected strings and tokens come from the makers' own code, run on these texts in a separate environment:
openai/CLIP d05afc43 `clip/simple_tokenizer.py` with ftfy 6.3.1; google-research/big_vision 0127fb6b
`canonicalize_text` of `evaluators/proj/image_text/prompt_engineering.py` (SigLIP 1) and `tf.strings.lower` of
TensorFlow 2.21, which its SigLIP2_demo.ipynb applies (SigLIP 2).
"""

import io

import pytest
import sentencepiece
from test_load import save_random_checkpoint
from transformers import GemmaTokenizer, SiglipTokenizer

from framecue.backbone import load_backbone
from framecue.backbone.load import read_openai_merges
from framecue.backbone.tokenize import clean_text, tokenize

# text: OpenAI's CLIP, its tokens between SOS and EOS, SigLIP 1, SigLIP 2
OFFICIAL = {
    "playing the ukulele": (
        "playing the ukulele",
        [1629, 518, 39094],
        "playing the ukulele",
        "playing the ukulele",
    ),
    "Draw_Sword!": ("draw_sword!", [4001, 318, 11356, 256], "draw sword", "draw_sword!"),
    "AT&amp;amp;T Éclair  42": (
        "at&t éclair 42",
        [536, 261, 339, 3459, 14039, 275, 273],
        "atampampt éclair 42",
        "at&amp;amp;t Éclair  42",
    ),
    "Itâ€™s “FINE”…": ('it\'s "fine"…', [585, 568, 257, 3797, 33993], "itâ€™s “fine”…", "itâ€™s “fine”…"),
    "cafe\u0301\u3000ＡＢ": ("café ab", [15304, 3937], "cafe\u0301 ａｂ", "cafe\u0301\u3000ＡＢ"),
    "  Push-Up,\n(fast) ": (
        "push-up, (fast)",
        [6831, 268, 705, 267, 263, 1953, 264],
        "pushup fast",
        "  push-up,\n(fast) ",
    ),
    "ΣΟΦΟΣ İx": (
        "σοφος i\u0307x",
        [139, 225, 138, 123, 139, 228, 138, 123, 139, 480, 328, 16384, 343],
        "σοφος i\u0307x",
        "ΣΟΦΟΣ İx",
    ),
}


@pytest.mark.parametrize("text", OFFICIAL)
def test_texts_are_cleaned_as_the_makers_clean_them(text):
    clip, _, siglip, siglip2 = OFFICIAL[text]
    assert clean_text(text, "openai-clip") == clip
    assert clean_text(text, "siglip-canonicalize") == siglip
    assert clean_text(text, "siglip2-lower") == siglip2
    assert clean_text(text, "as-written") == text


def test_tokens_of_clip_are_those_of_its_makers(shared_data):
    tokenizer = read_openai_merges(shared_data / "clip_tokenizer" / "bpe_simple_vocab_16e6.txt.gz")
    tokenized = tokenize(tokenizer, list(OFFICIAL), "openai-clip")
    for row, eos, (_, expected, _, _) in zip(tokenized.tokens, tokenized.eos_index, OFFICIAL.values(), strict=True):
        assert row[1:eos].tolist() == expected


def test_the_built_in_backbone_reads_as_clip_does(tiny_backbone):
    """A class name, a query and a template all pass through the one place; plain texts keep their tokens."""
    assert tiny_backbone.text_cleaning == "openai-clip"
    messy, plain = ["Itâ€™s  AT&amp;amp;T"], ["it's at&t"]
    assert tiny_backbone.tokenize(messy).tokens.tolist() == tiny_backbone.tokenize(plain).tokens.tolist()
    assert tiny_backbone.tokenize(messy).texts == tuple(messy)
    untouched = tokenize(tiny_backbone.tokenizer, ["moving left", "a red shape"], "as-written")
    assert tiny_backbone.tokenize(["moving left", "a red shape"]).tokens.equal(untouched.tokens)


def test_siglip_1_reads_canonical_text_with_its_own_tokenizer(tiny_backbone, tmp_path):
    """Against SentencePiece itself, which big_vision calls on canonical text with EOS after it."""
    save_random_checkpoint(tmp_path, "siglip", tiny_backbone)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*["draw sword", "push up fast"] * 20, *map(chr, range(0xC0, 0x180))]),
        model_writer=model,
        vocab_size=400,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    (tmp_path / "small.model").write_bytes(model.getvalue())
    SiglipTokenizer(str(tmp_path / "small.model")).save_pretrained(tmp_path)
    backbone = load_backbone(tmp_path, device="cpu")
    assert isinstance(backbone.tokenizer, SiglipTokenizer)
    assert backbone.text_cleaning == "siglip-canonicalize"
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenized = backbone.tokenize(list(OFFICIAL))
    assert tokenized.n_sos == 0
    for row, eos, (_, _, canonical, _) in zip(tokenized.tokens, tokenized.eos_index, OFFICIAL.values(), strict=True):
        assert row[: eos + 1].tolist() == [*pieces.encode(canonical), pieces.eos_id()]


def test_siglip_2_reads_lowered_text_without_sos(tiny_backbone, tmp_path):
    """SigLIP 2's fixed sizes share SigLIP 1's model type; their tokenizer is Gemma's."""
    save_random_checkpoint(tmp_path, "siglip", tiny_backbone)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    letters = sorted(set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZÉ▁-!"))
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters, *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {word: index for index, word in enumerate(words)}
    GemmaTokenizer(vocab=vocab, merges=[], add_bos_token=False, add_eos_token=True).save_pretrained(tmp_path)
    backbone = load_backbone(tmp_path, device="cpu")
    assert backbone.text_cleaning == "siglip2-lower"
    assert backbone.tokenize(["Push-Up ÉA!"]).tokens[0].tolist() == [*(vocab[c] for c in "push-up▁Éa!"), vocab["<eos>"]]


def test_metaclip_2_reads_texts_as_written(tiny_backbone, tmp_path):
    save_random_checkpoint(tmp_path, "metaclip_2", tiny_backbone)
    assert load_backbone(tmp_path, device="cpu").text_cleaning == "as-written"
