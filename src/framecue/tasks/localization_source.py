"""The annotated videos of a run, as its ground truth and its folder of videos have them, before they are parted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from framecue.config import RunConfig
from framecue.datasets.localization import GroundTruth, match_files, read_ground_truth
from framecue.datasets.naming import shorten
from framecue.datasets.part_times import refuse_most_outside
from framecue.datasets.presence import real_paths
from framecue.errors import DatasetError
from framecue.types import AnnotatedVideo, Record, Skipped

GROUND_TRUTH = "ground_truth.json"


@dataclass(frozen=True)
class LocalizationSource:
    """Annotated videos by subset, as the ground truth names them and the folder of videos has them.

    Attributes:
        videos: of each subset that the run reads, those with a file.
        known: every name of these subsets.
        skipped: videos without a file.
        notes: what reading left out or changed.
    """

    videos: dict[str, list[AnnotatedVideo]]
    known: list[str]
    skipped: list[Skipped]
    notes: list[str]

    @property
    def records(self) -> list[Record]:
        """Every file, unlabelled."""
        return [Record(video.path, None) for part in self.videos.values() for video in part if video.path is not None]

    @classmethod
    def of(cls, videos: Mapping[str, list[AnnotatedVideo]]) -> "LocalizationSource":
        """Videos that were read already."""
        return cls(dict(videos), [], [], [])

    def only(self, subset: str | None) -> "LocalizationSource":
        """The videos of one subset, or all where there is no such."""
        return replace(self, videos={subset: self.videos[subset]}) if subset in self.videos else self

    def readable(self, hashes: Mapping[Path, str]) -> tuple[dict[str, list[AnnotatedVideo]], list[str]]:
        """The videos of each subset that have a content hash, each content once; and a note where some had two names.

        Raises:
            DatasetError: files of the same content are in two subsets.
        """
        return _once_each(
            {name: [video for video in part if video.path in hashes] for name, part in self.videos.items()}, hashes
        )


def read_localization_source(config: RunConfig, *, subsets: Sequence[str] | None = None) -> LocalizationSource:
    """The annotated videos of a run's subsets.

    Args:
        subsets: others than those that the config names.

    Raises:
        DatasetError: the ground truth or the folder of videos cannot be used, most segments lie outside their videos,
            or two subsets hold the same video.
    """
    wanted, source = config.localization, ground_truth_path(config)
    named = subsets or named_subsets(config)
    # What reaches out of a video is cut to it where it is learned, and kept as it is where it is to be found.
    truths = {name: _read(config, source, name, clip=name == wanted.train_subset) for name in dict.fromkeys(named)}
    _refuse_shared(truths, source)
    files = {name: match_files(truth.videos, config.data.source) for name, truth in truths.items()}
    skipped = [item for _, absent in files.values() for item in absent]
    matched = [video for videos, _ in files.values() for video in videos]
    _require_files(config, skipped, matched)
    paths = {video.video_id: video.path for video in matched}
    outside = [part._replace(path=paths.get(name)) for truth in truths.values() for name, part in truth.outside]
    learned = truths.get(wanted.train_subset)
    num_cut = 0 if learned is None else len(learned.outside)  # these were left out already
    refuse_most_outside(outside, num_cut + sum(truth.num_segments for truth in truths.values()), "segments")
    videos = {name: list(found) for name, (found, _) in files.items()}
    real = real_paths(video.path for part in videos.values() for video in part if video.path is not None)
    videos, repeated = _once_each(videos, real)
    return LocalizationSource(
        videos,
        sorted({label for truth in truths.values() for label in truth.labels}),
        skipped,
        [*dict.fromkeys(line for truth in truths.values() for line in truth.notes), *repeated],
    )


def named_subsets(config: RunConfig) -> list[str]:
    """Those that a run reads."""
    wanted = config.localization
    return [wanted.train_subset, *filter(None, (wanted.val_subset, wanted.test_subset))]


def ground_truth_path(config: RunConfig) -> Path:
    """`data.annotations`, or ground_truth.json in the folder of videos.

    Raises:
        DatasetError: neither is there.
    """
    path = config.data.annotations or config.data.source / GROUND_TRUTH
    if not path.exists():
        raise DatasetError(
            f"{path} must be the ground truth of localization, found nothing there; name it in data.annotations."
        )
    return path


def _once_each(
    videos: Mapping[str, Sequence[AnnotatedVideo]], file_of: Mapping[Path, str]
) -> tuple[dict[str, list[AnnotatedVideo]], list[str]]:
    """Each file once, with all the segments that its entries give it; and a note where there were several.

    Args:
        file_of: of each path what tells its file from others: the path behind all links, or the hash of its content.

    Raises:
        DatasetError: one file is in two subsets.
    """
    kept: dict[str, list[AnnotatedVideo]] = {name: [] for name in videos}
    place: dict[str, tuple[str, int]] = {}
    repeated: list[str] = []
    for name, part in videos.items():
        for video in part:
            assert video.path is not None  # match_files
            owner, row = place.setdefault(file_of.get(video.path, str(video.path)), (name, len(kept[name])))
            if owner == name and row == len(kept[name]):
                kept[name].append(video)
                continue
            other = kept[owner][row]
            if owner != name:
                raise DatasetError(
                    f"{video.origin}: {video.video_id} in '{name}' is the same video as {other.video_id} in '{owner}' "
                    f"({other.path}). Keep each video in one part, or results will be too good."
                )
            segments = tuple(dict.fromkeys((*other.segments, *video.segments)))
            kept[name][row] = replace(other, segments=segments)
            repeated.append(f"{video.video_id} as {other.video_id}")
    if not repeated:
        return kept, []
    return kept, [f"Videos given under two names, which count once: {len(repeated)} ({shorten(repeated, 3)})."]


def _read(config: RunConfig, source: Path, subset: str, *, clip: bool) -> GroundTruth:
    wanted = config.localization
    return read_ground_truth(
        source,
        subset=subset,
        deduplicate=wanted.deduplicate,
        clip=clip,
        blocked=wanted.blocked,
        thumos_test=wanted.thumos_test,
        one_spelling=True,
    )


def _require_files(config: RunConfig, skipped: Sequence[Skipped], found: Sequence[AnnotatedVideo]) -> None:
    if not skipped:
        return
    first = f"{skipped[0].path.name}: {skipped[0].reason}"
    if not found:
        raise DatasetError(f"None of the {len(skipped)} annotated videos is there ({first}); check data.source.")
    if config.data.missing == "error":
        raise DatasetError(
            f"{len(skipped)} of the {len(skipped) + len(found)} annotated videos are missing ({first}). "
            "Fix the files, or set data.missing=skip to go on without them."
        )


def _refuse_shared(truths: Mapping[str, GroundTruth], source: Path) -> None:
    """No video may be learned from and chosen or measured with."""
    owner: dict[str, str] = {}
    for name, truth in truths.items():
        for video in truth.videos:
            other = owner.setdefault(video.video_id, name)
            if other != name:
                raise DatasetError(
                    f"{source}: video {video.video_id} is in both '{other}' and '{name}'; localization's train_subset, "
                    "val_subset and test_subset must not share videos."
                )
