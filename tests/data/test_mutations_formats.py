"""Damaged and hostile annotation files of every format: data, or an error that names the file.

See test_mutations.py for what a mutation is. Here each is also read with `data.format=auto`, the
message must name a file, no file outside of the set's folder may be opened, and memory may not grow
by a gibibyte.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.data.helpers_codecs import CSV, JSON, LINES, Codec
from tests.data.helpers_mutations import Target, faults
from tests.data.helpers_tools import TOOLS, pictures
from tlx.common.errors import DataError, TlxError
from tlx.data.check import check
from tlx.data.commands.convert import ConvertConfig, convert
from tlx.data.formats import find_format, read_annotations
from tlx.data.formats.registry import SIGNS

GIB = 2**20  # KiB, as `ru_maxrss` counts
_opened: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_watch)  # once for the process: hooks stay


@contextmanager
def staying_below(folder: Path) -> Iterator[None]:
    """Fail on a file that is opened elsewhere, but for those of Python and of the system."""
    global _opened
    _opened = opened = []
    try:
        yield
    finally:
        _opened = None
        allowed = (
            str(folder),
            sys.prefix,
            sys.base_prefix,
            "/usr",
            "/lib",
            "/proc",
            "/sys",
            "/dev",
        )
        outside = [
            path
            for path in opened
            if path.startswith("/") and not path.startswith(allowed) and not path.endswith(".py")
        ]
        # Modules that are imported late lie wherever the machine has them.
        outside = [p for p in outside if not p.endswith((".pyc", ".so")) and ".pyc." not in p]
        assert not outside, outside


def _read(format: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        with staying_below(folder):
            try:
                find_format("auto", folder)
            except DataError as error:
                if str(folder) not in str(error):
                    raise AssertionError(f"auto names no folder: {error}") from error
            try:
                annotations = read_annotations(format, folder, None)
            except TlxError as error:
                if str(folder) not in str(error):
                    raise AssertionError(f"it names no file: {error}") from error
                raise
            for annotation in annotations:
                assert annotation.image.is_relative_to(folder), annotation.image
                assert annotation.boxes.shape == (len(annotation.names), 4)
            check(annotations, None)

    return read


def _predictions(folder: Path) -> None:
    pictures(folder / "set")
    found = {"class": "cat", "score": 0.9, "box": [1, 2, 30, 40]}
    row = {"image": "c.png", "width": 64, "height": 48, "detections": [found, found]}
    (folder / "found.json").write_text(json.dumps([row]))


def _convert(folder: Path) -> None:
    for to in ("cvat", "labelstudio", "fiftyone"):
        convert(ConvertConfig(
            to=to, predictions=str(folder / "found.json"), root=str(folder / "set"),
            output=str(folder / f"out-{to}"),
        ))  # fmt: skip


def _target(tool: str, file: str, codec: Codec) -> Target:
    format, write = TOOLS[tool]
    return Target(file, write, _read(format), codec, quick=20, many=220)


TARGETS = {
    "openimages": _target("openimages", "sub-train-annotations-bbox.csv", CSV),
    "openimages, names": _target("openimages", "class-descriptions-boxable.csv", CSV),
    "roboflow": _target("roboflow", "train/_annotations.csv", CSV),
    "retinanet": _target("retinanet", "train.csv", CSV),
    "labelme": _target("labelme", "a b.json", JSON),
    "labelme's XML": _target("labelme's XML", "Annotations/a b.xml", LINES),
    "cvat": _target("cvat", "annotations.xml", LINES),
    "labelstudio": _target("labelstudio", "project-1.json", JSON),
    "labelstudio's JSON-MIN": _target("labelstudio's JSON-MIN", "min.json", JSON),
    "fiftyone": _target("fiftyone", "samples.json", JSON),
    "kitti": _target("kitti", "training/label_2/a b.txt", LINES),
    "predictions": Target("found.json", _predictions, _convert, JSON, quick=12, many=160),
}


@pytest.fixture
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The whole sample, which its reader takes."""
    target = TARGETS[request.node.callspec.params["name"]]
    folder = tmp_path / "master"
    folder.mkdir()
    target.sample(folder)
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_annotations_end_in_words(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    if name != "predictions":
        target.read(master)  # otherwise the mutations would all stop at the door
    assert [*faults(target, master, name, range(target.quick), tmp_path / "trials")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_annotations_end_in_words_many(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [*faults(target, master, name, range(target.many), tmp_path / "trials")] == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIB


def test_every_format_has_mutations_somewhere() -> None:
    from tests.data.test_mutations import TARGETS as OTHERS

    mutated = {TOOLS[tool][0] for tool in TOOLS} | {*OTHERS}
    assert {*SIGNS} <= mutated
    formats = [OTHERS[name] for name in OTHERS if name.split("'")[0] in SIGNS]
    assert sum(target.many for target in (*TARGETS.values(), *formats)) >= 2000
