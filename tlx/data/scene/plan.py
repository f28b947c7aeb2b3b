"""The plan of a scene, before anything is drawn: its vehicles, and where they and the camera stand.

The plates are what the pictures are for, so places follow from the sizes that plates should have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlx.data.scene.colors import PAINTS, Color, jitter, pick
from tlx.data.scene.geometry import Camera, Place
from tlx.data.scene.plates import STYLE_ODDS, STYLES, PlateStyle


@dataclass(frozen=True)
class Vehicle:
    """What one car or truck looks like; lengths in metres."""

    truck: bool
    rear: bool
    width: float
    belt: float  # height of bonnet or boot
    roof: float
    length: float
    foot: float  # how far behind the bumper the nearer screen begins; it leans back from there
    paint: Color
    plate_height: float
    style: PlateStyle


def choose_vehicle(rng: np.random.Generator) -> Vehicle:
    """One car or truck at random."""
    truck, rear = bool(rng.random() < 0.2), bool(rng.random() < 0.55)
    belt = float(rng.uniform(1.15, 1.4) if truck else rng.uniform(0.84, 1.05))
    high = truck or (rear and rng.random() < 0.5)
    return Vehicle(
        truck=truck,
        rear=rear,
        width=float(rng.uniform(2.1, 2.4) if truck else rng.uniform(1.68, 1.92)),
        belt=belt,
        roof=float(rng.uniform(2.5, 3.4) if truck else belt + rng.uniform(0.45, 0.66)),
        length=float(rng.uniform(5.5, 8) if truck else rng.uniform(3.7, 4.8)),
        foot=float(rng.uniform(0.1, 0.35) if rear else rng.uniform(0.7, 1.0)),
        paint=jitter(pick(rng, PAINTS), rng, 14),
        plate_height=float(rng.uniform(0.52, 0.7) if high else rng.uniform(0.4, 0.52)),
        style=STYLES[int(rng.choice(len(STYLES), p=STYLE_ODDS))],
    )


def park(
    vehicles: list[Vehicle], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Camera, list[Place]]:
    """Set the camera and the vehicles so that each plate gets a random share of the width."""
    (width, height), count = size, len(vehicles)
    if count > 1:
        shares = rng.uniform(0.14, 0.27, count)
    else:
        shares = np.array(
            [rng.uniform(0.35, 0.45) if rng.random() < 0.22 else rng.uniform(0.2, 0.35)]
        )
    turned = rng.random(count) < 0.35
    yaws = np.where(turned, rng.uniform(-0.6, 0.6, count), rng.normal(0, 0.14, count))
    scales = shares * width / (np.cos(yaws) * [v.style.width for v in vehicles])
    horizon = float(rng.uniform(0.2, 0.45) * height)
    target = min(rng.uniform(0.55, 0.85) * height, horizon + 1.9 * scales[0])
    camera = Camera(
        focal=float(rng.uniform(1.5, 3.2) * width),
        centre=(float(rng.uniform(0.25, 0.75) * width), horizon),
        height=float(vehicles[0].plate_height + (target - horizon) / scales[0]),
        roll=float(np.clip(rng.normal(0, 0.035), -0.09, 0.09)),
    )
    slots = (rng.permutation(count) + 0.5 + rng.uniform(-0.22, 0.22, count)) / count
    margins = shares / 2 + np.where(rng.random(count) < 0.1, -0.08, 0.02)  # some are cut off
    middles = np.clip(slots, margins, 1 - margins) * width
    return camera, [
        Place(
            camera, float((x - camera.centre[0]) / scale), float(camera.focal / scale), float(yaw)
        )
        for x, scale, yaw in zip(middles, scales, yaws, strict=True)
    ]
