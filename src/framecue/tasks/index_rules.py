"""The match rules of one moment index: for sentences, and for images and videos given as examples."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.errors import AdapterError
from framecue.search import MomentIndex
from framecue.tasks.matching import (
    OTHER_THINGS,
    UNRELATED_TEXTS,
    Floors,
    MatchRule,
    example_match_rule,
    frozen_match_rule,
    match_floors,
)
from framecue.tasks.moments import MomentEncoder


class IndexRules:
    """Rules as the newest version of the index asks for them; what is not learned is made of a sample of its moments.

    Args:
        encoder: gives the one that made the vectors; called when it is needed first.
        learned: `matching` of the adapter's card; None = not learned.

    Raises:
        AdapterError: `learned` is no match rule.
    """

    def __init__(
        self, index: MomentIndex, encoder: Callable[[], MomentEncoder], learned: Mapping[str, Any] | None = None
    ) -> None:
        self._index, self._encoder = index, encoder
        self._lock = threading.Lock()
        self._made: dict[str, tuple[int, MatchRule]] = {}
        self._floors: tuple[int, Floors] | None = None
        self._unrelated: npt.NDArray[np.float32] | None = None
        try:
            self._learned = None if learned is None else MatchRule.from_json(learned)
        except (ValueError, TypeError) as error:
            raise AdapterError(f"The adapter of moment index {index.path} has no usable {error}") from error

    def for_texts(self) -> MatchRule:
        """Learned with the adapter, else from the model's scale and sentences about other things."""
        return self._learned or self._newest("texts", self._from_unrelated)

    def for_examples(self) -> MatchRule:
        """Between what moments have in common and being the same."""
        return self._newest("examples", lambda: example_match_rule(self._index.background()))

    def floors_of_texts(self) -> Floors:
        """What a sentence must reach in this index to be a match, or not to be held for absent."""
        rule, status, known = self.for_texts(), self._index.status(), self._floors
        if known is None or known[0] != status.version:
            found = self._index.search(self._unrelated_texts()[: len(OTHER_THINGS)], top_k=1)
            best = [hits[0].similarity for hits in found.hits if hits]
            known = self._floors = (status.version, match_floors(rule.score(best, status.num_moments)))
        return known[1]

    def _unrelated_texts(self) -> npt.NDArray[np.float32]:
        if self._unrelated is None:  # while an index is being built, there is a new version every few seconds
            self._unrelated = self._encoder().texts(UNRELATED_TEXTS)
        return self._unrelated

    def _from_unrelated(self) -> MatchRule:
        encoder = self._encoder()
        scale = encoder.backbone.logit_scale if encoder.model is None else 1 / encoder.model.temperature
        return frozen_match_rule(self._unrelated_texts() @ self._index.background().T, scale)

    def _newest(self, name: str, make: Callable[[], MatchRule]) -> MatchRule:
        version = self._index.status().version
        with self._lock:
            known = self._made.get(name)
            if known is None or known[0] != version:
                known = self._made[name] = (version, make())
            return known[1]
