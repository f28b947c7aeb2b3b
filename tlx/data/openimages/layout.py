"""The files of Open Images, on the servers and in a folder of a subset.

On the servers (`Servers`), as Google and Amazon publish version 4 (2018_04)

    ANNOTATIONS/class-descriptions-boxable.csv              MID,name; no header
    ANNOTATIONS/SPLIT/SPLIT-annotations-bbox.csv            `COLUMNS`; train has 1.2 GB
    PICTURES/SPLIT/ImageID.jpg

and here, as pytorch-ssd's downloader leaves them

    root/class-descriptions-boxable.csv
    root/sub-SPLIT-annotations-bbox.csv                     the chosen boxes: `COLUMNS`,id,ClassName
    root/SPLIT/ImageID.jpg
    root/download.json                                      ours: what was asked for, and left out
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

SPLITS = ("train", "validation", "test")
COLUMNS = (
    "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
    "IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside",
)  # fmt: skip
OURS = ("id", "ClassName")
DESCRIPTIONS = "class-descriptions-boxable.csv"
SUMMARY = "download.json"
WORK = ".download"  # a folder of what an unfinished download needs again

ANNOTATIONS = "https://storage.googleapis.com/openimages/2018_04"
PICTURES = "https://open-images-dataset.s3.amazonaws.com"  # the unsigned bucket, by plain HTTPS
ANNOTATIONS_VARIABLE, PICTURES_VARIABLE = "TLX_OPENIMAGES_ANNOTATIONS", "TLX_OPENIMAGES_PICTURES"


def _annotations() -> str:
    return os.environ.get(ANNOTATIONS_VARIABLE) or ANNOTATIONS


def _pictures() -> str:
    return os.environ.get(PICTURES_VARIABLE) or PICTURES


@dataclass(frozen=True)
class Servers:
    """Where the files are: addresses without the last slash.

    Attributes:
        annotations: may be a folder of this machine too, with the files in it, or in `SPLIT/`.
        pictures: an address that `/SPLIT/ImageID.jpg` is put behind.
    """

    annotations: str = field(default_factory=_annotations)
    pictures: str = field(default_factory=_pictures)

    @property
    def local(self) -> Path | None:
        """The folder of the annotations, where they are on this machine."""
        return None if "://" in self.annotations else Path(self.annotations).expanduser()

    def picture(self, split: str, image: str) -> str:
        """The address of a picture."""
        return f"{self.pictures.rstrip('/')}/{split}/{image}.jpg"


def boxes_file(split: str) -> str:
    """The name of the boxes of all classes."""
    return f"{split}-annotations-bbox.csv"


def chosen_file(split: str) -> str:
    """The name of the boxes of a subset."""
    return f"sub-{split}-annotations-bbox.csv"
