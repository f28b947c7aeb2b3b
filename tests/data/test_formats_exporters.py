"""Sets as public libraries write them, by the libraries themselves: read back equal.

A library that is not installed skips its tests: CONTRIBUTING.md says what to install.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_tools import HELD, SIZE, pictures
from tests.data.test_formats_tools import held
from tlx.data.check import check
from tlx.data.commands.convert import ConvertConfig, convert
from tlx.data.formats import find_format, read_annotations

CLASSES = ["big dog", "cat"]
NEGATIVE = {"n": []}
WHOLE = {**HELD, **NEGATIVE}
SPLIT = {"a b": "train", "c": "val", "n": "test"}


def read_back(folder: Path, format: str, classes: list[str] | None = None) -> dict[str, object]:
    """What is read, without a fault."""
    assert find_format("auto", folder) == format
    found = read_annotations(format, folder, classes)
    check(found, classes, strict=True)
    return {"boxes": held(found), "splits": {a.image.stem: a.split for a in found}}


# ---------------------------------------------------------------------------------- Datumaro


@pytest.mark.parametrize(
    ("theirs", "ours"), [("cvat", "cvat"), ("label_me", "labelme"), ("coco", "coco"),
                         ("voc", "voc"), ("kitti", "kitti"), ("yolo", "yolo")]
)  # fmt: skip
def test_datumaro(theirs: str, ours: str, tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro", reason="datumaro is not installed")
    items = []
    for number, (name, boxes) in enumerate(WHOLE.items()):
        pixels = np.full((*SIZE[::-1], 3), 40 * number + 20, np.uint8)
        annotations = [
            dm.Bbox(a, b, c - a, d - b, label=CLASSES.index(kind), id=place, group=place + 1)
            for place, (kind, a, b, c, d) in enumerate(boxes)
        ]
        image = dm.Image.from_numpy(pixels)
        item = dm.DatasetItem(
            id=name, subset=SPLIT[name], media=image, annotations=annotations
        )  # fmt: skip
        items.append(item)
    dataset = dm.Dataset.from_iterable(items, categories=CLASSES)
    dataset.export(str(tmp_path / "out"), theirs, save_media=True)
    assert find_format("auto", tmp_path / "out") == ours
    found = read_annotations(ours, tmp_path / "out", None)
    # Datumaro writes no file for a split or a picture without boxes there: it is not known to be
    # empty.
    silent = theirs in ("voc", "kitti", "coco")
    assert held(found) == (HELD if silent else WHOLE)
    splits = {a.image.stem: a.split for a in found}
    assert splits == (SPLIT if theirs not in ("voc", "coco") else {**SPLIT, "n": None})
    assert check(found, None).faults.counts() == ({"unlabelled": 1} if silent else {})


# ------------------------------------------------------------------------------- supervision


def _of_supervision(folder: Path) -> object:
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    pictures(folder, tuple(WHOLE), ".jpg")
    paths = {name: str(folder / f"{name}.jpg") for name in WHOLE}
    annotations = {
        paths[name]: sv.Detections(
            xyxy=np.array([box for _, *box in boxes], np.float32).reshape(-1, 4),
            class_id=np.array([CLASSES.index(kind) for kind, *_ in boxes], int),
        )
        for name, boxes in WHOLE.items()
    }
    return sv.DetectionDataset(CLASSES, [*paths.values()], annotations)


def test_supervision_to_yolo(tmp_path: Path) -> None:
    out = tmp_path / "out"
    dataset = _of_supervision(tmp_path / "source")
    dataset.as_yolo(  # type: ignore[attr-defined]
        images_directory_path=str(out / "images"), annotations_directory_path=str(out / "labels"),
        data_yaml_path=str(out / "data.yaml"),
    )  # fmt: skip
    found = read_annotations("yolo", out, None)
    assert find_format("auto", out) == "yolo"
    # It writes five decimals: a box moves by up to 0.001 px of 64.
    rounded = {k: [(n, *np.round(b, 2)) for n, *b in boxes] for k, boxes in held(found).items()}
    assert rounded == WHOLE
    assert check(found, None).faults.counts() == {}


def test_supervision_to_coco_and_voc(tmp_path: Path) -> None:
    dataset = _of_supervision(tmp_path / "source")
    dataset.as_coco(  # type: ignore[attr-defined]
        images_directory_path=str(tmp_path / "coco/images"),
        annotations_path=str(tmp_path / "coco/annotations.json"),
    )
    assert read_back(tmp_path / "coco", "coco")["boxes"] == WHOLE
    dataset.as_pascal_voc(  # type: ignore[attr-defined]
        images_directory_path=str(tmp_path / "voc/JPEGImages"),
        annotations_directory_path=str(tmp_path / "voc/Annotations"),
    )
    # It counts the pixels of the upper left corner from 1 on: corners are taken as written.
    moved = {k: [(n, a + 1, b + 1, c, d) for n, a, b, c, d in v] for k, v in WHOLE.items()}
    assert read_back(tmp_path / "voc", "voc")["boxes"] == moved


def test_what_is_written_for_supervision_is_read_by_it(tmp_path: Path) -> None:
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    _labelled(tmp_path / "set")
    for to in ("yolo", "coco"):
        convert(ConvertConfig(to=to, root=str(tmp_path / "set"), output=str(tmp_path / to)))
    out = tmp_path / "yolo"
    yolo = sv.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml")
    )
    coco = sv.DetectionDataset.from_coco(
        str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations.json")
    )
    for dataset in (yolo, coco):
        found = {
            Path(path).stem: [
                (dataset.classes[kind], *np.round(box, 2).tolist())
                for kind, box in zip(each.class_id, each.xyxy, strict=True)
            ]
            for path, each in dataset.annotations.items()
        }
        assert found == WHOLE


def _labelled(root: Path) -> None:
    """The whole set as lines of a CSV file."""
    pictures(root, tuple(WHOLE))
    lines = [f"{k}.png,{','.join(map(str, b))},{n}" for k, v in HELD.items() for n, *b in v]
    (root / "all.csv").write_text("\n".join([*lines, "n.png,,,,,"]))


# ---------------------------------------------------------------------------------- FiftyOne

EXPORT = """
import sys
import fiftyone as fo
source, out, held, split = sys.argv[1], sys.argv[2], eval(sys.argv[3]), eval(sys.argv[4])
dataset = fo.Dataset()
names = {"train": "train", "val": "validation", "test": "test"}
for name, boxes in held.items():
    sample = fo.Sample(filepath=f"{source}/{name}.png", tags=[names[split[name]]])
    sample["ground_truth"] = fo.Detections(detections=[
        fo.Detection(label=kind, bounding_box=[a / 64, b / 48, (c - a) / 64, (d - b) / 48])
        for kind, a, b, c, d in boxes
    ])
    dataset.add_sample(sample)
