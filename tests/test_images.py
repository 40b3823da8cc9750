import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from matir_nb import image_process
from matir_nb.errors import ConfigError, ImageError
from matir_nb.images import (
    ImageLimits,
    SkippedImage,
    find_images,
    image_id_of,
    load_image,
    read_files,
    read_folder,
    thumbnail,
)

RED, WHITE, BLUE = (255, 0, 0), (255, 255, 255), (0, 0, 255)


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (6, 4), RED)).save(path, **options)
    return path


def read_all(folder, limits=None):
    """Return image id -> pixels, and image id -> reason."""
    found, skipped = {}, {}
    for item in read_folder(folder, limits):
        if isinstance(item, SkippedImage):
            skipped[item.image_id] = item.reason
        else:
            found[item[0].image_id] = item[1]
    return found, skipped


def marked(size=(30, 20)):
    """Return a picture whose top left corner is red and top right corner is blue."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, 8, 8))
    image.paste(BLUE, (size[0] - 8, 0, size[0], 8))
    return image


def stored_turned(image, orientation):
    """Return the pixels that, with this EXIF orientation, show `image`."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    return image if undo is None else image.transpose(undo)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_every_orientation_is_turned_upright_once(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    turned = stored_turned(marked(), orientation)
    pixels = load_image(save(tmp_path / f"a{suffix}", turned, exif=exif, **options))
    assert pixels.shape == (20, 30, 3)
    assert np.abs(pixels.astype(int) - np.asarray(marked())).mean() < 6


@pytest.mark.parametrize("orientation", [0, 9, 70])
def test_an_orientation_out_of_range_is_ignored(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert load_image(save(tmp_path / "a.png", marked(), exif=exif)).shape == (20, 30, 3)


@pytest.mark.parametrize("dtype", ["<u2", "<i4", "<f4"])
def test_deep_samples_are_scaled_by_their_range_not_clipped(tmp_path, dtype):
    samples = np.array([[1000, 3000], [5000, 11000]], dtype=dtype)
    path = save(tmp_path / "a.tif", Image.fromarray(samples))
    assert load_image(path)[..., 0].tolist() == [[0, 51], [102, 255]]


def test_samples_that_are_no_numbers_become_black(tmp_path):
    samples = np.array([[0, 10], [np.nan, np.inf]], dtype=np.float32)
    path = save(tmp_path / "a.tif", Image.fromarray(samples))
    assert load_image(path)[..., 0].tolist() == [[0, 255], [0, 255]]


def test_all_strips_of_a_tall_picture_are_scaled_alike(tmp_path):
    samples = np.linspace(500, 2500, 1200 * 1100).astype(np.uint16).reshape(1200, 1100)
    pixels = load_image(save(tmp_path / "a.png", Image.fromarray(samples)))
    assert np.array_equal(pixels[..., 1], np.rint((samples - 500.0) * 255 / 2000))


def test_a_flat_deep_picture_is_mid_grey(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.full((2, 3), 40000, np.uint16)))
    assert np.unique(load_image(path)).tolist() == [128]


def test_transparency_is_laid_on_white(tmp_path):
    half = save(tmp_path / "rgba.png", Image.new("RGBA", (2, 2), (0, 0, 0, 0)))
    assert load_image(half)[0, 0].tolist() == list(WHITE)
    grey = save(tmp_path / "la.png", Image.new("LA", (2, 2), (0, 128)))
    assert load_image(grey)[0, 0].tolist() == [127, 127, 127]
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putpixel((1, 0), 1)
    keyed = save(tmp_path / "p.png", palette, transparency=0)
    assert load_image(keyed)[0].tolist() == [list(WHITE), list(BLUE)]
    colour_key = save(tmp_path / "rgb.png", Image.new("RGB", (1, 1), RED), transparency=RED)
    assert load_image(colour_key)[0, 0].tolist() == list(WHITE)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("CMYK", (0, 255, 255, 0), RED), ("1", 1, WHITE), ("L", 77, (77, 77, 77))],
)
def test_other_modes_become_rgb(tmp_path, mode, colour, expected):
    path = save(tmp_path / "a.tif", Image.new(mode, (3, 2), colour))
    assert load_image(path)[1, 2].tolist() == list(expected)


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert load_image(path)[0, 0].tolist() == list(RED)


