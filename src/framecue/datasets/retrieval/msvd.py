"""MSVD: 1,970 clips of YouTube videos with some 40 captions each."""

from collections.abc import Iterator
from pathlib import Path

from framecue.datasets.manifests import read_text
from framecue.datasets.naming import part_name
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.datasets.retrieval.simple import read_simple_json
from framecue.errors import DatasetError

_NAMES = ("captions_msvd.json", "captions.json", "raw-captions.json")
_ENDING = "_list.txt"


def read_msvd(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """`captions_msvd.json`, `{clip: [caption, ...]}`, parted by the `train_list.txt`, `val_list.txt`, `test_list.txt`
    beside it (1,200 / 100 / 670); clips in no list are left out and counted.

    The release's raw-captions.pkl is not read: unpickling runs whatever code a file holds.

    Raises:
        DatasetError: there are no captions or no lists, or a clip is in two of them.
    """
    captions = next((path / name for name in _NAMES if (path / name).is_file()), None) if path.is_dir() else path
    if captions is None:
        pickled = next(path.glob("*.pkl"), None)
        raise pickle_refusal(pickled) if pickled else DatasetError(f"{path}: {_NAMES[0]} is not there. Put it there.")
    part_of: dict[str, str] = {}
    for file in sorted(captions.parent.glob(f"*{_ENDING}")):
        part = part_name(file.name.removesuffix(_ENDING))
        for line in filter(None, map(str.strip, read_text(file).splitlines()) if part else ()):
            if part_of.setdefault(line, part or "") != part:
                raise DatasetError(f"{file}: '{line[:60]}' is in {part_of[line]} too. Restore the official lists.")
    if not part_of:
        raise DatasetError(
            f"{captions.parent}: train{_ENDING} and its like are not there. Put them beside the captions."
        )
    left_out: set[str] = set()
    for entry in read_simple_json(captions, notes):
        part = part_of.get(entry.video) if isinstance(entry.video, str) else None
        if part is not None:
            yield entry._replace(split=part)
        elif entry.video not in left_out:
            left_out.add(entry.video)
            notes.add("unlisted", f"{entry.origin}, {str(entry.video)[:60]}")


def is_msvd(folder: Path) -> bool:
    has_captions = any((folder / name).is_file() for name in _NAMES) or any(folder.glob("*captions*.pkl"))
    return has_captions and (folder / f"train{_ENDING}").is_file()


def pickle_refusal(path: Path) -> DatasetError:
    """Why a pickle is not read, and how it becomes what is read."""
    return DatasetError(
        f"{path}: a pickle can run any code, so it is not read. Convert one that you trust to JSON: python -c "
        "\"import json, pickle; c = pickle.load(open('raw-captions.pkl', 'rb'), encoding='latin-1'); "
        "json.dump({k: [' '.join(w) for w in v] for k, v in c.items()}, open('captions_msvd.json', 'w'))\""
    )
