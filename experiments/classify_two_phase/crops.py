"""Class folders from a COCO data set: one picture for each annotated object.

    python -m tlx.data convert root=/data/ppe to=coco output=ppe-coco splits=cut
    python experiments/classify_two_phase/crops.py ppe-coco ppe-crops

The splits are those of the data set, so that no picture is cut up into two of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

LEAST = 24  # px: of smaller ones there is nothing to see


def crops(coco: Path, output: Path) -> int:
    """Write OUTPUT/SPLIT/CLASS/NUMBER.jpg of each split's annotations; how many there are."""
    count = 0
    for file in sorted(coco.rglob("*.json")):
        content = json.loads(file.read_text())
        if "annotations" not in content:
            continue
        names = {c["id"]: c["name"] for c in content["categories"]}
        paths = {i["id"]: i["file_name"] for i in content["images"]}
        split = next(s for s in ("train", "val", "test") if s in str(file.relative_to(coco)))
        for box in content["annotations"]:
            left, top, width, height = box["bbox"]
            if min(width, height) < LEAST:
                continue
            folder = output / split / names[box["category_id"]]
            folder.mkdir(parents=True, exist_ok=True)
            (picture,) = [p for p in coco.rglob(Path(paths[box["image_id"]]).name) if p.is_file()]
            with Image.open(picture) as image:
                cut = image.convert("RGB").crop((left, top, left + width, top + height))
            cut.save(folder / f"{box['id']:05d}.jpg", quality=95)
            count += 1
    return count


if __name__ == "__main__":
    print(f"{crops(Path(sys.argv[1]), Path(sys.argv[2]))} pictures")
