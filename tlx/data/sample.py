"""The embedded data set `sample`: licence plates on drawn streets, rendered by our own code.

    root/manifest.json          version, seed, counts and the sha256 of every file
    root/train/0000.jpg         RGB, SIZE pixels
    root/train/0000.xml         Pascal VOC: one `object` a plate, none where no plate shows
    root/val/..., root/test/...

Picture i of a split depends on (seed, split, i) alone, so the files are the same bytes whatever
the number of workers, and a larger set begins with the pictures of a smaller one.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from types import ModuleType
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from tlx.common.cores import usable_cores
from tlx.common.errors import ConfigError, DataError
from tlx.common.files import read_json
from tlx.data.scene import Points, render_scene

CLASSES = ("plate",)
SPLITS = ("train", "val", "test")
MANIFEST = "manifest.json"
SIZE = (320, 240)  # width, height in pixels
JPEG_QUALITY = 92
GENERATOR_VERSION = 1  # raise it with every change that alters a pixel or a box
MAX_DEFAULT_WORKERS = 4
CHUNK = 8  # pictures handed to a worker at a time
PUBLISH_ATTEMPTS = 5
# Read by the libraries below NumPy when they are loaded.
THREAD_COUNTS = [f"{x}_THREADS" for x in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM")]

Task = tuple[str, int]  # split, index of the picture in it


def ensure_sample(
    cache_dir: Path,
    *,
    seed: int = 0,
    train: int = 320,
    val: int = 64,
    test: int = 64,
    workers: int | None = None,
) -> Path:
    """Render the set if it is not there yet; return its root folder.

    `train`, `val` and `test` count pictures. `workers` is the number of processes (default: the
    processors, at most 4); 1 renders in this process. Safe to call from several processes at once
    and to kill: a set appears under its name only when it is complete.
    """
    if min(seed, train, val, test) < 0 or (workers is not None and workers < 1):
        raise ConfigError(
            f"sample: seed and counts must be 0 or more and workers 1 or more, "
            f"not seed={seed}, train={train}, val={val}, test={test}, workers={workers}"
        )
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    name = f"sample-v{GENERATOR_VERSION}-seed{seed}-{train}-{val}-{test}"
    root = Path(cache_dir) / name
    if _is_complete(root, seed, counts):
        return root
    # Beside its destination, because a folder can be renamed only within one file system.
    draft = root.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        _render(draft, seed, counts, workers or min(usable_cores(), MAX_DEFAULT_WORKERS))
        _publish(draft, root, seed, counts)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _render(folder: Path, seed: int, counts: dict[str, int], workers: int) -> None:
    """Write the whole set into a new folder, the manifest last."""
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
    tasks = [(split, i) for split in SPLITS for i in range(counts[split])]
    files: dict[str, str] = {}
    for hashes in _run(partial(_write_pair, folder, seed), tasks, workers):
        files |= hashes
    manifest = {"version": GENERATOR_VERSION, "seed": seed, "counts": counts, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _run(
    write: Callable[[Task], dict[str, str]], tasks: list[Task], workers: int
) -> list[dict[str, str]]:
    """Apply `write` to every task, in order, in up to `workers` processes."""
    workers = min(workers, len(tasks))
    if workers > 1 and not multiprocessing.current_process().daemon:  # daemons may not have any
        # "spawn", because forking a process in which torch runs threads can deadlock.
        context = multiprocessing.get_context("spawn")
        # Where workers die, killed for want of memory perhaps, render here.
        with suppress(BrokenProcessPool), ProcessPoolExecutor(workers, mp_context=context) as pool:
            with _bare_workers():
                results = pool.map(write, tasks, chunksize=CHUNK)  # starts them all
            return list(results)
    return [write(task) for task in tasks]


@contextmanager
def _bare_workers() -> Iterator[None]:
    """Spare processes spawned meanwhile the main program and compute threads of their own.

    "spawn" would import the main program again: seconds where it needs torch, and impossible
    where it is standard input or a script without `if __name__ == "__main__"`.
    """
    main = sys.modules["__main__"]
    before = {key: os.environ[key] for key in THREAD_COUNTS if key in os.environ}
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(dict.fromkeys(THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for key in THREAD_COUNTS:
            os.environ.pop(key, None)
        os.environ.update(before)


def _write_pair(folder: Path, seed: int, task: Task) -> dict[str, str]:
    """Render one picture; write it and its XML. Returns their names in `folder` and hashes."""
    split, i = task
    picture, boxes = render_scene(np.random.default_rng([seed, SPLITS.index(split), i]), SIZE)
    jpeg = BytesIO()
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    contents = {
        f"{split}/{i:04d}.jpg": jpeg.getvalue(),
        f"{split}/{i:04d}.xml": _voc_xml(f"{i:04d}.jpg", boxes),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _voc_xml(filename: str, boxes: Points) -> bytes:
    """Pascal VOC annotation of boxes (n, 4): xyxy pixels, 0-based, to a hundredth of a pixel."""
    root = Element("annotation")
    SubElement(root, "filename").text = filename
    size = SubElement(root, "size")
    for key, value in zip(("width", "height", "depth"), (*SIZE, 3), strict=True):
        SubElement(size, key).text = str(value)
    for box in boxes.tolist():
        plate = SubElement(root, "object")
        SubElement(plate, "name").text = CLASSES[0]
        SubElement(plate, "difficult").text = "0"
        bounds = SubElement(plate, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            SubElement(bounds, key).text = f"{value:.2f}"
    indent(root)
    return tostring(root) + b"\n"


def _is_complete(root: Path, seed: int, counts: dict[str, int]) -> bool:
    """Whether the manifest is that of this set and each file it names is there and not empty."""
    try:
        manifest = read_json(root / MANIFEST)
        named = set(manifest["files"])
        settings = (manifest["version"], manifest["seed"], manifest["counts"])
        found = {
            f"{split}/{entry.name}"
            for split in SPLITS
            for entry in os.scandir(root / split)
            if entry.stat().st_size
        }
    except (OSError, ValueError, KeyError, TypeError):
        return False
    expected = (GENERATOR_VERSION, seed, counts)
    return settings == expected and len(named) == 2 * sum(counts.values()) and named <= found


def _publish(draft: Path, root: Path, seed: int, counts: dict[str, int]) -> None:
    """Give the finished draft its name, unless another process was faster."""
    failure: OSError | None = None
    for _ in range(PUBLISH_ATTEMPTS):
        if _is_complete(root, seed, counts):
            return
        try:
            if root.exists():  # damaged; moved first, because deleting it takes a while
                waste = draft.with_name(f"{draft.name}.damaged")
                os.replace(root, waste)
                shutil.rmtree(waste, ignore_errors=True)
            os.replace(draft, root)
            return
        except OSError as error:  # somebody else moved or made it in the same instant
            failure = error
    raise DataError(f"{root} is damaged and cannot be replaced ({failure}); delete it")
