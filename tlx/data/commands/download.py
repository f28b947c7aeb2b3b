"""tlx.data download: a published set, whole or the classes of it that are wanted.

Usage
  python -m tlx.data download openimages classes=NAMES root=DIR [KEY=VALUE ...]
  python -m tlx.data download guns|ppe [root=DIR]

  root                       folder of the set (default for guns and ppe: where data=guns looks)
  classes                    names, commas between them, in any case; in quotes where a name has one
  stats_only                 true: count pictures and boxes and fetch no picture (default: false)
  max_images                 about so many pictures: splits and classes keep their shares
  max_annotations_per_class  at most so many boxes of each class, in whole pictures
  group_of                   boxes around a group count (default: true)
  depictions                 boxes of what is drawn or depicted count (default: false)
  splits                     of Open Images, with commas (default: train,validation,test)
  seed                       of the choice that a limit makes (default: 0)
  workers                    pictures at a time (default: 10)
  retries                    tries in a row, after one, that may fail (default: 8)
  backoff                    seconds before the second of them, then twice as long (default: 0.5)
  timeout                    seconds without a byte (default: 30)
  annotations                address, or folder, of the CSV files (default: Google's 2018_04)
  pictures                   address of the pictures (default: the bucket open-images-dataset)
  cache_dir                  keeps the boxes of all classes (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.data download openimages classes="Vehicle registration plate" stats_only=true
  python -m tlx.data download openimages classes=Apple,Orange root=/data/fruit max_images=2000

Stopped at any moment and started again, it goes on where it was. Pictures that the server does not
have are named and left out; DIR/download.json has the request, the counts and these. A set that is
here is trained on with data=auto data.root=DIR. Exit code 2: it could not be fetched, and one line
says why.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from tlx.common.cli import parse
from tlx.common.download import Patience
from tlx.common.errors import ConfigError
from tlx.common.files import refuse_output
from tlx.common.typos import nearest
from tlx.data.openimages.boxes import Rule
from tlx.data.openimages.job import Request, Source, download, subset
from tlx.data.openimages.layout import SPLITS, SUMMARY, Servers
from tlx.data.openimages.names import split_names
from tlx.data.openimages.statistics import in_words, statistics
from tlx.data.prepare import data_folder, kept_annotations, prepare_published
from tlx.data.published import PUBLISHED

OPENIMAGES = "openimages"


@dataclass
class PublishedConfig:
    """Arguments of a set that is taken whole."""

    root: str | None = None
    cache_dir: str = field(default_factory=lambda: os.environ.get("TLX_CACHE", "~/.cache/tlx"))


@dataclass
class OpenImagesConfig(PublishedConfig):
    """Arguments of a subset of Open Images."""

    classes: str | None = None
    stats_only: bool = False
    max_images: int | None = None
    max_annotations_per_class: int | None = None
    group_of: bool = True
    depictions: bool = False
    splits: str = ",".join(SPLITS)
    seed: int = 0
    workers: int = 10
    retries: int = 8
    backoff: float = 0.5
    timeout: float = 30.0
    annotations: str | None = None
    pictures: str | None = None


def main(arguments: list[str]) -> None:
    """Entry point."""
    name, *rest = arguments
    known = (OPENIMAGES, *PUBLISHED)
    if name not in known:
        near = nearest(name, known)
        told = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise ConfigError(f"{name!r} is no set that can be downloaded: {told}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if name == OPENIMAGES:
        _open_images(parse(OpenImagesConfig, rest))
        return
    cfg = parse(PublishedConfig, rest)
    place = Path(cfg.root).expanduser() if cfg.root else data_folder(cfg.cache_dir) / name
    print(prepare_published(PUBLISHED[name], place))


def _open_images(cfg: OpenImagesConfig) -> None:
    if cfg.classes is None:
        raise ConfigError('classes=… is missing: classes="Apple,Orange"')
    if cfg.root is None and not cfg.stats_only:
        raise ConfigError("root=… is missing: the folder of the set (or stats_only=true)")
    for key in ("workers", "timeout"):
        if getattr(cfg, key) < 1:
            raise ConfigError(f"{key}={getattr(cfg, key)} must be at least 1")
    for key in ("retries", "backoff"):
        if getattr(cfg, key) < 0:
            raise ConfigError(f"{key}={getattr(cfg, key)} must be at least 0")
    request = Request(
        classes=tuple(split_names(cfg.classes)),
        splits=tuple(split.strip() for split in cfg.splits.split(",")),
        rule=Rule(group_of=cfg.group_of, depictions=cfg.depictions),
        max_images=cfg.max_images,
        max_boxes_per_class=cfg.max_annotations_per_class,
        seed=cfg.seed,
    )
    usual = Servers()
    source = Source(
        kept=kept_annotations(cfg.cache_dir),
        servers=Servers(cfg.annotations or usual.annotations, cfg.pictures or usual.pictures),
        patience=Patience(cfg.timeout, cfg.retries, cfg.backoff),
        workers=cfg.workers,
    )
    if cfg.stats_only:
        print(in_words(statistics(subset(request, source))))
        return
    root = Path(str(cfg.root)).expanduser()
    refuse_output(root, folder=True)
    summary = download(request, root, source)
    print(in_words(summary["statistics"]))
    if gone := len(summary["left_out"]):
        print(f"{gone} pictures could not be had and are left out: {root / SUMMARY} names them")
    print(f"train on it with data=auto data.root={root}")
