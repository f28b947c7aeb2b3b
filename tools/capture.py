#!/usr/bin/env python3
"""Take pictures with a camera and label them in a window: a Pascal VOC set, ready to train with.

One file that runs on a bare Jetson (Python 3.6 or later): OpenCV as JetPack brings it, and numpy.
No torch, no tlx. Copy it to the device:

  python3 capture.py --source csi://0 --output boats --labels sail,motor
  python3 capture.py --source /dev/video0 --output boats --split test
  python3 capture.py --source harbour.mp4 --output boats

Then on the desk: `python -m tlx.train data=voc data.root=boats`.

Keys: Space freezes, and goes back to live; a drag draws a box, a click chooses one, which a drag
then moves or resizes (with Shift a drag draws inside it); 1-9 class; P split; S saves (no box: the
picture shows no object); Delete or Backspace removes the chosen box; U or Ctrl+Z undoes, R or
Ctrl+Y does again; N freezes the next frame; [ and ] open saved pictures; A accepts suggestions,
D dismisses them; Q or Esc ends.

Sections: errors; set; boxes; sources; window; command line.
"""

import argparse
import contextlib
import copy
import datetime
import glob
import os
import re
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple
from xml.etree import ElementTree

import cv2
import numpy as np

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None

SPLITS = ("train", "val", "test")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
QUALITY = 95  # of the JPEGs: what a detector learns should not be the compression

# name; corners: 4 numbers in px; origin: number in its file, None: new; score of a suggestion
Box = Dict[str, Any]

# ---------------------------------------------------------------------------------------- errors


class CaptureError(Exception):
    """What the user can act on: says what is wrong, where, and what to do."""


# ------------------------------------------------------------------------------------------- set


def write_atomically(path: str, content: bytes) -> None:
    """A whole file at once: a reader never meets half of one, whatever kills the writer."""
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise CaptureError(
            f"{path} cannot be written: {error.strerror}: free space, or give another place"
        ) from error


def read_lines(path: str) -> List[str]:
    """The lines of a text file without blank ones; none where there is no file."""
    if not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8-sig") as file:
        return [line.strip() for line in file if line.strip()]


