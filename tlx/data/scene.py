"""Draw one street picture with licence plates, and say exactly where the plates are.

The street is a small 3-D world (metres; x right, y up, z away from the viewer) seen by a pinhole
camera. It is drawn back to front as projected polygons on a canvas `SUPERSAMPLE` times the
picture. An "owner" canvas beside it remembers which plate each pixel shows, so that a box covers
what can really be seen of its plate. Light, weather and sensor effects follow at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Color = tuple[int, int, int]
Points = NDArray[np.float64]  # (n, 3) metres before projection, (n, 2) canvas pixels after it
Pixels = NDArray[np.float32]  # (height, width, 3) or a single channel, 0..255

SUPERSAMPLE = 2
NEGATIVE_SHARE = 0.125  # pictures planned without a plate; hidden plates add about one in a hundred
MIN_VISIBLE = 0.4  # a plate of which less than this can be seen is not drawn at all
NIGHT_SHARE = 0.2
NEAR = 0.3  # metres; nearer points are moved here so that projection stays finite
SCREEN_LEAN = 0.5  # metres from the foot of a screen back to its upper edge
LAMP = 255  # owner of the pixels of head and tail lamps; plates count from 1
PATCH_WIDTH = 384  # pixels; plates are drawn flat at this width, then warped

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
SKIES: tuple[tuple[Color, Color], ...] = (  # colours at the top and at the horizon
    ((92, 140, 200), (200, 216, 230)), ((150, 160, 172), (206, 208, 210)),
    ((112, 120, 150), (236, 190, 150)), ((176, 184, 192), (224, 226, 226)),
)  # fmt: skip
WORDS = (
    "CAFE", "Bakery", "PHARMACY", "HOTEL", "SALE 50%", "OPEN 24H", "Pizza", "BANK", "Parking",
    "GARAGE", "Flowers", "555 0142", "MARKET", "Books", "to let", "WASH", "EXIT 12", "A 40",
)  # fmt: skip
NUMBER_PATTERNS = ("AA 00 AA", "AA 000 AA", "A 0000 A", "0AAA000", "AAA 000", "00-AA-00")
ALPHABETS = {"A": "ABCDEFGHJKLMNPRSTUVWXYZ", "0": "0123456789"}
WHITE, BLACK = (240, 240, 236), (22, 22, 24)
PLATE_LAMP, HEADLAMP, TAIL_LAMP = (200, 196, 180), (236, 236, 228), (190, 24, 28)


@dataclass(frozen=True)
class PlateStyle:
    """A family of plates; `width` in metres, somewhat wider than real plates."""

    width: float
    aspect: float
    papers: tuple[Color, ...]
    inks: tuple[Color, ...]
    band: bool = False  # blue country band on the left
    caption: bool = False  # small words above and below the number


STYLES = (
    PlateStyle(0.66, 4.3, ((244, 244, 240), (226, 228, 226)), (BLACK,), band=True),
    PlateStyle(0.66, 4.0, ((246, 204, 48), (238, 190, 70)), (BLACK,), band=True),
    PlateStyle(0.64, 3.8, (BLACK, (40, 42, 46)), (WHITE,)),
    PlateStyle(
        0.54, 2.0, (WHITE, (206, 222, 240), (244, 226, 180)),
        ((24, 40, 110), (130, 24, 30), (20, 70, 50)), caption=True,
    ),
)  # fmt: skip
STYLE_ODDS = (0.36, 0.2, 0.16, 0.28)


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


class Glow(NamedTuple):
    """A lamp that lights its surroundings at night; lengths in canvas pixels."""

    x: float
    y: float
    reach: float
    color: Color


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
    if hidden:  # all random choices come from the seed: the rest of the street stays as it was
        canvas = draw_street(seed, size, hidden)
        seen = canvas.plates()
    boxes = np.array([box for _, box in seen.values()], np.float64).reshape(-1, 4)
    return add_effects(canvas.image.reduce(SUPERSAMPLE), canvas.shining(), rng), boxes


def draw_street(seed: int, size: tuple[int, int], hidden: Set[int] = frozenset()) -> Canvas:
    """Draw the clean street of this seed, without the plates numbered in `hidden`.

    Leaving plates out changes no other pixel of the street.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(size)
    count = int(rng.choice([1, 2, 3], p=[0.64, 0.28, 0.08]))
    vehicles = [_choose_vehicle(rng) for _ in range(count)]
    camera, places = _park(vehicles, canvas.size, rng)
    plated = bool(rng.random() >= NEGATIVE_SHARE)
    if not plated and rng.random() < 0.6:  # seen from the side, or nothing near at all
        side = rng.choice([-1.0, 1.0]) * rng.uniform(1.4, 1.7)
        places = [Place(camera, p.x - side * 1.3, p.z * 1.5, side) for p in places]
        vehicles = vehicles if rng.random() < 0.6 else []
    _draw_background(Pen(canvas, Place(camera)), rng)
    far_to_near = sorted(zip(vehicles, places, strict=False), key=lambda pair: -pair[1].z)
    for number, (vehicle, place) in enumerate(far_to_near, start=1):
        pen = Pen(canvas, place)
        (_draw_truck if vehicle.truck else _draw_car)(pen, vehicle, rng)
        has_plate = plated and (count == 1 or rng.random() < 0.93)
        _draw_plate(pen, vehicle, rng, number if has_plate else 0, number in hidden)
    if rng.random() < 0.25:
        _draw_passer_by(canvas, camera, rng)
    return canvas


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
        roof=float(rng.uniform(2.5, 3.4) if truck else belt + rng.uniform(0.45, 0.66)),
        length=float(rng.uniform(5.5, 8) if truck else rng.uniform(3.7, 4.8)),
        foot=float(rng.uniform(0.1, 0.35) if rear else rng.uniform(0.7, 1.0)),
        paint=_jitter(_pick(rng, PAINTS), rng, 14),
        plate_height=float(rng.uniform(0.52, 0.7) if high else rng.uniform(0.4, 0.52)),
        style=STYLES[int(rng.choice(len(STYLES), p=STYLE_ODDS))],
    )


