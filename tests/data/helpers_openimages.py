"""A small Open Images in the true layout: annotations of several classes, and their pictures."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tests.data.helpers_server import FileServer
from tlx.data.openimages.layout import COLUMNS

CLASSES = {
    "Apple": "/m/014j1m",
    "Orange": "/m/0cyhj_",
    "Vehicle registration plate": "/m/01jfm_",
    "Kitchen & dining room table": "/m/0h8n5zk",
    "Person": "/m/01g317",
}
PLATE = "Vehicle registration plate"


@functools.cache
def jpeg(number: int) -> bytes:
    """A picture of about 2 kB, of its own for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    into = io.BytesIO()
    Image.fromarray(pixels).resize((96, 72)).save(into, "JPEG", quality=80)
    return into.getvalue()


@dataclass
class Made:
    """Rows of each split, as they are written, and the ids of its pictures."""

    rows: dict[str, list[str]] = field(default_factory=dict)

    def add(self, split: str, image: str, name: str, *, group: int = 0, depiction: int = 0) -> None:
        """One box more; its corners follow from what is there already."""
        rows = self.rows.setdefault(split, [])
        low = 0.05 + len(rows) % 7 / 20
        rows.append(
            f"{image},xclick,{CLASSES[name]},1,{low:.6f},{low + 0.4:.6f},0.100000,0.700000,"
            f"0,0,{group},{depiction},0"
        )

    def csv(self, split: str) -> bytes:
        """The file of a split."""
        return ("\n".join([",".join(COLUMNS), *self.rows.get(split, [])]) + "\n").encode()

    def images(self) -> list[tuple[str, str]]:
        """(split, id) of every picture that has a row."""
        return list(
            dict.fromkeys(
                (split, row.split(",")[0]) for split in self.rows for row in self.rows[split]
            )
        )


def plates() -> Made:
    """24, 6 and 6 pictures with plates, one or two each, among pictures of people."""
    made = Made()
    for split, count, code in (("train", 24, 1), ("validation", 6, 2), ("test", 6, 3)):
        for number in range(count):
            image = f"{code:04x}{number:012x}"
            made.add(split, f"f{image[1:]}", "Person")
            for _ in range(1 + number % 2):
                made.add(split, image, PLATE)
            made.add(split, image, "Person")
    return made


def put(server: FileServer, made: Made) -> None:
    """Give a server all of it, as the buckets have it."""
    lines = [f"{mid},{name}" for name, mid in CLASSES.items()]
    server.files["/openimages/2018_04/class-descriptions-boxable.csv"] = "\n".join(lines).encode()
    for split in ("train", "validation", "test"):
        path = f"/openimages/2018_04/{split}/{split}-annotations-bbox.csv"
        server.files[path] = made.csv(split)
    for number, (split, image) in enumerate(made.images()):
        server.files[f"/open-images-dataset/{split}/{image}.jpg"] = jpeg(number)


def addresses(server: FileServer) -> dict[str, str]:
    """The keys of `tlx data download` that lead there."""
    return {
        "annotations": f"{server.url}/openimages/2018_04",
        "pictures": f"{server.url}/open-images-dataset",
    }
