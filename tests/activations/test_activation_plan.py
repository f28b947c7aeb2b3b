"""The forecast of what a cache of activations costs and saves."""

from __future__ import annotations

import pytest

from tlx.activations.plan import forecast


def test_forecast_arithmetic() -> None:
    out = forecast(epochs=10, views=2, pictures=100, batches=4, slot_bytes=1000,
                   prefix_s=0.5, exact_prefix_s=1.0, read_s=0.1)  # fmt: skip
    assert out.bytes == 200_000
    assert out.fill_s == pytest.approx(8.0)  # 2 views x 4 batches x 1 s
    assert out.saved_s == pytest.approx(1.6)  # 4 batches x 0.4 s
    # Filling took 4 s more than not caching; 1.6 s an epoch pay that back in the third.
    assert out.payback_epochs == 2 + 3
    assert out.verdict("auto", 10**6) is None
    assert out.verdict("disk", 10**6) is None
    assert "over" in str(out.verdict("disk", 10**5))
    slow = forecast(epochs=10, views=2, pictures=100, batches=4, slot_bytes=1000,
                    prefix_s=0.1, exact_prefix_s=0.1, read_s=0.2)  # fmt: skip
    assert slow.payback_epochs is None
    assert slow.verdict("auto", 10**6)
    assert slow.verdict("disk", 10**6) is None