def _park(
    vehicles: list[Vehicle], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Camera, list[Place]]:
    """Set the camera and the vehicles so that each plate gets a wanted share of the width."""
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


# ---- camera, canvas and pen --------------------------------------------------------------------


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


class Canvas:
    """Supersampled picture, the plate each of its pixels shows, and the lamps in it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self.image = Image.new("RGB", self.size)
        self.owner = Image.new("L", self.size)
        self.quads: dict[int, Points] = {}  # plate number (from 1) -> (4, 2) corners
        self.glows: list[Glow] = []
        self._paint = ImageDraw.Draw(self.image)
        self._own = ImageDraw.Draw(self.owner)
        self._owned = False  # while nothing is, the far street need not be drawn there too

    def polygon(self, points: Points, fill: Color, owner: int = 0) -> None:
        """Fill the polygon (n, 2); it hides whatever plate lay under it."""
        flat = points.ravel().tolist()
        self._paint.polygon(flat, fill)
        self._owned = self._owned or owner > 0
        if self._owned:
            self._own.polygon(flat, owner)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Fill an upright ellipse around (x, y); all in canvas pixels."""
        box = (x - rx, y - ry, x + rx, y + ry)
        self._paint.ellipse(box, fill)
        if self._owned:
            self._own.ellipse(box, 0)

    def warp(self, patch: Image.Image, quad: Points, owner: int = 0) -> None:
        """Lay the RGB patch on the quad (4, 2: top-left, then clockwise)."""
        shrink = patch.width / max(float(np.ptp(quad[:, 0])), 8.0)
        if shrink > 1.3:  # the transform does not filter: small text would turn to gravel
            patch = patch.resize(
                (round(patch.width / shrink), max(round(patch.height / shrink), 4))
            )
        low = np.clip(np.floor(quad.min(axis=0)), 0, self.size)
        width, height = np.clip(np.ceil(quad.max(axis=0)), 0, self.size) - low
        if min(width, height) < 2:
            return
        window = (int(width), int(height))
        matrix = _homography(quad - low, patch.size)
        perspective = Image.Transform.PERSPECTIVE
        cover = Image.new("L", patch.size, 255).transform(window, perspective, matrix)
        warped = patch.transform(window, perspective, matrix, Image.Resampling.BILINEAR)
        corner = (int(low[0]), int(low[1]))
        self.image.paste(warped, corner, cover)
        self._owned = self._owned or owner > 0
        self.owner.paste(owner, corner, cover)

    def shining(self) -> list[Glow]:
        """The lamps that nothing hides; those outside the picture still light what is inside."""
        (width, height), shown = self.size, []
        for glow in self.glows:
            inside = 0 <= glow.x < width and 0 <= glow.y < height
            hidden = inside and self.owner.getpixel((int(glow.x), int(glow.y))) != LAMP
            if glow.color == PLATE_LAMP or not hidden:
                shown.append(glow)
        return shown

    def plates(self) -> dict[int, tuple[float, Points]]:
        """Plate number -> (share of it that can be seen, its box (4,) xyxy in picture pixels)."""
        owner = np.asarray(self.owner)
        found = {}
        for number, quad in self.quads.items():
            rows, columns = np.nonzero(owner == number)
            if not len(rows):
                found[number] = (0.0, np.zeros(4))
                continue
            # A pixel is owned when its centre is, so the true edge may lie a pixel further out.
            seen_low = np.array([columns.min() - 1, rows.min() - 1])
            seen_high = np.array([columns.max() + 2, rows.max() + 2])
            low = np.maximum(np.maximum(quad.min(axis=0), seen_low), 0)
            high = np.minimum(np.minimum(quad.max(axis=0), seen_high), self.size)
            share = len(rows) / abs(_signed_area(quad))
            found[number] = (share, np.concatenate([low, high]) / SUPERSAMPLE)
        return found


