"""What a network expects of the pixels of its input."""

from __future__ import annotations

from dataclasses import dataclass

from tlx.models.trunk import TrunkNetwork


@dataclass(frozen=True)
class Normalisation:
    """What the network's input is: ``(pixel - mean) / std`` per RGB channel, pixels in 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, network: TrunkNetwork) -> Normalisation:
        """The one that the network was trained with."""
        mean, std = network.conventions.mean, network.conventions.std
        return cls(tuple(round(255 * m, 6) for m in mean), tuple(round(255 * s, 6) for s in std))

    def formula(self) -> str:
        """How the input follows from a pixel `x` in 0..255."""
        if len({*self.mean}) > 1 or len({*self.std}) > 1:
            return "(x - mean) / std, per channel"
        mean, std = self.mean[0], self.std[0]
        return f"x / {std:g} - 1" if mean == std else f"(x - {mean:g}) / {std:g}"

    def range(self) -> list[float]:
        """The smallest and the largest value that a pixel can become."""
        pairs = list(zip(self.mean, self.std, strict=True))
        return [min(-m / s for m, s in pairs), max((255 - m) / s for m, s in pairs)]

    def off(self, other: Normalisation) -> float:
        """The largest difference between the two of the input of any pixel, in units of input."""
        ends = [
            abs((p - m) / s - (p - n) / t)
            for m, s, n, t in zip(self.mean, self.std, other.mean, other.std, strict=True)
            for p in (0, 255)
        ]
        return max(ends)


# What `detectnet` feeds, whatever the network was trained with: x / 127.5 - 1.
DETECTNET = Normalisation((127.5,) * 3, (127.5,) * 3)
