"""Draw one street picture with licence plates, and say exactly where the plates are.

The street is a small 3-D world (metres; x right, y up, z away from the viewer) seen by a pinhole
camera. Everything is drawn back to front as projected polygons on a canvas `SUPERSAMPLE` times
the picture; an "owner" canvas beside it remembers which plate each pixel shows, so a box covers
what can really be seen of its plate. Lens, weather and sensor effects follow at the end.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Color = tuple[int, int, int]
Points = NDArray[np.float64]  # (n, 3) metres before projection, (n, 2) canvas pixels after it
Pixels = NDArray[np.float32]  # (height, width, 3), 0..255

SUPERSAMPLE = 2
NEGATIVE_SHARE = 0.135  # pictures with no plate by plan
MIN_VISIBLE = 0.4  # a plate of which less than this can be seen is not drawn at all
NEAR = 0.3  # metres; nearer points are moved here so that projection stays finite
PATCH_WIDTH = 384  # pixels; plates and boards are drawn flat at this width, then warped

PAINTS: tuple[Color, ...] = (
    (236, 236, 232), (205, 208, 210), (150, 154, 158), (92, 96, 102), (38, 40, 44), (22, 24, 28),
    (34, 58, 112), (60, 104, 160), (150, 28, 30), (196, 60, 40), (38, 74, 56), (190, 176, 146),
    (232, 190, 52), (98, 62, 46), (120, 140, 120),
)  # fmt: skip
WALLS: tuple[Color, ...] = (
    (168, 120, 96), (188, 176, 156), (140, 138, 136), (206, 196, 178), (122, 96, 84),
    (164, 172, 180), (196, 164, 120),
)  # fmt: skip
SIGN_PAINTS: tuple[Color, ...] = (
    (240, 240, 236), (244, 206, 60), (30, 70, 150), (180, 30, 36), (24, 24, 28), (30, 110, 70),
)  # fmt: skip
WORDS = (
    "CAFE", "Bakery", "PHARMACY", "HOTEL", "SALE 50%", "OPEN 24H", "Pizza", "BANK", "Parking",
    "GARAGE", "Flowers", "555 0142", "MARKET", "Books", "to let", "WASH", "EXIT 12", "A 40",
)  # fmt: skip
SKIES: tuple[tuple[Color, Color], ...] = (  # colours at the top and at the horizon
    ((92, 140, 200), (200, 216, 230)), ((150, 160, 172), (206, 208, 210)),
    ((112, 120, 150), (236, 190, 150)), ((176, 184, 192), (224, 226, 226)),
)  # fmt: skip


@dataclass(frozen=True)
class PlateStyle:
    """A family of plates: real aspect ratios, somewhat wider than real plates (metres)."""

    width: float
    aspect: float
    papers: tuple[Color, ...]
    inks: tuple[Color, ...]
    band: bool = False  # blue country band on the left
    caption: bool = False  # small words above and below the number


STYLES = (
    PlateStyle(0.66, 4.3, ((244, 244, 240), (226, 228, 226)), ((20, 20, 24),), band=True),
    PlateStyle(0.66, 4.0, ((246, 204, 48), (238, 190, 70)), ((20, 20, 20),), band=True),
    PlateStyle(0.64, 3.8, ((24, 24, 26), (40, 42, 46)), ((238, 238, 236),)),
    PlateStyle(
        0.54, 2.0, ((240, 240, 236), (206, 222, 240), (244, 226, 180)),
        ((24, 40, 110), (130, 24, 30), (20, 70, 50)), caption=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Vehicle:
    """What one car or truck looks like; lengths in metres."""

    truck: bool
    rear: bool
    width: float
    belt: float  # height of bonnet or boot
    roof: float
    length: float
    paint: Color
    plate_height: float
    style: PlateStyle


@dataclass(frozen=True)
class Camera:
    """Pinhole looking along +z from `height` metres; focal and centre in canvas pixels."""

    focal: float
    centre: tuple[float, float]  # the vanishing point of the street
    height: float
    roll: float

    def project(self, points: Points) -> Points:
        """(n, 3) metres -> (n, 2) canvas pixels."""
        scale = self.focal / np.maximum(points[:, 2], NEAR)
        x, y = points[:, 0] * scale, (self.height - points[:, 1]) * scale
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        flat = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)
        return flat + np.array(self.centre)


@dataclass(frozen=True)
class Place:
    """Where an object stands: its own x, y, z frame put at (x, 0, z) and turned by `yaw`."""

    camera: Camera
    x: float = 0.0
    z: float = 0.0
    yaw: float = 0.0

    def __call__(self, points: Points) -> Points:
        """(n, 3) metres in the object's frame -> (n, 2) canvas pixels."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        x = self.x + points[:, 0] * cos + points[:, 2] * sin
        z = self.z - points[:, 0] * sin + points[:, 2] * cos
        return self.camera.project(np.stack([x, points[:, 1], z], axis=1))