types = fo.types
dataset.export(f"{out}/own", dataset_type=types.FiftyOneDataset)
for name in ("COCO", "VOC", "KITTI"):
    kind = getattr(types, f"{name}DetectionDataset")
    dataset.export(f"{out}/{name}", dataset_type=kind, label_field="ground_truth")
for name in ("CVATImageDataset", "YOLOv4Dataset", "FiftyOneImageDetectionDataset"):
    dataset.export(f"{out}/{name}", dataset_type=getattr(types, name), label_field="ground_truth")
for split in ("train", "val", "test"):
    dataset.match_tags(names[split]).export(
        f"{out}/YOLO", dataset_type=types.YOLOv5Dataset, label_field="ground_truth", split=split,
        classes=["big dog", "cat"],
    )
"""
IMPORT = """
import sys
import fiftyone as fo
dataset = fo.Dataset.from_dir(dataset_dir=sys.argv[1], dataset_type=fo.types.FiftyOneDataset)
for sample in dataset:
    boxes = [
        (d.label, *(round(v * s, 2) for v, s in zip(
            (d.bounding_box[0], d.bounding_box[1], d.bounding_box[0] + d.bounding_box[2],
             d.bounding_box[1] + d.bounding_box[3]), (64, 48, 64, 48))))
        for d in sample.ground_truth.detections
    ]
    print("SAMPLE", repr((sample.filename, sample.tags, boxes)))
"""


@pytest.fixture(scope="module")
def fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a FiftyOne with a database of its own."""
    pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    from tests.inspect.test_inspect import end, free_port, wait_for_port

    folder = tmp_path_factory.mktemp("fiftyone")
    own = {
        "FIFTYONE_CONFIG_PATH": str(folder / "config.json"),
        "FIFTYONE_DATABASE_DIR": str(folder / "mongo"),
        "FIFTYONE_DATABASE_NAME": f"tlx{os.getpid()}",
        "FIFTYONE_DEFAULT_DATASET_DIR": str(folder / "datasets"),
    }
    server = Path(sys.executable).with_name("secantusd-py")
    if "FIFTYONE_DATABASE_URI" in os.environ or not server.is_file():
        yield os.environ | own
        return
    port = free_port()
    command = [str(server), "--host", "127.0.0.1", "--port", str(port),
               "--storage-path", str(folder / "db")]  # fmt: skip
    with (folder / "db.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            wait_for_port(port, process)
            yield os.environ | own | {"FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}"}
        finally:
            end(process)


def _python(code: str, environment: dict[str, str], *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def exported(fiftyone: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set in each of FiftyOne's formats."""
    folder = tmp_path_factory.mktemp("exported")
    pictures(folder / "source", tuple(WHOLE))
    _python(EXPORT, fiftyone, folder / "source", folder, WHOLE, SPLIT)
    return folder


@pytest.mark.parametrize(
    ("layout", "format", "splits"),
    [
        ("own", "fiftyone", True), ("COCO", "coco", False), ("VOC", "voc", False),
        ("YOLO", "yolo", True), ("YOLOv4Dataset", "yolo", False),
        ("CVATImageDataset", "cvat", False), ("FiftyOneImageDetectionDataset", "fiftyone", False),
    ],
)  # fmt: skip
def test_fiftyone(exported: Path, layout: str, format: str, splits: bool) -> None:
    found = read_back(exported / layout, format)
    assert found["boxes"] == WHOLE
    assert found["splits"] == (SPLIT if splits else dict.fromkeys(SPLIT))


def test_fiftyone_to_kitti_loses_spaces_of_names(exported: Path) -> None:
    read = read_annotations("kitti", exported / "KITTI", None)
    renamed = {k: [(n.replace(" ", "_"), *b) for n, *b in v] for k, v in WHOLE.items()}
    assert held(read) == renamed


def test_what_is_written_for_fiftyone_is_read_by_it(
    fiftyone: dict[str, str], tmp_path: Path
) -> None:
    _labelled(tmp_path / "set")
    out = tmp_path / "out"
    convert(ConvertConfig(to="fiftyone", root=str(tmp_path / "set"), output=str(out)))
    said = _python(IMPORT, fiftyone, out)
    read = [eval(line.removeprefix("SAMPLE ")) for line in said.splitlines() if "SAMPLE" in line]
    assert {Path(name).stem: boxes for name, _, boxes in read} == WHOLE
    assert all(tags == [] for _, tags, _ in read)


def test_pictures_of_the_exporters_are_those_that_went_in(exported: Path) -> None:
    for path in (exported / "own/data").iterdir():
        assert Image.open(path).size == SIZE
