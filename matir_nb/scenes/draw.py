"""Draw a scene: exact visible masks, attributes and overlaps beside the pixels.

Shapes are signed distances, so a scene can have any resolution; objects are painted in order,
later ones on top, and each keeps at least `MIN_VISIBLE` of its silhouette. Scene number `i` of
a split and seed is always the same picture. This module knows no words and no queries.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from matir_nb.scenes.vocabulary import (
    DIAMETERS,
    RGB,
    SIZES,
    SPLITS,
    Split,
    Triple,
    common_triples,
    held_out_triples,
)
from matir_nb.types import FloatArray, RGBImage

MIN_VISIBLE = 0.7
MAX_OBJECTS = 8
HELD_OUT_SHARE = 0.3
IMAGE_SIZES_HW = ((160, 160), (160, 208), (208, 160), (160, 240), (192, 192), (176, 256))
Distance = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: one of `vocabulary.SHAPES`.
        colour: one of `vocabulary.COLOURS`.
        size: one of `vocabulary.SIZES`.
        texture: one of `vocabulary.TEXTURES`.
        centre_xy: pixels, centre of the whole silhouette's box.
        area: pixels of the whole silhouette, hidden parts included.
    """

    shape: str
    colour: str
    size: str
    texture: str
    centre_xy: tuple[float, float]
    area: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and the exact truth about it.

    Attributes:
        scene_id: unique over splits and seeds; also the image's file stem.
        image: (H, W, 3) uint8.
        labels: (H, W) uint8; 0 = background, i + 1 = object i is visible here.
        objects: what was drawn, bottom first.
        covered: (n, n) float32; [i, j] = part of i's silhouette that lies on j's silhouette.
        enclosed: (n, n) float32; [i, j] = part of i's silhouette within j's outline, holes filled.
    """

    scene_id: str
    image: RGBImage
    labels: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]
    covered: FloatArray
    enclosed: FloatArray

    def visible_mask(self, index: int) -> NDArray[np.bool_]:
        """Return the (H, W) visible mask of object `index`."""
        mask: NDArray[np.bool_] = self.labels == index + 1
        return mask


def _circle(u: Distance, v: Distance) -> Distance:
    return np.hypot(u, v) - 0.94


def _square(u: Distance, v: Distance) -> Distance:
    return np.maximum(np.abs(u), np.abs(v)) - 0.74


def _triangle(u: Distance, v: Distance) -> Distance:
    slanted = np.abs(u) * 0.866025 - v * 0.5
    return np.maximum(slanted, v) - 0.52


def _star(u: Distance, v: Distance) -> Distance:
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(v, u) + sector / 2) % sector - sector / 2)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    inner = 0.45 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
    edge = np.array([inner[0] - 1.0, inner[1]])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    distance: Distance = (x - 1.0) * normal[0] + y * normal[1]
    return distance


def _cross(u: Distance, v: Distance) -> Distance:
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 0.95, b - 0.3), np.maximum(b - 0.95, a - 0.3))


def _ring(u: Distance, v: Distance) -> Distance:
    return np.abs(np.hypot(u, v) - 0.73) - 0.23


def _heart(u: Distance, v: Distance) -> Distance:
    a, b = (u + v) * 0.7071 - 0.12, (v - u) * 0.7071 - 0.12
    square = np.maximum(np.abs(a), np.abs(b)) - 0.5
    lobes = np.minimum(np.hypot(a + 0.5, b), np.hypot(a, b + 0.5)) - 0.5
    return np.minimum(square, lobes)


def _crescent(u: Distance, v: Distance) -> Distance:
    return np.maximum(np.hypot(u, v) - 0.96, 0.78 - np.hypot(u - 0.5, v))


SIGNED_DISTANCE: dict[str, Callable[[Distance, Distance], Distance]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
    "crescent": _crescent,
}
CONVEX_OUTLINE_SHAPES = frozenset({"circle", "square", "triangle", "ring", "heart"})
"""Shapes that another object can lie inside of; a ring's hole counts as inside."""


