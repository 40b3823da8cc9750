"""Views: image and mask go through one geometry, non-square pictures included."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from matir_nb.geometry.masks import decode, encode, tight_box_xyxy
from matir_nb.models.views import (
    CROP,
    FRAMINGS,
    WHOLE,
    Framing,
    View,
    cut,
    cut_regions,
    framings,
    whole_window,
)

SIZES = [(300, 100), (100, 300), (128, 128), (97, 61)]
SIDE = 64


def test_the_published_crop_is_one_and_a_half_boxes() -> None:
    assert View(scale=1.5, power=0.0).window((100, 50, 140, 70), 640, 480) == (90, 30, 150, 90)
    assert CROP.window((100, 50, 140, 70), 640, 480) == (90, 30, 150, 90)


def test_power_one_shows_every_region_at_the_same_magnification() -> None:
    view = View(scale=1.0, power=1.0)
    small = view.window((10, 10, 12, 12), 200, 100)
    large = view.window((10, 10, 90, 90), 200, 100)
    assert small[2] - small[0] == large[2] - large[0] == 100


def test_power_half_is_the_geometric_mean() -> None:
    window = View(scale=1.0, power=0.5).window((80, 40, 105, 50), 400, 100)
    assert window[2] - window[0] == 50


def test_the_whole_is_padded_alike_on_both_sides() -> None:
    assert WHOLE.window((3, 4, 5, 6), 100, 60) == whole_window(100, 60) == (0, -20, 100, 80)
    assert WHOLE.window((3, 4, 5, 6), 60, 100) == (-20, 0, 80, 100)


def an_object(width: int, height: int, *, at: str) -> np.ndarray:
    """Return an L-shaped (height, width) mask in the middle or at the picture's corner."""
    mask = np.zeros((height, width), bool)
    right, bottom = (width * 2 // 3, height * 3 // 4) if at == "middle" else (width, height)
    mask[bottom - height // 2 : bottom, right - width // 4 : right] = True
    mask[bottom - height // 4 : bottom, right - width // 3 : right] = True
    return mask


@pytest.mark.parametrize("at", ["middle", "corner"])
@pytest.mark.parametrize("framing", [CROP, WHOLE, Framing(View(1.0, 0.5)), Framing(View(), 128)])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_alpha_lands_on_its_own_object(width: int, height: int, framing: Framing, at: str) -> None:
    """The picture is white where the mask is, and black elsewhere: both stay the same."""
    mask = an_object(width, height, at=at)
    picture = Image.fromarray(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255)
    view = cut_regions([(picture, encode(mask))], framing, SIDE)[0].astype(int)
    window = framing.window(tight_box_xyxy(encode(mask)), width, height)
    ones = Image.new("L", (width, height), 255).crop(window)
    inside = np.asarray(ones.resize((SIDE, SIDE), Image.Resampling.BOX)) == 255
    inside = inside & eroded(inside)
    grey, alpha = view[..., 0], view[..., 3]
    assert inside.mean() > 0.15
    assert np.abs(grey - alpha)[inside].max() < 64  # bicubic and bilinear differ at an edge
    assert ((grey > 127) == (alpha > 127))[inside].mean() > 0.99
    assert 0.02 < (alpha[inside] > 127).mean() < 0.9


def eroded(mask: np.ndarray) -> np.ndarray:
    """Return the pixels whose neighbours up to two away are all inside; the frame counts as so."""
    wide = np.pad(mask, 2, constant_values=True)
    n = len(mask)
    shifts = [wide[y : y + n, x : x + n] for y in range(5) for x in range(5)]
    return np.logical_and.reduce(shifts)


@pytest.mark.parametrize("framing", [CROP, WHOLE, Framing(View(1.0, 0.5))])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_pixel_of_the_view_comes_from_its_place(
    width: int, height: int, framing: Framing
) -> None:
    """Colours that say where they are: the view's are those of the window's own formula."""
    ys, xs = np.mgrid[:height, :width]
    image = np.dstack([xs * 255 / width, ys * 255 / height, xs * 0]).round().astype(np.uint8)
    mask = an_object(width, height, at="middle")
    x0, y0, x1, _ = framing.window(tight_box_xyxy(encode(mask)), width, height)
    view = cut_regions([(Image.fromarray(image), encode(mask))], framing, SIDE)[0]
    step = (x1 - x0) / SIDE
    for row, column in np.argwhere(view[..., 3] == 255):
        x, y = x0 + (column + 0.5) * step, y0 + (row + 0.5) * step
        assert abs(view[row, column, 0] - (x - 0.5) * 255 / width) < 3
        assert abs(view[row, column, 1] - (y - 0.5) * 255 / height) < 3
        assert mask[int(y), int(x)]


def test_outside_the_image_is_black_and_not_in_the_mask() -> None:
    white = np.full((40, 80, 3), 255, np.uint8)
    inside = np.full((40, 80), 255, np.uint8)
    window = whole_window(80, 40)
    view = cut(Image.fromarray(white), Image.fromarray(inside), window, 80)
    assert (view[:15] == 0).all()
    assert (view[30:50] == 255).all()


def test_outside_the_image_a_crop_is_white_and_not_in_the_mask() -> None:
    """As in Alpha-CLIP's COCO evaluation; a window within the image has no outside."""
    black = Image.new("RGB", (40, 30))
    corner = np.zeros((30, 40), bool)
    corner[20:, 30:] = True
    view = cut_regions([(black, encode(corner))], CROP, 60)[0]
    assert (view[52:, :, :3] == 255).all()
    assert (view[:, 52:, :3] == 255).all()
    assert (view[..., 3][50:] < 128).all()
    assert (view[:40, :40, :3] == 0).all()
    assert (view[14:42, 14:42, 3] == 255).all()
    middle = np.zeros((30, 40), bool)
    middle[12:18, 17:23] = True
    assert (cut_regions([(black, encode(middle))], CROP, 60)[0][..., :3] == 0).all()


@pytest.mark.parametrize("name", FRAMINGS)
def test_many_regions_are_cut_as_one_by_one(name: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in SIZES[:2]
    ]
    regions = [
        (picture, encode(an_object(*picture.size, at=at)))
        for at in ("middle", "corner")
        for picture in pictures
    ]
    for framing in FRAMINGS[name]:
        together = cut_regions(regions, framing, 32)
        with ThreadPoolExecutor(3) as pool:
            assert (cut_regions(regions, framing, 32, each=pool.map) == together).all()
        for (picture, mask), view in zip(regions, together, strict=True):
            window = framing.window(tight_box_xyxy(mask), *picture.size)
            alpha = Image.fromarray(decode(mask).astype(np.uint8) * 255)
            alone = cut(picture, alpha, window, 32, outside=framing.outside)
            assert (view == alone).all()


def test_the_whole_picture_is_resized_once_for_all_its_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = Image.new("RGB", (50, 40))
    masks = [encode(an_object(50, 40, at=at)) for at in ("middle", "corner")]
    modes = []
    original = Image.Image.resize

    def watched(self, *args, **options):
        modes.append(self.mode)
        return original(self, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    cut_regions([(picture, mask) for mask in masks], WHOLE, 16)
    assert sorted(modes) == ["L", "L", "RGB"]


def test_a_mask_without_pixels_has_a_view() -> None:
    empty = encode(np.zeros((40, 50), bool))
    picture = Image.new("RGB", (50, 40))
    for framing in (CROP, WHOLE):
        assert (cut_regions([(picture, empty)], framing, 16)[..., 3] == 0).all()


def test_options_say_what_is_shown() -> None:
    assert framings("crop") == (CROP,)
    assert framings("both") == (CROP, WHOLE)
    own = framings({"scale": 1.0, "power": 0.5})
    assert own == (Framing(View(1.0, 0.5)),)
    assert own[0].described() == {"scale": 1.0, "power": 0.5}
    for framing in (CROP, own[0]):
        assert framings(framing.described()) == (framing,)  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        framings("all")
    with pytest.raises(TypeError, match="zoom"):
        framings({"zoom": 2})


@pytest.mark.parametrize("size", [(14_000, 100), (120, 30_000)])
def test_a_panorama_is_seen_as_a_whole(size):
    width, height = size
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[: height // 2, : width // 2] = 250
    image = Image.fromarray(stripes)
    mask = encode(stripes[..., 0] > 0)
    seen = cut_regions([(image, mask)], WHOLE, 256)[0]
    window = whole_window(width, height)
    share = 0.25 * width * height / (window[2] - window[0]) ** 2
    assert (seen[..., 0] > 125).mean() == pytest.approx(share, rel=0.2, abs=2e-3)
    assert (seen[..., 3] > 125).mean() == pytest.approx(share, rel=0.2, abs=2e-3)