class VocSet:
    """JPEGImages/, Annotations/, ImageSets/Main/ and labels.txt in a folder.

    A picture is written first, then its line in a list, then its annotation: whatever kills this,
    what has an annotation is complete.
    """

    def __init__(self, root: str, labels: Sequence[str]) -> None:
        self.root = root
        self.pictures = os.path.join(root, "JPEGImages")
        self.annotations = os.path.join(root, "Annotations")
        self.lists = os.path.join(root, "ImageSets", "Main")
        for folder in (self.pictures, self.annotations, self.lists):
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                told = f"{folder} cannot be made: {error.strerror}: give another place"
                raise CaptureError(told) from error
        annotated = glob.glob(os.path.join(glob.escape(self.annotations), "*.xml"))
        if annotated and not glob.glob(os.path.join(glob.escape(self.lists), "*.txt")):
            raise CaptureError(
                f"{root} has annotated pictures and no list in {self.lists}: write train.txt "
                "there, a name without ending a line, or give another folder"
            )
        path = os.path.join(root, "labels.txt")
        stated = [line for line in read_lines(path) if line.upper() != "BACKGROUND"]
        if labels and stated and list(labels) != stated:
            raise CaptureError(
                f"{path} names other classes than --labels: leave them out, or correct it"
            )
        self.classes = list(labels) or stated
        if not self.classes:
            raise CaptureError("--labels is missing: name the classes, like --labels gun,knife")
        if len(set(self.classes)) < len(self.classes):
            raise CaptureError("--labels: a class is named twice")
        if not stated:
            write_atomically(path, "".join(f"{name}\n" for name in labels).encode("utf-8"))

    def names(self) -> List[str]:
        """The pictures, the oldest first."""
        files = [e for e in os.scandir(self.pictures) if e.name.lower().endswith(ENDINGS)]
        files = [entry for entry in files if not entry.name.startswith(".")]
        files.sort(key=lambda entry: (entry.stat().st_mtime, entry.name))
        return [os.path.splitext(entry.name)[0] for entry in files]

    def load(self, name: str) -> Tuple[np.ndarray, List[Box], Optional[str]]:
        """A picture (uint8 BGR), its boxes and its split."""
        path = self._picture(name)
        bgr = cv2.imread(path)
        if bgr is None:
            raise CaptureError(f"{path} is no picture that OpenCV reads")
        top = self._annotation(name)
        boxes = [] if top is None else [_box(item, i) for i, item in enumerate(_objects(top))]
        splits = [s for s in SPLITS if name in read_lines(self._list(s))]
        return bgr, boxes, splits[0] if splits else None

    def add(self, bgr: np.ndarray, boxes: Sequence[Box], split: str, identifier: str) -> str:
        """Save a picture (uint8 BGR) under a name that is new; the name."""
        ok, jpeg = cv2.imencode(".jpg", bgr, [int(cv2.IMWRITE_JPEG_QUALITY), QUALITY])
        if not ok:
            raise CaptureError("OpenCV cannot encode this frame")
        with self._locked():
            name = self._unused(identifier)
            write_atomically(os.path.join(self.pictures, f"{name}.jpg"), jpeg.tobytes())
            self._put(name, split)
            self._write(name, f"{name}.jpg", bgr.shape, boxes)
        return name

    def change(self, name: str, boxes: Sequence[Box], split: str) -> None:
        """Replace the boxes and the split of a saved picture."""
        path = self._picture(name)
        bgr = cv2.imread(path)
        with self._locked():
            self._put(name, split)
            self._write(name, os.path.basename(path), bgr.shape, boxes)

    def counts(self) -> Dict[str, int]:
        """Listed pictures by split."""
        return {split: len(read_lines(self._list(split))) for split in SPLITS}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two programs that collect into one set wait for each other; tlx takes the same lock."""
        with open(os.path.join(self.root, ".capture.lock"), "a") as file:
            if fcntl is not None:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            yield

    def _list(self, split: str) -> str:
        return os.path.join(self.lists, f"{split}.txt")

    def _picture(self, name: str) -> str:
        for entry in os.scandir(self.pictures):
            stem, ending = os.path.splitext(entry.name)
            if stem == name and ending.lower() in ENDINGS:
                return entry.path
        raise CaptureError(f"{name} is no picture of {self.pictures}")

    def _unused(self, identifier: str) -> str:
        folders = (self.pictures, self.annotations)
        names = [e.name for folder in folders for e in os.scandir(folder)]
        taken = {os.path.splitext(name)[0].lower() for name in names}
        name, count = identifier, 1
        while name.lower() in taken:
            count += 1
            name = f"{identifier}-{count}"
        return name

    def _put(self, name: str, split: str) -> None:
        """List a picture in one split: out first, so that it is never in two."""
        wanted = (split,) if split == "test" else (split, "trainval")
        for listed in (*SPLITS, "trainval"):
            lines = read_lines(self._list(listed))
            if name in lines and listed not in wanted:
                rest = [line for line in lines if line != name]
                if rest:
                    text = "".join(f"{line}\n" for line in rest)
                    write_atomically(self._list(listed), text.encode("utf-8"))
                else:  # a list that names nothing is an error of the reader
                    os.unlink(self._list(listed))
        for listed in wanted:
            lines = read_lines(self._list(listed))
            if name not in lines:
                text = "".join(f"{line}\n" for line in [*lines, name])
                write_atomically(self._list(listed), text.encode("utf-8"))

    def _annotation(self, name: str) -> Optional[ElementTree.Element]:
        path = os.path.join(self.annotations, f"{name}.xml")
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            content = file.read()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise CaptureError(f"{path}: refused: write it without DTD or entities")
        try:
            return ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            told = f"{path}: malformed XML: {error}: correct or remove the file"
            raise CaptureError(told) from error

    def _write(self, name: str, file: str, shape: Tuple[int, ...], boxes: Sequence[Box]) -> None:
        top = self._annotation(name)
        if top is None:
            top = ElementTree.Element("annotation")
            ElementTree.SubElement(top, "filename").text = file
            size = ElementTree.SubElement(top, "size")
            for tag, value in (("width", shape[1]), ("height", shape[0]), ("depth", 3)):
                ElementTree.SubElement(size, tag).text = str(value)
        before = _objects(top)
        for item in before:
            top.remove(item)
        for box in boxes:
            top.append(_object(before, box))
        text = ElementTree.tostring(top, encoding="unicode")
        path = os.path.join(self.annotations, f"{name}.xml")
        write_atomically(path, (text + "\n").encode("utf-8"))


def _objects(top: ElementTree.Element) -> List[ElementTree.Element]:
    return [item for item in top.findall("object") if item.find("bndbox") is not None]


def _box(item: ElementTree.Element, origin: int) -> Box:
    try:
        corners = [float(item.findtext(f"bndbox/{corner}", "")) for corner in CORNERS]
    except ValueError:
        told = f"object {origin + 1}: a corner is no number: correct the annotation"
        raise CaptureError(told) from None
    return {"name": item.findtext("name", "").strip(), "corners": corners, "origin": origin}


def _object(before: Sequence[ElementTree.Element], box: Box) -> ElementTree.Element:
    """The element of a box: that which it was read from, with everything else it holds."""
    if box.get("origin") is None:
        item = ElementTree.Element("object")
        for tag in ("name", "pose", "truncated", "difficult", "bndbox"):
            ElementTree.SubElement(item, tag).text = "0"
        item.find("pose").text = "Unspecified"
        place = item.find("bndbox")
        place.text = None
        for corner in CORNERS:
            ElementTree.SubElement(place, corner)
    else:
        item = before[box["origin"]]
    item.find("name").text = box["name"]
    if box.get("origin") is None or _box(item, 0)["corners"] != list(box["corners"]):
        for corner, value in zip(CORNERS, box["corners"]):
            item.find(f"bndbox/{corner}").text = str(round(value))
    return item


# ----------------------------------------------------------------------------------------- boxes


class Editor:
    """Boxes of one picture, what was done to them, and the drag that is under way.

    Args:
        size: (width, height) of the picture in px. reach: px at which a handle is caught.
    """

    def __init__(
        self, size: Tuple[int, int], boxes: Sequence[Box], name: str, reach: float = 8
    ) -> None:
        self.size, self.name, self.reach = size, name, reach
        self.boxes = [dict(box) for box in boxes]  # type: List[Box]
        self.chosen = -1
        self.changed = False
        self._undo = []  # type: List[List[Box]]
        self._redo = []  # type: List[List[Box]]
        self._drag = None  # type: Optional[Dict[str, Any]]

    def press(self, x: float, y: float, inside: bool = False) -> None:
        """The button goes down; `inside`: draw, even in the chosen box."""
        handle = None if inside else self._handle(x, y)
        moves = not inside and self.chosen >= 0 and _holds(self.boxes[self.chosen], x, y)
        kind = "size" if handle else "move" if moves else "draw"
        before = copy.deepcopy(self.boxes)
        self._drag = {"at": (x, y), "handle": handle, "kind": kind, "before": before, "on": False}

    def drag(self, x: float, y: float) -> None:
        """The mouse moves; without a button nothing happens."""
        drag = self._drag
        if drag is None:
            return
        x, y = min(max(x, 0), self.size[0]), min(max(y, 0), self.size[1])
        dx, dy = x - drag["at"][0], y - drag["at"][1]
        if not drag["on"] and max(abs(dx), abs(dy)) < self.reach / 2:
            return
        if not drag["on"] and drag["kind"] == "draw":
            self.boxes.append({"name": self.name, "corners": [0, 0, 0, 0], "origin": None})
            self.chosen = len(self.boxes) - 1
        drag["on"] = True
        box = self.boxes[self.chosen]
        if drag["kind"] == "draw":
            box["corners"] = _upright([*drag["at"], x, y])
        else:
            old = drag["before"][self.chosen]["corners"]
            box["corners"] = self._shifted(old, drag["handle"], dx, dy)
            box.pop("score", None)

    def release(self, x: float, y: float) -> None:
        """The button goes up: a click chooses a box, a drag is done."""
        drag, self._drag = self._drag, None
        if drag is None:
            return
        if not drag["on"]:
            hit = [i for i, box in enumerate(self.boxes) if _holds(box, x, y)]
            self.chosen = min(hit, key=lambda i: _area(self.boxes[i])) if hit else -1
            return
        left, top, right, bottom = self.boxes[self.chosen]["corners"]
        if right - left < 2 or bottom - top < 2:  # a slip of the hand
            self.boxes = drag["before"]
            self.chosen = -1 if drag["kind"] == "draw" else self.chosen
        else:
            self._remember(drag["before"])

    def reclass(self, name: str) -> None:
        """The class of the chosen box, and of the next ones."""
        self.name = name
        if self.chosen >= 0 and self.boxes[self.chosen]["name"] != name:
            self._remember()
            self.boxes[self.chosen]["name"] = name
            self.boxes[self.chosen].pop("score", None)

    def remove(self) -> None:
        """Take the chosen box away."""
        if self.chosen >= 0:
            self._remember()
            del self.boxes[self.chosen]
            self.chosen = -1

    def undo(self) -> None:
        """As it was before the last change."""
        self._travel(self._undo, self._redo)

    def redo(self) -> None:
        """The last change that was undone."""
        self._travel(self._redo, self._undo)

    def accept(self) -> None:
        """Take all suggestions."""
        if any(box.get("score") for box in self.boxes):
            self._remember()
            for box in self.boxes:
                box.pop("score", None)

    def dismiss(self) -> None:
        """Take all suggestions away."""
        if any(box.get("score") for box in self.boxes):
            changed = self.changed
            self._remember()
            self.boxes = [box for box in self.boxes if not box.get("score")]
            self.chosen, self.changed = -1, changed

    def kept(self) -> List[Box]:
        """What is to be saved: suggestions that nobody took are not."""
        return [box for box in self.boxes if not box.get("score")]

    def _remember(self, before: Optional[List[Box]] = None) -> None:
        self._undo.append(copy.deepcopy(self.boxes) if before is None else before)
        self._redo = []
        self.changed = True

    def _travel(self, back: List[List[Box]], forth: List[List[Box]]) -> None:
        if back:
            forth.append(self.boxes)
            self.boxes, self.chosen, self.changed = back.pop(), -1, True

    def _handle(self, x: float, y: float) -> Optional[Tuple[float, float]]:
        if self.chosen < 0:
            return None
        for handle, (u, v) in handles(self.boxes[self.chosen]):
            if max(abs(u - x), abs(v - y)) <= self.reach:
                return handle
        return None

    def _shifted(
        self, corners: Sequence[float], handle: Optional[Tuple[float, float]], dx: float, dy: float
    ) -> List[int]:
        left, top, right, bottom = corners
        width, height = self.size
        if handle is None:
            wide, high = right - left, bottom - top
            left = min(max(left + dx, 0), width - wide)
            top = min(max(top + dy, 0), height - high)
            return [round(v) for v in (left, top, left + wide, top + high)]
        left, right = left + dx * (handle[0] == 0), right + dx * (handle[0] == 1)
        top, bottom = top + dy * (handle[1] == 0), bottom + dy * (handle[1] == 1)
        ends = _upright([left, top, right, bottom])
        return [min(max(v, 0), end) for v, end in zip(ends, (width, height) * 2)]


def handles(box: Box) -> List[Tuple[Tuple[float, float], Tuple[float, float]]]:
    """((0, .5 or 1 of width, of height), (x, y)) of corners and middles of sides."""
    left, top, right, bottom = box["corners"]
    places = [(u, v) for u in (0, 0.5, 1) for v in (0, 0.5, 1) if (u, v) != (0.5, 0.5)]
    return [((u, v), (left + u * (right - left), top + v * (bottom - top))) for u, v in places]


def _upright(corners: Sequence[float]) -> List[int]:
    x = sorted((corners[0], corners[2]))
    y = sorted((corners[1], corners[3]))
    return [round(v) for v in (x[0], y[0], x[1], y[1])]


def _holds(box: Box, x: float, y: float) -> bool:
    left, top, right, bottom = box["corners"]
    return bool(left <= x <= right and top <= y <= bottom)


def _area(box: Box) -> float:
    left, top, right, bottom = box["corners"]
    return float((right - left) * (bottom - top))


# --------------------------------------------------------------------------------------- sources


class FileFrames:
    """Frames of a video file, at its own rate, while they are asked for."""

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise CaptureError(f"--source {path}: no such file")
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise CaptureError(f"--source {path}: OpenCV cannot read it")
        self.pause = 1 / (self._capture.get(cv2.CAP_PROP_FPS) or 25)
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.ended = False
        self._number = -1

    def newest(self) -> Optional[np.ndarray]:
        """The next frame, uint8 BGR; None at the end."""
        ok, bgr = self._capture.read()
        self.ended = not ok
        self._number += bool(ok)
        return bgr if ok else None

    def identifier(self) -> str:
        """The beginning of a picture's name: where the last frame stands."""
        return f"{self.name}-{self._number:06d}"

    def close(self) -> None:
        """Give the file back."""
        self._capture.release()


