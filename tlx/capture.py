"""tlx.capture: take pictures with a camera or from a video, and label them as they are taken.

Usage
  python -m tlx.capture source=SOURCE output=FOLDER labels=NAME,... [KEY=VALUE ...]

  source       /dev/video0, csi://0, rtsp://…, a video file, … (as of tlx.predict)
  output       the data set's folder; more is added to what it holds
  labels       names of the classes, like plate,car: written to labels.txt
  split        train, val or test: where pictures go, or go first (default: train)
  label        page: draw boxes in a page of the browser; window: in a window of this machine; none:
               save frames that are labelled elsewhere (default: page, and none where every, keys,
               negatives, count or format is given)
  serve        of the page: HOST:PORT to listen on, like 0.0.0.0:8000 (default: a free port of this
               machine, for this machine alone)
  model        a run's folder, a checkpoint or an exported model that suggests boxes
  threshold    least score of a suggestion, 0..1 (default 0.5)
  device       of the model: cpu, cuda, … (default: cuda for a checkpoint, where there is one)
  format       voc: JPEGImages/, ImageSets/Main/, Annotations/; txt: train/, val/, test/, unlabelled
               (default: voc)
  every        save every Nth frame (default 30)
  keys         true: save when Enter is pressed instead; q and Enter ends (default: false)
  negatives    true: the pictures show no object of any class, and are annotated so
               (default: false)
  count        end after so many pictures (default: the end of the source, or Ctrl+C)
  size, fps, flip, give_up   of a camera, as of tlx.predict

Examples
  python -m tlx.capture source=/dev/video0 output=/data/plates labels=plate,car
  python -m tlx.capture source=csi://0 output=/data/plates labels=plate serve=0.0.0.0:8000
  python -m tlx.capture source=street.mp4 output=/data/plates split=test every=60

Frames of one session resemble each other, and a set that is cut through it would test what it has
trained on: one session goes into one split. Train with `data=voc data.root=FOLDER`. Details:
docs/capture.md
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from tlx.common.cli import parse, run_program
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.labelling.album import Album
from tlx.labelling.feed import POLL, Feed
from tlx.labelling.page import Page, serve_page, shown_source
from tlx.labelling.server import parse_serve
from tlx.labelling.suggest import Suggester
from tlx.labelling.window import label_in_window
from tlx.live.address import open_source, parse_camera_options
from tlx.live.collect import Collection, moment
from tlx.live.frame import Frame, Source
from tlx.live.keys import EnterKey
from tlx.live.reader import Reader
from tlx.live.stop import stop_on_signals
from tlx.live.voc_lists import SPLITS

if TYPE_CHECKING:
    from tlx.live.model import Model

EVERY = 30
LABEL = ("page", "window", "none")


@dataclass
class CaptureConfig:
    source: str = MISSING
    output: str = MISSING
    labels: str = ""
    split: str = "train"
    label: str | None = None
    serve: str | None = None
    model: str | None = None
    threshold: float = 0.5
    device: str = ""
    format: str | None = None
    every: int | None = None
    keys: bool = False
    negatives: bool = False
    count: int | None = None
    size: str | None = None
    fps: float | None = None
    flip: int = 0
    give_up: float | None = None


def capture(cfg: CaptureConfig, stop: threading.Event, keys: EnterKey | None = None) -> int:
    """Collect as configured; the number of pictures saved.

    Args:
        keys: with `cfg.keys`, tells which frames are wanted; None: Enter in the terminal.
    """
    every = EVERY if cfg.every is None else cfg.every
    for key, number in (("every", every), ("count", cfg.count)):
        if number is not None and number < 1:
            raise ConfigError(f"{key}={number} must be 1 or more")
    options = parse_camera_options(cfg.size, cfg.fps, cfg.flip, cfg.give_up)
    source = open_source(cfg.source, options)
    if cfg.keys and not source.live:
        source.close()
        raise ConfigError("keys=true needs a camera: of a file take every=N")
    if cfg.keys and keys is None:
        keys = EnterKey(stop)
    collection = Collection(
        Path(cfg.output).expanduser(),
        layout=cfg.format or "voc", split=cfg.split, labels=_names(cfg), negatives=cfg.negatives,
    )  # fmt: skip
    saved, due = 0, 0
    with Reader(source) as reader:
        while not stop.is_set() and (cfg.count is None or saved < cfg.count):
            frame = reader.get(POLL)
            if frame is None:
                if reader.ended:
                    break
                continue
            # Dropped frames count: of a slow disk's frames the next one after the due one is saved.
            wanted = keys.take() if keys else frame.index >= due
            if wanted and frame.pixels is not None:
                path = collection.add(frame.pixels, _identifier(source, frame))
                saved, due = saved + 1, frame.index - frame.index % every + every
                print(path, flush=True)
    return saved


def _identifier(source: Source, frame: Frame) -> str:
    """The time for a camera; the place for what can be read again."""
    if source.live:
        return moment()
    return frame.path.stem if frame.path else f"{source.name}-{frame.index:06d}"


def labels_where(cfg: CaptureConfig) -> str:
    """page, window or none; `ConfigError` where keys contradict each other."""
    if cfg.label is not None and cfg.label not in LABEL:
        raise ConfigError(unknown_choice("label", cfg.label, LABEL))
    of_frames = [
        key
        for key in ("every", "keys", "negatives", "count", "format")
        if (given := getattr(cfg, key)) is not None and given is not False
    ]
    where = cfg.label or ("none" if of_frames else "page")
    of_boxes = [key for key in ("serve", "model") if getattr(cfg, key) is not None]
    if where != "none" and of_frames and [*of_frames, cfg.format] != ["format", "voc"]:
        raise ConfigError(f"label={where} and {of_frames[0]}=… exclude each other: leave one out")
    if where == "none" and of_boxes:
        raise ConfigError(f"{of_boxes[0]}=… is of label=page: leave {of_boxes[0]} out, or {where}")
    if where == "window" and cfg.serve is not None:
        raise ConfigError("serve=… is of label=page, and a window is shown here: leave it out")
    return where


def label(cfg: CaptureConfig, where: str, stop: threading.Event) -> Album:
    """Label in a page or a window until `stop` is set; the set."""
    if not 0 <= cfg.threshold <= 1:
        raise ConfigError(f"threshold={cfg.threshold} must be between 0 and 1")
    if cfg.split not in SPLITS:
        raise ConfigError(unknown_choice("split", cfg.split, SPLITS))
    host, port = parse_serve(cfg.serve) if cfg.serve else ("127.0.0.1", 0)
    options = parse_camera_options(cfg.size, cfg.fps, cfg.flip, cfg.give_up)
    model = _model(cfg.model, cfg.device) if cfg.model else None
    source = open_source(cfg.source, options)
    # A set without names of its own takes the model's.
    root = Path(cfg.output).expanduser()
    names = _names(cfg)
    if not names and model and not (root / "labels.txt").is_file():
        names = model.classes
    album = Album(root, names)
    suggester = Suggester(model, cfg.threshold, album.classes) if model else None
    if where == "window":
        label_in_window(album, source, stop, split=cfg.split, suggester=suggester)
    else:
        page = Page(
            album, Feed(source, stop), shown=shown_source(cfg.source), split=cfg.split,
            suggester=suggester,
        )  # fmt: skip
        serve_page(page, host, port, stop)
    return album


def _model(path: str, device: str) -> Model:
    # Here: without a model nothing needs torch, which takes seconds to load.
    from tlx.live.model import load_model

    return load_model(Path(path), device)


def _names(cfg: CaptureConfig) -> list[str]:
    return [name.strip() for name in cfg.labels.split(",") if name.strip()]


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(CaptureConfig, arguments)
    where, stop = labels_where(cfg), threading.Event()
    with stop_on_signals(stop):
        if where == "none":
            saved = capture(cfg, stop)
            print(f"{saved} pictures: {cfg.output} ({cfg.split})")
            return
        counts = label(cfg, where, stop).counts()["splits"]
    told = ", ".join(f"{split} {counts[split]['pictures']}" for split in SPLITS)
    print(f"{cfg.output}: {told} labelled pictures")


if __name__ == "__main__":
    run_program(main, __doc__)
