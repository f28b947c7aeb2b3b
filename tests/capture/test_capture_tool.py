"""tools/capture.py: the window of a bare Jetson, and the set that it writes."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageGrab

from tests.capture.helpers_capture import TOOL, load_tool
from tests.live.helpers_live import (
    SQUARE,
    Numbered,
    find_red,
    needs_cv2,
    number_of,
    numbered_frame,
    square_at,
    write_video,
)
from tlx import capture as program
from tlx.common.errors import ToolError
from tlx.data.formats import read_annotations
from tlx.data.formats.pictures import decode
from tlx.labelling.album import Album
from tlx.labelling.suggest import Suggester
from tlx.labelling.window import _Frames, _Store, _suggested
from tlx.live.model import PlainModel
from tlx.live.reader import Reader
from tlx.live.voc_lists import locked

pytestmark = needs_cv2
BOX = {"name": "red", "corners": [10, 20, 50, 60], "origin": None}
SHOTS = os.environ.get("TLX_CAPTURE_SHOTS")  # a folder for pictures of the window, to look at


def test_grammar_and_library_of_python_36() -> None:
    text = TOOL.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 6))
    vermin = pytest.importorskip("vermin", reason="vermin is not installed: pip install vermin")
    config = vermin.Config()
    config.set_eval_annotations(True)  # they are evaluated in 3.6
    lowest = vermin.visit(text, config).minimum_versions()
    assert lowest[1] is not None
    assert lowest[1] <= (3, 6)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cv2", "numpy"}


def test_its_set_is_read_by_tlx_and_continued(tmp_path: Path) -> None:
    """Tool, album, tool: one set, none of what the other wrote is lost."""
    tool = load_tool()
    store = tool.VocSet(str(tmp_path), ["red", "blue"])
    names = [store.add(numbered_frame(3)[..., ::-1], [BOX], split, "same")
             for split in ("train", "val", "test", "train")]  # fmt: skip
    assert names == ["same", "same-2", "same-3", "same-4"]
    store.change("same-4", [], "test")
    found = {a.image.stem: a for a in read_annotations("voc", tmp_path, ["red", "blue"])}
    assert {k: a.split for k, a in found.items()} == dict(
        zip(names, ("train", "val", "test", "test"), strict=True)
    )
    assert found["same"].boxes.tolist() == [[10, 20, 50, 60]]
    assert found["same-4"].names == []
    assert number_of(decode(found["same"].image, rotate=False, max_side=1000)) == 3
    album = Album(tmp_path)
    assert album.classes == ["red", "blue"]
    picture = album.open("same-2")
    boxes = [{"name": "blue", "corners": [10, 20, 50, 60], "origin": 0}, BOX]
    album.change("same-2", boxes, "train", picture.revision)
    again = tool.VocSet(str(tmp_path), [])
    _, boxes, split = again.load("same-2")
    assert (split, [box["name"] for box in boxes]) == ("train", ["blue", "red"])
    text = (tmp_path / "Annotations" / "same-2.xml").read_text()
    (tmp_path / "Annotations" / "same-2.xml").write_text(
        text.replace("<difficult>0", "<mine>kept</mine><difficult>1", 1)
    )
    again.change("same-2", boxes[:1], "val")
    assert "<mine>kept</mine>" in (tmp_path / "Annotations" / "same-2.xml").read_text()
    assert again.counts() == {"train": 1, "val": 1, "test": 2}


def test_tool_and_tlx_wait_for_each_other(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="nothing is locked on Windows")
    store, album = load_tool().VocSet(str(tmp_path), ["red"]), Album(tmp_path)
    done = threading.Event()

    def add() -> None:
        store.add(numbered_frame(0), [], "train", "a")
        done.set()

    with locked(album.root):
        thread = threading.Thread(target=add)
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(10)
    thread.join()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "--labels is missing"),
        (lambda root: (root / "labels.txt").write_text("gun\n"), ""),
        (lambda root: (root / "Annotations").mkdir() or (root / "Annotations/a.xml").touch(),
         "no list in"),
    ],
)  # fmt: skip
def test_wrong_sets_are_named(tmp_path: Path, make: Any, message: str) -> None:
    tool = load_tool()
    make(tmp_path)
    if not message:
        assert tool.VocSet(str(tmp_path), []).classes == ["gun"]
        with pytest.raises(tool.CaptureError, match="names other classes"):
            tool.VocSet(str(tmp_path), ["knife"])
        return
    with pytest.raises(tool.CaptureError, match=message):
        tool.VocSet(str(tmp_path), [])


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = load_tool()
    output = ["--output", str(tmp_path / "set"), "--labels", "red"]
    assert tool.main(["--source", str(tmp_path / "no.mp4"), *output]) == 2
    assert capsys.readouterr().err == f"capture: --source {tmp_path / 'no.mp4'}: no such file\n"
    (tmp_path / "set" / "Annotations" / "a.xml").write_text("<!DOCTYPE a><annotation/>")
    Image.fromarray(numbered_frame(0)).save(tmp_path / "set" / "JPEGImages" / "a.png")
    (tmp_path / "set" / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    with pytest.raises(tool.CaptureError, match="refused"):
        tool.VocSet(str(tmp_path / "set"), []).load("a")


class Still:
    """Frames for a window that nobody shows."""

    ended, pause = False, 0.0

    def __init__(self) -> None:
        self.number = -1

    def newest(self) -> np.ndarray:
        self.number += 1
        return numbered_frame(self.number)[..., ::-1]

    def identifier(self) -> str:
        return f"f{self.number}"


def drag(window: Any, start: tuple[int, int], end: tuple[int, int], flags: int = 0) -> None:
    """By px of the picture."""
    import cv2

    k = window._scale()
    (x, y), (u, v) = ((round(a * k), round(b * k)) for a, b in (start, end))
    window.mouse(cv2.EVENT_LBUTTONDOWN, x, y, flags)
    window.mouse(cv2.EVENT_MOUSEMOVE, (x + u) // 2, (y + v) // 2, flags)
    window.mouse(cv2.EVENT_LBUTTONUP, u, v, flags)


def corners(window: Any) -> list[list[float]]:
    return [box["corners"] for box in window.editor.boxes]


def keys(window: Any, *codes: int | str) -> None:
    for code in codes:
        window.key(ord(code) if isinstance(code, str) else code)


def test_keys_and_mouse(tmp_path: Path) -> None:
    tool = load_tool()
    window = tool.Window(Still(), tool.VocSet(str(tmp_path), ["red", "blue"]))
    window.look()
    keys(window, "s")
    assert "Freeze a frame first" in window.told
    keys(window, " ")
    number = window.frames.number
    window.look()
    assert window.frames.number == number  # frozen
    drag(window, (20, 20), (60, 60))
    drag(window, (100, 20), (140, 60))
    keys(window, "2")
    assert [box["name"] for box in window.editor.boxes] == ["red", "blue"]
    drag(window, (120, 40), (130, 50))  # moves it
    drag(window, (150, 70), (155, 80))  # its corner
    assert corners(window) == [[20, 20, 60, 60], [110, 30, 155, 80]]
    drag(window, (40, 40), (40, 40))  # a click chooses
    keys(window, 65535)  # Delete of GTK and Qt
    assert corners(window) == [[110, 30, 155, 80]]
    keys(window, "u", "u", 0x40000 | ord("z"))  # Ctrl+Z
    assert corners(window) == [[20, 20, 60, 60], [100, 20, 140, 60]]
    keys(window, "r", 0x40000 | ord("y"))
    assert corners(window)[1] == [110, 30, 155, 80]
    drag(window, (40, 40), (40, 40))
    drag(window, (30, 30), (50, 50), flags=16)  # with Shift: inside the chosen one
    drag(window, (5, 100), (5, 100))
    drag(window, (30, 90), (-30, 500))  # beyond the edge
    assert corners(window)[2:] == [[30, 30, 50, 50], [0, 90, 30, 120]]
    assert window.render().ndim == 3
    keys(window, " ", "q")
    assert (window.mode, window.done) == ("frozen", False)
    assert "Not saved yet" in window.told
    keys(window, "p", "p", "s")
    assert window.told.startswith("Saved in test: f0, 4 boxes")
    keys(window, "2", " ")
    assert window.mode == "live"
    window.look()
    keys(window, " ", "s", "n", "s")
    assert window.store.names() == ["f0", "f1", "f2"]
    keys(window, "[", "[")
    assert (window.picture, len(corners(window)), window.split) == ("f0", 4, "test")
    drag(window, (5, 100), (5, 100))
    keys(window, 8, "s", "q")
    assert window.done
    found = {a.image.stem: a for a in read_annotations("voc", tmp_path, ["red", "blue"])}
    assert len(found["f0"].boxes) == 3
    assert [found[k].split for k in ("f0", "f1", "f2")] == ["test"] * 3
    assert number_of(decode(found["f2"].image, rotate=False, max_side=1000)) == 2


def test_tlxs_window_has_its_sources_set_and_models(tmp_path: Path) -> None:
    tool = load_tool()
    album = Album(tmp_path, ["red", "blue"])
    suggester = Suggester(PlainModel(find_red, ["red"]), 0.5, album.classes)
    source = Numbered(3)
    with Reader(source) as reader:
        window = tool.Window(_Frames(source, reader), _Store(album, tool.CaptureError), "train",
                             lambda bgr: _suggested(suggester, bgr))  # fmt: skip
        while window.frame is None:
            window.look()
        keys(window, " ")
        assert window.editor.boxes[0]["score"] == 0.9
        keys(window, "s")  # nobody took it: it asks
        assert window.told.startswith("1 suggested")
        assert window.store.names() == []
        keys(window, "s")
        assert window.told == (
            "Saved in train: numbered-000000, without any object; 1 suggested not taken"
        )
        keys(window, "n", "a", "s")
        xml = tmp_path / "Annotations" / "numbered-000001.xml"
        xml.write_text(xml.read_text() + "\n")
        keys(window, "2", "p", "s")
        assert "changed by somebody else" in window.told
    found = read_annotations("voc", tmp_path, ["red", "blue"])
    assert [a.names for a in found] == [[], ["red"]]
    x, y = square_at(1)
    assert np.abs(found[1].boxes - [[x, y, x + SQUARE, y + SQUARE]]).max() <= 1


def test_without_a_display_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    arguments = [f"source={tmp_path / 'a.png'}", f"output={tmp_path / 'set'}", "labels=a"]
    with pytest.raises(ToolError, match=r"no display.*label=page"):
        program.main([*arguments, "label=window"])


# ------------------------------------------------------------------------------ a virtual screen


def window_python() -> str | None:
    """An interpreter whose OpenCV opens windows: TLX_WINDOW_ENV's, or that of the tests."""
    environment = os.environ.get("TLX_WINDOW_ENV")
    python = str(Path(environment) / "bin" / "python") if environment else sys.executable
    code = "import cv2, re, sys\nsys.exit(bool(re.search('GUI: +NONE', cv2.getBuildInformation())))"
    done = subprocess.run([python, "-c", code], capture_output=True, check=False)
    return python if done.returncode == 0 else None


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A display that nobody sees."""
    for name in ("Xvfb", "xdotool"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed: apt-get install xvfb xdotool")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x800x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"
    monkeypatch.setenv("DISPLAY", display)
    yield display
    server.terminate()
    server.wait()


def xdotool(*words: object) -> str:
    done = subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout


def appears(program: subprocess.Popen[bytes]) -> str:
    """The window's number, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert program.poll() is None
        found = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^capture$"],
                               capture_output=True, text=True, check=False)  # fmt: skip
        if numbers := found.stdout.split():
            return numbers[-1]
        time.sleep(0.2)
    raise AssertionError("no window")


