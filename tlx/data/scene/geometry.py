"""The street as a small 3-D world, and the pinhole camera that sees it.

Lengths are metres: x right, y up, z away from the viewer. Shapes are arrays of corners; a `Place`
puts those of one object on the canvas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 3) metres before projection, (n, 2) canvas pixels after it
NEAR = 0.3  # metres; nearer points are moved here so that projection stays finite


@dataclass(frozen=True)
class Camera:
    """Pinhole looking along +z from `height` metres; focal and centre in canvas pixels."""

    focal: float
    centre: tuple[float, float]  # the vanishing point of the street
    height: float
    roll: float  # radians


@dataclass(frozen=True)
class Place:
    """Where an object stands: its own x, y, z frame put at (x, 0, z) and turned by `yaw`."""

    camera: Camera
    x: float = 0.0
    z: float = 0.0
    yaw: float = 0.0

    def __call__(self, points: Points) -> Points:
        """(n, 3) metres in the object's frame -> (n, 2) canvas pixels."""
        x, y, z = points.T
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        scale = self.camera.focal / np.maximum(self.z - x * sin + z * cos, NEAR)
        right = (self.x + x * cos + z * sin) * scale
        down = (self.camera.height - y) * scale
        cos, sin = math.cos(self.camera.roll), math.sin(self.camera.roll)
        flat = np.empty((len(points), 2))
        flat[:, 0] = self.camera.centre[0] + right * cos - down * sin
        flat[:, 1] = self.camera.centre[1] + right * sin + down * cos
        return flat


def homography(quad: Points, size: tuple[int, int]) -> tuple[float, ...]:
    """Eight PERSPECTIVE numbers that take picture pixels in `quad` (4, 2) to a `size` patch."""
    w, h = size
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, ((0, 0), (w, 0), (w, h), (0, h)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values, np.float64)).tolist())


def signed_area(points: Points) -> float:
    """Area (pixels squared) of the polygon (n, 2); positive when it runs clockwise on screen."""
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def rect(x0: float, y0: float, x1: float, y1: float, z: float = 0.0) -> Points:
    """Upright rectangle (4, 3) facing the viewer: top-left first, clockwise; y1 is the top."""
    return np.array([[x0, y1, z], [x1, y1, z], [x1, y0, z], [x0, y0, z]], np.float64)


def side_rect(x: float, y0: float, y1: float, z0: float, z1: float) -> Points:
    """Rectangle (4, 3) along the street in the plane x; its front looks to +x when z0 < z1."""
    return np.array([[x, y1, z0], [x, y1, z1], [x, y0, z1], [x, y0, z0]], np.float64)


def level_rect(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> Points:
    """Level rectangle (4, 3)."""
    return np.array([[x0, y, z1], [x1, y, z1], [x1, y, z0], [x0, y, z0]], np.float64)


def disc(x: float, y: float, rx: float, ry: float, z: float = 0.0, wall: bool = False) -> Points:
    """Ellipse (18, 3) facing the viewer, or in the plane x (around depth z) when `wall`."""
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    along, up, still = rx * np.cos(angle), y - ry * np.sin(angle), np.zeros(18)
    if wall:
        return np.stack([still + x, up, z + along], axis=1)
    return np.stack([x + along, up, still + z], axis=1)


def resized(points: Points, factor: float) -> Points:
    """The polygon grown or shrunk around its middle."""
    centre = points.mean(axis=0)
    return centre + (points - centre) * factor
