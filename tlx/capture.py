"""tlx.capture: collect pictures for a data set from a camera or a video.

Usage
  python -m tlx.capture source=SOURCE output=FOLDER [KEY=VALUE ...]

  source       /dev/video0, csi://0, rtsp://…, a video file, … (as of tlx.predict)
  output       the data set's folder; more is added to what it holds
  format       voc: JPEGImages/, ImageSets/Main/, Annotations/; txt: train/, val/, test/
               (default: voc)
  split        train, val or test: where this session's pictures go (default: train)
  every        save every Nth frame (default 30)
  keys         true: save when Enter is pressed instead; q and Enter ends (default: false)
  labels       names of the classes, like plate,car: written to labels.txt
  negatives    true: the pictures show no object of any class, and are annotated so
               (default: false)
  count        end after so many pictures (default: the end of the source, or Ctrl+C)
  size, fps, flip, give_up   of a camera, as of tlx.predict

Examples
  python -m tlx.capture source=/dev/video0 output=/data/plates labels=plate keys=true
  python -m tlx.capture source=street.mp4 output=/data/plates split=test every=60

One session goes into one split: frames of one session resemble each other, and a set that is cut
through it would test what it has trained on. Annotate with any tool that writes Pascal VOC, then
train with `data=voc data.root=FOLDER`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from tlx.common.cli import parse, run_program
from tlx.common.errors import ConfigError
from tlx.live.address import open_source, parse_camera_options
from tlx.live.collect import Collection, moment
from tlx.live.frame import Frame, Source
from tlx.live.keys import EnterKey
from tlx.live.loop import POLL
from tlx.live.reader import Reader
from tlx.live.stop import stop_on_signals


@dataclass
class CaptureConfig:
    source: str = MISSING
    output: str = MISSING
    format: str = "voc"
    split: str = "train"
    every: int = 30
    keys: bool = False
    labels: str = ""
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
    if cfg.every < 1:
        raise ConfigError(f"every={cfg.every} must be 1 or more")
    options = parse_camera_options(cfg.size, cfg.fps, cfg.flip, cfg.give_up)
    source = open_source(cfg.source, options)
    if cfg.keys and not source.live:
        source.close()
        raise ConfigError("keys=true needs a camera: of a file take every=N")
    if cfg.keys and keys is None:
        keys = EnterKey(stop)
    labels = [label.strip() for label in cfg.labels.split(",") if label.strip()]
    collection = Collection(
        Path(cfg.output).expanduser(),
        layout=cfg.format, split=cfg.split, labels=labels, negatives=cfg.negatives,
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
                saved, due = saved + 1, frame.index - frame.index % cfg.every + cfg.every
                print(path, flush=True)
    return saved


def _identifier(source: Source, frame: Frame) -> str:
    """The time for a camera; the place for what can be read again."""
    if source.live:
        return moment()
    return frame.path.stem if frame.path else f"{source.name}-{frame.index:06d}"


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(CaptureConfig, arguments)
    stop = threading.Event()
    with stop_on_signals(stop):
        saved = capture(cfg, stop)
    print(f"{saved} pictures: {cfg.output} ({cfg.split})")


if __name__ == "__main__":
    run_program(main, __doc__)