@dataclass(frozen=True)
class Pen:
    """Draws on the canvas in the metres of one object's frame."""

    canvas: Canvas
    place: Place

    def fill(self, points: Points, color: Color, owner: int = 0) -> None:
        """Fill the polygon (n, 3)."""
        self.canvas.polygon(self.place(points), color, owner)

    def faces_viewer(self, corners: Points) -> bool:
        """Whether the front of the polygon (n, 3), its clockwise side, can be seen."""
        return _signed_area(self.place(corners)) > 0

    def panel(self, corners: Points, color: Color, fall: float, taper: float = 0.0) -> None:
        """Fill a quad (4, 3) with bands darker by `fall` (0..1) downwards: sheet metal.

        Its upper corners are rounded inwards by `taper`, a share of its width.
        """
        t = np.linspace(0, 1, 9)[:, None]
        left = corners[0] + t * (corners[3] - corners[0])
        right = corners[1] + t * (corners[2] - corners[1])
        inset = taper * (1 - t) ** 3 * (right - left)
        flat = self.place(np.concatenate([left + inset, right - inset]))
        for k in range(8):
            self.canvas.polygon(flat[[k, 9 + k, 10 + k, k + 1]], _tone(color, 1.1 - fall * k / 7))

    def board(self, corners: Points, text: str, paper: Color, ink: Color) -> None:
        """Hang a framed text on the quad (4, 3): what looks most like a plate and is none."""
        flat = self.place(corners)
        outside = (flat.max(axis=0) < 0).any() or (flat.min(axis=0) > self.canvas.size).any()
        if outside or _signed_area(flat) <= 0:
            return
        wide, tall = np.hypot(*(flat[1] - flat[0])), np.hypot(*(flat[3] - flat[0]))
        if min(wide, 2 * tall) < 14:  # too far away to read
            self.canvas.polygon(flat, paper)
            return
        w, h = 192, int(np.clip(192 * tall / wide, 24, 384))
        patch = Image.new("RGB", (w, h), paper)
        ImageDraw.Draw(patch).rectangle((4, 4, w - 5, h - 5), None, ink, 2)
        _write(patch, text, (w * 0.1, h * 0.22, w * 0.9, h * 0.78), ink, 1)
        self.canvas.warp(patch, flat)

    def random_board(self, corners: Points, rng: np.random.Generator, text: str = "") -> None:
        """Hang a sign in a random colour, with a random word unless `text` is given."""
        paper = _jitter(_pick(rng, SIGN_PAINTS), rng, 8)
        ink = BLACK if sum(paper) > 380 else WHITE
        self.board(corners, text or str(rng.choice(WORDS)), paper, ink)

    def glow(self, points: Points, metres: float, color: Color) -> None:
        """Enter a lamp around the middle of the polygon (n, 3)."""
        x, y = self.place(points).mean(axis=0)
        reach = metres * self.place.camera.focal / max(self.place.z, NEAR)
        self.canvas.glows.append(Glow(float(x), float(y), float(reach), color))


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
    """Rectangle (4, 3) along the street in the plane x; its front looks to +x when z0 < z1."""
    return np.array([[x, y1, z0], [x, y1, z1], [x, y0, z1], [x, y0, z0]], np.float64)


