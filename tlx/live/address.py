"""What `source=` means: pictures, a video file, a camera or a stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tlx.common.errors import ConfigError, DataError
from tlx.live.camera import Camera
from tlx.live.frame import Source
from tlx.live.opencv import TIMEOUT_MS, Capture, import_cv2, open_capture, to_rgb
from tlx.live.passwords import hide_password
from tlx.live.pictures import Pictures, find_pictures
from tlx.live.video import VideoFile

VIDEO_ENDINGS = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"}
STREAMS = ("rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "srt", "http", "https")


@dataclass(frozen=True)
class CameraOptions:
    """Wishes to a camera; it may deliver something else.

    Attributes:
        size: (width, height) in px. fps: frames a second. flip: nvvidconv's flip-method, CSI only.
        give_up: s without a frame after which a lost camera is an error; None: never.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    flip: int = 0
    give_up: float | None = None


@dataclass(frozen=True)
class Address:
    """A kind (pictures, video, device, csi, stream, pipeline) and what it needs to be opened."""

    kind: str
    value: str


def parse_camera_options(
    size: str | None, fps: float | None, flip: int, give_up: float | None
) -> CameraOptions:
    """Checked wishes; `ConfigError` for a size that is not WIDTHxHEIGHT, or a rate of 0."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size or "")
    if size and not match:
        raise ConfigError(f"size={size} is not WIDTHxHEIGHT, like 1280x720")
    if fps is not None and not fps > 0:
        raise ConfigError(f"fps={fps} must be above 0")
    return CameraOptions((int(match[1]), int(match[2])) if match else None, fps, flip, give_up)


def parse_address(text: str) -> Address:
    """What a source is, by its form and by what exists; `ConfigError` for an unknown scheme."""
    if " ! " in text:
        return Address("pipeline", text)
    scheme, separator, rest = text.partition("://")
    if separator:
        scheme = scheme.lower()
        if scheme == "file":
            return parse_address(rest)
        if scheme == "csi" and rest.isdecimal():
            return Address("csi", rest)
        if scheme == "v4l2":
            return Address("device", rest)
        if scheme in STREAMS:
            file = scheme.startswith("http") and _is_video(urlsplit(text).path)
            return Address("video" if file else "stream", text)
        known = ", ".join(("csi://N", "v4l2", "file", *STREAMS))
        raise ConfigError(f"source={hide_password(text)}: schemes are {known}")
    if re.fullmatch(r"/dev/video\d+", text) or (text.isdecimal() and not Path(text).exists()):
        return Address("device", text)
    if _is_video(text) and not re.search(r"[*?\[]", text):
        return Address("video", str(Path(text).expanduser()))
    return Address("pictures", text)


def open_source(text: str, options: CameraOptions = CameraOptions()) -> Source:
    """The source, opened: `DataError` where there is nothing, `ToolError` without OpenCV."""
    address = parse_address(text)
    if address.kind == "pictures":
        return Pictures(find_pictures(address.value))
    if address.kind == "video":
        if "://" not in address.value and not Path(address.value).is_file():
            raise DataError(f"source={address.value}: no such file")
        return VideoFile(address.value, Path(urlsplit(address.value).path).stem or "video")
    shown = hide_password(text)
    return Camera(
        re.sub(r"\W+", "-", f"{address.kind}-{_label(address)}").strip("-"),
        shown,
        lambda: _connect(address, shown, options),
        to_rgb,
        fps=options.fps,
        give_up=options.give_up,
    )


def csi_pipeline(sensor: str, options: CameraOptions) -> str:
    """GStreamer's pipeline for a Jetson's CSI camera; the sink holds one frame, the newest."""
    width, height = options.size or (1280, 720)
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM), width=(int){width}, "
        f"height=(int){height}, framerate=(fraction){round(options.fps or 30)}/1, "
        f"format=(string)NV12 ! nvvidconv flip-method={options.flip} ! "
        "video/x-raw, format=(string)BGRx ! videoconvert ! video/x-raw, format=(string)BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )


def _is_video(path: str) -> bool:
    return Path(path).suffix.lower() in VIDEO_ENDINGS


def _label(address: Address) -> str:
    """A few words that name a camera and hold no password."""
    if address.kind == "stream":
        return urlsplit(address.value).hostname or ""
    return "" if address.kind == "pipeline" else address.value.removeprefix("/dev/")


def _connect(address: Address, shown: str, options: CameraOptions) -> Capture:
    if address.kind == "csi":
        return open_capture(csi_pipeline(address.value, options), "GSTREAMER", shown)
    if address.kind == "pipeline":
        return open_capture(address.value, "GSTREAMER", shown)
    if address.kind == "stream":
        limits = [("OPEN_TIMEOUT_MSEC", TIMEOUT_MS), ("READ_TIMEOUT_MSEC", TIMEOUT_MS)]
        return open_capture(address.value, "FFMPEG", shown, limits)
    wishes: list[tuple[str, float]] = []
    if options.size:
        wishes += [("FRAME_WIDTH", options.size[0]), ("FRAME_HEIGHT", options.size[1])]
    if options.fps:
        wishes.append(("FPS", options.fps))
    number = int(address.value) if address.value.isdecimal() else None
    if number is None and not Path(address.value).exists():
        import_cv2()
        raise DataError(f"source={shown}: no such device; `ls /dev/video*` lists those there are")
    # A plain number is for machines without /dev: OpenCV finds the system's own way.
    backend = "ANY" if number is not None else "V4L2"
    return open_capture(address.value if number is None else number, backend, shown, wishes)