def _texture_weight(texture: str, u: Distance, v: Distance, radius: float) -> Distance:
    """Return (h, w) in [0, 1]: how much of the second tone shows."""
    period = max(0.5, 5.5 / radius)
    sharpness = radius * period / np.pi
    wave_u, wave_v = np.sin(2 * np.pi * u / period), np.sin(2 * np.pi * v / period)
    if texture == "striped":
        return np.clip(0.5 + sharpness * wave_u, 0, 1)
    if texture == "checkered":
        return np.clip(0.5 + sharpness * wave_u * wave_v, 0, 1)
    if texture == "dotted":
        x = (u / period + 0.5) % 1 - 0.5
        y = (v / period + 0.5) % 1 - 0.5
        return np.clip(0.5 + (0.27 - np.hypot(x, y)) * period * radius, 0, 1)
    return np.zeros_like(u)


def _second_tone(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a clearly lighter tone of dark colours, a clearly darker one of light colours."""
    luminance = rgb @ np.array([0.299, 0.587, 0.114])
    return rgb * 0.25 + 255 * 0.75 if luminance < 120 else rgb * 0.35


def _low_frequency_noise(
    rng: np.random.Generator, height: int, width: int, cells: int
) -> NDArray[np.float64]:
    """Return (height, width, 3) smooth noise in about [-1, 1]."""
    small = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
    big = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(big, dtype=np.float64) / 127.5 - 1


def _grey(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a muted colour: never as saturated as an object's."""
    return np.clip(rng.uniform(50, 215) + rng.uniform(-16, 16, 3), 0, 255)


def _gradient_background(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    t = np.cos(angle) * x / width + np.sin(angle) * y / height
    t = (t - t.min()) / max(float(np.ptp(t)), 1e-6)
    mixed: NDArray[np.float64] = _grey(rng) * (1 - t[..., None]) + _grey(rng) * t[..., None]
    return mixed


def _noise_background(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    base = _grey(rng) + np.zeros((height, width, 3))
    for cells, amplitude in ((4, 22.0), (12, 12.0), (40, 8.0)):
        noise = _low_frequency_noise(rng, height, width, cells)
        grey = noise.mean(-1, keepdims=True)
        base += amplitude * (0.8 * grey + 0.2 * noise)
    return base


def _clutter_background(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return muted boards, blobs, lines and grain: the look of an untidy photograph."""
    canvas = Image.fromarray(np.clip(_noise_background(rng, height, width), 0, 255).astype("u1"))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(6, 16))):
        colour = tuple(int(c) for c in _grey(rng))
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.1, 0.7) * width, rng.uniform(0.03, 0.35) * height
        kind = int(rng.integers(3))
        if kind == 0:
            corners = rng.uniform(-0.5, 0.5, (4, 2)) * [w, h] + [x, y]
            pen.polygon([tuple(c) for c in corners], fill=colour)
        elif kind == 1:
            pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
        else:
            end = (x + rng.uniform(-w, w), y + rng.uniform(-h, h) * 2)
            pen.line((x, y, *end), fill=colour, width=int(rng.integers(1, 5)))
    soft = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.0))))
    return np.asarray(soft, dtype=np.float64)


BACKGROUNDS = (_gradient_background, _noise_background, _clutter_background)


@dataclass(frozen=True, slots=True)
class _Placed:
    """An object's silhouette within its window of the canvas."""

    window: tuple[slice, slice]
    silhouette: NDArray[np.bool_]
    outline: NDArray[np.bool_]


class _Canvas:
    """A picture in the making: pixels, labels and the silhouettes so far."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng = rng
        self.height, self.width = height, width
        background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
        self.pixels = background(rng, height, width)
        self.labels = np.zeros((height, width), np.uint8)
        self.objects: list[SceneObject] = []
        self.placed: list[_Placed] = []

    def try_to_add(
        self, triple: Triple, size: str, centre: tuple[float, float], *, min_visible: float
    ) -> bool:
        """Paint the object; return False, and change nothing, where it would hide too much.

        Each object below keeps at least `min_visible` of its silhouette.
        """
        colour, shape, texture = triple
        rng = self.rng
        radius = rng.uniform(*DIAMETERS[size]) * min(self.height, self.width) / 2
        cx, cy = centre
        if not (radius < cx < self.width - radius and radius < cy < self.height - radius):
            return False
        y0, x0 = int(cy - radius) - 1, int(cx - radius) - 1
        y1, x1 = int(cy + radius) + 3, int(cx + radius) + 3
        window = (slice(max(y0, 0), y1), slice(max(x0, 0), x1))
        bottom, right = min(y1, self.height), min(x1, self.width)
        y, x = np.mgrid[window[0].start : bottom, window[1].start : right]
        dx, dy = (x + 0.5 - cx) / radius, (y + 0.5 - cy) / radius
        angle = rng.uniform(0, 2 * np.pi)
        u = np.cos(angle) * dx + np.sin(angle) * dy
        v = np.cos(angle) * dy - np.sin(angle) * dx
        distance = SIGNED_DISTANCE[shape](u, v)
        silhouette = distance < 0
        if not self._leaves_others_visible(window, silhouette, min_visible):
            return False
        coverage = np.clip(0.5 - distance * radius, 0, 1)[..., None]
        self._paint(window, coverage, (colour, texture), (u, v), radius)
        self.labels[window][silhouette] = len(self.objects) + 1
        filled = np.hypot(dx, dy) < 0.73 if shape == "ring" else silhouette
        outline = (silhouette | filled) if shape in CONVEX_OUTLINE_SHAPES else np.zeros_like(filled)
        self.placed.append(_Placed(window, silhouette, outline))
        rows, columns = np.nonzero(silhouette)
        centre_xy = (
            window[1].start + (columns.min() + columns.max() + 1) / 2,
            window[0].start + (rows.min() + rows.max() + 1) / 2,
        )
        area = float(silhouette.sum())
        self.objects.append(SceneObject(shape, colour, size, texture, centre_xy, area))
        return True

    def _leaves_others_visible(
        self, window: tuple[slice, slice], silhouette: NDArray[np.bool_], min_visible: float
    ) -> bool:
        hidden = np.bincount(self.labels[window][silhouette], minlength=len(self.objects) + 1)
        for index, scene_object in enumerate(self.objects):
            if not hidden[index + 1]:
                continue
            visible = int((self.labels == index + 1).sum()) - int(hidden[index + 1])
            if visible < min_visible * scene_object.area:
                return False
        return True

    def _paint(
        self,
        window: tuple[slice, slice],
        coverage: Distance,
        look: tuple[str, str],
        uv: tuple[Distance, Distance],
        radius: float,
    ) -> None:
        rng = self.rng
        colour, texture = look
        rgb = np.clip(np.array(RGB[colour]) + rng.normal(0, 7, 3), 0, 255)
        angle = rng.uniform(0, np.pi)
        u = np.cos(angle) * uv[0] + np.sin(angle) * uv[1]
        v = np.cos(angle) * uv[1] - np.sin(angle) * uv[0]
        weight = _texture_weight(texture, u, v, radius)[..., None]
        tone = rgb * (1 - weight) + _second_tone(rgb) * weight
        shading = 1 + rng.uniform(0, 0.22) * (np.cos(angle * 7) * uv[0] + np.sin(angle * 7) * uv[1])
        tone = np.clip(tone * shading[..., None], 0, 255)
        self.pixels[window] = self.pixels[window] * (1 - coverage) + tone * coverage

    def overlaps(self) -> tuple[FloatArray, FloatArray]:
        """Return the (n, n) `covered` and `enclosed` fractions."""
        n = len(self.placed)
        covered, enclosed = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
        full = np.zeros((2, n, self.height, self.width), bool)
        for i, item in enumerate(self.placed):
            full[0, i][item.window], full[1, i][item.window] = item.silhouette, item.outline
        flat = full.reshape(2, n, -1)
        area = flat[0].sum(-1)
        for i, item in enumerate(self.placed):
            inside = full[:, :, *item.window][:, :, item.silhouette].sum(-1)
            covered[i], enclosed[i] = inside / area[i]
        np.fill_diagonal(covered, 0)
        np.fill_diagonal(enclosed, 0)
        return covered, enclosed

    def finish(self) -> RGBImage:
        """Return the pixels after light, blur and JPEG."""
        rng = self.rng
        light = 1 + 0.1 * _low_frequency_noise(rng, self.height, self.width, 2).mean(-1)
        grain = rng.normal(0, rng.uniform(0, 5), self.pixels.shape)
        pixels = self.pixels * light[..., None] + grain
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        if rng.random() < 0.4:
            image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.8))))
        if rng.random() < 0.5:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=int(rng.integers(60, 95)))
            image = Image.open(buffer)
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where to try an object, at what size, and how much it must leave of those below."""

    centre: tuple[float, float]
    size: str
    min_visible: float


def _pick_spot(canvas: _Canvas, rng: np.random.Generator) -> _Spot:
    """Return a free spot, one within an earlier large object, or one that overlaps another."""
    size = SIZES[int(rng.choice(3, p=(0.4, 0.36, 0.24)))]
    hosts = [o for o in canvas.objects if o.size == "large" and o.shape in CONVEX_OUTLINE_SHAPES]
    roll = rng.random()
    if hosts and roll < 0.2:
        host = hosts[int(rng.integers(len(hosts)))]
        jitter = rng.normal(0, 0.02, 2) * min(canvas.height, canvas.width)
        x, y = np.array(host.centre_xy) + jitter
        return _Spot((float(x), float(y)), "small", MIN_VISIBLE)
    if canvas.objects and roll < 0.28:
        other = canvas.objects[int(rng.integers(len(canvas.objects)))]
        reach = np.sqrt(other.area) * rng.uniform(0.6, 0.9)
        angle = rng.uniform(0, 2 * np.pi)
        x, y = np.array(other.centre_xy) + reach * np.array([np.cos(angle), np.sin(angle)])
        return _Spot((float(x), float(y)), size, MIN_VISIBLE)
    centre = (float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height)))
    return _Spot(centre, size, 0.97)


def _pick_triple(rng: np.random.Generator, split: Split, others: list[SceneObject]) -> Triple:
    """Return attributes; often one is shared with an earlier object, so that words matter."""
    held_out = held_out_triples(split)
    if held_out and rng.random() < HELD_OUT_SHARE:
        pool: tuple[Triple, ...] = held_out
    else:
        pool = common_triples()
    if others and rng.random() < 0.45:
        other = others[int(rng.integers(len(others)))]
        attribute = int(rng.integers(3))
        value = (other.colour, other.shape, other.texture)[attribute]
        pool = tuple(t for t in pool if t[attribute] == value) or pool
    return pool[int(rng.integers(len(pool)))]


def draw_scene(
    split: Split, index: int, *, seed: int = 0, size_hw: tuple[int, int] | None = None
) -> Scene:
    """Draw scene number `index` of a split: the same arguments give the same scene.

    Args:
        split: decides seeds and which colour x shape x texture triples may appear.
        index: number of the scene, >= 0.
        seed: another gallery of the same split.
        size_hw: (height, width) in pixels; None = one of `IMAGE_SIZES_HW`.
    """
    rng = np.random.default_rng((SPLITS.index(split), seed, index))
    height, width = size_hw or IMAGE_SIZES_HW[int(rng.integers(len(IMAGE_SIZES_HW)))]
    canvas = _Canvas(rng, height, width)
    n_wanted = int(rng.integers(1, MAX_OBJECTS + 1))
    for _ in range(n_wanted * 12):
        if len(canvas.objects) == n_wanted:
            break
        triple = _pick_triple(rng, split, canvas.objects)
        spot = _pick_spot(canvas, rng)
        canvas.try_to_add(triple, spot.size, spot.centre, min_visible=spot.min_visible)
    if not canvas.objects:
        triple = _pick_triple(rng, split, [])
        canvas.try_to_add(triple, "medium", (width / 2, height / 2), min_visible=1.0)
    covered, enclosed = canvas.overlaps()
    scene_id = f"{split}-{seed}-{index:06d}"
    return Scene(scene_id, canvas.finish(), canvas.labels, tuple(canvas.objects), covered, enclosed)


def draw_gallery(split: Split, n_scenes: int, *, seed: int = 0) -> Iterator[Scene]:
    """Yield the first `n_scenes` scenes of a split."""
    for index in range(n_scenes):
        yield draw_scene(split, index, seed=seed)