class Canvas:
    """Supersampled picture, the plate each pixel shows, and the lights that may glow."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self.image = Image.new("RGB", self.size)
        self.owner = Image.new("L", self.size)
        self.quads: dict[int, Points] = {}  # plate number (from 1) -> (4, 2) corners
        self.glows: list[tuple[float, float, float, Color]] = []  # x, y, radius (pixels), colour
        self._paint = ImageDraw.Draw(self.image)
        self._own = ImageDraw.Draw(self.owner)

    def polygon(self, points: Points, fill: Color) -> None:
        """Fill the polygon (n, 2); it hides whatever plate lay under it."""
        flat = points.ravel().tolist()
        self._paint.polygon(flat, fill)
        self._own.polygon(flat, 0)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Fill an upright ellipse around (x, y); all in canvas pixels."""
        box = (x - rx, y - ry, x + rx, y + ry)
        self._paint.ellipse(box, fill)
        self._own.ellipse(box, 0)

    def warp(self, patch: Image.Image, quad: Points, owner: int = 0) -> None:
        """Lay the RGB patch on the quad (4, 2: top-left, then clockwise)."""
        low = np.floor(quad.min(axis=0)).astype(int)
        high = np.ceil(quad.max(axis=0)).astype(int)
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        if min(size) < 2 or max(size) > 4 * max(self.size):
            return
        shrink = patch.width / size[0]
        if shrink > 1.3:  # PERSPECTIVE does not filter: without this small text turns to gravel
            patch = patch.resize((max(size[0], 8), max(round(patch.height / shrink), 4)))
        matrix = _homography(quad - low, patch.size)
        cover = Image.new("L", patch.size, 255).transform(
            size, Image.Transform.PERSPECTIVE, matrix
        )
        warped = patch.transform(
            size, Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BILINEAR
        )
        corner = (int(low[0]), int(low[1]))
        self.image.paste(warped, corner, cover)
        self.owner.paste(owner, corner, cover)

    def plates(self) -> dict[int, tuple[float, Points]]:
        """Plate number -> (share of it that can be seen, its box (4,) xyxy in picture pixels)."""
        owner = np.asarray(self.owner)
        found = {}
        for number, quad in self.quads.items():
            rows, columns = np.nonzero(owner == number)
            if not len(rows):
                found[number] = (0.0, np.zeros(4))
                continue
            # A pixel is owned when its centre is, so the true edge lies up to a pixel outside.
            seen_low = np.array([columns.min() - 1, rows.min() - 1])
            seen_high = np.array([columns.max() + 2, rows.max() + 2])
            low = np.maximum(np.maximum(quad.min(axis=0), seen_low), 0)
            high = np.minimum(np.minimum(quad.max(axis=0), seen_high), self.size)
            box = np.concatenate([low, high]) / SUPERSAMPLE
            found[number] = (len(rows) / abs(_signed_area(quad)), box)
        return found


def render_scene(
    rng: np.random.Generator, size: tuple[int, int] = (320, 240)
) -> tuple[Image.Image, Points]:
    """Draw one picture of `size` (width, height).

    Returns the RGB picture and float64 boxes (n, 4), xyxy in pixels of the picture: the bounds of
    what can be seen of each plate, n = 0 for a street without plates.
    """
    seed = int(rng.integers(2**62))
    canvas = draw_street(seed, size)
    seen = canvas.plates()
    hidden = {number for number, (share, _) in seen.items() if share < MIN_VISIBLE}
    if hidden:  # all random choices come from the seed, so the rest of the picture stays as it was
        canvas = draw_street(seed, size, hidden)
        seen = canvas.plates()
    boxes = [box for _, box in seen.values()]
    picture = canvas.image.reduce(SUPERSAMPLE)
    return add_effects(picture, canvas.glows, rng), np.array(boxes, np.float64).reshape(-1, 4)


