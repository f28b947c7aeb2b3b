"""Image folders, configurations and classifiers for the tests of classification."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from tests.conftest import composed
from tlx.classify.checkpoint import classifier_meta
from tlx.classify.data import build_folders
from tlx.classify.network import Classifier
from tlx.config.schema import ClassifyConfig
from tlx.config.typed import plain
from tlx.models.backbones.base import backbone_spec

CLASSES = ["blue", "green", "red"]


def write_picture(path: Path, name: str, seed: int, side: int = 40) -> Path:
    """Noise that is brightest in the channel of its class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (side, side, 3), dtype=np.uint8)
    pixels[..., ["red", "green", "blue"].index(name)] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_set(root: Path, counts: dict[str, int]) -> Path:
    """root/SPLIT/CLASS/N.png, so many a class; split "" is the root itself."""
    seed = 0
    for split, count in counts.items():
        for name in CLASSES:
            for i in range(count):
                write_picture(root / split / name / f"{i}.png", name, seed := seed + 1)
    return root


def config(*overrides: str) -> ClassifyConfig:
    """What `python -m tlx.classify` composes."""
    cfg = composed("task=classify", *overrides)
    assert isinstance(cfg, ClassifyConfig)
    return cfg


def tiny(root: Path, folder: Path, *overrides: str) -> ClassifyConfig:
    """A run of seconds on a set of `write_set`."""
    return config(
        f"data.root={root}", "data.group_near_duplicates=false", "data.input_size=32",
        "trainer.epochs=2", "trainer.batch_size=6", "trainer.workers=0", "trainer.warmup_steps=1",
        "trainer.timer_warmup=1", "trainer.accelerator=cpu", "logger=none",
        f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}", *overrides,
    )  # fmt: skip


def classifier_of(name: str, size: int = 64, classes: int = 3, head: str = "linear") -> Classifier:
    """In eval mode, with batch norms that a wrong folding would show."""
    spec = backbone_spec(name)
    torch.manual_seed(0)
    classifier = Classifier(spec, spec.conventions, classes, size, dropout=0.5, head=head)
    for layer in classifier.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.3)
    with torch.no_grad():
        classifier.train()(torch.randn(4, 3, size, size))  # statistics of these activations
        last = classifier.heads.behind_pool()[-1]
        torch.nn.init.normal_(last.weight, std=0.05)  # not the same for every picture and class
    return classifier.eval()


def write_checkpoint(
    path: Path, root: Path, name: str = "mobilenet_v1", head: str = "linear"
) -> Classifier:
    """A checkpoint as training on the set in `root` leaves it."""
    classifier = classifier_of(name, head=head)
    cfg = config(f"data.root={root}", "data.group_near_duplicates=false")
    stored = {"data": plain(cfg)["data"]}
    state = {f"classifier.{key}": value for key, value in classifier.state_dict().items()}
    with TemporaryDirectory() as cache:
        dataset = build_folders(cfg.data, Path(cache)).membership
    torch.save({"tlx": classifier_meta(classifier, dataset, stored), "state_dict": state}, path)
    return classifier
