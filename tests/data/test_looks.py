"""One look at each picture: by threads or processes the same, and a hash that copies share."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.helpers_check import annotated, picture
from tlx.common.errors import DataError
from tlx.data import looks
from tlx.data.duplicates import DISTANCE
from tlx.data.formats.pictures import Probe, UnreadablePicture, decode, probe

Copy = Callable[[Image.Image], tuple[Image.Image, str, dict[str, int]]]


def bits_between(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def photograph(size: tuple[int, int]) -> Image.Image:
    """Soft shapes with a little grain, as a camera gives them."""
    draw = np.random.default_rng(3)
    soft = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray((pixels + draw.integers(-6, 7, pixels.shape)).clip(0, 255).astype("u1"))


@pytest.mark.parametrize("size", [(800, 600), (640, 427), (150, 100), (80, 60)])
@pytest.mark.parametrize(
    "copy",
    [
        lambda image: (image, "copy.png", {}),
        lambda image: (image, "copy.jpg", {"quality": 40}),
        lambda image: (image.resize((image.width // 2, image.height // 2)), "copy.jpg", {}),
        lambda image: (image.convert("CMYK"), "copy.jpg", {}),
        lambda image: (image.convert("P", palette=Image.Palette.ADAPTIVE), "copy.gif", {}),
    ],
    ids=["png", "re-encoded", "halved", "cmyk", "palette"],
)
def test_copies_have_one_hash_whatever_scale_they_are_decoded_at(
    tmp_path: Path, size: tuple[int, int], copy: Copy
) -> None:
    image = photograph(size)
    image.save(tmp_path / "a.jpg", quality=90)
    other, name, how = copy(image)
    other.save(tmp_path / name, **how)
    first, second = probe(tmp_path / "a.jpg"), probe(tmp_path / name)
    assert bits_between(first.hashes[0], second.hashes[0]) <= DISTANCE
    turned = photograph(size).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned.save(tmp_path / "turned.jpg", quality=90)
    assert bits_between(first.hashes[0], probe(tmp_path / "turned.jpg").hashes[0]) > DISTANCE


def test_the_hash_of_a_turned_picture_is_that_of_the_upright_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph((160, 120)).save(tmp_path / "a.png", exif=exif)
    photograph((160, 120)).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "b.png")
    turned, upright = probe(tmp_path / "a.png"), probe(tmp_path / "b.png")
    assert turned.hashes[1] == upright.hashes[0] != turned.hashes[0]


def test_processes_see_what_threads_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = [annotated(picture(tmp_path / f"{i}.png")) for i in range(70)]
    (tmp_path / "7.png").write_bytes(b"no picture")
    by_threads = looks.look_at_all(annotations, None)
    monkeypatch.setattr(looks, "MANY", 1)
    drawn = torch.random.get_rng_state()
    by_processes = looks.look_at_all(annotations, None)
    assert torch.equal(drawn, torch.random.get_rng_state())  # a run's draws are its own
    assert list(by_processes) == list(by_threads)
    broken = by_processes.pop(tmp_path / "7.png"), by_threads.pop(tmp_path / "7.png")
    assert all(isinstance(look, UnreadablePicture) for look in broken)
    assert [(vars(look), str(look)) for look in broken[:1]] == [(vars(broken[1]), str(broken[1]))]
    assert by_processes == by_threads


def test_a_killed_process_is_an_error_that_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = [annotated(picture(tmp_path / f"{i}.png")) for i in range(3)]

    def killed(path: Path, bits: int | None) -> Probe:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(looks, "MANY", 1)
    monkeypatch.setattr(looks, "probe", killed)
    with pytest.raises(DataError, match=r"ended at picture 1 of 3 \(.*0\.png\).*start again"):
        looks.look_at_all(annotations, None)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not limited here")
def test_no_more_processes_than_cores_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = [annotated(picture(tmp_path / f"{i}.png")) for i in range(3)]
    monkeypatch.setattr(looks, "MANY", 1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of more
            looks.look_at_all(annotations, None)
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("sampling", [(0x11, 0x21, 0x31), (0x31, 0x21, 0x11), (0x13, 0x12, 0x11)])
def test_a_look_refuses_the_jpegs_that_training_cannot_decode(
    tmp_path: Path, sampling: tuple[int, int, int]
) -> None:
    """libjpeg reads colours sampled in odd ratios (2 of 3) in gray alone."""
    photograph((200, 150)).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    frame = data.find(b"\xff\xc0")
    data[frame + 11 : frame + 19 : 3] = bytes(sampling)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(DataError):
        decode(tmp_path / "a.jpg", rotate=False, max_side=640)
    with pytest.raises(UnreadablePicture):
        probe(tmp_path / "a.jpg")
