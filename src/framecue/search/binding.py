"""What the vectors of an index were made with. Vectors of two bindings do not compare."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from framecue.errors import MomentIndexError
from framecue.types import Maker


@dataclass(frozen=True)
class Binding:
    """Everything that decides the vectors of an index, and those that it is asked with.

    Attributes:
        maker: of the frame features that the windows pool.
        text_cleaning: what the backbone does to a query before its tokenizer.
        adapter_id: name of the adapter, for people; "" where the frozen backbone alone made the vectors.
        adapter_hash: of the adapter's tensors; "" without one.
        windows: length and hop of a window as text, for example "4s/2s".
        embed_dim: numbers in a vector.
    """

    maker: Maker
    text_cleaning: str
    adapter_id: str
    adapter_hash: str
    windows: str
    embed_dim: int

    def difference(self, other: "Binding") -> list[str]:
        """Names of the deciding fields that differ (`backbone` and `adapter_id` are for people and do not decide)."""
        deciding = ("text_cleaning", "adapter_hash", "windows", "embed_dim")
        return self.maker.difference(other.maker) + [
            name for name in deciding if getattr(self, name) != getattr(other, name)
        ]


def binding_to_json(binding: Binding) -> str:
    return json.dumps(asdict(binding))


def binding_from_json(text: str) -> Binding:
    """
    Raises:
        KeyError, TypeError, ValueError: the text is no binding.
    """
    fields = json.loads(text)
    return Binding(**{**fields, "maker": Maker(**fields["maker"])})


def check_binding(binding: Binding) -> None:
    if binding.embed_dim < 1:
        raise MomentIndexError(f"A moment index needs vectors of at least 1 number, got {binding.embed_dim}.")


def mismatch(path: Path, stored: Binding, given: Binding) -> str:
    """Says in what two bindings differ, with both values, and what to do."""
    found = "; ".join(
        f"{name} is {_shorten(_value(stored, name))} there, {_shorten(_value(given, name))} here"
        for name in stored.difference(given)
    )
    return (
        f"Moment index {path} holds vectors of another model (there {_words(stored)}, here {_words(given)}), and the "
        f"two do not compare: {found}; ask it with the model that it was made with, or make another index."
    )


def _value(binding: Binding, name: str) -> str:
    return str(getattr(binding, name) if hasattr(binding, name) else getattr(binding.maker, name))


def _words(binding: Binding) -> str:
    return binding.maker.backbone + (f" with adapter {binding.adapter_id!r}" if binding.adapter_hash else "")


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:12]!r}..."
