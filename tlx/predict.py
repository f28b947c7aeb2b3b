"""tlx.predict: detect objects in pictures, videos and camera streams: annotated copies and JSON.

Usage
  python -m tlx.predict model=RUN_OR_FILE source=SOURCE [KEY=VALUE ...]

  model        a run's folder (its best checkpoint), a .ckpt file or an exported model
  checkpoint   means the same as model
  source       pictures: a file, a folder (searched recursively) or a pattern like 'shots/*.jpg';
               a video file; a camera: /dev/video0, csi://0 (Jetson); a stream: rtsp://…, http://…;
               a GStreamer pipeline 'a ! b ! appsink'
  output       a folder (default: predictions), 'found/%i.jpg', found.mp4 (.mkv, .avi, .webm),
               found.json or found.jsonl (no pictures), none
  window       true: show the frames, q ends (default: false)
  overlay      what is drawn: boxes, labels, confidence, tracks, fps, times; none
               (default: all of it; without fps and times on pictures)
  threshold    least score that counts, 0..1 (default 0.5)
  track        true: number objects that overlap from frame to frame (default: false)
  device       cpu, cuda, ... (default: cuda for a checkpoint, where there is one)
  backend      of an exported model (default: that of its ending)
  tile         cut pictures into tiles of so many px and put together what is found; 0: whole
               pictures (default: as the model was trained)
  tile_overlap   of a tile's side, 0..0.9 (default: as trained; 0.2)
  trust        true: load a .pt2 or TorchScript file, which can run code (default: false)
  batch_size   frames of files at a time (default 8; cameras 1)
  max_frames   end after so many frames (default: the end of the source; Ctrl+C for cameras)
  size, fps    of a camera, like 1280x720 and 30 (default: its own)
  flip         nvvidconv's flip-method of a CSI camera (default 0)
  give_up      s after which a lost camera is an error (default: never)

Examples
  python -m tlx.predict checkpoint=RUN_FOLDER source=pictures/ output=found/
  python -m tlx.predict model=RUN_FOLDER source=/dev/video0 output=found.mkv track=true

A picture that cannot be read is named, skipped, and makes the exit code 1. Details: docs/predict.md
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tlx.common.cli import parse, run_program
from tlx.common.errors import ConfigError
from tlx.live.address import open_source, parse_camera_options
from tlx.live.frame import Source
from tlx.live.loop import Summary, run
from tlx.live.model import load_model
from tlx.live.outputs import open_outputs
from tlx.live.overlay import OF_PICTURES, PARTS, Overlay, parse_parts
from tlx.live.pictures import Pictures
from tlx.live.stop import stop_on_signals
from tlx.live.tracker import Tracker

INTERRUPTED = 130  # exit code after Ctrl+C, as shells have it


@dataclass
class PredictConfig:
    model: str | None = None
    checkpoint: str | None = None
    source: str | None = None
    output: str = "predictions"
    window: bool = False
    overlay: str | None = None
    threshold: float = 0.5
    track: bool = False
    device: str = ""
    backend: str | None = None
    trust: bool = False
    tile: int | None = None
    tile_overlap: float | None = None
    batch_size: int = 8
    max_frames: int | None = None
    size: str | None = None
    fps: float | None = None
    flip: int = 0
    give_up: float | None = None


def predict(cfg: PredictConfig, stop: threading.Event | None = None) -> tuple[Summary, Source]:
    """Detect, draw and write as configured; what happened, and the source it happened to."""
    stop = stop or threading.Event()
    path = cfg.model or cfg.checkpoint
    for key, value in (("model", path), ("source", cfg.source)):
        if not value:
            raise ConfigError(f"{key}=… is missing; `python -m tlx.predict --help` lists the keys")
    assert path is not None
    assert cfg.source is not None
    if cfg.model and cfg.checkpoint:
        raise ConfigError("model=… and checkpoint=… mean the same: give one of them")
    if not 0 <= cfg.threshold <= 1:
        raise ConfigError(f"threshold={cfg.threshold} must be between 0 and 1")
    camera = parse_camera_options(cfg.size, cfg.fps, cfg.flip, cfg.give_up)
    parse_parts(cfg.overlay, PARTS)  # before anything slow: a typo is told at once
    model = load_model(
        Path(path), cfg.device, cfg.backend, trust=cfg.trust, tile=cfg.tile,
        tile_overlap=cfg.tile_overlap,
    )  # fmt: skip
    source = open_source(cfg.source, camera)
    stills = isinstance(source, Pictures)
    if isinstance(source, Pictures):
        source.bits = model.bits
    overlay = Overlay(parse_parts(cfg.overlay, OF_PICTURES if stills else PARTS), model.classes)
    writers = open_outputs(cfg.output, source, stop, window=cfg.window)
    summary = run(
        source, model, overlay, writers,
        threshold=cfg.threshold, tracker=Tracker() if cfg.track else None,
        batch_size=cfg.batch_size, max_frames=cfg.max_frames, stop=stop,
    )  # fmt: skip
    return summary, source


def describe(summary: Summary, source: Source, cfg: PredictConfig) -> str:
    """The lines that the program ends with."""
    count = summary.frames + summary.unreadable
    what = "pictures" if isinstance(source, Pictures) else "frames"
    rate = summary.frames / max(1e-9, summary.seconds)
    lines = [
        f"{count} {what}, {summary.detections} detections of score >= {cfg.threshold}: "
        f"{cfg.output}",
        f"{summary.seconds:.1f} s, {rate:.1f} frames/s; ms a frame: "
        + ", ".join(f"{name} {ms:.1f}" for name, ms in summary.stages_ms.items()),
    ]
    if summary.objects is not None:
        lines.append(f"{summary.objects} objects tracked")
    if summary.dropped or summary.reconnects:
        lines.append(f"{summary.dropped} frames dropped, connected again {summary.reconnects}x")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(PredictConfig, arguments)
    stop = threading.Event()
    with stop_on_signals(stop):
        summary, source = predict(cfg, stop)
    print(describe(summary, source, cfg))
    if summary.unreadable:
        sys.exit(f"{summary.unreadable} pictures could not be read")
    if summary.stopped and not source.live:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    run_program(main, __doc__)
