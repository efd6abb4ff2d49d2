"""Frozen text embeddings of names: templates, and what descriptions add."""

import pytest
import torch
import torch.nn.functional as F

from framecue.errors import PromptTooLongError
from framecue.models.handcrafted import Handcrafted, template_embeddings

TEMPLATES = ("{}", "a video of {}")
NAMES = ("growing", "shrinking", "moving left")
TEXTS = ("a shape gets bigger", "its edges move outwards", "it comes nearer")


def unit(backbone, texts):
    return F.normalize(backbone.encode_text(list(texts)), dim=-1)


def test_templates_alone(tiny_backbone):
    embedded = Handcrafted(tiny_backbone, TEMPLATES)(NAMES)
    assert torch.equal(embedded, template_embeddings(tiny_backbone, NAMES, TEMPLATES))
    by_hand = unit(tiny_backbone, ["growing", "a video of growing"]).mean(dim=0)
    torch.testing.assert_close(embedded[0], by_hand / by_hand.norm())


def test_names_without_descriptions_are_unchanged(tiny_backbone):
    plain = Handcrafted(tiny_backbone, TEMPLATES)(NAMES)
    described = Handcrafted(tiny_backbone, TEMPLATES, {"shrinking": TEXTS, "never asked": TEXTS})(NAMES)
    assert torch.equal(described[[0, 2]], plain[[0, 2]])
    assert not torch.allclose(described[1], plain[1], atol=1e-3)


@pytest.mark.parametrize("count", [1, 3])
def test_descriptions_count_as_much_as_the_templates_however_many_there_are(tiny_backbone, count):
    plain = Handcrafted(tiny_backbone, TEMPLATES)(NAMES)[0]
    mixed = Handcrafted(tiny_backbone, TEMPLATES, {"growing": TEXTS[:count]})(NAMES)[0]
    texts = F.normalize(unit(tiny_backbone, TEXTS[:count]).mean(dim=0), dim=-1)
    torch.testing.assert_close(mixed, F.normalize(plain + texts, dim=-1))
    torch.testing.assert_close(mixed @ plain, mixed @ texts)
    torch.testing.assert_close(mixed.norm(), torch.tensor(1.0))


def test_a_description_that_does_not_fit_is_refused(tiny_backbone):
    with pytest.raises(PromptTooLongError, match="a leap a leap"):
        Handcrafted(tiny_backbone, TEMPLATES, {"growing": ["a leap " * 80]})(NAMES)