def draw_street(seed: int, size: tuple[int, int], hidden: Set[int] = frozenset()) -> Canvas:
    """Draw the clean street of this seed, without the plates numbered in `hidden`.

    Leaving plates out changes no other pixel of the street.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(size)
    vehicles, shares, plated = _plan(rng)
    camera, places = _park(vehicles, shares, canvas.size, rng)
    if not plated and rng.random() < 0.5:  # seen from the side, or no vehicle near at all
        side = rng.choice([-1.0, 1.0]) * rng.uniform(1.45, 1.7)
        places = [Place(camera, p.x - side * 1.3, p.z * 1.5, side) for p in places]
        keep = int(rng.integers(0, 3)) > 0
        vehicles = vehicles if keep else []
    _draw_background(canvas, camera, rng)
    order = sorted(range(len(vehicles)), key=lambda i: -places[i].z)
    for number, i in enumerate(order, start=1):
        vehicle, place = vehicles[i], places[i]
        (_draw_truck if vehicle.truck else _draw_car)(canvas, place, vehicle, rng)
        _draw_extras(canvas, place, vehicle, rng)
        has_plate = plated and (len(order) == 1 or rng.random() < 0.93)
        _draw_plate(canvas, place, vehicle, rng, number if has_plate else 0, number in hidden)
    if rng.random() < 0.25:
        _draw_person(canvas, camera, rng)
    return canvas


def _plan(rng: np.random.Generator) -> tuple[list[Vehicle], list[float], bool]:
    """Choose vehicles, the width of each plate as a share of the picture, and if plates show."""
    count = int(rng.choice([1, 2, 3], p=[0.62, 0.28, 0.10]))
    if count == 1:
        close = rng.random() < 0.22
        shares = [float(rng.uniform(0.33, 0.45) if close else rng.uniform(0.19, 0.34))]
    else:
        shares = sorted((float(s) for s in rng.uniform(0.14, 0.25, count)), reverse=True)
    vehicles = [_choose_vehicle(rng) for _ in range(count)]
    return vehicles, shares, bool(rng.random() >= NEGATIVE_SHARE)


def _choose_vehicle(rng: np.random.Generator) -> Vehicle:
    """Draw one car or truck at random."""
    truck, rear = bool(rng.random() < 0.2), bool(rng.random() < 0.55)
    belt = float(rng.uniform(1.15, 1.4) if truck else rng.uniform(0.84, 1.05))
    high = truck or (rear and rng.random() < 0.5)
    return Vehicle(
        truck=truck,
        rear=rear,
        width=float(rng.uniform(2.1, 2.4) if truck else rng.uniform(1.68, 1.92)),
        belt=belt,
        roof=float(rng.uniform(2.5, 3.4) if truck else belt + rng.uniform(0.45, 0.62)),
        length=float(rng.uniform(5.5, 8) if truck else rng.uniform(3.7, 4.8)),
        paint=_jitter(_pick(rng, PAINTS), rng, 14),
        plate_height=float(rng.uniform(0.52, 0.7) if high else rng.uniform(0.4, 0.52)),
        style=STYLES[int(rng.choice(len(STYLES), p=[0.36, 0.2, 0.16, 0.28]))],
    )


def _park(
    vehicles: list[Vehicle], shares: list[float], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Camera, list[Place]]:
    """Set the camera and the vehicles so that each plate gets its share of the picture width."""
    width, height = size
    scales = [share * width / v.style.width for v, share in zip(vehicles, shares, strict=True)]
    horizon = rng.uniform(0.2, 0.45) * height
    target = min(rng.uniform(0.55, 0.85) * height, horizon + 1.9 * scales[0])
    camera = Camera(
        focal=float(rng.uniform(1.5, 3.2) * width),
        centre=(float(rng.uniform(0.25, 0.75) * width), float(horizon)),
        height=float(vehicles[0].plate_height + (target - horizon) / scales[0]),
        roll=float(np.clip(rng.normal(0, 0.035), -0.09, 0.09)),
    )
    slots = rng.permutation(len(vehicles))
    places = []
    for scale, share, slot in zip(scales, shares, slots, strict=True):
        margin = share / 2 - (0.08 if rng.random() < 0.1 else -0.02)
        middle = (slot + 0.5) / len(vehicles) + rng.uniform(-0.22, 0.22) / len(vehicles)
        x = float(np.clip(middle, margin, 1 - margin)) * width
        yaw = rng.uniform(-0.62, 0.62) if rng.random() < 0.35 else rng.normal(0, 0.14)
        z = camera.focal / scale
        places.append(Place(camera, float((x - camera.centre[0]) / scale), z, float(yaw)))
    return camera, places


# ---- small tools -------------------------------------------------------------------------------


def _homography(quad: Points, size: tuple[int, int]) -> tuple[float, ...]:
    """Eight PERSPECTIVE numbers that take picture pixels in `quad` (4, 2) to a `size` patch."""
    w, h = size
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, ((0, 0), (w, 0), (w, h), (0, h)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values, np.float64)).tolist())


def _signed_area(points: Points) -> float:
    """Area (pixels squared) of the polygon (n, 2); positive when it runs clockwise on screen."""
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _rect(x0: float, y0: float, x1: float, y1: float, z: float = 0.0) -> Points:
    """Upright rectangle (4, 3) facing the viewer: top-left first, clockwise; y1 is the top."""
    return np.array([[x0, y1, z], [x1, y1, z], [x1, y0, z], [x0, y0, z]], np.float64)


def _wall(x: float, y0: float, y1: float, z0: float, z1: float) -> Points:
    """Rectangle (4, 3) along the street in the plane x; same corner order, z0 to the left."""
    return np.array([[x, y1, z0], [x, y1, z1], [x, y0, z1], [x, y0, z0]], np.float64)


def _flat(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> Points:
    """Level rectangle (4, 3)."""
    return np.array([[x0, y, z1], [x1, y, z1], [x1, y, z0], [x0, y, z0]], np.float64)


def _disc(x: float, y: float, rx: float, ry: float, z: float = 0.0, wall: bool = False) -> Points:
    """Ellipse (18, 3) facing the viewer, or in the plane x (around depth z) when `wall`."""
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    along, up = rx * np.cos(angle), y + ry * np.sin(angle)
    if wall:
        return np.stack([np.full(18, x), up, z + along], axis=1)
    return np.stack([x + along, up, np.full(18, z)], axis=1)


def _tone(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter."""
    r, g, b = (int(min(max(c * factor, 0), 255)) for c in color)
    return r, g, b


def _jitter(color: Color, rng: np.random.Generator, spread: float) -> Color:
    """The colour moved by a normal step of `spread` levels a channel."""
    r, g, b = (int(min(max(c + s, 0), 255)) for c, s in zip(color, rng.normal(0, spread, 3)))
    return r, g, b


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


