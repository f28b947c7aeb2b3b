"""One look at each picture: by threads or processes the same, and a hash that copies share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.helpers_check import annotated, picture
from tlx.data import looks
from tlx.data.duplicates import DISTANCE
from tlx.data.formats.pictures import UnreadablePicture, probe

Copy = Callable[[Image.Image], tuple[Image.Image, str, dict[str, int]]]


def bits_between(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def photograph(size: tuple[int, int]) -> Image.Image:
    """Soft shapes with a little grain, as a camera gives them."""
    draw = np.random.default_rng(3)
    soft = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray((pixels + draw.integers(-6, 7, pixels.shape)).clip(0, 255).astype("u1"))


@pytest.mark.parametrize("size", [(1600, 1200), (640, 427), (150, 100), (80, 60)])
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
