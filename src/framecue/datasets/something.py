"""Something-Something v2 in its official JSON files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framecue.datasets.faults import DataFaultError, Report, refuse
from framecue.datasets.file_index import FileIndex
from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import read_head
from framecue.datasets.naming import ClassNames, class_key
from framecue.datasets.part_files import part_files
from framecue.errors import DatasetError
from framecue.types import Record


def read_something(videos: Path, annotations: Path, *, report: Report = refuse) -> list[Record]:
    """Lists of `{"id", "label", "template", "placeholders"}`: one file, or train, validation and test in a folder.

    The class is the template without its brackets ("Putting something on something"); where the list of labels lies
    beside the files (`*labels.json`), it must be in that. A video is `<id>.webm`, or another ending, in any folder
    below `videos`. The test part has no labels.

    Raises:
        DatasetError: the files are not there, or (by the report) an entry cannot be understood ("file:line").
    """
    index, names = FileIndex(videos), ClassNames(report)
    files = part_files(annotations, (".json",), is_something)
    known = {
        path: {class_key(key or "") for _, key, _ in read_json_items(path)}
        for path in sorted(files[0][0].parent.glob("*labels.json"))
    }
    records: list[Record] = []
    for path, part in files:
        try:
            for origin, _, item in read_json_items(path):
                try:
                    records.append(_record(item, origin, part, names, index))
                    _check_label(records[-1], known)
                except DatasetError as error:
                    report(error)
        except DatasetError as error:
            report(error)
    if not records:
        raise DatasetError(f"{annotations} lists no videos. Restore the official files.")
    return records


def is_something(path: Path) -> bool:
    """Whether the beginning of a file looks like a list of Something-Something's videos."""
    if path.suffix.lower() != ".json":
        return False
    head = read_head(path)
    return head.startswith("[") and '"id"' in head


def _record(item: Any, origin: str, part: str | None, names: ClassNames, index: FileIndex) -> Record:
    video = item.get("id") if isinstance(item, Mapping) else None
    if isinstance(video, int) and not isinstance(video, bool):
        video = str(video)
    if not isinstance(video, str) or not video.strip():
        raise DatasetError(f"{origin}: an entry must have an id and, but for test, a template. Restore the file.")
    template = item.get("template")
    if template is None and part != "test":
        raise DatasetError(f"{origin}: video {video} has no template, which names its class. Restore the file.")
    if template is not None and not isinstance(template, str):
        raise DatasetError(f"{origin}: the template must be text, found {template!r}. Restore the file.")
    label = None if template is None else names.add(template.replace("[", "").replace("]", ""), origin)
    path = index.find(video.strip(), label=label, part=part)
    return Record(path or index.folder / f"{video.strip()}.webm", label, part, origin=origin)


def _check_label(record: Record, known: Mapping[Path, set[str]]) -> None:
    for path, keys in known.items():
        if record.label is not None and class_key(record.label) not in keys:
            raise DataFaultError(
                "class", f"{record.origin}: class '{record.label}' is not in {path}. Use files of one release."
            )
