"""What `output=` means: a folder, numbered pictures, a video or JSON alone."""

from __future__ import annotations

import threading
from pathlib import Path

from tlx.common.errors import ConfigError
from tlx.common.files import refuse_output
from tlx.data.formats.folders import IMAGE_ENDINGS
from tlx.live.frame import Source
from tlx.live.json_writer import JsonArray, JsonLines
from tlx.live.pictures import Pictures
from tlx.live.video import VideoFile
from tlx.live.video_writer import CODECS, VideoWriter
from tlx.live.window import Window
from tlx.live.writers import NumberedPictures, OnePicture, PictureFolder, Writer, numbered


def open_outputs(
    output: str, source: Source, stop: threading.Event, *, window: bool = False
) -> list[Writer]:
    """The outputs in the order in which they take a frame: JSON last, for it names the others.

    | output | written |
    |---|---|
    | folder | pictures: NAME.png and detections.json; else NAME.mp4 (cameras: .mkv), .jsonl |
    | `x/%i.jpg` | numbered pictures, and detections.json (or .jsonl) beside them |
    | `x.jpg` | the annotated picture, and x.json |
    | `x.mp4` | the annotated video, and x.json (or .jsonl) |
    | `x.json`, `x.jsonl` | no pictures |
    | `none` | nothing |

    Raises `ConfigError` for a name that means none of these, and for one that is the source's.
    """
    shown: list[Writer] = [Window(stop)] if window else []
    if output == "none":
        return shown
    path = Path(output).expanduser()
    suffix = path.suffix.lower()
    stills = isinstance(source, Pictures)
    ending = ".json" if stills else ".jsonl"
    folder = suffix not in {*CODECS, *IMAGE_ENDINGS, ".json", ".jsonl"}
    refuse_output(path, folder=folder)
    if suffix in (".json", ".jsonl"):
        return [*shown, JsonArray(path) if suffix == ".json" else JsonLines(path)]
    json_path = path.with_suffix(ending)
    writer: Writer
    if suffix in CODECS:
        writer = VideoWriter(path, source.fps, paced=source.live)
    elif "%" in output:
        if suffix not in IMAGE_ENDINGS:
            raise ConfigError(f"output={output}: %i needs a picture's ending, like %i.jpg")
        writer, json_path = NumberedPictures(path), path.parent / f"detections{ending}"
    elif suffix in IMAGE_ENDINGS:
        writer = OnePicture(path)
    else:
        json_path = path / f"detections{ending}"
        if isinstance(source, Pictures):
            writer = PictureFolder(path, source.paths)
        else:
            # Matroska needs no index at the end: a camera may be switched off at any moment.
            video = path / (source.name + (".mkv" if source.live else ".mp4"))
            writer = VideoWriter(video, source.fps, paced=source.live)
    _spare_source(writer, source)
    return [writer, *shown, JsonArray(json_path) if ending == ".json" else JsonLines(json_path)]


def _spare_source(writer: Writer, source: Source) -> None:
    """Refuse an output that would overwrite what it is made from, by whatever path it is named."""
    if isinstance(source, Pictures):
        sources = source.paths
    elif isinstance(source, VideoFile):
        sources = [Path(source.address)]
    else:
        return
    if isinstance(writer, PictureFolder):
        targets = [writer.folder / name for name in writer.names]
    elif isinstance(writer, NumberedPictures):
        targets = [
            writer.pattern.with_name(numbered(writer.pattern.name, i)) for i in range(len(sources))
        ]
    elif isinstance(writer, (OnePicture, VideoWriter)):
        targets = [writer.path]
    else:
        return
    there = {(s.st_dev, s.st_ino): p for p in sources if p.is_file() and (s := p.stat())}
    for target in targets:
        if target.is_file() and (stat := target.stat()) and (stat.st_dev, stat.st_ino) in there:
            raise ConfigError(
                f"output={target} is the source {there[stat.st_dev, stat.st_ino]} and would "
                "overwrite it: give another folder or name"
            )
