"""Shared by all tests: random-number hygiene, the shared real data, and small backbones that are real checkpoints."""

import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from framecue.backbone import Backbone, load_backbone

# Small tensors: threads that wait for each other cost more than they do, above all where tests run side by side.
torch.set_num_threads(1)

# What is remembered of bad files stays in the tests.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="framecue-tests-cache-")

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _restore_random_state() -> Iterator[None]:
    """No test sees another's random draws."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real videos, annotations and reference outputs; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_backbone() -> Backbone:
    """The built-in backbone."""
    return load_backbone("tiny", device="cpu")


@pytest.fixture(scope="session")
def reference_checkpoint(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small random CLIP of the authors' reference outputs, as a file in OpenAI's layout.

    The reference stores only the token embeddings that its ten names use; the rest may be anything.
    """
    golden = shared_data / "golden" / "efficient_prompt"
    state = load_file(golden / "clip_openai_layout.safetensors")
    rows = state.pop("token_ids")
    table = torch.zeros(49408, state["token_embedding.weight"].shape[1], dtype=torch.float16)
    table[rows] = state["token_embedding.weight"]
    state["token_embedding.weight"] = table
    path = tmp_path_factory.mktemp("reference") / "clip.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="session")
def reference_backbone(reference_checkpoint: Path, shared_data: Path) -> Backbone:
    """The reference CLIP, with CLIP's real vocabulary."""
    return load_backbone(reference_checkpoint, device="cpu", tokenizer=shared_data / "clip_tokenizer" / "hf")


@pytest.fixture(scope="session")
def reference(shared_data: Path) -> dict[str, torch.Tensor]:
    """Inputs and outputs of the authors' code."""
    return load_file(shared_data / "golden" / "efficient_prompt" / "expected.safetensors")


@pytest.fixture(scope="session")
def reference_names(shared_data: Path) -> list[str]:
    """The ten class names of the reference."""
    return json.loads((shared_data / "golden" / "efficient_prompt" / "cases.json").read_text())["names"]
