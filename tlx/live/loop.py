"""The loop: take frames, detect, track, draw, write; until the source ends or somebody stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from PIL import Image

from tlx.common.errors import DataError, remedy
from tlx.live.frame import Frame, Source
from tlx.live.meter import Meter
from tlx.live.model import Model, detect
from tlx.live.overlay import Overlay
from tlx.live.reader import Reader
from tlx.live.row import make_row
from tlx.live.tracker import Tracker
from tlx.live.writers import Shown, Writer

POLL = 0.1  # s between looks at `stop` while no frame comes


@dataclass
class Summary:
    """What happened.

    Attributes:
        frames: that went through. unreadable: pictures without pixels, not among them.
        dropped: frames of a live source that nobody had time for. objects: tracks with a number.
        stages_ms: mean time of each stage a frame.
    """

    frames: int = 0
    unreadable: int = 0
    detections: int = 0
    dropped: int = 0
    reconnects: int = 0
    objects: int | None = None
    seconds: float = 0.0
    stopped: bool = False
    stages_ms: dict[str, float] = field(default_factory=dict)


def run(
    source: Source,
    model: Model,
    overlay: Overlay,
    writers: Sequence[Writer],
    *,
    threshold: float = 0.5,
    tracker: Tracker | None = None,
    batch_size: int = 1,
    max_frames: int | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Run a source through a model into outputs, which are completed whatever happens.

    Args:
        threshold: least score that counts. batch_size: frames at a time; a live source's come one
            by one. max_frames: end after so many. stop: end after the batch in work.
    """
    stop, meter, summary = stop or threading.Event(), Meter(), Summary()
    draws = any(writer.draws for writer in writers)
    with ExitStack() as closing:
        for writer in writers:
            closing.callback(writer.close)
        reader = closing.enter_context(Reader(source))
        size = 1 if source.live else max(1, batch_size)
        for batch in _batches(reader, size, max_frames, stop, meter):
            pixels = [frame.pixels for frame in batch if frame.pixels is not None]
            results = iter(detect(model, pixels, threshold, meter) if pixels else [])
            for frame in batch:
                found = None if frame.pixels is None else next(results)
                numbers: list[int | None] = [None] * (len(found.boxes) if found else 0)
                if found and tracker:
                    with meter.stage("track"):
                        numbers = tracker.update(found)
                image: Image.Image | None = None
                if found and frame.pixels is not None and draws:
                    with meter.stage("draw"):
                        image = overlay.draw(frame.pixels, found, numbers, meter)
                row = make_row(frame, found, numbers, model.classes)
                with meter.stage("write"):
                    _write(writers, Shown(frame, image, row))
                if found is None:
                    summary.unreadable += 1
                else:
                    summary.detections += len(found.boxes)
                    meter.frame_done()
        summary.dropped = reader.dropped
    summary.frames, summary.seconds, summary.stages_ms = (
        meter.frames,
        meter.seconds,
        meter.mean_ms(),
    )
    summary.reconnects = getattr(source, "reconnects", 0)
    summary.objects = tracker.count if tracker else None
    summary.stopped = stop.is_set()
    return summary


def _batches(
    reader: Reader, size: int, limit: int | None, stop: threading.Event, meter: Meter
) -> Iterator[list[Frame]]:
    """Frames in groups of `size`, the last one smaller; the time waited for them is measured."""
    taken, ended = 0, False
    while not (ended or stop.is_set()):
        batch: list[Frame] = []
        start = time.perf_counter()
        while len(batch) < size and not stop.is_set():
            if limit is not None and taken >= limit:
                ended = True
                break
            frame = reader.get(POLL)
            if frame is not None:
                batch.append(frame)
                taken += 1
            elif reader.ended:
                ended = True
                break
        if batch:
            meter.add("wait", time.perf_counter() - start, len(batch))
            yield batch


def _write(writers: Sequence[Writer], shown: Shown) -> None:
    for writer in writers:
        try:
            writer.write(shown)
        except OSError as error:
            where = error.filename or shown.frame.path or f"frame {shown.frame.index}"
            raise DataError(
                f"{where}: cannot be written ({error.strerror or error}): {remedy(error)}"
            ) from error
