"""Stored activations: exact or bounded, shared, checked, and no loss when killed."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tlx.activations.codec import Codec
from tlx.activations.store import CHECKS, ActivationStore

SHAPES = [(6, 5, 4), (3, 2, 2)]


def maps(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(count, *shape, generator=generator).contiguous(
            memory_format=torch.channels_last
        )
        * 3
        for shape in SHAPES
    ]


def stored(folder: Path | None) -> tuple[ActivationStore, Codec]:
    codec = Codec("f32", SHAPES)
    return ActivationStore(folder, 10, codec.fields, {"made": "by a test"}), codec


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_float32_comes_back_bit_equal(place: str, tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a" if place == "disk" else None)
    x = maps(3)
    assert not store.filled([7, 2, 5])
    store.write([7, 2, 5], codec.encode(x))
    store.flush()
    assert store.filled([7, 2, 5])
    assert store.filled([2])
    assert not store.filled([2, 3])
    back = codec.decode(store.read([5, 7]), torch.device("cpu"))
    for a, b in zip(back, x, strict=True):
        assert torch.equal(a, b[[2, 0]])
        assert a.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("dtype", "bound"), [("f16", 2.0**-11), ("u8", 0.5 / 255)])
def test_rounding_is_bounded(dtype: str, bound: float) -> None:
    """f16 rounds to 11 significant bits; u8 to half of a 255th of each channel's range."""
    codec = Codec(dtype, SHAPES)
    x = maps(4)
    for a, b in zip(codec.decode(codec.encode(x), torch.device("cpu")), x, strict=True):
        scale = b.abs() if dtype == "f16" else b.amax((2, 3), True) - b.amin((2, 3), True)
        assert float(((a - b).abs() / scale.clamp_min(1e-3)).max()) <= bound * 1.001
    flat = [torch.full((1, *shape), 2.5) for shape in SHAPES]  # a channel without a range
    back = codec.decode(codec.encode(flat), torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(back, flat, strict=True))


def test_what_was_stored_is_stored_for_others_and_for_workers(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store.write([0, 1], codec.encode(maps(2)))
    store.flush()
    other, _ = stored(tmp_path / "a")
    assert other.filled([0, 1])
    assert other.filled_count() == 2
    for original in (store, stored(None)[0]):
        # What a DataLoader does where processes are not forked.
        worker: ActivationStore = ForkingPickler.loads(ForkingPickler.dumps(original))
        original.write([4], codec.encode(maps(1, seed=3)))
        original.flush()
        assert worker.filled([4])
        assert torch.equal(worker.read([4])[0], codec.encode(maps(1, seed=3))[0])


def test_altered_bytes_are_found_and_the_slot_is_emptied(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store.write([0, 1], codec.encode(maps(2)))
    store.flush()
    path = tmp_path / "a" / "field0.bin"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(bytes(content))
    other, _ = stored(tmp_path / "a")
    assert not other.filled([0])
    assert other.filled([1])
    other.write([0], codec.encode(maps(2))[:1] + [f[:1] for f in codec.encode(maps(2))[1:]])
    other.flush()
    assert other.filled([0, 1])


@pytest.mark.parametrize("damage", ["truncated", "meta", "gone"])
def test_a_damaged_folder_is_laid_out_anew(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    store, codec = stored(folder)
    store.write([0], codec.encode(maps(1)))
    store.flush()
    if damage == "truncated":
        (folder / "field1.bin").write_bytes(b"\0" * 5)
    elif damage == "meta":
        (folder / "meta.json").unlink()
    else:
        (folder / CHECKS).unlink()
    again, _ = stored(folder)
    assert not again.filled([0])
    again.write([0], codec.encode(maps(1)))
    again.flush()
    assert again.filled([0])


def test_a_kill_between_data_and_checksum_leaves_the_slot_empty(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store._arrays[0][3] = codec.encode(maps(1))[0][0].numpy()
    assert not stored(tmp_path / "a")[0].filled([3])