@pytest.mark.parametrize("of", ["tool", "tlx"])
def test_a_window_on_a_virtual_screen(of: str, screen: str, tmp_path: Path) -> None:
    python = window_python()
    if python is None or (of == "tlx" and not importlib.util.find_spec("omegaconf")):
        pytest.skip("this OpenCV opens no window: TLX_WINDOW_ENV names an environment with "
                    "opencv-python (CONTRIBUTING.md)")  # fmt: skip
    clip, root = write_video(tmp_path / "clip.mp4", 500), tmp_path / "set"
    if of == "tool":
        command = [python, str(TOOL), "--source", str(clip), "--output", str(root)]
        command += ["--labels", "red,blue"]
    else:
        command = [python, "-m", "tlx.capture", f"source={clip}", f"output={root}"]
        command += ["labels=red,blue", "label=window"]
        done = subprocess.run(
            [python, "-c", "import tlx.capture"], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("the environment of TLX_WINDOW_ENV has not what tlx needs")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        number = appears(process)
        xdotool("windowfocus", "--sync", number)
        time.sleep(1)
        xdotool("key", "space")
        time.sleep(1)
        area = dict(line.split("=") for line in
                    xdotool("getwindowgeometry", "--shell", number).split())  # fmt: skip
        k = int(area["WIDTH"]) / 160  # small pictures fill the window
        start, end = [round(20 * k), round(30 * k)], [round(60 * k), round(80 * k)]
        xdotool("mousemove", "--window", number, *start)
        xdotool("mousedown", 1)
        for step in (0.3, 0.7, 1.0):
            place = [round(a + step * (b - a)) for a, b in zip(start, end, strict=True)]
            xdotool("mousemove", "--window", number, *place)
            time.sleep(0.1)
        xdotool("mouseup", 1)
        time.sleep(0.3)
        xdotool("key", "2")
        time.sleep(0.5)
        if SHOTS:
            ImageGrab.grab(xdisplay=screen).save(f"{SHOTS}/window-{of}.png")
        xdotool("key", "s")
        time.sleep(1)
        xdotool("key", "q")
        assert process.wait(30) == 0
    finally:
        process.kill()
    (annotation,) = read_annotations("voc", root, ["red", "blue"])
    assert (annotation.names, annotation.split) == (["blue"], "train")
    assert np.abs(annotation.boxes - [[20, 30, 60, 80]]).max() <= 2
    shown = number_of(decode(annotation.image, rotate=False, max_side=1000))
    assert annotation.image.stem == f"clip-{shown:06d}"
