"""The reading thread: files wait, cameras do not, nothing grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.live.helpers_live import Numbered, number_of
from tlx.common.errors import DataError
from tlx.live.frame import Frame
from tlx.live.reader import AHEAD, Reader


def until_ended(reader: Reader, pause: float = 0.0) -> list[int]:
    seen = []
    while not reader.ended:
        frame = reader.get(0.5)
        if frame is not None and frame.pixels is not None:
            seen.append(number_of(frame.pixels))
            time.sleep(pause)
    return seen


def test_a_file_waits_for_a_slow_reader_and_loses_nothing() -> None:
    source = Numbered(40)
    with Reader(source) as reader:
        time.sleep(0.1)
        assert source.given <= AHEAD + 1, "read further ahead than the buffer holds"
        assert until_ended(reader, pause=0.002) == list(range(40))
    assert reader.dropped == 0


class Ticking(Numbered):
    """A frame each 5 ms, whoever listens."""

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            time.sleep(0.005)
            yield frame


def test_a_camera_drops_what_is_too_late_and_keeps_the_newest() -> None:
    source = Ticking(100, live=True)
    with Reader(source) as reader:
        time.sleep(0.2)
        assert source.given > AHEAD + 5, "a live source must not wait"
        ahead = source.given
        first = reader.get(1)
        assert first is not None
        assert first.index >= ahead - 2, "an old frame was kept"
        seen = [first.index, *until_ended(reader, pause=0.05)]
    assert seen == sorted(set(seen))
    assert seen[-1] == 99
    assert reader.dropped == 100 - len(seen)


class Breaking(Numbered):
    """Two frames and an error."""

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()
        raise DataError("the cable is cut")


def test_an_error_arrives_after_the_frames_before_it() -> None:
    with Reader(Breaking(2)) as reader:
        time.sleep(0.1)
        assert not reader.ended
        assert [frame.index for frame in (reader.get(1), reader.get(1)) if frame] == [0, 1]
        assert not reader.ended, "the loop would end without the error"
        with pytest.raises(DataError, match="cable"):
            reader.get(1)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    source = Numbered(10_000)
    with Reader(source) as reader:
        reader.get(1)
    assert source.closed
    assert threading.active_count() == before
    assert source.given < 100


def test_a_silent_source_does_not_hold_the_loop_up() -> None:
    gate = threading.Event()

    class Silent(Numbered):
        def __iter__(self) -> Iterator[Frame]:
            gate.wait(5)
            yield from ()

        def close(self) -> None:
            gate.set()

    with Reader(Silent(0, live=True)) as reader:
        start = time.monotonic()
        assert reader.get(0.05) is None
        assert time.monotonic() - start < 1
        assert not reader.ended
