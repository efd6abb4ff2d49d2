"""What of a run may be measured now: its videos told by their content, and what became of them since.

A file that was held out stays held out, and one that was trained on stays trained on, whatever it is called or wherever
it lies now. What is not as it was is named and left out. Pure: present and remembered videos in, rows and words out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framecue.config import TaskName
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError
from framecue.models.seen import Said, Seen, SeenVideo

NEW_DATA = "new data"
"""Name in a results file of a part that no run knows."""

_NAMED = 10  # of each kind, in a results file


@dataclass(frozen=True)
class HeldOut:
    """The present data as the run knows it.

    Attributes:
        part: what is to be measured on trained names: "test", "val" where the run had no test part, `NEW_DATA`.
        rows: of each part of the run, rows of the present data that are what they were then, in the order of then.
        sizes: of each part, how many videos it had.
        changes: what is not as it was: kind -> names, of `CHANGES`; kinds without any are left out.
    """

    part: str
    rows: Mapping[str, list[int]]
    sizes: Mapping[str, int]
    changes: Mapping[str, list[str]]

    @property
    def is_new(self) -> bool:
        """Whether the run knows none of the present videos."""
        return self.part == NEW_DATA

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Of each part to be measured: how many videos are, of how many."""
        names = [] if self.is_new else [name for name in (self.part, "novel") if self.sizes[name]]
        return {name: {"measured": len(self.rows[name]), "of": self.sizes[name]} for name in names}

    def is_whole(self, part: str) -> bool:
        """Whether all of a part is as it was."""
        return not self.is_new and len(self.rows[part]) == self.sizes[part]

    def to_json(self) -> dict[str, Any]:
        """For a results file; empty where all is as it was."""
        if self.is_new:
            return {"known_to_the_run": 0}
        if not self.changes:
            return {}
        kinds = {kind: {"count": len(names), "first": names[:_NAMED]} for kind, names in self.changes.items()}
        return {"held_out": self.counts, **kinds}

    def lines(self) -> list[str]:
        """For people, one for each kind of change; none where all is as it was."""
        if self.is_new:
            return ["The run knows none of these videos; they are measured as new data."]
        lines = [
            CHANGES[kind].format(count=len(names), names=shorten(names, 3)) for kind, names in self.changes.items()
        ]
        short = [
            f"{count['measured']} of {count['of']} {'held-out' if name == self.part else 'novel'} videos"
            for name, count in self.counts.items()
            if count["measured"] < count["of"]
        ]
        return [*lines, *([f"The figures are over {' and '.join(short)}."] if short else [])]


CHANGES = {
    "renamed": "Under other names than in training, told by their content: {count} ({names}).",
    "missing": "Missing since training: {count} ({names}).",
    "other_content": "Other content under the same name than in training, not measured: {count} ({names}).",
    "other_annotation": "Annotated in another way than in training, not measured: {count} ({names}).",
    "added": "Added since training, not measured: {count} ({names}).",
}


def tell_since(
    results: dict[str, Any], then: Mapping[str, Any], held_out: HeldOut, more: Sequence[str] = ()
) -> dict[str, Any]:
    """Results of a measurement, with what the training was and what became of its data since; in place.

    Where all is as it was, they are those of the run itself, byte for byte.

    Args:
        then: the results of the run.
        more: further lines for people.
    """
    protocol = then.get("protocol", {})
    of_training = ("num_train_videos", "num_train_segments", "num_val_videos", "departures")
    results["protocol"] |= {name: protocol[name] for name in of_training if name in protocol}
    account, lines = held_out.to_json(), [*held_out.lines(), *more]
    if account or lines:
        results["data_since_training"] = {**account, "lines": lines}
        return results
    # What reading the training part left out is of the run, too.
    for now, before in ((results, then), (results["protocol"], protocol)):
        if "notes" in now and "notes" in before:
            now["notes"] = before["notes"]
    return results


def find_held_out(seen: Seen, now: Sequence[SeenVideo], *, where: str) -> HeldOut:
    """Compare what a run used with the data as they are now.

    Args:
        now: every annotated video of the data, whatever its part.
        where: the data, for messages.

    Raises:
        DatasetError: there are no videos, the labels or captions seem re-ordered, or nothing that was held out is left
            to be measured.
    """
    if not now:
        raise DatasetError(f"{where}: none of its videos is there. Say where they lie now: data.source=FOLDER.")
    known = seen.contents
    if not any(video.content_hash in known for video in now):
        return HeldOut(NEW_DATA, {}, {}, {})
    then = {video.key: video for part in seen.parts.values() for video in part}
    here: dict[Any, int] = {}
    for row, video in enumerate(now):
        here.setdefault(video.key, row)
    both = [(video, now[here[key]]) for key, video in then.items() if key in here]
    _refuse_reordered(seen, both, where)
    same = {old.key for old, new in both if old.annotation == new.annotation}
    held_out = HeldOut(
        part="test" if seen.test else "val",
        rows={name: [here[video.key] for video in part if video.key in same] for name, part in seen.parts.items()},
        sizes={name: len(part) for name, part in seen.parts.items()},
        changes=_changes(seen, then, now, both),
    )
    _require_something(held_out, seen, now, where)
    return held_out