class CameraFrames:
    """The newest frame of a camera, read in a thread of its own: old ones are dropped."""

    pause = 0.015

    def __init__(self, address: str, backend: int) -> None:
        number = address.replace("/dev/video", "")
        known = int(number) if number.isdigit() else address
        self._capture = cv2.VideoCapture(known, backend)
        if not self._capture.isOpened():
            raise CaptureError(
                f"--source {address} cannot be opened: check that it is there and not in use; a "
                "CSI camera needs an OpenCV with GStreamer (JetPack's python3-opencv)"
            )
        self.ended = False
        self._frame = None  # type: Optional[np.ndarray]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.daemon = True
        self._thread.start()

    def newest(self) -> Optional[np.ndarray]:
        """A frame that was not given before, uint8 BGR; None where there is none yet."""
        frame, self._frame = self._frame, None
        return frame

    def identifier(self) -> str:
        """The time in ms as a name that sorts."""
        return f"{datetime.datetime.now():%Y%m%d-%H%M%S-%f}"[:-3]

    def close(self) -> None:
        """Give the camera back."""
        self._stop.set()
        self._thread.join(5)
        self._capture.release()

    def _read(self) -> None:
        lost = 0
        while not self._stop.is_set():
            ok, frame = self._capture.read()
            if ok:
                lost, self._frame = 0, frame
                continue
            lost += 1
            self.ended = lost > 50
            time.sleep(0.1)


