"""Checkpoints of TensorFlow are read without it, and damage ends in words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import helpers_tf
from tests.models.helpers_tf_checkpoint import write_archive, write_checkpoint
from tlx.common.errors import WeightsError
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.tf_checkpoint import crc32c, read_tf_checkpoint
from tlx.models.backbones.weights import resolve

# Written by TensorFlow 2.21 (tf.compat.v1.train.Saver), with a variable of text in it.
INDEX = bytes.fromhex(
    "0000060801"
    "1a020801000b0b676c6f62616c5f7374657008091200280835bbd79f11000a116e65742f6269617365730813120412"
    "0208022008280435de63088504071577656967687473080112081202080212020803200c2818354dc9c03700050d77"
    "6f7264730807120020242809351b4c333f00000000010000000038e5e449000000000100000000c0f2a1b000010278"
    "007c000000000100000000ea936f708101088e010e0000000000000000000000000000000000000000000000000000"
    "000000000000000057fb808b247547db"
)
DATA = bytes.fromhex(
    "0700000000000000003c00c0000000000000803e0000003f0000403f0000803f0000a03f046251eb9674657874"
)


def written_by_tensorflow(folder: Path) -> Path:
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(DATA)
    path = folder / "model.ckpt.index"
    path.write_bytes(INDEX)
    return path


def test_a_file_of_tensorflow(tmp_path: Path) -> None:
    found = read_tf_checkpoint(written_by_tensorflow(tmp_path))
    assert list(found) == ["global_step", "net/biases", "net/weights"]  # no text
    assert found["net/weights"].tolist() == [[0, 0.25, 0.5], [0.75, 1, 1.25]]
    assert (found["net/biases"].dtype, found["net/biases"].tolist()) == (torch.float16, [1, -2])
    assert found["global_step"].item() == 7


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {f"scope/layer_{i}/weights": rng.normal(size=(1, 2, i)) for i in range(20)}
    return found | {
        "long": rng.normal(size=(70, 71)).astype(np.float32),  # checked in parts
        "count": np.int64([3]), "half": rng.normal(size=5).astype(np.float16),
    }  # fmt: skip


@pytest.mark.parametrize("shards", [1, 3])
def test_many_tensors_and_shards(shards: int, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "made", arrays(), shards=shards)
    for file in (path, write_archive(tmp_path / "net.tar.gz", path.parent)):
        found = read_tf_checkpoint(file)
        assert set(found) == set(arrays())
        for name, array in arrays().items():
            assert found[name].numpy().dtype == array.dtype
            assert np.array_equal(found[name].numpy(), array), name


def test_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    long = bytes(range(256)) * 77 + b"end"
    halves = long[:-1] + bytes([long[-1] ^ 1])
    assert crc32c(long) != crc32c(halves)
    from tests.models.helpers_tf_checkpoint import crc32c as by_bits

    assert crc32c(long) == by_bits(long)


def test_any_flipped_byte_ends_in_words(tmp_path: Path) -> None:
    path = written_by_tensorflow(tmp_path)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = {k: v.tolist() for k, v in read_tf_checkpoint(path).items()}
    refused = 0
    for file, content in ((path, INDEX), (shard, DATA)):
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 0x11
            file.write_bytes(damaged)
            try:
                found = read_tf_checkpoint(path)
            except WeightsError as error:
                refused += str(path) in str(error)
            else:  # in what is not read: the text, the block of metadata, the footer's filling
                assert {k: v.tolist() for k, v in found.items()} == whole
        file.write_bytes(content[:-1])
        if file == path:
            with pytest.raises(WeightsError):
                read_tf_checkpoint(path)
        file.write_bytes(content)
    assert refused > 180


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_tf_checkpoint(path)
    return str(caught.value)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    compressed = write_checkpoint(tmp_path / "a", arrays(), compression=1)
    assert "its index is compressed" in refused(compressed)
    two = write_checkpoint(tmp_path / "b", arrays(), name="one").parent
    assert "layer_1" in " ".join(read_tf_checkpoint(write_archive(tmp_path / "b.tgz", two)))
    write_checkpoint(two, arrays(), name="two")
    assert "it holds 2 files NAME.index" in refused(write_archive(tmp_path / "c.tar.gz", two))
    lonely = write_checkpoint(tmp_path / "d", arrays())
    (lonely.parent / "model.ckpt.data-00000-of-00001").unlink()
    assert "No such file" in refused(lonely)
    (tmp_path / "e.tar.gz").write_bytes(b"no archive")
    assert "cannot be read as a checkpoint of TensorFlow" in refused(tmp_path / "e.tar.gz")


def test_it_feeds_the_converters(tmp_path: Path) -> None:
    # Narrow on purpose: the writer's checksums take a second a megabyte.
    full = helpers_tf.random_arrays(helpers_tf.V1, 1)
    few = {k: v for k, v in full.items() if re.search(r"Conv2d_[0-3](_|/)", k)}
    few |= {"global_step": np.int64([9]), f"{next(iter(few))}/RMSProp": next(iter(few.values()))}
    folder = write_checkpoint(tmp_path / "made", few).parent
    path = write_archive(tmp_path / "ssd_mobilenet_v1.tar.gz", folder)
    np.savez(tmp_path / "same.npz", **few)
    spec = backbone_spec("mobilenet_v1")
    found, wanted = resolve(spec, str(path)), resolve(spec, str(tmp_path / "same.npz"))
    assert found.conventions == wanted.conventions
    assert found.state.keys() == wanted.state.keys()
    assert "backbone.blocks.Conv2d_3.pointwise.conv.weight" in found.state
    for key, value in wanted.state.items():
        assert torch.equal(found.state[key], value), key
