"""A folder of videos that can be searched: `framecue.open_index(...)` gives a `Collection`, which can grow."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from framecue.api.index_folder import (
    CollectionSettings,
    check_new_folder,
    copy_adapter,
    has_collection,
    read_settings,
    write_settings,
)
from framecue.api.index_model import IndexModel, backbone_id, check_store, make_binding
from framecue.api.index_run import IndexSummary
from framecue.api.index_writer import IndexWriter, OnProgress
from framecue.api.predictor import DEFAULT_BACKBONE, Predictor, adapter_folder, load
from framecue.api.progress import BuildProgress, read_progress
from framecue.api.queries import cover, read_query
from framecue.backbone import Backbone
from framecue.errors import MakerMismatchError, UsageError
from framecue.features.store import FeatureStore
from framecue.search import Filter, IndexStatus, MomentIndex
from framecue.tasks.index_rules import IndexRules
from framecue.tasks.matching import Floors
from framecue.tasks.moments import HOP_SECONDS, WINDOW_SECONDS, check_windows
from framecue.tasks.scanning import absolute
from framecue.tasks.searching import find_moments
from framecue.types import MetadataValue, ScoreCurves, SearchResult
from framecue.video.files import FolderRules
from framecue.video.source import Decoding


@dataclass(frozen=True)
class CollectionStatus:
    """What an index holds, of what it is made, and who is at work.

    Attributes:
        roots: files and folders that were added.
        excluded: taken out again, though under a root.
        rules: what is excluded and included below a root, where that was said.
        backbone, adapter: that made the vectors; adapter "" without one.
        building: a writer at work now, in this process or another.
    """

    index: IndexStatus
    roots: Sequence[Path]
    excluded: Sequence[Path]
    rules: Mapping[Path, FolderRules]
    backbone: str
    adapter: str
    window_seconds: float
    hop_seconds: float
    building: BuildProgress | None


def open_index(
    folder: str | Path,
    *,
    adapter: str | Path | None = None,
    backbone: str | Path | Backbone | None = None,
    device: str = "auto",
    create: bool = False,
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
    store: str | Path | None = None,
) -> "Collection":
    """Open an index of moments; it remembers what it was made with, so that nothing has to be said twice.

    Args:
        folder: of the index.
        adapter, backbone: what makes the vectors of a new index; for one that exists they must be the same, or None.
        device: where the towers run; they are loaded when they are needed first.
        create: make the index if there is none.
        window_seconds, hop_seconds: length of a moment and from one to the next, of a new index; None = 4 and 2.
        store: folder of frame features (`framecue extract`); videos that are in it, by their content, are not decoded
            again. A new index takes its rate of frames.

    Raises:
        MomentIndexError: there is none, or it is damaged, or the folder holds other things.
        MakerMismatchError: it, or the store, was made with another model or other windows.
        StoreError: there is no such store.
        AdapterError, BackboneError: what a new index is to be made with cannot be loaded.

    Example:
        >>> import framecue
        >>> index = framecue.open_index("index", backbone="tiny", create=True)  # doctest: +SKIP
        >>> index.add(["videos"]).added  # doctest: +SKIP
        12
        >>> index.search("a red circle", top_k=1).moments[0].start_seconds  # doctest: +SKIP
        4.0
    """
    path = Path(folder)
    features = None if store is None else FeatureStore.read_only(store)
    if create and not has_collection(path):
        return _create(path, adapter, backbone, device, window_seconds, hop_seconds, features)
    settings = read_settings(path)
    collection = Collection(MomentIndex.open(path), settings, device=device, store=features)
    collection.model.check(adapter=adapter, backbone=backbone)
    if features is not None:
        check_store(features, collection.index.binding, path)
    if window_seconds not in (None, settings.window_seconds) or hop_seconds not in (None, settings.hop_seconds):
        asked = (("window", window_seconds), ("hop", hop_seconds))
        found = [f"{name} {value:g} s" for name, value in asked if value is not None]
        raise MakerMismatchError(
            f"Moment index {path} has windows of {settings.window_seconds:g} s at every {settings.hop_seconds:g} s, "
            f"found {' and '.join(found)}; leave that out, or name another --index."
        )
    return collection


def _create(
    folder: Path,
    adapter: str | Path | None,
    backbone: str | Path | Backbone | None,
    device: str,
    window_seconds: float | None,
    hop_seconds: float | None,
    store: FeatureStore | None,
) -> "Collection":
    window = WINDOW_SECONDS if window_seconds is None else window_seconds
    hop = min(HOP_SECONDS, window) if hop_seconds is None else hop_seconds
    check_windows(window, hop)
    check_new_folder(folder)
    source = None if adapter is None else adapter_folder(adapter)
    predictor = load(source, backbone=backbone, device=device)
    if isinstance(backbone, Backbone):
        made_with = backbone.name
    else:
        made_with = backbone_id(backbone or (predictor.card.backbone if predictor.card else DEFAULT_BACKBONE))
    settings = CollectionSettings(made_with, "" if adapter is None else str(adapter), window, hop)
    binding = make_binding(predictor, settings, source, sampling=None if store is None else store.maker.sampling)
    if store is not None:
        check_store(store, binding, folder)
    if source is not None:
        copy_adapter(source, folder)
    index = MomentIndex.create(folder, binding)
    write_settings(folder, settings)  # comes last: an index with settings is whole
    return Collection(index, settings, device=device, predictor=predictor, store=store)


class Collection:
    """Videos that can be searched by sentence, image or example. Made by `open_index`.

    Threads may share it for searching; one writer at a time adds, removes and refreshes, in this process or another.

    Args:
        index: the vectors.
        settings: how they are made.
        predictor: None = loaded when it is needed.
        store: frame features of videos that need not be decoded, of the index's own making; None = of none.

    Attributes:
        model: loads what made the vectors.
        rules: how similarity becomes a score.
    """

    def __init__(
        self,
        index: MomentIndex,
        settings: CollectionSettings,
        *,
        device: str = "auto",
        predictor: Predictor | None = None,
        store: FeatureStore | None = None,
    ) -> None:
        self.index, self._store = index, store
        self.model = IndexModel(index.path, index.binding, settings, device=device, predictor=predictor)
        self.rules = IndexRules(index, lambda: self.model.encoder, self.model.learned_rule())

    @property
    def folder(self) -> Path:
        """The index's own."""
        return self.index.path

    @property
    def roots(self) -> tuple[Path, ...]:
        """Absolute files and folders that were added, as another process may have left them by now."""
        return read_settings(self.folder).sources.roots

    @property
    def predictor(self) -> Predictor:
        """The model that made the vectors; loaded now if it was not yet.

        Raises:
            BackboneError, AdapterError: it cannot be loaded.
            MakerMismatchError: what is there under its name now makes other vectors.
        """
        return self.model.predictor

    def add(
        self,
        sources: Iterable[str | Path],
        *,
        metadata: Mapping[str, Mapping[str, MetadataValue]] | Mapping[Path, Mapping[str, MetadataValue]] | None = None,
        rules: FolderRules | None = None,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        decoding: Decoding | None = None,
    ) -> IndexSummary:
        """Index videos, and folders of them at any depth, which are roots from now on.

        Files that are unchanged by path, size and time are passed over, and then those whose content is known: moved
        ones only get their new path. Changed files take the place of what they were. What is finished is committed
        every few seconds; the same call goes on after an interruption.

        Args:
            metadata: columns by path, or by file name with or without its ending where that names one file alone.
            rules: patterns of what is excluded in the sources, and included all the same; kept with them, so that a
                refresh uses them again, until others are given. None = those kept, or none.
            on_progress: called from the threads that read, never two at a time.
            stop: set it in another thread to end early, with the summary of what was done.
            decoding: how files are read; None = the usual way. A stream that was asked for is kept with the video.

        Raises:
            DatasetError: a source is not there, or a folder without any video that is not excluded.
            MomentIndexError: another writer is at work, or the disk is full; what was committed is kept.
        """
        columns = {str(key): dict(value) for key, value in (metadata or {}).items()}
        return self._writer(on_progress, stop, decoding).add(_starts(sources), columns, rules)

    def refresh(
        self,
        *,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        decoding: Decoding | None = None,
    ) -> IndexSummary:
        """Look at all roots again: new, changed and moved files as in `add`, and deleted ones are dropped.

        A root that is gone as a whole, or empty now, may be a disk that is not mounted: what is indexed under it is
        kept, and it is listed as unreachable. `remove` drops it.

        Raises:
            MomentIndexError: as `add`.
        """
        return self._writer(on_progress, stop, decoding).refresh()

    def remove(self, sources: Iterable[str | Path]) -> int:
        """Take out files and folders; says how many videos went. Their files are not touched.

        When it returns, nothing of them is left in any version or file of the index folder, but for their paths where
        they stay out when a folder around them is refreshed, until they are added again. A video of which a copy lies
        elsewhere in the index stays, under that path.

        Raises:
            MomentIndexError: nothing of a source is in the index, another writer is at work, or the disk is full: then
                they are in no answer any more, and the next writer clears what is left.
        """
        return self._writer().remove(_starts(sources))

    def status(self) -> CollectionStatus:
        """Counts, sources, and a writer at work; needs no model."""
        settings = read_settings(self.folder)
        return CollectionStatus(
            index=self.index.status(),
            roots=settings.sources.roots,
            excluded=settings.sources.excluded,
            rules=settings.sources.rules,
            backbone=settings.backbone,
            adapter=settings.adapter,
            window_seconds=settings.window_seconds,
            hop_seconds=settings.hop_seconds,
            building=read_progress(self.folder),
        )

    def search(
        self,
        text: str | None = None,
        *,
        image: str | Path | Image.Image | None = None,
        video: str | Path | None = None,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        top_k: int = 10,
        where: Filter | None = None,
        min_score: float | None = None,
        merge: bool = True,
    ) -> SearchResult:
        """Moments that show what is asked for, best first; exactly one of `text`, `image` and `video`.

        Args:
            text: what is to be seen, a sentence.
            image: a file, or a picture.
            video: a file, or the id of an indexed video, which is then not among its own answers.
            start_seconds, end_seconds: the part of `video` that is meant.
            top_k: how many to give.
            where: videos that are searched; None = all.
            min_score: least score of a match; None = as likely as not or, of a text, better than sentences about other
                things do in this index.
            merge: make one moment of overlapping ones; False = single windows.

        Raises:
            UsageError: none or several of the three, or numbers that mean nothing.
            PromptTooLongError: the text does not fit the text tower.
            VideoError: a file cannot be read.
            MomentIndexError: the filter does not fit the index.
        """
        if top_k < 1:
            raise UsageError(f"top_k must be at least 1, found {top_k}.")
        query = read_query(
            self.index,
            lambda: self.model.encoder,
            text=text,
            image=image,
            video=video,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
        )
        floors = self.rules.floors_of_texts() if text is not None else Floors()
        return find_moments(
            self.index,
            query.vectors,
            words=query.words,
            rule=self.rules.for_texts() if text is not None else self.rules.for_examples(),
            top_k=top_k,
            where=where,
            min_score=floors.match if min_score is None else min_score,
            absent_below=floors.absent,
            merge=merge,
            exclude=query.exclude,
        )

    def curves(self, video_id: str, labels: Iterable[str]) -> ScoreCurves:
        """How surely each label is seen at each time of an indexed video, from its stored moments.

        Raises:
            MomentIndexError: it is not in the index.
            UsageError: no labels, or one without words.
            PromptTooLongError: a label does not fit the text tower.
        """
        names = () if isinstance(labels, str) else tuple(labels)
        if not names:
            raise UsageError(f"labels must be a list of at least one name, found {labels!r:.60}.")
        stored = self.index.vectors(video_id)
        similarity = stored.vectors @ self.model.encoder.texts(names).T
        return cover(stored.spans, self.rules.for_texts().score(similarity, self.index.status().num_moments), names)

    def _writer(
        self,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        decoding: Decoding | None = None,
    ) -> IndexWriter:
        return IndexWriter(
            self.index, self.model, store=self._store, on_progress=on_progress, stop=stop, decoding=decoding
        )

    def __repr__(self) -> str:
        status = self.index.status()
        return f"Collection({self.folder}, {status.num_videos} videos, {status.num_moments} moments)"


def _starts(sources: Iterable[str | Path]) -> list[Path]:
    starts = absolute([sources] if isinstance(sources, str | Path) else sources)
    if not starts:
        raise UsageError("There are no sources; name video files, or folders of them.")
    return starts