def csi_pipeline(sensor: str) -> str:
    """GStreamer's pipeline for a Jetson's CSI camera; the sink holds one frame, the newest."""
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM), width=(int)1280, "
        "height=(int)720, framerate=(fraction)30/1, format=(string)NV12 ! nvvidconv ! "
        "video/x-raw, format=(string)BGRx ! videoconvert ! video/x-raw, format=(string)BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )


def open_frames(source: str) -> Any:
    """What --source means: csi://N, /dev/videoN, N, a stream's address, a pipeline or a file."""
    sensor = re.match(r"csi://(\d+)$", source)
    if sensor or " ! " in source:
        pipeline = csi_pipeline(sensor.group(1)) if sensor else source
        return CameraFrames(pipeline, cv2.CAP_GSTREAMER)
    if re.match(r"/dev/video\d+$|\d+$|\w+://", source):
        return CameraFrames(source, cv2.CAP_ANY)
    return FileFrames(source)


# ---------------------------------------------------------------------------------------- window

TITLE = "capture"
BAR = 52  # px of the lines below the picture
SIDE = 1280  # longer side of the picture in the window
DELETE = (8, 127, 65288, 65535, 65439, 3014656)  # Backspace and Delete, by toolkit
CONTROL = 0x40000  # waitKeyEx's bit for Ctrl, where the toolkit tells it
COLOURS = [
    (80, 200, 255), (90, 230, 90), (255, 170, 70), (255, 110, 220), (70, 110, 255), (230, 230, 80),
    (180, 140, 255), (120, 220, 190), (200, 200, 200),
]  # fmt: skip


