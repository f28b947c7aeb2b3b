"""One small set as each labelling tool writes it, for the tests of the readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (64, 48)
# What every sample holds: {picture: [(class, xmin, ymin, xmax, ymax)]}
HELD: dict[str, list[tuple[str, float, float, float, float]]] = {
    "a b": [("cat", 8, 6, 40, 30), ("big dog", 16, 12, 48, 36)],
    "c": [("big dog", 4, 3, 32, 24)],
}


def pictures(folder: Path, names: tuple[str, ...] = tuple(HELD), ending: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize(SIZE).save(folder / f"{name}{ending}")


def openimages(root: Path) -> None:
    pictures(root / "train", ending=".jpg")
    lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,"
             "IsGroupOf,IsDepiction,IsInside,id,ClassName"]  # fmt: skip
    for name, boxes in HELD.items():
        for kind, *box in boxes:
            x1, y1, x2, y2 = (v / s for v, s in zip(box, SIZE * 2, strict=True))
            lines.append(f"{name},xclick,/m/{kind[:3]},1,{x1},{x2},{y1},{y2},0,0,0,0,0,1,{kind}")
    (root / "sub-train-annotations-bbox.csv").write_text("\n".join(lines) + "\n")
    (root / "class-descriptions-boxable.csv").write_text("/m/cat,cat\n/m/big,big dog\n/m/x,bat\n")


def roboflow(root: Path) -> None:
    pictures(root / "train")
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name, boxes in HELD.items():
        lines += [f"{name}.png,64,48,{kind},{a},{b},{c},{d}" for kind, a, b, c, d in boxes]
    (root / "train/_annotations.csv").write_text("\n".join(lines) + "\n")


def retinanet(root: Path) -> None:
    pictures(root / "pictures")
    lines = []
    for name, boxes in HELD.items():
        lines += [f"/home/u/{name}.png,{a},{b},{c},{d},{kind}" for kind, a, b, c, d in boxes]
    (root / "train.csv").write_text("\n".join(lines) + "\n")


def labelme_of(name: str) -> dict[str, Any]:
    shapes = [
        {"label": kind, "points": [[c, d], [a, b]], "shape_type": "rectangle", "flags": {}}
        for kind, a, b, c, d in HELD[name]
    ]
    return {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"..\\x\\{name}.png",
            "imageData": None, "imageHeight": 48, "imageWidth": 64}  # fmt: skip


def labelme(root: Path) -> None:
    pictures(root)
    for name in HELD:
        (root / f"{name}.json").write_text(json.dumps(labelme_of(name)))


def labelme_xml(root: Path) -> None:
    pictures(root / "Images")
    (root / "Annotations").mkdir()
    for name, boxes in HELD.items():
        text = "".join(
            f"<object><name>{kind}</name><deleted>0</deleted><polygon>"
            f"<pt><x>{a}</x><y>{b}</y></pt><pt><x>{c}</x><y>{b}</y></pt><pt><x>{c}</x><y>{d}</y>"
            "</pt></polygon></object>"
            for kind, a, b, c, d in boxes
        )
        (root / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><source><sourceAnnotation>LabelMe"
            f"</sourceAnnotation></source>{text}"
            "<imagesize><nrows>48</nrows><ncols>64</ncols></imagesize></annotation>"
        )


def cvat_text(extra: str = "", subset: str = "Train") -> str:
    images = "".join(
        f'<image id="{number}" name="{name}.png" width="64" height="48" subset="{subset}">'
        + "".join(
            f'<box label="{kind}" occluded="0" xtl="{a}" ytl="{b}" xbr="{c}" ybr="{d}"/>'
            for kind, a, b, c, d in boxes
        )
        + (extra if not number else "")
        + "</image>"
        for number, (name, boxes) in enumerate(HELD.items())
    )
    return f"<annotations><version>1.1</version><meta><task/></meta>{images}</annotations>"


def cvat(root: Path) -> None:
    pictures(root / "images")
    (root / "annotations.xml").write_text(cvat_text())


def region(kind: str, box: tuple[float, ...], rotation: float = 0) -> dict[str, Any]:
    x1, y1, x2, y2 = (100 * v / s for v, s in zip(box, SIZE * 2, strict=True))
    value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": rotation,
             "rectanglelabels": [kind]}  # fmt: skip
    return {"type": "rectanglelabels", "original_width": 64, "original_height": 48, "value": value}


def labelstudio_tasks() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "data": {"image": f"/data/upload/1/0a1b2c3d-{name.replace(' ', '%20')}.png"},
            "annotations": [{"id": 1, "result": [region(k, box) for k, *box in boxes]}],
        }
        for number, (name, boxes) in enumerate(HELD.items())
    ]


def labelstudio(root: Path) -> None:
    pictures(root / "images")
    (root / "project-1.json").write_text(json.dumps(labelstudio_tasks()))


def labelstudio_min(root: Path) -> None:
    pictures(root)
    tasks = []
    for name, boxes in HELD.items():
        regions = [region(kind, box) for kind, *box in boxes]
        label = [r["value"] | {k: r[k] for k in r if k.startswith("original")} for r in regions]
        tasks.append({"image": f"/data/local-files/?d=some/{name}.png", "label": label})
    (root / "min.json").write_text(json.dumps(tasks))


def fiftyone_samples(field: str = "ground_truth") -> dict[str, Any]:
    def detection(kind: str, *box: float) -> dict[str, Any]:
        x1, y1, x2, y2 = (v / s for v, s in zip(box, SIZE * 2, strict=True))
        return {"_cls": "Detection", "attributes": {}, "tags": [], "label": kind,
                "bounding_box": [x1, y1, x2 - x1, y2 - y1]}  # fmt: skip

    return {
        "samples": [
            {"filepath": f"data/{name}.png", "tags": ["validation"], "_media_type": "image",
             field: {"_cls": "Detections", "detections": [detection(*box) for box in boxes]}}
            for name, boxes in HELD.items()
        ]
    }  # fmt: skip


def fiftyone(root: Path) -> None:
    pictures(root / "data")
    (root / "samples.json").write_text(json.dumps(fiftyone_samples()))
    (root / "metadata.json").write_text(json.dumps({"name": "x", "sample_fields": []}))


def kitti(root: Path) -> None:
    pictures(root / "training/image_2")
    (root / "training/label_2").mkdir()
    for name, boxes in HELD.items():
        lines = [f"{k} 0.00 0 -1.58 {a} {b} {c} {d} 1.6 1.6 3.6 -0.6 1.7 46 -1.59" for k, a, b, c, d
                 in boxes]  # fmt: skip
        (root / f"training/label_2/{name}.txt").write_text("\n".join(lines) + "\n")


# {name of a layout: (format, what writes it)}
TOOLS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "openimages": ("openimages", openimages),
    "roboflow": ("csv", roboflow),
    "retinanet": ("csv", retinanet),
    "labelme": ("labelme", labelme),
    "labelme's XML": ("labelme", labelme_xml),
    "cvat": ("cvat", cvat),
    "labelstudio": ("labelstudio", labelstudio),
    "labelstudio's JSON-MIN": ("labelstudio", labelstudio_min),
    "fiftyone": ("fiftyone", fiftyone),
    "kitti": ("kitti", kitti),
}