def _noise(rng: np.random.Generator, size: tuple[int, int], cell: int) -> NDArray[np.float32]:
    """Smooth noise (height, width), mean 0, spread about 1; bumps `cell` pixels across."""
    coarse = rng.normal(0, 1, (size[1] // cell + 3, size[0] // cell + 3)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def _panel(canvas: Canvas, place: Place, corners: Points, color: Color, fall: float) -> None:
    """Fill a quad (4, 3) with bands that darken downwards by `fall` (0..1): sheet metal."""
    steps = np.linspace(0, 1, 8)
    left = corners[0] + steps[:, None] * (corners[3] - corners[0])
    right = corners[1] + steps[:, None] * (corners[2] - corners[1])
    flat = place(np.concatenate([left, right]))
    for k in range(7):
        band = flat[[k, 8 + k, 9 + k, k + 1]]
        canvas.polygon(band, _tone(color, 1.08 - fall * k / 6))


# ---- text --------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write(
    patch: Image.Image, text: str, box: tuple[float, float, float, float], ink: Color, bold: int = 2
) -> None:
    """Stretch the text to fill the box (x0, y0, x1, y1 pixels of the patch)."""
    font = _font(64)
    x0, y0, x1, y1 = font.getbbox(text, stroke_width=bold)
    mask = Image.new("L", (max(int(x1 - x0), 1), max(int(y1 - y0), 1)))
    ImageDraw.Draw(mask).text((-x0, -y0), text, 255, font, stroke_width=bold)
    left, top, right, bottom = (round(v) for v in box)
    mask = mask.resize((max(right - left, 1), max(bottom - top, 1)))
    patch.paste(ink, (left, top), mask)


def _number(rng: np.random.Generator) -> str:
    """A random plate number such as `KR 482 PD` or `7FTK318`."""
    pattern = str(rng.choice(["AA 00 AA", "AA 000 AA", "A 0000 A", "0AAA000", "AAA 000", "00-AA-00"]))
    letters, digits = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
    sets = {"A": letters, "0": digits}
    return "".join(str(rng.choice(list(sets[c]))) if c in sets else c for c in pattern)


def plate_patch(style: PlateStyle, rng: np.random.Generator) -> Image.Image:
    """A flat plate of the style, PATCH_WIDTH pixels wide, with a random number."""
    w, h = PATCH_WIDTH, round(PATCH_WIDTH / style.aspect)
    shine = rng.uniform(0.82, 1.03)
    paper, ink = _tone(_pick(rng, style.papers), shine), _pick(rng, style.inks)
    patch = Image.new("RGB", (w, h), _tone(ink, 0.8) if rng.random() < 0.7 else (52, 52, 54))
    draw = ImageDraw.Draw(patch)
    rim = int(rng.integers(5, 10))
    draw.rounded_rectangle((rim, rim, w - rim - 1, h - rim - 1), 10, paper)
    left, top, bottom = rim + 14.0, h * 0.2, h * 0.8
    if style.band and rng.random() < 0.85:
        draw.rectangle((rim, rim, rim + 34, h - rim - 1), (24, 60, 160))
        _write(patch, str(rng.choice(list("DFIEBPL"))), (rim + 8, h * 0.58, rim + 27, h * 0.82),
               (235, 235, 235))  # fmt: skip
        left = rim + 48.0
    if style.caption:
        _write(patch, str(rng.choice(["OREGON", "Nevada", "IDAHO", "Maine", "UTAH"])),
               (w * 0.32, h * 0.09, w * 0.68, h * 0.21), _tone(ink, 1.2), 1)  # fmt: skip
        _write(patch, "the open road", (w * 0.3, h * 0.83, w * 0.7, h * 0.92), ink, 0)
        top, bottom = h * 0.28, h * 0.76
    _write(patch, _number(rng), (left, top, w - rim - 14, bottom), ink, int(rng.integers(1, 4)))
    grime = 1 + rng.uniform(0, 0.12) * _noise(rng, (w, h), 24)
    pixels = np.asarray(patch, np.float32) * grime[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _board(
    canvas: Canvas, place: Place, corners: Points, text: str, paper: Color, ink: Color
) -> None:
    """Hang a sign with text on the quad (4, 3): the distractors that look most like plates."""
    flat = place(corners)
    wide = float(np.hypot(*(flat[1] - flat[0])))
    tall = max(float(np.hypot(*(flat[3] - flat[0]))), 1e-6)
    w, h = 192, int(np.clip(192 * tall / max(wide, 1e-6), 24, 384))
    patch = Image.new("RGB", (w, h), paper)
    ImageDraw.Draw(patch).rectangle((4, 4, w - 5, h - 5), None, ink, 2)
    if text:
        _write(patch, text, (w * 0.1, h * 0.22, w * 0.9, h * 0.78), ink, 1)
    canvas.warp(patch, flat)


def _random_board(
    canvas: Canvas, place: Place, corners: Points, rng: np.random.Generator, text: str | None = None
) -> None:
    paper = _jitter(_pick(rng, SIGN_PAINTS), rng, 8)
    ink = (24, 24, 28) if sum(paper) > 380 else (238, 238, 232)
    _board(canvas, place, corners, str(rng.choice(WORDS)) if text is None else text, paper, ink)


# ---- vehicles ----------------------------------------------------------------------------------


def _draw_body(canvas: Canvas, place: Place, v: Vehicle, rng: np.random.Generator) -> None:
    """Shadow, wheels and the sides that can be seen."""
    half = v.width / 2
    canvas.polygon(place(_flat(-half - 0.1, half + 0.1, -0.15, v.length)), (34, 34, 36))
    for x in (-half + 0.17, half - 0.17):
        canvas.polygon(place(_rect(x - 0.12, 0, x + 0.12, 0.4, 0.1)), (20, 20, 22))
    axles = (0.8, v.length - 0.85)
    top = v.roof if v.truck else v.belt
    for side in (-1, 1):
        x, slant = side * half, 0.0 if v.truck else 0.82
        corners = _wall(x, 0.25, top, 0, v.length)
        if _signed_area(place(corners)) * side <= 0:  # this side faces away
            continue
        _panel(canvas, place, corners, _tone(v.paint, 0.8), 0.35)
        if not v.truck:
            glass = np.array([[x, v.belt, 0.75], [x * slant, v.roof, 1.4],
                              [x * slant, v.roof, v.length - 1.0], [x, v.belt, v.length - 0.3]])  # fmt: skip
            canvas.polygon(place(glass), _tone(v.paint, 0.7))
            centre = glass.mean(axis=0)
            canvas.polygon(place(centre + (glass - centre) * 0.84), (46, 54, 62))
        for z in axles:
            canvas.polygon(place(_disc(x * 1.005, 0.32, 0.34, 0.33, z, wall=True)), (18, 18, 20))
            canvas.polygon(place(_disc(x * 1.01, 0.32, 0.2, 0.19, z, wall=True)), (150, 152, 156))
        seam = _wall(x, 0.35, v.belt, v.length / 2 - 0.02, v.length / 2 + 0.02)
        canvas.polygon(place(seam), _tone(v.paint, 0.5))


def _draw_car(canvas: Canvas, place: Place, v: Vehicle, rng: np.random.Generator) -> None:
    """A car from the front or the rear, with its sides where they can be seen."""
    _draw_body(canvas, place, v, rng)
    half = v.width / 2
    base = rng.uniform(0.1, 0.35) if v.rear else rng.uniform(0.7, 1.0)  # depth of the glass foot
    canvas.polygon(place(_flat(-half * 0.82, half * 0.82, base + 0.5, 2.8, v.roof)), v.paint)
    canvas.polygon(place(_flat(-half, half, 0, base + 0.1, v.belt)), _tone(v.paint, 1.12))
    cabin = np.array([[-half * 0.8, v.roof, base + 0.5], [half * 0.8, v.roof, base + 0.5],
                      [half * 0.97, v.belt, base], [-half * 0.97, v.belt, base]])  # fmt: skip
    canvas.polygon(place(cabin), _tone(v.paint, 0.92))
    centre = cabin.mean(axis=0)
    sky = _jitter((84, 98, 112), rng, 16)
    glass = centre + (cabin - centre) * np.array([0.88, 0.8, 0.8])
    _panel(canvas, place, glass, sky, rng.uniform(0.2, 0.8))
    for x in (-0.36, 0.36):
        canvas.polygon(place(_disc(x, v.belt + 0.16, 0.13, 0.13, base + 0.1)), _tone(sky, 0.4))
    _panel(canvas, place, _rect(-half, 0.3, half, v.belt), v.paint, rng.uniform(0.15, 0.5))
    bumper = v.paint if rng.random() < 0.6 else (44, 44, 46)
    _panel(canvas, place, _rect(-half, 0.2, half, rng.uniform(0.5, 0.58), -0.04),
           _tone(bumper, 0.95), 0.3)  # fmt: skip
    canvas.polygon(place(_rect(-half * 0.85, 0.16, half * 0.85, 0.26, -0.05)), (26, 26, 28))
    if v.rear:
        seam = rng.uniform(0.62, 0.8)
        canvas.polygon(place(_rect(-half, seam, half, seam + 0.015, -0.01)), _tone(v.paint, 0.5))
    else:
        wide = rng.uniform(0.35, 0.62)
        _draw_grille(canvas, place, _rect(-wide, 0.56, wide, v.belt - 0.1, -0.02), rng)
    badge = place(_disc(0, v.belt - 0.07, 0.06, 0.045, -0.03))
    canvas.polygon(badge, (196, 198, 202))
    _draw_lamps(canvas, place, v, rng, v.belt - 0.2)


def _draw_truck(canvas: Canvas, place: Place, v: Vehicle, rng: np.random.Generator) -> None:
    """A lorry: doors of its box from the rear, or its cab from the front."""
    _draw_body(canvas, place, v, rng)
    half = v.width / 2
    _panel(canvas, place, _rect(-half, 0.75, half, v.roof), v.paint, rng.uniform(0.1, 0.3))
    if v.rear:
        for x in (-half + 0.06, -0.02, half - 0.1):
            canvas.polygon(place(_rect(x, 0.8, x + 0.035, v.roof, -0.01)), _tone(v.paint, 0.55))
        if rng.random() < 0.7:
            y, wide = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.9)
            tall = rng.uniform(0.16, 0.4)
            _random_board(canvas, place, _rect(-wide, y, wide, y + tall, -0.02), rng)
    else:
        _panel(canvas, place, _rect(-half * 0.9, 1.5, half * 0.9, 2.4, -0.01),
               _jitter((80, 94, 108), rng, 14), 0.6)  # fmt: skip
        _draw_grille(canvas, place, _rect(-half * 0.6, 0.85, half * 0.6, 1.35, -0.02), rng)
    bar = _tone((70, 70, 74), rng.uniform(0.5, 1.8))
    _panel(canvas, place, _rect(-half, 0.42, half, 0.8, -0.04), bar, 0.4)
    _draw_lamps(canvas, place, v, rng, 0.6)


def _draw_grille(canvas: Canvas, place: Place, corners: Points, rng: np.random.Generator) -> None:
    """A dark opening with slats."""
    canvas.polygon(place(corners), (24, 24, 26))
    (x0, y1, z), (x1, y0, _) = corners[0], corners[2]
    slat = _tone((150, 152, 156), rng.uniform(0.3, 1.2))
    for y in np.linspace(y0, y1, int(rng.integers(3, 7)))[1:-1]:
        canvas.polygon(place(_rect(x0, y - 0.012, x1, y + 0.012, z - 0.01)), slat)


def _draw_lamps(
    canvas: Canvas, place: Place, v: Vehicle, rng: np.random.Generator, height: float
) -> None:
    """Head or tail lamps at both ends of the face, entered as glows for the night."""
    half, z = v.width / 2, -0.05
    rx, ry = rng.uniform(0.12, 0.22), rng.uniform(0.06, 0.12)
    round_lamp = rng.random() < 0.45
    color: Color = (190, 24, 28) if v.rear else (236, 236, 228)
    for side in (-1, 1):
        x = side * (half - rx - 0.03)
        shape = _disc(x, height, rx, ry, z) if round_lamp else _rect(
            x - rx, height - ry, x + rx, height + ry, z)  # fmt: skip
        canvas.polygon(place(shape), (60, 60, 64))
        centre = shape.mean(axis=0)
        canvas.polygon(place(centre + (shape - centre) * 0.86), color)
        inner = _rect(x - rx * 0.3, height - ry * 0.4, x + rx * 0.3, height + ry * 0.4, z)
        canvas.polygon(place(inner), (240, 170, 60) if v.rear else (255, 255, 250))
        spot = place(centre[None])[0]
        reach = 0.5 * place.camera.focal / place.z
        canvas.glows.append((float(spot[0]), float(spot[1]), float(reach), color))


def _draw_extras(canvas: Canvas, place: Place, v: Vehicle, rng: np.random.Generator) -> None:
    """Stickers, taxi boards, papers behind the glass and vents: rectangles that are no plates."""
    half = v.width / 2
    if rng.random() < 0.3:  # sticker
        x, y = rng.uniform(-0.6, 0.35), rng.uniform(0.62, v.belt - 0.12)
        _random_board(canvas, place, _rect(x, y, x + rng.uniform(0.15, 0.34), y + 0.1, -0.03), rng)
    if not v.truck and rng.random() < 0.18:  # taxi
        wide = rng.uniform(0.22, 0.36)
        _random_board(canvas, place, _rect(-wide, v.roof, wide, v.roof + 0.2, 1.2), rng, "TAXI")
    if not v.truck and rng.random() < 0.2:  # ticket
        x, y = rng.uniform(-0.5, 0.3), v.belt + 0.1
        paper = _rect(x, y, x + 0.16, y + 0.12, 0.45)
        _board(canvas, place, paper, "== ---", (236, 236, 228), (110, 110, 116))
    if rng.random() < 0.25:  # vents or reflectors low in the bumper
        color = _pick(rng, ((238, 238, 230), (240, 190, 50), (30, 30, 32), (170, 172, 176)))
        wide = rng.uniform(0.1, 0.2)
        for x in (-half * 0.66, half * 0.66):
            canvas.polygon(place(_rect(x - wide, 0.32, x + wide, 0.41, -0.06)), color)


# ---- plates and what covers them ---------------------------------------------------------------


def _draw_plate(
    canvas: Canvas,
    place: Place,
    v: Vehicle,
    rng: np.random.Generator,
    number: int,
    hidden: bool,
) -> None:
    """Hang the plate and enter its quad; number 0 leaves the bare holder.

    The same random numbers are used in every case, so that hiding a plate changes nothing else.
    """
    half_width, half_height = v.style.width / 2, v.style.width / v.style.aspect / 2
    if rng.random() < 0.5:
        recess = _rect(-half_width - 0.05, v.plate_height - half_height - 0.04,
                       half_width + 0.05, v.plate_height + half_height + 0.04, -0.05)  # fmt: skip
        canvas.polygon(place(recess), _tone(v.paint, rng.uniform(0.3, 0.7)))
    tilt, turn = rng.normal(0, 0.1), rng.normal(0, 0.025)
    x = np.array([-half_width, half_width, half_width, -half_width])
    y = np.array([half_height, half_height, -half_height, -half_height])
    up = x * np.sin(turn) + y * np.cos(turn)
    corners = np.stack([x * np.cos(turn) - y * np.sin(turn), v.plate_height + up * np.cos(tilt),
                        -0.08 + up * np.sin(tilt)], axis=1)  # fmt: skip
    quad = place(corners)
    patch = plate_patch(v.style, rng)
    lamp = quad.mean(axis=0)
    canvas.glows.append((float(lamp[0]), float(lamp[1]), float(np.ptp(quad[:, 0])) * 0.6,
                         (200, 196, 180)))  # fmt: skip
    if number and not hidden:
        canvas.quads[number] = quad
        canvas.warp(patch, quad, number)
    if rng.random() < 0.3:
        _cover(canvas, quad, v, rng)


def _cover(canvas: Canvas, quad: Points, v: Vehicle, rng: np.random.Generator) -> None:
    """Put something in front of up to about a third of the plate."""
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    w, h = x1 - x0, y1 - y0
    kind = int(rng.integers(4))
    if kind == 0:  # pole
        x, half = rng.uniform(x0, x1), rng.uniform(0.04, 0.13) * w
        color = _jitter((120, 122, 120), rng, 30)
        for edge, tone in ((half, 0.8), (half * 0.4, 1.1)):
            pole = [[x - half, 0], [x - half + 2 * edge, 0],
                    [x - half + 2 * edge, canvas.size[1]], [x - half, canvas.size[1]]]  # fmt: skip
            canvas.polygon(np.array(pole, np.float64), _tone(color, tone))
    elif kind == 1 and v.rear:  # tow ball
        x, r = (x0 + x1) / 2 + rng.uniform(-0.1, 0.1) * w, 0.05 * w
        stem = [[x - r / 2, y1 - 0.3 * h], [x + r / 2, y1 - 0.3 * h], [x + r, y1 + h],
                [x - r, y1 + h]]  # fmt: skip
        canvas.polygon(np.array(stem), (40, 40, 42))
        canvas.oval(x, y1 - 0.3 * h, r, r, (96, 98, 102))
    elif kind == 2:  # somebody walking past
        overlap = rng.uniform(0.1, 0.33) * w
        half = rng.uniform(0.22, 0.4) * w
        x = x0 + overlap - half if rng.random() < 0.5 else x1 - overlap + half
        _draw_walker(canvas, x, y1 - rng.uniform(0.2, 0.9) * half, half, rng)
    else:  # foliage
        x = x0 if rng.random() < 0.5 else x1
        green = _jitter((52, 92, 44), rng, 14)
        for _ in range(40):
            dx, dy = rng.normal(0, 0.16) * w, abs(rng.normal(0, 0.9)) * h
            leaf = rng.uniform(0.02, 0.06, 2) * w
            canvas.oval(x + dx, y1 + 0.3 * h + dy - 0.6 * h, *leaf, _tone(green, rng.uniform(0.6, 1.4)))


def _draw_walker(
    canvas: Canvas, x: float, hip: float, half: float, rng: np.random.Generator
) -> None:
    """A standing person: hip height and half the shoulder width in canvas pixels."""
    coat, legs = _jitter(_pick(rng, PAINTS), rng, 20), _jitter((50, 54, 70), rng, 20)
    for side in (-0.45, 0.45):
        middle = x + side * half
        leg = [[middle - 0.4 * half, hip], [middle + 0.4 * half, hip],
               [middle + 0.3 * half, hip + 3.4 * half], [middle - 0.3 * half, hip + 3.4 * half]]  # fmt: skip
        canvas.polygon(np.array(leg), legs)
    torso = [[x - half, hip - 2.6 * half], [x + half, hip - 2.6 * half],
             [x + 0.85 * half, hip + 0.2 * half], [x - 0.85 * half, hip + 0.2 * half]]  # fmt: skip
    canvas.polygon(np.array(torso), coat)
    canvas.oval(x, hip - 3.2 * half, 0.42 * half, 0.55 * half, _jitter((190, 150, 124), rng, 20))


# ---- street ------------------------------------------------------------------------------------


def _draw_background(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Sky, ground, road with markings, two rows of houses, trees, signs and far traffic."""
    street = Place(camera)
    _draw_sky(canvas, camera, rng)
    road = rng.uniform(3.5, 6.0)
    canvas.polygon(street(_flat(-90, 90, NEAR, 90)), _jitter((132, 130, 124), rng, 14))
    canvas.polygon(street(_flat(-road, road, NEAR, 90)), _jitter((86, 86, 90), rng, 12))
    for z in np.arange(rng.uniform(0.5, 3), 60, 5.0):
        canvas.polygon(street(_flat(-0.07, 0.07, z, z + 2.2, 0.0)), (204, 204, 196))
    for x in (-road, road):
        canvas.polygon(street(_flat(x - 0.12, x + 0.12, NEAR, 80)), (168, 166, 160))
    for side in (-1, 1):
        _draw_houses(canvas, street, side, road + rng.uniform(2, 4), rng)
    for _ in range(int(rng.integers(1, 5))):
        _draw_tree(canvas, camera, rng.choice([-1, 1]) * (road + 1.2), rng.uniform(9, 30), rng)
    for _ in range(int(rng.integers(0, 4))):
        far = Vehicle(False, bool(rng.random() < 0.5), 1.8, 0.95, 1.5, 4.2, _pick(rng, PAINTS),
                      0.5, STYLES[0])  # fmt: skip
        spot = Place(camera, float(rng.uniform(-road, road)), float(rng.uniform(26, 50)))
        _draw_car(canvas, spot, far, rng)
    for _ in range(int(rng.integers(0, 4))):
        _draw_sign(canvas, camera, rng.choice([-1, 1]) * (road + 0.6), rng.uniform(7, 18), rng)


def _draw_sky(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Gradient with clouds; the ground and the houses are drawn over it."""
    w, h = canvas.size
    top, low = (np.array(c, np.float32) for c in SKIES[int(rng.integers(len(SKIES)))])
    t = np.clip(np.arange(h, dtype=np.float32) / camera.centre[1], 0, 1)[:, None, None]
    clouds = 14 * _noise(rng, (w, h), 90)[..., None]
    sky = np.clip(top + (low - top) * t + clouds, 0, 255)
    canvas.image.paste(Image.fromarray(sky.astype(np.uint8)))


def _draw_houses(
    canvas: Canvas, street: Place, side: int, x: float, rng: np.random.Generator
) -> None:
    """One row of houses along the street, far to near, with windows and shop signs."""
    edges = [2.0]
    while edges[-1] < 75:
        edges.append(edges[-1] + rng.uniform(6, 13))
    for z0, z1 in zip(edges[-2::-1], edges[:0:-1], strict=True):
        height, wall = rng.uniform(5, 15), _jitter(_pick(rng, WALLS), rng, 10)
        front = _rect(side * x, 0, side * (x + 8), height, z0)
        canvas.polygon(street(front), _tone(wall, 0.75))
        canvas.polygon(street(_wall(side * x, 0, height, z0, z1)), wall)
        glass = _jitter((70, 80, 92), rng, 16)
        for y in np.arange(3.6, height - 1.2, 2.9):
            for z in np.arange(z0 + 0.8, z1 - 1.3, 2.4):
                canvas.polygon(street(_wall(side * x, y, y + 1.5, z, z + 1.1)), glass)
        canvas.polygon(street(_wall(side * x, 0.4, 2.4, z0 + 0.6, z1 - 0.6)), _tone(glass, 0.8))
        if rng.random() < 0.6:
            sign = _wall(side * x * 0.995, 2.5, 3.3, z0 + 1, z0 + rng.uniform(3, 5))
            _random_board(canvas, street, sign if side < 0 else sign[[1, 0, 3, 2]], rng)


def _draw_tree(
    canvas: Canvas, camera: Camera, x: float, z: float, rng: np.random.Generator
) -> None:
    """A trunk under a cloud of leaf clumps."""
    place = Place(camera, float(x), float(z))
    canvas.polygon(place(_rect(-0.12, 0, 0.12, 2.6)), (78, 62, 50))
    scale, green = camera.focal / z, _jitter((66, 104, 52), rng, 16)
    clumps = place(np.stack([rng.normal(0, 0.8, 45), rng.normal(3.4, 0.8, 45), np.zeros(45)], axis=1))
    for cx, cy in clumps:
        r = rng.uniform(0.12, 0.4) * scale
        canvas.oval(float(cx), float(cy), r, r * 0.8, _tone(green, rng.uniform(0.55, 1.35)))


def _draw_sign(
    canvas: Canvas, camera: Camera, x: float, z: float, rng: np.random.Generator
) -> None:
    """A road sign on a pole: a disc with a limit, or a board with a place on it."""
    place = Place(camera, float(x), float(z), float(rng.normal(0, 0.2)))
    y = rng.uniform(1.2, 2.4)
    canvas.polygon(place(_rect(-0.04, 0, 0.04, y + 0.3)), (120, 122, 124))
    if rng.random() < 0.4:
        canvas.polygon(place(_disc(0, y, 0.4, 0.4, -0.02)), (190, 30, 34))
        canvas.polygon(place(_disc(0, y, 0.31, 0.31, -0.03)), (240, 240, 236))
        number = str(rng.choice(["30", "50", "70"]))
        _board(canvas, place, _rect(-0.2, y - 0.15, 0.2, y + 0.15, -0.04), number,
               (240, 240, 236), (20, 20, 22))  # fmt: skip
    else:
        wide, tall = rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.35)
        _random_board(canvas, place, _rect(-wide, y - tall, wide, y + tall, -0.02), rng)


def _draw_person(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """A passer-by at mid distance, anywhere on the road."""
    z = rng.uniform(6, 14)
    hip = Place(camera, float(rng.uniform(-4, 4)), float(z))(np.array([[0.0, 0.85, 0.0]]))[0]
    _draw_walker(canvas, float(hip[0]), float(hip[1]), 0.25 * camera.focal / z, rng)


# ---- light, weather and sensor -----------------------------------------------------------------


def add_effects(
    picture: Image.Image, glows: list[tuple[float, float, float, Color]], rng: np.random.Generator
) -> Image.Image:
    """Texture, night or day light, weather, blur, exposure and noise; moves no edge."""
    size = picture.size
    pixels = np.asarray(picture, np.float32)
    grain = 0.05 * _noise(rng, size, 34) + 0.05 * _noise(rng, size, 5)
    pixels = pixels * (1 + grain[..., None])
    if rng.random() < 0.2:  # dappled shade
        pixels = pixels * np.where(_noise(rng, size, 28) > 0.3, 0.62, 1.0)[..., None]
    night = bool(rng.random() < 0.22)
    if night:
        pixels = _light_night(pixels, glows, rng)
    weather = rng.random()
    if weather < 0.16:
        pixels = _add_rain(pixels, rng)
    elif weather < 0.3:
        pixels = _add_haze(pixels, rng)
    pixels = _blur(pixels, rng)
    white = rng.normal(1, 0.06, 3) * rng.uniform(0.78, 1.2)
    pixels = 255 * np.clip(pixels * white / 255, 0, 1) ** rng.uniform(0.8, 1.25)
    spread = rng.uniform(2, 9) + (5 if night else 0)
    pixels = pixels + rng.normal(0, spread, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _light_night(
    pixels: Pixels, glows: list[tuple[float, float, float, Color]], rng: np.random.Generator
) -> Pixels:
    """Dim the picture to blue and light it, and dazzle a little, around every lamp."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    light = np.ones_like(pixels) * rng.uniform(0.2, 0.45) * np.array([0.85, 0.92, 1.1])
    glare = np.zeros_like(pixels)
    strength = rng.uniform(0.35, 0.8)
    for x, y, reach, color in glows:
        square = (columns - x / SUPERSAMPLE) ** 2 + (rows - y / SUPERSAMPLE) ** 2
        radius = max(reach / SUPERSAMPLE, 2.0)
        hue = np.array(color, np.float32) / 255
        light += strength * np.exp(-square / (2 * radius**2))[..., None] * hue
        if color != (200, 196, 180):
            glare += 110 * strength * np.exp(-square / (0.3 * radius**2))[..., None] * hue
    return np.asarray(pixels * light + glare, np.float32)


def _add_rain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey the picture and draw slanted streaks."""
    h, w = pixels.shape[:2]
    streaks = Image.new("L", (w, h))
    draw = ImageDraw.Draw(streaks)
    slant = rng.uniform(-0.3, 0.3)
    for x, y, run in rng.uniform((0, -10, 6), (w, h, 20), (int(rng.integers(60, 200)), 3)):
        draw.line((x, y, x + slant * run, y + run), int(rng.integers(50, 130)))
    soft = np.asarray(streaks.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray(pixels * 0.6 + grey * 0.3 + 0.6 * soft[..., None], np.float32)


def _add_haze(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Blend with pale grey, most near the top where the far street is."""
    depth = np.linspace(1, 0.35, pixels.shape[0], dtype=np.float32)[:, None, None]
    veil = rng.uniform(0.25, 0.65) * depth
    return np.asarray(pixels * (1 - veil) + rng.uniform(150, 215) * veil, np.float32)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Defocus a third of the pictures, shake a fifth of them; both keep centres in place."""
    chance = rng.random()
    if chance < 0.35:
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        radius = float(rng.uniform(0.4, 1.5))
        return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    if chance < 0.55:
        reach, angle = int(rng.integers(1, 4)), rng.uniform(-0.5, 0.5)
        steps = [(round(k * np.sin(angle)), round(k * np.cos(angle)))
                 for k in range(-reach, reach + 1)]  # fmt: skip
        pad = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
        h, w = pixels.shape[:2]
        shifted = [pad[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
                   for dy, dx in steps]  # fmt: skip
        return np.asarray(np.mean(shifted, axis=0), np.float32)
    return pixels
