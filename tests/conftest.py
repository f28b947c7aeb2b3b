"""Small, real parts for the tests: a data set on disk and configurations composed by Hydra."""

from __future__ import annotations

import copy
import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

import tests.report.helpers_illustrated as illustrated
import tests.report.helpers_retrace as retrace
import tlx.classify.task
import tlx.config.composition  # noqa: F401  registers the schema and the resolvers
from tests.data import helpers_data_check
from tlx.config.check import conf_dir
from tlx.config.typed import typed

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared"

# The suite runs in as many processes as there are cores: threads of programs that it starts would
# wait for one another in turn.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# `nohup`, and a shell in the background, have signals ignored, which tlx leaves as it is. What the
# tests stop and kill must hear them, wherever the suite is started.
for _name, _own in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _own)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs things that not every machine has, with the reason.

    The embedded sample covers the paths that the shared data are read on; tiers: CONTRIBUTING.md.
    """
    skip = pytest.mark.skip(reason="the shared data set folder is not beside the repository")
    no_viz = pytest.mark.skip(reason="FiftyOne is not installed: pip install -e '.[viz,viz-test]'")
    for item in items:
        if "shared_data" in item.keywords and not SHARED.is_dir():
            item.add_marker(skip)
        if "viz" in item.keywords and not find_spec("fiftyone"):
            item.add_marker(no_viz)


def pytest_collection_finish() -> None:
    """What imports have made stays: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield
    # Its handler keeps what sys.stderr was, pytest's own file, and Hydra closes every handler.
    if absl := sys.modules.get("absl.logging"):  # OpenVINO brings it
        absl.get_absl_handler().python_handler.stream = sys.__stderr__
    # A forked child of a process that has had several OpenMP threads waits for them for ever.
    torch.set_num_threads(1)


def write_voc(image: Path, boxes: list[tuple[str, tuple[int, int, int, int]]]) -> None:
    """A Pascal VOC file beside a picture."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in boxes
    )
    text = f"<annotation><filename>{image.name}</filename>{objects}</annotation>"
    image.with_suffix(".xml").write_text(text)


def write_set(root: Path, counts: dict[str, int]) -> None:
    """Noisy pictures of 96x80 px in folders `train`, ...: red and blue rectangles, some none."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        (root / split).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(60, 160, (80, 96, 3), dtype=np.uint8)
            boxes: list[tuple[str, tuple[int, int, int, int]]] = []
            if i % 6 != 5:
                name = ("red", "blue")[i % 2]
                x, y = rng.integers(0, 50), rng.integers(0, 40)
                w, h = rng.integers(25, 45), rng.integers(20, 39)
                pixels[y : y + h, x : x + w] = (220, 30, 30) if name == "red" else (30, 30, 220)
                boxes.append((name, (int(x), int(y), int(x + w), int(y + h))))
            path = root / split / f"{i:03d}.png"
            Image.fromarray(pixels).save(path)
            write_voc(path, boxes)


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/val/test with 18/6/6 pictures of `write_set`."""
    root = tmp_path_factory.mktemp("tiny")
    write_set(root, {"train": 18, "val": 6, "test": 6})
    return root


def composed(*overrides: str) -> Any:
    """The typed configuration of a command line."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return typed(compose("config", overrides=list(overrides)))


FOLDERS = {"runs_dir": "runs", "cache_dir": "cache"}  # of a test's own, by key
Compose = Callable[..., Any]
"""Gives the typed configuration (`tlx.config.schema`) of a command line."""


@pytest.fixture(scope="session")
def compose_config() -> Compose:
    """Compose the root configuration with overrides, as the command line does."""

    def make(*overrides: Any) -> Any:
        return composed(*map(str, overrides))

    return make


@pytest.fixture
def tiny_config(tiny_set: Path, tmp_path: Path, compose_config: Compose) -> Compose:
    """A configuration that trains on `tiny_set` in a second or two an epoch."""

    def make(*overrides: Any) -> Any:
        cfg = copy.deepcopy(_composed_tiny(tiny_set, *map(str, overrides)))
        given = {override.partition("=")[0] for override in map(str, overrides)}
        for key in FOLDERS.keys() - given:
            setattr(cfg, key, str(tmp_path / FOLDERS[key]))
        return cfg

    return make


@functools.cache
def _composed_tiny(tiny_set: Path, *overrides: str) -> Any:
    """A composition takes a fifth of a second, and most of them are asked for again."""
    return composed(*tiny_overrides(tiny_set, Path("nowhere")), *overrides)


def tiny_overrides(tiny_set: Path, folder: Path) -> list[str]:
    """The overrides of `tiny_config`, also for command lines."""
    return [
        "data=voc",
        f"data.root={tiny_set}",
        "data.group_near_duplicates=false",
        "detector.input_size=96",
        "trainer.epochs=2",
        "trainer.batch_size=6",
        "trainer.workers=0",
        "trainer.warmup_steps=2",
        "trainer.timer_warmup=1",
        "trainer.accelerator=cpu",
        "logger=none",
        "logger.predictions=0",  # drawing them takes a tenth of so small a run
        *(f"{key}={folder / name}" for key, name in FOLDERS.items()),
    ]


@pytest.fixture(scope="session")
def sample_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the processes of the suite share: the embedded sample is rendered once."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "sample-cache"


@pytest.fixture(scope="session")
def traced(tmp_path_factory: pytest.TempPathFactory) -> retrace.Traced:
    """A study with irregular figures and the report of it."""
    return retrace.read_report(illustrated.reported(tmp_path_factory.mktemp("traced")))


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> helpers_data_check.Check:
    """`python -m tlx.data check` of `tmp_path/set`: check.json, with exit code and stderr."""

    def run(*overrides: str) -> dict[str, Any]:
        report = helpers_data_check.run_check(tmp_path, *overrides)
        return report | {"err": capsys.readouterr().err}

    return run
