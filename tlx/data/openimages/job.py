"""A whole download of a subset, which goes on where it was stopped, whatever stopped it."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from tlx.common.download import DownloadError, Patience, refuse_full, resume
from tlx.common.errors import ConfigError, DataError
from tlx.common.files import read_json, remove_partials, write_atomically, write_json
from tlx.common.progress import progress
from tlx.data.openimages.boxes import (
    Images,
    Row,
    Rule,
    matching,
    read_chosen,
    refuse_other_header,
    write_chosen,
)
from tlx.data.openimages.choose import Splits, at_most_boxes, at_most_images
from tlx.data.openimages.layout import (
    DESCRIPTIONS,
    SPLITS,
    SUMMARY,
    WORK,
    Servers,
    boxes_file,
    chosen_file,
)
from tlx.data.openimages.names import find_classes, read_descriptions
from tlx.data.openimages.pictures import (
    LeftOut,
    Picture,
    fetch_pictures,
    mean_size,
    missing,
    picture_path,
)
from tlx.data.openimages.statistics import statistics

log = logging.getLogger(__name__)

_SLACK = 1.05  # of the estimate: files end within blocks of the disk


@dataclass(frozen=True)
class Request:
    """Which subset: all that decides what is in its folder.

    Attributes:
        classes: names in the order of their labels, in any case. max_images, max_boxes_per_class:
            see `tlx.data.openimages.choose`; None is all.
    """

    classes: tuple[str, ...]
    splits: tuple[str, ...] = SPLITS
    rule: Rule = field(default_factory=Rule)
    max_images: int | None = None
    max_boxes_per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := [split for split in self.splits if split not in SPLITS]:
            raise ConfigError(f"splits={unknown[0]} is none of {', '.join(SPLITS)}")
        limits = {
            "max_images": self.max_images,
            "max_annotations_per_class": self.max_boxes_per_class,
        }
        for key, limit in limits.items():
            if limit is not None and limit < 1:
                raise ConfigError(f"{key}={limit} must be at least 1")


@dataclass(frozen=True)
class Source:
    """Where from, how patiently, and where the boxes of all classes are kept.

    Attributes:
        kept: a folder that all subsets share: the boxes of train alone are 1.2 GB.
        workers: pictures that come at a time.
    """

    kept: Path
    servers: Servers = field(default_factory=Servers)
    patience: Patience = field(default_factory=lambda: Patience(retries=8))
    workers: int = 10


def subset(request: Request, source: Source, work: Path | None = None) -> Splits:
    """The pictures of a subset and their boxes by class; no picture is fetched.

    Args:
        work: a folder for the boxes of these classes, to be read instead the next time.

    Raises:
        ConfigError: an unknown class. DataError: a damaged file. DownloadError: no server.
    """
    classes = find_classes(request.classes, read_descriptions(_annotation(DESCRIPTIONS, source)))
    splits: Splits = {}
    for split in request.splits:
        images = splits[split] = Images()
        for row in _rows(split, classes, request, source, work):
            images.add(row[0], row[-1])
    if not any(splits.values()):
        raise DataError(f"no picture of Open Images has a box of {', '.join(classes)}")
    if request.max_boxes_per_class is not None:
        splits = at_most_boxes(splits, request.max_boxes_per_class, request.seed)
    if request.max_images is not None:
        splits = at_most_images(splits, request.max_images, request.seed)
    return splits


def download(request: Request, root: Path, source: Source) -> dict[str, Any]:
    """Fetch a subset into `root`; what `download.json` then holds.

    A finished one is left as it is. Processes that want the same folder wait for one another.

    Raises:
        ConfigError: an unknown class. DataError: a damaged file, or pictures that are refused.
        DownloadError: the network has gone; what came is kept. StorageError: no room.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        if (done := finished(request, root)) is not None:
            log.info("%s is complete already", root)
            return done
        remove_partials(root)
        work = root / WORK
        work.mkdir(exist_ok=True)
        splits = subset(request, source, work)
        wanted = [(split, image) for split, images in splits.items() for image in images]
        left_out = _fetch(root, wanted, source)
        return _finish(request, root, source, splits, left_out)