def test_load_image_names_the_file_and_the_reason(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for name, reason in (("text.jpg", "not a picture"), ("none.jpg", "the file is gone")):
        with pytest.raises(ImageError, match=rf"cannot read '.*{name}': {reason}"):
            load_image(tmp_path / name)


def test_the_pixel_limit_is_said_in_megapixels(tmp_path):
    path = save(tmp_path / "a.png", Image.new("1", (3000, 2000)))
    with pytest.raises(ImageError, match=r"3000 x 2000 = 6 megapixels, above the limit of 5\.5"):
        load_image(path, ImageLimits(max_pixels=5_500_000))
    _, skipped = read_all(tmp_path, ImageLimits(max_pixels=5_500_000))
    assert "above the limit of 5.5" in skipped["a.png"]


@pytest.mark.parametrize(
    "wrong", [{"max_pixels": 0}, {"max_pixels": 10**9}, {"seconds": 0}, {"n_workers": 0}]
)
def test_limits_are_checked(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} = .* is not allowed: give"):
        ImageLimits(**wrong)


def test_reference_and_pixels_agree(tmp_path):
    import hashlib

    path = save(tmp_path / "sub" / "a.png", marked())
    [(ref, pixels)] = read_folder(tmp_path)
    assert (ref.image_id, ref.path, ref.width, ref.height) == ("sub/a.png", path, 30, 20)
    assert ref.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.array_equal(pixels, np.asarray(marked()))


def test_order_is_by_path_and_content_decides(tmp_path):
    shutil.move(save(tmp_path / "x.png"), tmp_path / "picture.txt")
    save(tmp_path / "b" / "z.png")
    shutil.move(save(tmp_path / "y.png"), tmp_path / "a")
    (tmp_path / "c.jpg").write_text("words")
    (tmp_path / "d.json").write_text("{}")
    (tmp_path / "e.mov").write_bytes(b"film")
    save(tmp_path / ".hidden.png")
    save(tmp_path / ".cache" / "f.png")
    save(tmp_path / "made.matir" / "sheet.png")
    found, skipped = read_all(tmp_path)
    assert list(found) == ["a", "b/z.png", "picture.txt"]
    assert list(skipped) == ["c.jpg", "e.mov"]


def test_a_folder_that_is_none_is_an_error(tmp_path):
    assert find_images(tmp_path) == []
    assert list(read_folder(tmp_path)) == []
    for path in (tmp_path / "none", save(tmp_path / "a.png")):
        with pytest.raises(ImageError, match="is not a folder: give a folder of images"):
            find_images(path)


@pytest.mark.parametrize(
    "name",
    ["new\nline.png", "back\\slash.png", " space.png", "-dash.png", "ünï😀.png", "a'\"<.png"],
)
def test_odd_names_are_read(tmp_path, name):
    save(tmp_path / name)
    found, skipped = read_all(tmp_path)
    assert (list(found), skipped) == ([name], {})


def test_a_name_that_is_no_utf8_is_reported(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        shutil.copyfile(save(tmp_path / "good.png"), raw)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found, skipped = read_all(tmp_path)
    assert list(found) == ["good.png"]
    assert skipped == {"caf\\xe9.png": "its name is not valid UTF-8: rename the file"}


def test_links_are_followed_once_and_loops_are_reported(tmp_path):
    save(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "file.png").symlink_to(tmp_path / "real" / "a.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    found, skipped = read_all(tmp_path)
    assert list(found) == ["file.png", "real/a.png"]
    assert skipped == {
        "dangling.png": "the file is gone",
        "loop.png": "a symbolic link that leads back to itself",
    }


def test_what_is_no_file_is_not_opened(tmp_path):
    save(tmp_path / "dir.jpg" / "inside.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    found, skipped = read_all(tmp_path)
    assert list(found) == ["dir.jpg/inside.png"]
    assert skipped == {
        "empty.png": "the file is empty (0 bytes)",
        "pipe.png": "not a regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_reported(tmp_path):
    locked, closed = save(tmp_path / "locked.png"), tmp_path / "closed"
    closed.mkdir()
    locked.chmod(0)
    closed.chmod(0)
    try:
        _, skipped = read_all(tmp_path)
    finally:
        closed.chmod(0o700)
    assert skipped["locked.png"] == "no permission to read the file"
    assert "folder" in skipped["closed"] or "permission" in skipped["closed"]


def test_a_file_that_vanishes_costs_itself_only(tmp_path):
    paths = [save(tmp_path / f"{i}.png") for i in range(3)]
    paths[1].unlink()
    items = list(read_files(paths, root=tmp_path))
    assert items[1] == SkippedImage("1.png", "the file is gone")
    assert [item[0].image_id for item in (items[0], items[2])] == ["0.png", "2.png"]


def worker_pids():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name == "matir-decode"]


def numbered(folder, n, side=4):
    """Write `n` pictures of different grey; return their paths."""
    size = (side, side)
    return [
        save(folder / f"{i:02}.png", Image.new("RGB", size, (i, i, i)), compress_level=1)
        for i in range(n)
    ]


def greys(items):
    return [item[1][0, 0, 0] for item in items if not isinstance(item, SkippedImage)]


@pytest.mark.parametrize("n_workers", [1, 3])
def test_no_process_is_left_behind(tmp_path, n_workers):
    numbered(tmp_path, 40)  # more than are decoded ahead
    limits, before = ImageLimits(n_workers=n_workers), worker_pids()
    reader = read_folder(tmp_path, limits)
    next(reader)
    assert 1 <= len(worker_pids() - before) <= n_workers
    assert len(decoding_threads()) <= n_workers
    reader.close()
    assert (worker_pids(), decoding_threads()) == (before, [])
    read_all(tmp_path, limits)
    assert (worker_pids(), decoding_threads()) == (before, [])


def test_pictures_come_in_order_from_all_workers(tmp_path):
    paths = numbered(tmp_path, 40)
    before, seen = worker_pids(), set()
    items = []
    for item in read_files(paths, root=tmp_path, limits=ImageLimits(n_workers=3)):
        items.append(item)
        seen |= worker_pids() - before
    assert greys(items) == list(range(40))
    assert len(seen) == 3


def test_no_more_workers_than_pictures(tmp_path):
    paths = numbered(tmp_path, 2)
    before = worker_pids()
    reader = read_files(paths, root=tmp_path, limits=ImageLimits(n_workers=8))
    next(reader)
    assert len(worker_pids() - before) <= 2
    assert greys(reader) == [1]


def test_workers_leave_processors_to_the_models(monkeypatch):
    for n_processors, expected in ((1, 1), (2, 1), (8, 4), (64, 8)):
        processors = set(range(n_processors))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, p=processors: p, raising=False)
        assert image_process.default_workers() == expected
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert image_process.default_workers() == 3


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def begun(monkeypatch):
    """Return a list that grows with every picture that a worker is asked for."""
    asked, original = [], image_process.DecodingProcess.read

    def read(self, path):
        asked.append(path.name)
        return original(self, path)

    monkeypatch.setattr(image_process.DecodingProcess, "read", read)
    return asked


def test_the_next_pictures_are_decoded_meanwhile_but_not_all(tmp_path, monkeypatch):
    monkeypatch.setattr(image_process, "AHEAD_PICTURES", 3)
    paths, asked = numbered(tmp_path, 20), begun(monkeypatch)
    reader = read_files(paths, root=tmp_path, limits=ImageLimits(n_workers=1))
    items = [next(reader)]
    wait_until(lambda: len(asked) == 5)
    time.sleep(0.2)
    assert len(asked) == 5
    assert greys([*items, *reader]) == list(range(20))


def test_what_waits_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(image_process, "AHEAD_BYTES", 2 * 100 * 100 * 3)
    paths, asked = numbered(tmp_path, 20, side=100), begun(monkeypatch)
    reader = read_files(paths, root=tmp_path, limits=ImageLimits(n_workers=1))
    items = [next(reader)]
    wait_until(lambda: len(asked) == 3)
    time.sleep(0.2)
    assert len(asked) == 3
    assert greys([*items, *reader]) == list(range(20))


def test_one_picture_larger_than_all_that_may_wait_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_process, "AHEAD_BYTES", 1)
    paths = numbered(tmp_path, 6, side=20)
    limits = ImageLimits(n_workers=3)
    assert greys(read_files(paths, root=tmp_path, limits=limits)) == list(range(6))


def test_a_worker_that_cannot_start_is_an_error(tmp_path, monkeypatch):
    paths = numbered(tmp_path, 4)
    monkeypatch.setattr(image_process.sys, "executable", shutil.which("false"))
    with pytest.raises(ImageError, match=r"cannot start the decoding process: .*false"):
        list(read_files(paths, root=tmp_path, limits=ImageLimits(n_workers=2)))
    assert decoding_threads() == []


def test_a_worker_that_is_killed_while_idle_is_replaced(tmp_path):
    paths, before = numbered(tmp_path, 2), worker_pids()
    process = image_process.DecodingProcess(ImageLimits())
    assert process.read(paths[0])[1][0, 0, 0] == 0
    (pid,) = worker_pids() - before
    worker = psutil.Process(pid)
    worker.kill()
    wait_until(lambda: worker.status() == psutil.STATUS_ZOMBIE)
    assert process.read(paths[1])[1][0, 0, 0] == 1
    process.close()
    assert worker_pids() == before


@pytest.fixture
def rigged_worker(tmp_path, monkeypatch):
    """Let the worker run `body` before each picture whose name contains "trap"."""

    def rig(body):
        folder = tmp_path / "rigged"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            "import sys\n"
            "if 'matir_nb.image_worker' in sys.orig_argv:\n"
            "    import pathlib\n"
            "    original = pathlib.Path.open\n"
            "    def trap(self, *args, **kwargs):\n"
            "        if 'trap' in self.name:\n"
            f"            {body}\n"
            "        return original(self, *args, **kwargs)\n"
            "    pathlib.Path.open = trap\n"
        )
        monkeypatch.setattr(image_process.sys, "path", [str(folder), *image_process.sys.path])

    return rig


def three_pictures(tmp_path):
    folder = tmp_path / "pictures"
    for name in ("a.png", "b-trap.png", "c.png"):
        save(folder / name)
    return folder


def test_a_worker_that_is_killed_is_replaced(tmp_path, rigged_worker):
    rigged_worker("import os, time; os.mkdir(f'{self}.begun'); time.sleep(60)")
    folder, before = three_pictures(tmp_path), worker_pids()
    reader = read_folder(folder, ImageLimits(n_workers=1))
    items = [next(reader)]
    wait_until((folder / "b-trap.png.begun").exists)
    (pid,) = worker_pids() - before
    psutil.Process(pid).kill()
    items += reader
    assert [i.reason for i in items if isinstance(i, SkippedImage)] == [
        "the decoder crashed on it (SIGKILL)"
    ]
    assert len(items) == 3
    assert worker_pids() == before


def test_what_hangs_is_not_waited_for_when_the_reader_is_closed(tmp_path, rigged_worker):
    rigged_worker("import time; time.sleep(60)")
    before, start = worker_pids(), time.perf_counter()
    reader = read_folder(three_pictures(tmp_path), ImageLimits(n_workers=2))
    next(reader)
    reader.close()
    assert time.perf_counter() - start < 15
    assert (worker_pids(), decoding_threads()) == (before, [])


def test_what_hangs_and_crashes_costs_itself_among_several_workers(tmp_path, rigged_worker):
    rigged_worker("import os, time; os.abort() if '05' in self.name else time.sleep(60)")
    paths = numbered(tmp_path / "pictures", 12)
    for row in (3, 5):
        paths[row] = paths[row].rename(paths[row].with_name(f"{row:02}-trap.png"))
    limits = ImageLimits(seconds=1.5, n_workers=3)
    items = list(read_files(paths, root=tmp_path / "pictures", limits=limits))
    assert greys(items) == [0, 1, 2, 4, 6, 7, 8, 9, 10, 11]
    assert [items[row].reason for row in (3, 5)] == [
        "decoding takes longer than 1.5 s (ImageLimits.seconds)",
        "the decoder crashed on it (SIGABRT)",
    ]


def test_a_slow_picture_does_not_change_the_order(tmp_path, rigged_worker):
    rigged_worker("import time; time.sleep(1)")
    paths = numbered(tmp_path / "pictures", 6)
    paths[0] = paths[0].rename(paths[0].with_name("00-trap.png"))
    limits = ImageLimits(n_workers=2)
    assert greys(read_files(paths, root=tmp_path / "pictures", limits=limits)) == list(range(6))


def test_a_crash_costs_one_file(tmp_path, rigged_worker):
    rigged_worker("import os; os.abort()")
    found, skipped = read_all(three_pictures(tmp_path))
    assert list(found) == ["a.png", "c.png"]
    assert skipped == {"b-trap.png": "the decoder crashed on it (SIGABRT)"}


def test_a_denied_file_is_said_so(tmp_path, rigged_worker):
    rigged_worker("raise PermissionError(13, 'Permission denied')")
    _, skipped = read_all(three_pictures(tmp_path))
    assert skipped == {"b-trap.png": "no permission to read the file"}


def test_a_hang_is_cut_off_in_time(tmp_path, rigged_worker):
    rigged_worker("import time; time.sleep(60)")
    start = time.perf_counter()
    found, skipped = read_all(three_pictures(tmp_path), ImageLimits(seconds=1.5))
    assert time.perf_counter() - start < 30
    assert list(found) == ["a.png", "c.png"]
    assert skipped == {"b-trap.png": "decoding takes longer than 1.5 s (ImageLimits.seconds)"}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux limits only")
def test_a_memory_hog_is_stopped(tmp_path, rigged_worker):
    rigged_worker("bytearray(300 << 20)")
    limits = ImageLimits(memory_bytes=256 << 20)
    found, skipped = read_all(three_pictures(tmp_path), limits)
    assert list(found) == ["a.png", "c.png"]
    assert "needs more memory than allowed" in skipped["b-trap.png"]


def test_a_hundred_megapixels_fit_into_the_default_memory(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.jpg", Image.new("RGB", (10_000, 10_000), RED), exif=exif)
    [item] = read_folder(tmp_path)
    assert not isinstance(item, SkippedImage)
    assert item[1].shape == (10_000, 10_000, 3)


def test_a_decoder_that_prints_does_not_disturb(tmp_path, rigged_worker):
    rigged_worker("import os; os.write(1, b'chatter'); print('more')")
    found, skipped = read_all(three_pictures(tmp_path))
    assert (len(found), skipped) == (3, {})


def test_image_id_is_posix_and_relative():
    assert image_id_of(Path("root/a b/c.png"), root=Path("root")) == "a b/c.png"


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [((100, 50), 10, (10, 5)), ((5, 9), 100, (5, 9)), ((1000, 1), 10, (10, 1))],
)
def test_thumbnail_keeps_the_aspect_and_never_enlarges(shape, side, expected):
    image = np.full((*shape, 3), 200, np.uint8)
    small = thumbnail(image, side)
    assert small.shape == (*expected, 3)
    assert np.abs(small.astype(int) - 200).max() <= 1


def test_thumbnail_refuses_no_side():
    with pytest.raises(ConfigError, match="side = 0 is not allowed"):
        thumbnail(np.zeros((2, 2, 3), np.uint8), 0)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_can_be_read_smaller(tmp_path, orientation):
    shown = marked((600, 400)).resize((1200, 800))
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / "a.jpg", stored_turned(shown, orientation), exif=exif, quality=95)
    small = load_image(path, max_side=150)
    assert small.shape == (100, 150, 3)
    expected = thumbnail(load_image(path), 150)
    assert np.abs(small.astype(int) - expected).mean() < 2


def test_reading_smaller_never_enlarges_and_saves_the_work(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", marked((600, 400)))
    assert load_image(path, max_side=5000).shape == (400, 600, 3)
    decoded = []
    monkeypatch.setattr(
        "matir_nb.image_worker.to_rgb", lambda image: decoded.append(image.size) or image
    )
    load_image(path, max_side=70)
    assert decoded == [(75, 50)]