class Window:
    """The window: live picture, frozen frame or saved picture, and the keys.

    Attributes:
        done: set, it ends at the next look.

    Args:
        frames: `newest()`, `identifier()`, `ended` and `pause`, as the sources above.
        store: `classes`, `names()`, `load`, `add`, `change` and `counts()`, as `VocSet`.
        suggest: from a frame (uint8 BGR) to boxes with a score; None: there is no model.
        stopped: asked before each look, whether to end.
    """

    def __init__(
        self, frames: Any, store: Any, split: str = "train",
        suggest: Optional[Callable[[np.ndarray], List[Box]]] = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.frames, self.store, self.suggest = frames, store, suggest
        self.stopped = stopped
        self.mode, self.split, self.name = "live", split, store.classes[0]
        self.session = split
        self.frame = None  # type: Optional[np.ndarray]
        self.newest = None  # type: Optional[np.ndarray]
        self.picture = None  # type: Optional[str]
        self.editor = Editor((0, 0), [], self.name)
        self.told, self.warned, self.done = "", "", False
        self._moved = False
        self._counts = store.counts()

    def run(self) -> None:
        """Until the user ends it, or closes the window."""
        if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
            raise CaptureError("there is no display: start it on the desktop")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error:
            raise CaptureError(
                "this OpenCV opens no window: install opencv-python in place of "
                "opencv-python-headless, or take JetPack's python3-opencv"
            ) from None
        cv2.setMouseCallback(TITLE, self.mouse)
        shape = None
        try:
            while not (self.done or self.stopped()):
                self.look()
                image = self.render()
                if image.shape != shape:
                    shape = image.shape
                    cv2.resizeWindow(TITLE, shape[1], shape[0])
                cv2.imshow(TITLE, image)
                pause = self.frames.pause if self.mode == "live" else 0.03
                self.key(cv2.waitKeyEx(max(1, int(1000 * pause))))
                if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                    break
        finally:
            cv2.destroyAllWindows()

    def look(self) -> None:
        """Take a new frame while the picture is live."""
        if self.mode == "live" and not self.frames.ended:
            frame = self.frames.newest()
            self.newest = self.newest if frame is None else frame
            self.frame = self.newest

    def mouse(self, event: int, x: int, y: int, flags: int, _: Any = None) -> None:
        """What OpenCV calls; x, y are px of the shown image."""
        if self.mode == "live" or self.frame is None:
            return
        k = self._scale()
        place = (x / k, y / k)
        if event == cv2.EVENT_LBUTTONDOWN and y < self.frame.shape[0] * k:
            self.editor.press(*place, inside=bool(flags & cv2.EVENT_FLAG_SHIFTKEY))
        elif event == cv2.EVENT_MOUSEMOVE:
            self.editor.drag(*place)
        elif event == cv2.EVENT_LBUTTONUP:
            self.editor.drag(*place)
            self.editor.release(*place)

    def key(self, code: int) -> None:
        """A key as `waitKeyEx` gives it; -1: none."""
        if code == -1:
            return
        low = code & 0xFFFF
        if code & CONTROL and low in (ord("z"), ord("y")):
            low = ord("u") if low == ord("z") else ord("r")
        try:
            self._act(chr(low).lower() if low < 256 else "", low, code)
        except CaptureError as error:
            self.told = str(error)

    def _act(self, key: str, low: int, code: int) -> None:
        if key in ("q", "\x1b"):
            self.done = self._may_leave(key)
        elif key == " ":
            self._freeze_or_live()
        elif key == "n":
            if self._may_leave(key):
                self._next()
        elif key in ("[", "]"):
            self._browse(-1 if key == "[" else 1)
        elif "1" <= key <= "9" and int(key) <= len(self.store.classes):
            self.name = self.store.classes[int(key) - 1]
            self.editor.reclass(self.name)
        elif key == "p":
            self.split = SPLITS[(SPLITS.index(self.split) + 1) % len(SPLITS)]
            self._moved = self.mode == "saved"
            if self.mode != "saved":
                self.session = self.split
        elif self.mode == "live":
            if key == "s":
                self.told = "Freeze a frame first: Space"
        elif key == "s":
            self._save()
        elif low in DELETE or code in DELETE:
            self.editor.remove()
        elif key in ("u", "\x1a"):
            self.editor.undo()
        elif key in ("r", "\x19"):
            self.editor.redo()
        elif key == "a":
            self.editor.accept()
        elif key == "d":
            self.editor.dismiss()

    def _may_leave(self, key: str) -> bool:
        """Whether what was drawn may be left behind: asked for twice, it may."""
        if not (self.editor.changed or self._moved) or self.warned == key:
            self.warned = ""
            return True
        self.warned, name = key, {" ": "Space", "\x1b": "Esc"}.get(key, key.upper())
        self.told = f"Not saved yet: S saves, {name} again drops the changes"
        return False

    def _freeze_or_live(self) -> None:
        if self.mode == "live":
            self._freeze()
        elif self._may_leave(" "):
            self.mode, self.picture, self.told, self.split = "live", None, "", self.session
            self.frame = self.newest
            self._edit([])

    def _next(self) -> None:
        self.mode, before = "live", self.newest
        end = time.monotonic() + 2
        while self.newest is before and not self.frames.ended and time.monotonic() < end:
            self.look()
            time.sleep(0.005)
        self.frame = self.newest
        self._freeze()

    def _freeze(self) -> None:
        if self.frame is None:
            self.told = "No frame has come yet"
            return
        self.mode, self.picture, self.split = "frozen", None, self.session
        self._edit(self.suggest(self.frame) if self.suggest else [])
        self.told = f"{len(self.editor.boxes)} suggested" if self.suggest else ""
        if self.frames.ended:
            self.told = "The source has ended: this is its last frame"

    def _edit(self, boxes: Sequence[Box]) -> None:
        height, width = self.frame.shape[:2] if self.frame is not None else (0, 0)
        self._moved = False
        self.editor = Editor((width, height), boxes, self.name, 8 / self._scale())

    def _save(self) -> None:
        boxes, left = self.editor.kept(), len(self.editor.boxes) - len(self.editor.kept())
        if left and self.warned != "s":
            self.warned = "s"
            self.told = f"{left} suggested: A accepts, D dismisses, S again leaves them out"
            return
        self.warned = ""
        if self.picture is None:
            assert self.frame is not None
            identifier = self.frames.identifier()
            self.picture = self.store.add(self.frame, boxes, self.split, identifier)
        else:
            self.store.change(self.picture, boxes, self.split)
        self._open(str(self.picture))
        what = f"{len(boxes)} boxes" if boxes else "without any object"
        self.told = f"Saved in {self.split}: {self.picture}, {what}"
        self.told += f"; {left} suggested not taken" if left else ""
        self._counts = self.store.counts()

    def _open(self, name: str) -> None:
        frame, boxes, split = self.store.load(name)
        self.frame, self.split = frame, split or self.session
        self.mode, self.picture, self.told = "saved", name, ""
        self._edit(boxes)

    def _browse(self, by: int) -> None:
        names = self.store.names()
        if not names:
            self.told = "Nothing is saved yet"
        elif self._may_leave("[" if by < 0 else "]"):
            at = names.index(self.picture) if self.picture in names else len(names)
            self._open(names[min(max(at + by, 0), len(names) - 1)])

    def _scale(self) -> float:
        """Px of the window for one of the picture; small ones are doubled until they fill it."""
        if self.frame is None:
            return 1.0
        longer = max(self.frame.shape[:2])
        return SIDE / longer if longer > SIDE else max(1.0, float(SIDE // 2 // longer))

    def render(self) -> np.ndarray:
        """What is shown, uint8 BGR: the picture with its boxes, and two lines below it."""
        k = self._scale()
        frame = self.frame if self.frame is not None else np.zeros((360, 640, 3), np.uint8)
        size = (max(640, round(frame.shape[1] * k)), round(frame.shape[0] * k))
        shown = cv2.resize(frame, (round(frame.shape[1] * k), size[1]))
        canvas = np.full((size[1] + BAR, size[0], 3), 30, np.uint8)
        canvas[: size[1], : shown.shape[1]] = shown
        if self.mode != "live":
            for index, box in enumerate(self.editor.boxes):
                self._draw(canvas, box, index == self.editor.chosen, k)
        mode = {"live": "LIVE", "frozen": "FROZEN", "saved": "SAVED"}[self.mode]
        classes = self.store.classes
        counts = " ".join(f"{split} {self._counts[split]}" for split in SPLITS)
        name = f"class {classes.index(self.name) + 1} {self.name}"
        line = f"{mode} | {name} | {self.split} | {counts}"
        _text(canvas, line, (8, size[1] + 20), (255, 255, 255))
        told = self.told or "Space freeze, S save, 1-9 class, P split, U undo, Q end"
        _text(canvas, told, (8, size[1] + 42), (150, 220, 255))
        return canvas

    def _draw(self, canvas: np.ndarray, box: Box, chosen: bool, k: float) -> None:
        classes = self.store.classes
        index = classes.index(box["name"]) if box["name"] in classes else len(classes)
        colour = COLOURS[index % len(COLOURS)]
        left, top, right, bottom = (round(v * k) for v in box["corners"])
        cv2.rectangle(canvas, (left, top), (right, bottom), (0, 0, 0), 4)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 3 if chosen else 2)
        score = box.get("score")
        text = f"{box['name']} {score:.0%}?" if score else box["name"]
        _text(canvas, text, (left + 3, max(14, top - 5)), colour)
        if chosen:
            for _, (x, y) in handles(box):
                at = (round(x * k), round(y * k))
                cv2.circle(canvas, at, 5, (0, 0, 0), -1)
                cv2.circle(canvas, at, 4, (255, 255, 255), -1)


def _text(canvas: np.ndarray, text: str, at: Tuple[int, int], colour: Tuple[int, ...]) -> None:
    """On a dark ground. OpenCV's font may lack letters beyond ASCII, and shows question marks."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (wide, high), _ = cv2.getTextSize(text, font, size, 1)
    x, y = at
    cv2.rectangle(canvas, (x - 3, y - high - 3), (x + wide + 3, y + 5), (30, 30, 30), -1)
    cv2.putText(canvas, text, at, font, size, colour, 1, cv2.LINE_AA)


# ---------------------------------------------------------------------------------- command line


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Entry point; the exit code: 0 done, 2 something was wrong, in one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="csi://0, /dev/video0, rtsp://…, a file")
    parser.add_argument("--output", required=True, help="the set's folder; more is added to it")
    parser.add_argument("--labels", default="", help="classes, like sail,motor; kept in labels.txt")
    parser.add_argument("--split", default="train", choices=SPLITS, help="that it begins with")
    given = parser.parse_args(arguments)
    try:
        labels = [name.strip() for name in given.labels.split(",") if name.strip()]
        store = VocSet(os.path.expanduser(given.output), labels)
        frames = open_frames(given.source)
        try:
            Window(frames, store, given.split).run()
        finally:
            frames.close()
    except CaptureError as error:
        sys.stderr.write(f"capture: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    counts = " ".join(f"{split} {count}" for split, count in store.counts().items())
    print(f"{given.output}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