def finished(request: Request, root: Path) -> dict[str, Any] | None:
    """What `download.json` says of this very request, where it is done and its pictures are there.

    The pictures are looked for, not read.
    """
    path = root / SUMMARY
    if not path.is_file():
        return None
    try:
        summary = read_json(path)
        same = summary["request"] == _plain(request)
        wanted = [
            (split, image)
            for split in request.splits if same
            for image in dict.fromkeys(row[0] for row in read_chosen(root / chosen_file(split)))
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if same and not missing(root, wanted) else None


def _fetch(root: Path, wanted: Sequence[Picture], source: Source) -> list[LeftOut]:
    to_come = missing(root, wanted)
    if not to_come:
        return []
    mean, asked = mean_size(source.servers, to_come, source.patience)
    needed = int(mean * len(to_come) * _SLACK)
    log.info(
        "%d pictures to come, about %.2f GB (%d kB each, %s); %d are here; %.1f GB are free",
        len(to_come), needed / 1e9, mean / 1e3,
        f"the mean of {asked} that were asked for" if asked else "as in a set that is known",
        len(wanted) - len(to_come), shutil.disk_usage(root).free / 1e9,
    )  # fmt: skip
    refuse_full(root, needed)
    for split in dict.fromkeys(split for split, _ in wanted):
        (root / split).mkdir(exist_ok=True)
    with progress("fetching pictures", len(wanted)) as bar:
        return fetch_pictures(
            root, source.servers, to_come, source.patience, source.workers,
            lambda done: bar(len(wanted) - len(to_come) + done), len(wanted),
        )  # fmt: skip


def _finish(
    request: Request, root: Path, source: Source, splits: Splits, left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    """Write the chosen boxes, without those of pictures that could not be had, and the summary."""
    gone = {(each.split, each.image) for each in left_out}
    here: dict[str, Images] = {}
    for split, images in splits.items():
        kept = [image for image in images if (split, image) not in gone]
        here[split] = images.only(kept)
        rows = (row for row in read_chosen(_work_file(root / WORK, split))
                if row[0] in here[split])  # fmt: skip
        _write(rows, root / chosen_file(split))
    descriptions = _annotation(DESCRIPTIONS, source)
    write_atomically(root / DESCRIPTIONS, lambda part: _copy(descriptions, part))
    summary = {
        "version": 1,
        "set": "Open Images",
        "request": _plain(request),
        "classes": list(find_classes(request.classes, read_descriptions(descriptions))),
        "annotations": source.servers.annotations,
        "pictures": source.servers.pictures,
        "statistics": statistics(here),
        "left_out": [asdict(each) for each in left_out],
    }
    write_json(root / SUMMARY, summary)
    shutil.rmtree(root / WORK, ignore_errors=True)
    for each in left_out:
        log.warning("left out: %s: %s", picture_path(root, (each.split, each.image)), each.reason)
    return summary


def _rows(
    split: str, classes: Mapping[str, str], request: Request, source: Source, work: Path | None
) -> Iterator[Row]:
    """The boxes of these classes; with a folder to work in, from what was found there before."""
    if work is None:
        yield from _matching(_annotation(boxes_file(split), source, split), classes, request.rule)
        return
    found, about = _work_file(work, split), work / f"{split}.json"
    asked = {"classes": dict(classes), "rule": asdict(request.rule),
             "annotations": source.servers.annotations}  # fmt: skip
    if not (found.is_file() and _read(about) == asked):
        about.unlink(missing_ok=True)
        path = _annotation(boxes_file(split), source, split)
        _write(_matching(path, classes, request.rule), found)
        write_json(about, asked)
    yield from read_chosen(found)


def _matching(path: Path, classes: Mapping[str, str], rule: Rule) -> Iterator[Row]:
    with progress(f"reading {path.name}", path.stat().st_size or 1) as advance:
        yield from matching(path, classes, rule, advance)


def _annotation(name: str, source: Source, split: str = "") -> Path:
    """A file of the annotations on this machine, fetched where it is not here yet."""
    servers = source.servers
    if servers.local is not None:
        places = [servers.local / name, servers.local / split / name]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise DataError(f"annotations={servers.annotations}: there is no {name} in it")
        return found
    base = servers.annotations.rstrip("/")
    folder = source.kept / re.sub(r"[^\w.]+", "-", base.partition("://")[2], flags=re.ASCII)
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        if not path.is_file():
            url = "/".join(part for part in (base, split, name) if part)
            log.info("fetching %s, which is kept in %s", url, folder)
            partial = folder / f"{name}.partial"
            try:
                resume(url, partial, source.patience)
            except DownloadError as error:
                raise DownloadError(
                    f"{url} could not be fetched: {error}. Start it again, and it goes on where "
                    f"it was; or put the file at {path}"
                ) from error
            _refuse_other(url, name, partial)
            partial.replace(path)
    return path


def _refuse_other(url: str, name: str, came: Path) -> None:
    """A page to log in on, kept as the file, would stand in the way of every later download."""
    try:
        if name == DESCRIPTIONS:
            read_descriptions(came)
        else:
            refuse_other_header(came)
    except DataError as error:
        came.unlink()
        told = str(error).removeprefix(str(came)).lstrip(":0123456789 ")
        raise DownloadError(
            f"what came from {url} is not the file: {told}. It is not kept: is the address right, "
            "or does a page to log in on stand before it?"
        ) from error


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    lock = FileLock(root / f"{WORK}.lock")
    with lock:
        yield


def _work_file(work: Path, split: str) -> Path:
    return work / f"{split}.csv"


def _write(rows: Iterator[Row], path: Path) -> None:
    write_atomically(path, lambda part: write_chosen(rows, part))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _plain(request: Request) -> dict[str, Any]:
    """As JSON has it, so that two can be compared."""
    values = asdict(request)
    return values | {
        "classes": [name.casefold() for name in request.classes], "splits": list(request.splits)
    }  # fmt: skip