def _flat(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> Points:
    """Level rectangle (4, 3)."""
    return np.array([[x0, y, z1], [x1, y, z1], [x1, y, z0], [x0, y, z0]], np.float64)


def _disc(x: float, y: float, rx: float, ry: float, z: float = 0.0, wall: bool = False) -> Points:
    """Ellipse (18, 3) facing the viewer, or in the plane x (around depth z) when `wall`."""
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    along, up, still = rx * np.cos(angle), y - ry * np.sin(angle), np.zeros(18)
    if wall:
        return np.stack([still + x, up, z + along], axis=1)
    return np.stack([x + along, up, still + z], axis=1)


def _resized(points: Points, factor: float) -> Points:
    """The polygon grown or shrunk around its middle."""
    centre = points.mean(axis=0)
    return centre + (points - centre) * factor


def _color(channels: Iterable[float]) -> Color:
    r, g, b = (int(min(max(c, 0), 255)) for c in channels)
    return r, g, b


def _tone(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter."""
    r, g, b = color
    return min(int(r * factor), 255), min(int(g * factor), 255), min(int(b * factor), 255)


def _jitter(color: Color, rng: np.random.Generator, spread: float) -> Color:
    """The colour moved by `spread` levels in brightness and a third of that in hue."""
    return _color(np.array(color) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3))


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


def _noise(rng: np.random.Generator, size: tuple[int, int], cell: int) -> Pixels:
    """Smooth noise (height, width, 1), mean 0, spread about 1; bumps `cell` pixels across."""
    coarse = rng.standard_normal((size[1] // cell + 3, size[0] // cell + 3), np.float32)
    smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(smooth)[..., None]


# ---- text and plates ---------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=256)  # the same few words hang on every street
def _lettering(text: str, bold: int) -> Image.Image:
    """Mask of the text at full size, cropped to its ink; never to be written to."""
    font = _font(64)
    x0, y0, x1, y1 = font.getbbox(text, stroke_width=bold)
    mask = Image.new("L", (int(x1 - x0) + 1, int(y1 - y0) + 1))
    ImageDraw.Draw(mask).text((-x0, -y0), text, 255, font, stroke_width=bold)
    return mask


def _write(
    patch: Image.Image, text: str, box: tuple[float, float, float, float], ink: Color, bold: int
) -> None:
    """Stretch the text, its strokes `bold` pixels thicker, to fill box (x0, y0, x1, y1)."""
    left, top, right, bottom = (round(v) for v in box)
    mask = _lettering(text, bold).resize((max(right - left, 1), max(bottom - top, 1)))
    patch.paste(ink, (left, top), mask)


def plate_patch(style: PlateStyle, rng: np.random.Generator) -> Image.Image:
    """A flat plate of the style, PATCH_WIDTH pixels wide, with a random number."""
    w, h = PATCH_WIDTH, round(PATCH_WIDTH / style.aspect)
    paper = _tone(_pick(rng, style.papers), rng.uniform(0.82, 1.03))
    ink = _pick(rng, style.inks)
    patch = Image.new("RGB", (w, h), _tone(ink, 0.8) if rng.random() < 0.7 else (52, 52, 54))
    draw = ImageDraw.Draw(patch)
    rim = int(rng.integers(5, 10))
    draw.rounded_rectangle((rim, rim, w - rim - 1, h - rim - 1), 10, paper)
    left, top, bottom = rim + 14.0, h * 0.2, h * 0.8
    if style.band and rng.random() < 0.85:
        draw.rectangle((rim, rim, rim + 34, h - rim - 1), (24, 60, 160))
        country = str(rng.choice(list("DFIEBPL")))
        _write(patch, country, (rim + 8, h * 0.58, rim + 27, h * 0.82), WHITE, 1)
        left = rim + 48.0
    if style.caption:
        state = str(rng.choice(["OREGON", "Nevada", "IDAHO", "Maine", "UTAH"]))
        _write(patch, state, (w * 0.32, h * 0.09, w * 0.68, h * 0.21), ink, 1)
        _write(patch, "the open road", (w * 0.3, h * 0.83, w * 0.7, h * 0.92), ink, 0)
        top, bottom = h * 0.28, h * 0.76
    pattern = str(rng.choice(NUMBER_PATTERNS))
    number = "".join(str(rng.choice(list(ALPHABETS.get(c, c)))) for c in pattern)
    _write(patch, number, (left, top, w - rim - 14, bottom), ink, int(rng.integers(1, 4)))
    grime = 1 + rng.uniform(0, 0.12) * _noise(rng, (w, h), 24)
    return _to_image(np.asarray(patch, np.float32) * grime)


def _draw_plate(pen: Pen, v: Vehicle, rng: np.random.Generator, number: int, hidden: bool) -> None:
    """Hang the plate and enter its quad; number 0 leaves the bare holder.

    The same random numbers are used in every case, so that hiding a plate changes nothing else.
    """
    plate = _rect(-v.style.width / 2, -v.style.width / v.style.aspect / 2,
                  v.style.width / 2, v.style.width / v.style.aspect / 2)  # fmt: skip
    tilt, turn = rng.normal(0, 0.1), rng.normal(0, 0.025)
    x, y, _ = plate.T
    up = x * np.sin(turn) + y * np.cos(turn)
    corners = np.stack([x * np.cos(turn) - y * np.sin(turn), v.plate_height + up * np.cos(tilt),
                        up * np.sin(tilt) - 0.08], axis=1)  # fmt: skip
    if rng.random() < 0.5:
        recess = _resized(plate, 1.15) + np.array([0, v.plate_height, -0.05])
        pen.fill(recess, _tone(v.paint, rng.uniform(0.3, 0.7)))
    quad, patch = pen.place(corners), plate_patch(v.style, rng)
    pen.glow(corners, 0.4, PLATE_LAMP)
    if number and not hidden:
        pen.canvas.quads[number] = quad
        pen.canvas.warp(patch, quad, number)
    if rng.random() < 0.3:
        _cover(pen.canvas, quad, v.rear, rng)


def _cover(canvas: Canvas, quad: Points, rear: bool, rng: np.random.Generator) -> None:
    """Put something in front of up to about a third of the plate on `quad` (4, 2)."""
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    w, h = x1 - x0, y1 - y0
    kind = rng.choice(["pole", "ball", "walker", "leaves"])
    if kind == "pole":
        x, half = rng.uniform(x0, x1), rng.uniform(0.04, 0.13) * w
        color = _jitter((120, 122, 120), rng, 30)
        for right, light in ((x + half, 0.8), (x, 1.1)):
            pole = [[x - half, 0], [right, 0], [right, canvas.size[1]], [x - half, canvas.size[1]]]
            canvas.polygon(np.array(pole), _tone(color, light))
    elif kind == "ball" and rear:
        x, y, r = (x0 + x1) / 2 + rng.uniform(-0.1, 0.1) * w, y1 - 0.3 * h, 0.05 * w
        stem = [[x - r / 2, y], [x + r / 2, y], [x + r, y1 + h], [x - r, y1 + h]]
        canvas.polygon(np.array(stem), (40, 40, 42))
        canvas.oval(x, y, r, r, (96, 98, 102))
    elif kind == "walker":
        overlap, half = rng.uniform(0.1, 0.33) * w, rng.uniform(0.22, 0.4) * w
        x = x0 + overlap - half if rng.random() < 0.5 else x1 - overlap + half
        _draw_walker(canvas, x, y1 - rng.uniform(0.2, 0.9) * half, half, rng)
    else:
        x, green = rng.choice([x0, x1]), _jitter((52, 92, 44), rng, 14)
        for _ in range(40):
            dx, dy = rng.normal(0, 0.16) * w, abs(rng.normal(0, 0.9)) * h
            rx, ry = rng.uniform(0.02, 0.06, 2) * w
            leaf = _tone(green, rng.uniform(0.6, 1.4))
            canvas.oval(x + dx, y1 + dy - 0.3 * h, rx, ry, leaf)


def _draw_walker(
    canvas: Canvas, x: float, hip: float, half: float, rng: np.random.Generator
) -> None:
    """A standing person: hip height and half the shoulder width in canvas pixels."""
    coat, legs = _jitter(_pick(rng, PAINTS), rng, 20), _jitter((50, 54, 70), rng, 20)
    for middle in (-0.45, 0.45):
        leg = [[middle - 0.4, 0], [middle + 0.4, 0], [middle + 0.3, 3.4], [middle - 0.3, 3.4]]
        canvas.polygon(np.array(leg) * half + [x, hip], legs)
    torso = [[-0.7, -2.7], [0.7, -2.7], [1, -2.2], [0.85, 0.2], [-0.85, 0.2], [-1, -2.2]]
    canvas.polygon(np.array(torso) * half + [x, hip], coat)
    canvas.oval(x, hip - 3.2 * half, 0.42 * half, 0.55 * half, _jitter((190, 150, 124), rng, 20))


# ---- vehicles ----------------------------------------------------------------------------------


def _draw_car(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """A car from the front or the rear, with its sides where they can be seen."""
    half = v.width / 2
    foot, ridge = v.foot, v.foot + SCREEN_LEAN
    _draw_body(pen, v)
    pen.fill(_flat(-half * 0.8, half * 0.8, ridge, v.length - 1.2, v.roof), v.paint)
    pen.fill(_flat(-half, half, 0, foot + 0.1, v.belt), _tone(v.paint, 1.12))
    if not pen.faces_viewer(_rect(-half, 0, half, 1)):
        return
    cabin = np.array([[-half * 0.8, v.roof, ridge], [half * 0.8, v.roof, ridge],
                      [half * 0.97, v.belt, foot], [-half * 0.97, v.belt, foot]])  # fmt: skip
    pen.panel(cabin, _tone(v.paint, 0.92), 0.2, 0.05)
    glass, sky = _resized(cabin, 0.86), _jitter((84, 98, 112), rng, 16)
    pen.panel(glass, sky, rng.uniform(0.2, 0.8), 0.04)
    for x in (-0.36, 0.36):
        pen.fill(_disc(x, v.belt + 0.18, 0.12, 0.13, foot + 0.1), _tone(sky, 0.45))
    shine, slope = rng.uniform(0.1, 0.7), glass[3] - glass[0]
    top = glass[0] + (glass[1] - glass[0]) * shine
    across = np.array([0.18, 0.0, 0.0])
    streak = np.stack([top, top + across, top + slope, top + slope - across])
    pen.fill(streak, _tone(sky, 1.25))
    pen.panel(_rect(-half, 0.3, half, v.belt), v.paint, rng.uniform(0.15, 0.5), 0.05)
    bumper = v.paint if rng.random() < 0.6 else (44, 44, 46)
    pen.panel(_rect(-half, 0.2, half, rng.uniform(0.5, 0.58), -0.04), _tone(bumper, 0.95), 0.3)
    pen.fill(_rect(-half * 0.85, 0.16, half * 0.85, 0.26, -0.05), (26, 26, 28))
    if v.rear:
        seam = rng.uniform(0.62, 0.8)
        pen.fill(_rect(-half, seam, half, seam + 0.015, -0.01), _tone(v.paint, 0.5))
    else:
        wide = rng.uniform(0.35, 0.62)
        _draw_grille(pen, _rect(-wide, 0.56, wide, v.belt - 0.1, -0.02), rng)
    pen.fill(_disc(0, v.belt - 0.07, 0.06, 0.045, -0.03), (196, 198, 202))
    _draw_lamps(pen, v, v.belt - 0.2, rng)
    _draw_extras(pen, v, rng)


def _draw_truck(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """A lorry: the doors of its box from the rear, or its cab from the front."""
    half = v.width / 2
    _draw_body(pen, v)
    face = _rect(-half, 0.75, half, v.roof)
    if not pen.faces_viewer(face):
        return
    pen.panel(face, v.paint, rng.uniform(0.1, 0.3))
    if v.rear:
        for x in (-half + 0.06, -0.02, half - 0.1):
            pen.fill(_rect(x, 0.8, x + 0.035, v.roof, -0.01), _tone(v.paint, 0.55))
        if rng.random() < 0.7:
            y, wide = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.9)
            sign = _rect(-wide, y, wide, y + rng.uniform(0.16, 0.4), -0.02)
            pen.random_board(sign, rng)
    else:
        screen = _rect(-half * 0.9, 1.5, half * 0.9, 2.4, -0.01)
        pen.panel(screen, _jitter((80, 94, 108), rng, 14), 0.6)
        _draw_grille(pen, _rect(-half * 0.6, 0.85, half * 0.6, 1.35, -0.02), rng)
    bar = _tone((70, 70, 74), rng.uniform(0.5, 1.8))
    pen.panel(_rect(-half, 0.42, half, 0.8, -0.04), bar, 0.4)
    _draw_lamps(pen, v, 0.6, rng)
    _draw_extras(pen, v, rng)


def _draw_body(pen: Pen, v: Vehicle) -> None:
    """Shadow, wheels and the sides that can be seen."""
    half, top = v.width / 2, v.roof if v.truck else v.belt
    pen.fill(_flat(-half - 0.1, half + 0.1, -0.15, v.length), (34, 34, 36))
    for x in (-half + 0.17, half - 0.17):
        pen.fill(_rect(x - 0.12, 0, x + 0.12, 0.4, 0.1), (20, 20, 22))
    for x in (-half, half):
        near, far = (0.0, v.length) if x > 0 else (v.length, 0.0)
        side = _wall(x, 0.25, top, near, far)
        if not pen.faces_viewer(side):
            continue
        pen.panel(side, _tone(v.paint, 0.8), 0.35)
        if not v.truck:
            glass = _wall(x, v.belt, v.roof, v.foot, v.length - 0.6)
            glass[:2, 0] *= 0.8  # the roof is narrower than the doors, and shorter
            glass[:2, 2] = v.foot + SCREEN_LEAN, v.length - 1.2
            pen.fill(glass, _tone(v.paint, 0.7))
            pen.fill(_resized(glass, 0.84), (46, 54, 62))
        for z in (0.8, v.length - 0.85):
            pen.fill(_disc(x * 1.005, 0.32, 0.34, 0.33, z, wall=True), (18, 18, 20))
            pen.fill(_disc(x * 1.01, 0.32, 0.2, 0.19, z, wall=True), (150, 152, 156))
        seam = _wall(x, 0.35, v.belt, v.length / 2 - 0.02, v.length / 2 + 0.02)
        pen.fill(seam, _tone(v.paint, 0.5))


def _draw_grille(pen: Pen, corners: Points, rng: np.random.Generator) -> None:
    """A dark opening with slats."""
    pen.fill(corners, (24, 24, 26))
    (x0, y1, z), (x1, y0, _) = corners[0], corners[2]
    slat = _tone((150, 152, 156), rng.uniform(0.3, 1.2))
    for y in np.linspace(y0, y1, int(rng.integers(3, 7)))[1:-1]:
        pen.fill(_rect(x0, y - 0.012, x1, y + 0.012, z - 0.01), slat)


def _draw_lamps(pen: Pen, v: Vehicle, height: float, rng: np.random.Generator) -> None:
    """Head or tail lamps at both ends of the face."""
    rx, ry, z = rng.uniform(0.12, 0.22), rng.uniform(0.06, 0.12), -0.05
    is_round = rng.random() < 0.45
    outer, inner = (TAIL_LAMP, (240, 170, 60)) if v.rear else (HEADLAMP, (255, 255, 250))
    for side in (-1, 1):
        x = side * (v.width / 2 - rx - 0.03)
        box = _rect(x - rx, height - ry, x + rx, height + ry, z)
        shape = _disc(x, height, rx, ry, z) if is_round else box
        pen.fill(shape, (60, 60, 64))
        pen.fill(_resized(shape, 0.86), outer)
        pen.fill(_resized(box, 0.35), inner, LAMP)
        pen.glow(shape, 0.5, outer)


def _draw_extras(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """Stickers, taxi boards, papers behind the glass and vents: rectangles that are no plates."""
    sticker, taxi, ticket, vents = rng.random(4) < (0.35, 0.18, 0.2, 0.3)
    if sticker:
        x, y = rng.uniform(-0.6, 0.35), rng.uniform(0.62, v.belt - 0.12)
        pen.random_board(_rect(x, y, x + rng.uniform(0.15, 0.36), y + 0.1, -0.03), rng)
    if taxi and not v.truck:
        wide = rng.uniform(0.22, 0.36)
        pen.random_board(_rect(-wide, v.roof, wide, v.roof + 0.2, 1.2), rng, "TAXI")
    if ticket and not v.truck:
        x, y = rng.uniform(-0.5, 0.3), v.belt + 0.1
        pen.board(_rect(x, y, x + 0.16, y + 0.12, 0.45), "== ---", WHITE, (110, 110, 116))
    if vents:
        color = _pick(rng, ((238, 238, 230), (240, 190, 50), (30, 30, 32), (170, 172, 176)))
        wide, middle = rng.uniform(0.1, 0.2), v.width * 0.33
        for x in (-middle, middle):
            pen.fill(_rect(x - wide, 0.32, x + wide, 0.41, -0.06), color)


# ---- street ------------------------------------------------------------------------------------


def _draw_background(pen: Pen, rng: np.random.Generator) -> None:
    """Sky, ground, road with markings, two rows of houses, trees, signs and far traffic."""
    camera, road = pen.place.camera, float(rng.uniform(3.5, 6.0))
    _draw_sky(pen.canvas, camera, rng)
    pen.fill(_flat(-90, 90, NEAR, 90), _jitter((132, 130, 124), rng, 14))
    pen.fill(_flat(-road, road, NEAR, 90), _jitter((86, 86, 90), rng, 12))
    for z in np.arange(rng.uniform(0.5, 3), 60, 5.0):
        pen.fill(_flat(-0.07, 0.07, z, z + 2.2), (204, 204, 196))
    for x in (-road, road):
        pen.fill(_flat(x - 0.12, x + 0.12, NEAR, 80), (168, 166, 160))
        _draw_houses(pen, x + np.sign(x) * rng.uniform(2, 4), rng)
    trees, cars, signs = (int(n) for n in rng.integers((1, 0, 0), (5, 4, 4)))
    for side in rng.choice([-1, 1], trees):
        place = Place(camera, side * (road + 1.2), float(rng.uniform(9, 30)))
        _draw_tree(Pen(pen.canvas, place), rng)
    for x in rng.uniform(-road, road, cars):
        place = Place(camera, float(x), float(rng.uniform(26, 50)))
        _draw_car(Pen(pen.canvas, place), _choose_vehicle(rng), rng)
    for side in rng.choice([-1, 1], signs):
        place = Place(camera, side * (road + 0.6), float(rng.uniform(7, 18)), rng.normal(0, 0.2))
        _draw_sign(Pen(pen.canvas, place), rng)


def _draw_sky(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Gradient with clouds; the ground and the houses are drawn over it."""
    top, low = (np.array(c, np.float32) for c in SKIES[int(rng.integers(len(SKIES)))])
    size = (canvas.size[0] // 4, canvas.size[1] // 4)  # it is smooth: no need for every pixel
    down = np.linspace(0, canvas.size[1] / camera.centre[1], size[1], dtype=np.float32)
    sky = top + (low - top) * np.minimum(down, 1)[:, None, None]
    clouded = _to_image(sky + 14 * _noise(rng, size, 22))
    canvas.image.paste(clouded.resize(canvas.size, Image.Resampling.BILINEAR))


def _draw_houses(pen: Pen, x: float, rng: np.random.Generator) -> None:
    """A row of houses along the street in the plane x, far to near, with shop signs."""
    edges = np.cumsum([2.0, *rng.uniform(6, 13, 8)])[::-1]
    for z1, z0 in pairwise(edges):
        height, wall = rng.uniform(5, 15), _jitter(_pick(rng, WALLS), rng, 10)
        left, right = sorted((x, x + np.sign(x) * 8))
        pen.fill(_rect(left, 0, right, height, z0), _tone(wall, 0.75))
        pen.fill(_wall(x, 0, height, z0, z1), wall)
        glass = _jitter((70, 80, 92), rng, 16)
        rows, columns = np.arange(3.6, height - 1.2, 2.9), np.arange(z0 + 0.8, z1 - 1.3, 2.4)
        windows = [_wall(x, y, y + 1.5, z, z + 1.1) for y in rows for z in columns]
        for corners in pen.place(np.concatenate(windows)).reshape(-1, 4, 2) if windows else ():
            pen.canvas.polygon(corners, glass)
        pen.fill(_wall(x, 0.4, 2.4, z0 + 0.6, z1 - 0.6), _tone(glass, 0.8))
        if rng.random() < 0.7:
            near, far = z0 + 1, z0 + rng.uniform(3, 5)
            ends = (near, far) if x < 0 else (far, near)
            pen.random_board(_wall(x * 0.995, 2.5, 3.3, *ends), rng)


def _draw_tree(pen: Pen, rng: np.random.Generator) -> None:
    """A trunk under a cloud of leaf clumps."""
    pen.fill(_rect(-0.12, 0, 0.12, 2.6), (78, 62, 50))
    scale, green = pen.place.camera.focal / pen.place.z, _jitter((66, 104, 52), rng, 16)
    middles = rng.normal((0, 3.4, 0), (0.8, 0.8, 0), (45, 3))
    for x, y in pen.place(middles).tolist():
        r = rng.uniform(0.12, 0.4) * scale
        pen.canvas.oval(x, y, r, r * 0.8, _tone(green, rng.uniform(0.55, 1.35)))


def _draw_sign(pen: Pen, rng: np.random.Generator) -> None:
    """A road sign on a pole: a disc with a limit, or a board with a word on it."""
    y = rng.uniform(1.2, 2.4)
    pen.fill(_rect(-0.04, 0, 0.04, y + 0.3), (120, 122, 124))
    if rng.random() < 0.4:
        pen.fill(_disc(0, y, 0.4, 0.4, -0.02), (190, 30, 34))
        pen.fill(_disc(0, y, 0.31, 0.31, -0.03), WHITE)
        limit = _rect(-0.2, y - 0.15, 0.2, y + 0.15, -0.04)
        pen.board(limit, str(rng.choice(["30", "50", "70"])), WHITE, BLACK)
    else:
        wide, tall = rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.35)
        pen.random_board(_rect(-wide, y - tall, wide, y + tall, -0.02), rng)


def _draw_passer_by(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """A person at mid distance, anywhere on the road."""
    place = Place(camera, float(rng.uniform(-4, 4)), float(rng.uniform(6, 14)))
    x, y = place(np.array([[0.0, 0.85, 0.0]]))[0]
    _draw_walker(canvas, x, y, 0.25 * camera.focal / place.z, rng)


# ---- light, weather and sensor -----------------------------------------------------------------


def add_effects(picture: Image.Image, glows: list[Glow], rng: np.random.Generator) -> Image.Image:
    """Texture, night or day light, weather, blur, exposure and noise; moves no edge."""
    pixels, size = np.asarray(picture, np.float32), picture.size
    pixels = pixels * (1 + 0.04 * _noise(rng, size, 34) + 0.05 * _noise(rng, size, 5))
    night, weather = bool(rng.random() < NIGHT_SHARE), rng.random()
    if night:
        pixels = _light_night(pixels, glows, rng)
    elif rng.random() < 0.2:  # shade of leaves, on the lower part only
        rows = np.linspace(-0.5, 1.5, size[1], dtype=np.float32)[:, None, None]
        shade = np.clip(2 * _noise(rng, size, 26), 0, 1) * np.clip(rows, 0, 1)
        pixels = pixels * (1 - 0.4 * shade)
    if weather < 0.15:
        pixels = _add_rain(pixels, rng)
    elif weather < 0.28:
        pixels = _add_haze(pixels, rng)
    pixels = _blur(pixels, rng)
    gains = rng.normal(1, 0.05, 3) * rng.uniform(0.78, 1.2)
    exposed = _to_image(pixels * gains.astype(np.float32))
    gamma = np.linspace(0, 1, 256) ** rng.uniform(0.8, 1.25) * 255
    pixels = np.asarray(exposed.point(gamma.astype(int).tolist() * 3), np.float32)
    spread = np.float32(rng.uniform(2, 9) + (4 if night else 0))
    grain = rng.standard_normal((*pixels.shape[:2], 1), np.float32)
    tint = np.float32(rng.uniform(0.5, 1, 3))
    return _to_image(pixels + spread * grain * tint)


def _to_image(pixels: Pixels) -> Image.Image:
    """(height, width, 3) floats -> RGB picture, clipped to 0..255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _light_night(pixels: Pixels, glows: list[Glow], rng: np.random.Generator) -> Pixels:
    """Dim the picture to blue and light it, and dazzle a little, around every lamp."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    light = np.ones_like(pixels) * rng.uniform(0.22, 0.45) * np.array([0.88, 0.94, 1.1])
    glare = np.zeros_like(pixels)
    strength = rng.uniform(0.4, 0.8)
    for glow in glows:
        square = (columns - glow.x / SUPERSAMPLE) ** 2 + (rows - glow.y / SUPERSAMPLE) ** 2
        radius = max(glow.reach / SUPERSAMPLE, 2.0)
        hue = strength * np.array(glow.color, np.float32) / 255
        light += np.exp(-square / (2 * radius**2))[..., None] * hue
        if glow.color != PLATE_LAMP:
            glare += 90 * np.exp(-square / (0.3 * radius**2))[..., None] * hue
    return np.asarray(pixels * light + glare, np.float32)


def _add_rain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey the picture and draw slanted streaks."""
    h, w = pixels.shape[:2]
    streaks = Image.new("L", (w, h))
    draw, slant = ImageDraw.Draw(streaks), rng.uniform(-0.3, 0.3)
    for x, y, run in rng.uniform((0, -10, 6), (w, h, 20), (int(rng.integers(60, 200)), 3)):
        draw.line((x, y, x + slant * run, y + run), int(rng.integers(50, 130)))
    soft = np.asarray(streaks.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray(pixels * 0.6 + grey * 0.3 + 0.6 * soft, np.float32)


def _add_haze(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Blend with pale grey, most near the top where the far street is."""
    depth = np.linspace(1, 0.35, pixels.shape[0], dtype=np.float32)[:, None, None]
    veil = rng.uniform(0.25, 0.65) * depth
    level = min(rng.uniform(150, 215), 60 + 1.2 * float(pixels.mean()))  # no bright fog by night
    return np.asarray(pixels * (1 - veil) + level * veil, np.float32)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Defocus a third of the pictures, shake a fifth of them; both keep centres in place."""
    chance = rng.random()
    if chance < 0.35:
        soft = _to_image(pixels).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.5))))
        return np.asarray(soft, np.float32)
    if chance > 0.55:
        return pixels
    reach, angle = int(rng.integers(1, 4)), rng.uniform(-0.5, 0.5)
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    h, w = pixels.shape[:2]
    total = np.zeros_like(pixels)
    for k in range(-reach, reach + 1):
        x, y = reach + round(k * np.cos(angle)), reach + round(k * np.sin(angle))
        total += padded[y : y + h, x : x + w]
    return np.asarray(total / (2 * reach + 1), np.float32)