def _changes(
    seen: Seen, then: Mapping[Any, SeenVideo], now: Sequence[SeenVideo], both: Sequence[tuple[SeenVideo, SeenVideo]]
) -> dict[str, list[str]]:
    known = {video.content_hash for video in then.values()}
    met, unused = {old.key for old, _ in both}, {video.key for video in seen.unused}
    gone = [video for key, video in then.items() if key not in met]
    come = [video for video in now if video.key not in met | unused]
    same_file = {video.content_hash: video for video in come if video.content_hash in known}
    same_name = {video.name for video in come if video.content_hash not in known}
    cut = [video for video in gone if video.content_hash in same_file]
    replaced = {video.name for video in gone if video not in cut and video.name in same_name}
    cut_hashes = {video.content_hash for video in cut}
    found = {
        "renamed": [new.name for old, new in both if old.name != new.name and old.annotation == new.annotation],
        "missing": [video.name for video in gone if video not in cut and video.name not in replaced],
        "other_content": sorted(replaced),
        "other_annotation": [
            *(f"{new.name}: {_how(seen.task, old, new)}" for old, new in both if old.annotation != new.annotation),
            *(f"{video.name}: {_span(video)} then, {_span(same_file[video.content_hash])} now" for video in cut),
        ],
        "added": [v.name for v in come if v.name not in replaced and v.content_hash not in cut_hashes],
    }
    assert found.keys() == CHANGES.keys()
    return {kind: list(dict.fromkeys(names)) for kind, names in found.items() if names}


def _how(task: TaskName, old: SeenVideo, new: SeenVideo) -> str:
    if task == "retrieval":
        return "other captions"
    changed = [(one.text, other.text) for one, other in _same_spans(old, new) if one != other]
    if changed:
        return "'{}' then, '{}' now".format(*changed[0])
    if len(old.annotation) == len(new.annotation):
        return "other times"
    return f"{len(old.annotation)} segments then, {len(new.annotation)} now"


def _span(video: SeenVideo) -> str:
    end = "its end" if video.end_seconds is None else f"{video.end_seconds:g} s"
    return f"{video.start_seconds or 0:g} s to {end}"


def _spans(video: SeenVideo) -> list[tuple[float | None, float | None]]:
    return [(said.start_seconds, said.end_seconds) for said in video.annotation]


def _refuse_reordered(seen: Seen, both: Sequence[tuple[SeenVideo, SeenVideo]], where: str) -> None:
    """
    Raises:
        DatasetError: labels have changed and each in one way alone, as a list of labels in another order does it; or
            most videos have captions that others had.
    """
    if seen.task == "retrieval":
        _refuse_shifted_captions(seen, both, where)
        return
    new_of: dict[str, set[str]] = defaultdict(set)
    for old, new in both:
        for one, other in _same_spans(old, new):
            new_of[one.text].add(other.text)
    changed = {old: next(iter(new)) for old, new in new_of.items() if new != {old}}
    targets = {name for new in new_of.values() for name in new}
    if not changed or any(len(new) > 1 for new in new_of.values()) or len(targets) < len(new_of):
        return
    first, instead = next(iter(changed.items()))
    likely = "the list of labels seems re-ordered" if targets == new_of.keys() else "the class seems renamed"
    raise DatasetError(
        f"{where}: every '{first}' of training is '{instead}' now, and {len(changed)} of {len(new_of)} labels have "
        f"changed like that: {likely}. Restore the labels, or train again."
    )


def _same_spans(old: SeenVideo, new: SeenVideo) -> Iterable[tuple[Said, Said]]:
    return zip(old.annotation, new.annotation, strict=True) if _spans(old) == _spans(new) else ()


def _refuse_shifted_captions(seen: Seen, both: Sequence[tuple[SeenVideo, SeenVideo]], where: str) -> None:
    owner = {video.annotation: video for part in seen.parts.values() for video in part}
    moved = [new for old, new in both if old.annotation != new.annotation and new.annotation in owner]
    if 2 * len(moved) > len(both):
        new = moved[0]
        raise DatasetError(
            f"{where}: {len(moved)} of {len(both)} videos have the captions now that others had in training, "
            f"{new.name} those of {owner[new.annotation].name}: the list of captions seems re-ordered. Restore it, or "
            "train again."
        )


def _require_something(held_out: HeldOut, seen: Seen, now: Sequence[SeenVideo], where: str) -> None:
    """
    Raises:
        DatasetError: nothing that was held out is there as it was.
    """
    if any(count["measured"] for count in held_out.counts.values()):
        return
    trained = [video.name for video in now if video.content_hash in seen.trained]
    if len(trained) == len(now):
        raise DatasetError(
            f"{where}: the adapter was trained on all {len(now)} videos there ({shorten(trained, 3)}), so that nothing "
            "can be measured. Name videos that it has not seen: data.source=FOLDER."
        )
    total = sum(count["of"] for count in held_out.counts.values())
    some = f" {len(trained)} others were trained on ({shorten(trained, 3)})." if trained else ""
    raise DatasetError(
        f"{where}: none of the {total} videos that were held out in training is there as it was. "
        f"{' '.join(held_out.lines()[:-1])}{some} Restore the data, or name videos that the adapter has not seen, and "
        "no others: data.source=FOLDER."
    )
