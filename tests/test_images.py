from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pipeline.errors import ImageError, RequestError
from pipeline.images import LoadedImage, Preprocess, load_image, prefetch, read_image


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, as a photograph has."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noise = rng.integers(-20, 20, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


def saved(path: Path, image: Image.Image, **options: object) -> str:
    image.save(path, **options)
    return str(path)


def failure(uri: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(uri)
    assert "0x" not in str(caught.value) and "\n" not in caught.value.reason
    return caught.value


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    assert image.mode == "RGB"
    return [tuple(map(int, pixel)) for pixel in np.asarray(image).reshape(-1, 3)]


# Reading: every kind of pixel becomes RGB


def test_rgb_is_kept_to_the_bit(tmp_path: Path) -> None:
    image = picture(13, 7)
    read = read_image(saved(tmp_path / "a.png", image))
    assert read.mode == "RGB" and read.size == (13, 7)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif"])
def test_every_format_of_a_manifest_can_be_read(tmp_path: Path, suffix: str) -> None:
    read = read_image(saved(tmp_path / f"a.{suffix}", Image.new("RGB", (9, 5), (250, 10, 10))))
    assert read.size == (9, 5)
    np.testing.assert_allclose(np.asarray(read)[2, 4], (250, 10, 10), atol=6)


def test_grey_and_bilevel(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[0, 100, 255]], dtype=np.uint8))
    three = [(0, 0, 0), (100, 100, 100), (255, 255, 255)]
    assert pixels(read_image(saved(tmp_path / "l.png", grey))) == three
    bilevel = Image.fromarray(np.array([[False, True]]))
    assert bilevel.mode == "1"
    assert pixels(read_image(saved(tmp_path / "1.png", bilevel))) == [three[0], three[2]]


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    rgba = np.array([[(200, 0, 0, 255), (200, 0, 0, 0), (200, 0, 0, 127)]], dtype=np.uint8)
    read = read_image(saved(tmp_path / "rgba.png", Image.fromarray(rgba)))
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(np.asarray(read), expected, atol=1)
    la = Image.fromarray(np.array([[(40, 255), (40, 0)]], dtype=np.uint8), mode="LA")
    assert pixels(read_image(saved(tmp_path / "la.png", la))) == [(40, 40, 40), (255, 255, 255)]


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    opaque = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert pixels(read_image(saved(tmp_path / "p.png", image))) == opaque
    white = [(255, 0, 0), (255, 255, 255), (0, 0, 255)]
    assert pixels(read_image(saved(tmp_path / "one.png", image, transparency=1))) == white
    per_entry = saved(tmp_path / "bytes.png", image, transparency=bytes([255, 0, 255]))
    assert pixels(read_image(per_entry)) == white
    assert pixels(read_image(saved(tmp_path / "p.gif", image, transparency=1))) == white


def test_transparent_colour_of_rgb_png(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[(1, 2, 3), (4, 5, 6)]], dtype=np.uint8))
    uri = saved(tmp_path / "a.png", image, transparency=(1, 2, 3))
    assert pixels(read_image(uri)) == [(255, 255, 255), (4, 5, 6)]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    colours = {"white": (0, 0, 0, 0), "black": (0, 0, 0, 255), "cyan": (255, 0, 0, 0)}
    for name, ink in colours.items():
        uri = saved(tmp_path / f"{name}.{suffix}", Image.new("CMYK", (16, 16), ink))
        with Image.open(uri) as raw:
            assert raw.mode == "CMYK"
        red, green, blue, key = ink
        expected = [255 - min(255, c + key) for c in (red, green, blue)]
        np.testing.assert_allclose(np.asarray(read_image(uri))[8, 8], expected, atol=3)


def test_cmyk_jpeg_as_adobe_writes_it(tmp_path: Path) -> None:
    """Pillow writes CMYK as Adobe does: inverted, with the marker that says so."""
    uri = saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert b"Adobe" in Path(uri).read_bytes()
    np.testing.assert_allclose(np.asarray(read_image(uri))[8, 8], (255, 0, 0), atol=3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 127, 129, 257, 256 * 100, 32768, 65407, 65535]], dtype=np.uint16)
    uri = saved(tmp_path / f"a.{suffix}", Image.fromarray(values))
    with Image.open(uri) as raw:
        assert raw.mode == "I;16"
    expected = np.round(values / 65535 * 255).astype(int)
    np.testing.assert_array_equal(np.asarray(read_image(uri))[..., 1], expected)


def test_grey_of_no_known_range_is_refused(tmp_path: Path) -> None:
    wide = saved(tmp_path / "i.tif", Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))
    assert "0 to 65535" in failure(wide).reason
    floats = saved(tmp_path / "f.tif", Image.fromarray(np.array([[0.0, 1.0]], dtype=np.float32)))
    assert failure(floats).stage == "decode"
    assert "floats" in failure(floats).reason


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for suffix in ("gif", "png", "webp"):
        options = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert pixels(read_image(str(path)))[0] == (255, 0, 0)


def oriented(image: Image.Image, orientation: int) -> np.ndarray:
    """What EXIF's numbers mean: row 0 and column 0 of the file are these sides of the scene."""
    file = np.asarray(image)
    return {
        1: file,
        2: file[:, ::-1],
        3: file[::-1, ::-1],
        4: file[::-1],
        5: file.transpose(1, 0, 2),
        6: np.rot90(file, -1),
        7: file[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(file, 1),
    }[orientation]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    image = picture(6, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_image(saved(tmp_path / f"a.{suffix}", image, exif=exif))
    np.testing.assert_array_equal(np.asarray(read), oriented(image, orientation))


def test_rotated_jpeg_reports_the_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    uri = saved(tmp_path / "a.jpg", picture(60, 30), exif=exif)
    assert read_image(uri).size == (30, 60)
    loaded = load_image(uri, Preprocess(resize=16, crop=16))
    assert (loaded.width, loaded.height) == (30, 60)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # pytest undoes the module's own filter
def test_damaged_exif_does_not_cost_the_image(tmp_path: Path) -> None:
    uri = saved(tmp_path / "a.jpg", picture(20, 10), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff junk")
    assert read_image(uri).size == (20, 10)


# Reading: what cannot be read


def test_missing_file() -> None:
    for uri in ("/no/such/folder/a.jpg", "memory://no-such-file.jpg"):
        error = failure(uri)
        assert (error.stage, error.reason) == ("read", "there is no such file")


def test_what_is_no_file(tmp_path: Path) -> None:
    error = failure(str(tmp_path))
    assert error.stage == "read"
    assert str(tmp_path) not in error.reason
    assert failure("nosuchprotocol://a.jpg").stage == "read"


class BrokenStore(fsspec.AbstractFileSystem):
    """A store whose error names an address in memory, as many do, and goes on for lines."""

    def cat_file(self, path: str, *args: object, **kwargs: object) -> bytes:
        raise RuntimeError(f"session {object()} timed out\nTraceback ...")


def test_reasons_are_the_same_in_every_run() -> None:
    fsspec.register_implementation("broken-store", BrokenStore, clobber=True)
    error = failure("broken-store://a.jpg")
    assert error.stage == "read"
    assert error.reason == "the file cannot be read: session (an object) timed out"


def test_text_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("<html>404 Not Found</html>")
    error = failure(str(path))
    assert error.stage == "decode"
    assert "not an image" in error.reason
    path.write_bytes(b"")
    assert failure(str(path)).reason == "the file is empty"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "gif", "bmp"])
def test_truncated_image_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(200, 150).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    error = failure(str(path))
    assert error.stage == "decode"
    assert str(tmp_path) not in error.reason
    assert failure(str(path)).reason == error.reason
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_every_cut_of_a_file_is_an_image_error(tmp_path: Path) -> None:
    """No cut makes Pillow raise what we do not turn into an ImageError."""
    path = tmp_path / "a.png"
    picture(16, 16).save(path)
    data = path.read_bytes()
    for end in range(0, len(data) - 20, 7):
        path.write_bytes(data[:end])
        assert failure(str(path)).stage == "decode"


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_image(saved(tmp_path / "ok.png", Image.new("L", (40, 25)))).size == (40, 25)
    for side in (40, 80):  # Pillow warns of the first and refuses the second
        error = failure(saved(tmp_path / f"{side}.png", Image.new("L", (side, side))))
        assert error.stage == "decode"
        assert "larger than 1000 pixels" in error.reason


def test_no_warnings_leak(tmp_path: Path) -> None:
    saved(tmp_path / "exif.jpg", picture(20, 10), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff junk")
    saved(tmp_path / "a.png", Image.new("L", (40, 40)))
    program = """if True:
        import sys
        from PIL import Image
        from pipeline.errors import ImageError
        from pipeline.images import read_image
        Image.MAX_IMAGE_PIXELS = 1000
        read_image(sys.argv[1])
        try:
            read_image(sys.argv[2])
        except ImageError as error:
            print(error)
    """
    images = [str(tmp_path / "exif.jpg"), str(tmp_path / "a.png")]
    command = [sys.executable, "-c", program, *images]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("decode: the image is larger than 1000 pixels")
    assert "Warning" not in done.stderr


def test_image_at_a_url(tmp_path: Path) -> None:
    image = picture(12, 8)
    fsspec.filesystem("memory").pipe_file(
        "/images/a b.png", Path(saved(tmp_path / "a.png", image)).read_bytes()
    )
    read = read_image("memory://images/a b.png")
    np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


def test_local_names_with_meaning_elsewhere(tmp_path: Path) -> None:
    for name in ("a::b.png", "a*[1]?.png", "ä %20 #.png"):
        assert read_image(saved(tmp_path / name, picture(4, 4))).size == (4, 4)


# Loading


def reference(image: Image.Image, preprocess: Preprocess) -> torch.Tensor:
    """The same by torchvision's transforms, as its models' documentation has it."""
    return transforms.Compose(
        [
            transforms.Resize(
                preprocess.resize, interpolation=InterpolationMode(preprocess.interpolation)
            ),
            transforms.CenterCrop(preprocess.crop),
            transforms.ToTensor(),
            transforms.Normalize(preprocess.mean, preprocess.std),
        ]
    )(image)


PREPROCESS = [
    Preprocess(),
    Preprocess(resize=232, crop=224, interpolation="bicubic"),
    Preprocess(resize=65, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0)),
    Preprocess(resize=70, crop=33, interpolation="nearest"),
]


@pytest.mark.parametrize("preprocess", PREPROCESS, ids=lambda p: f"{p.resize}-{p.interpolation}")
@pytest.mark.parametrize(
    "size",
    [(500, 375), (333, 501), (256, 256), (227, 227), (257, 256), (31, 97), (1, 1), (600, 7)],
    ids=str,
)
def test_loading_equals_torchvision(
    tmp_path: Path, size: tuple[int, int], preprocess: Preprocess
) -> None:
    image = picture(*size)
    loaded = load_image(saved(tmp_path / "a.png", image), preprocess)
    assert loaded.pixels.shape == (3, preprocess.crop, preprocess.crop)
    assert loaded.pixels.dtype == torch.float32
    assert loaded.pixels.is_contiguous()
    assert torch.equal(loaded.pixels, reference(image, preprocess))
    assert (loaded.width, loaded.height) == size


def shown(loaded: LoadedImage) -> tuple[float, float]:
    """x, y in [0, 1] of the centre of the bright spot within the crop."""
    bright = (loaded.pixels[0] - loaded.pixels[0].min()).double()
    grid = (torch.arange(bright.shape[0]).double() + 0.5) / bright.shape[0]
    weight = bright / bright.sum()
    return float((weight.sum(0) * grid).sum()), float((weight.sum(1) * grid).sum())


@pytest.mark.parametrize("size", [(400, 300), (300, 500), (120, 90)], ids=str)
@pytest.mark.parametrize("preprocess", [Preprocess(), Preprocess(resize=64, crop=64)], ids=str)
def test_crop_box_maps_the_crop_to_the_original(
    tmp_path: Path, size: tuple[int, int], preprocess: Preprocess
) -> None:
    width, height = size
    for marked_x, marked_y in ((width // 2, height // 2), (width // 3, int(height * 0.6))):
        marked = np.zeros((height, width), dtype=np.uint8)
        marked[marked_y - 3 : marked_y + 3, marked_x - 3 : marked_x + 3] = 255
        loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(marked)), preprocess)
        x0, y0, x1, y1 = loaded.crop
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        x, y = shown(loaded)
        pixel = max(1.0, min(size) / preprocess.resize)
        assert x0 + x * (x1 - x0) == pytest.approx(marked_x, abs=0.3 * pixel)
        assert y0 + y * (y1 - y0) == pytest.approx(marked_y, abs=0.3 * pixel)


def test_crop_box_of_known_sizes(tmp_path: Path) -> None:
    wide = saved(tmp_path / "a.png", Image.new("L", (512, 256)))
    assert load_image(wide, Preprocess()).crop == (144, 16, 368, 240)
    square = saved(tmp_path / "b.png", Image.new("L", (448, 448)))
    assert load_image(square, Preprocess(resize=224)).crop == (0, 0, 448, 448)


def test_thin_strip_does_not_fill_the_memory(tmp_path: Path) -> None:
    for size in ((10_000, 1), (1, 10_000)):
        uri = saved(tmp_path / "a.png", Image.new("L", size))
        with pytest.raises(ImageError, match="too thin a strip") as caught:
            load_image(uri, Preprocess())
        assert caught.value.stage == "decode"


# Preprocess


def test_override_replaces_single_fields() -> None:
    base = Preprocess()
    assert base.override("") == base
    assert base.override("resize=224, crop=200") == Preprocess(resize=224, crop=200)
    assert base.override("interpolation=bicubic,mean=0.5:0.25:0,std=1:1:2") == Preprocess(
        interpolation="bicubic", mean=(0.5, 0.25, 0.0), std=(1.0, 1.0, 2.0)
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("resise=224", "nearest is resize"),
        ("resize", "FIELD=VALUE"),
        ("resize=2.5", "whole number"),
        ("crop=224,crop=200", "twice"),
        ("crop=300", "crop <= resize"),
        ("crop=0", "crop <= resize"),
        ("mean=0.5", "3 finite numbers"),
        ("mean=0.5:x:0.5", "0.5:0.5:0.5"),
        ("mean=0.5:nan:0.5", "3 finite numbers"),
        ("std=0.5:0:0.5", "above 0"),
        ("interpolation=lanczos", "bilinear, bicubic, nearest"),
    ],
)
def test_override_refuses(fields: str, said: str) -> None:
    with pytest.raises(RequestError, match="preprocess") as caught:
        Preprocess().override(fields)
    assert said in str(caught.value)


# Prefetch


def prefetch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_prefetch_keeps_the_order() -> None:
    def load(item: int) -> int:
        time.sleep(0.02 if item % 5 == 0 else 0)
        return item * item

    assert list(prefetch(range(30), load, threads=4)) == [(i, i * i) for i in range(30)]
    assert list(prefetch([], load)) == []
    assert prefetch_threads() == []


def test_prefetch_yields_image_errors() -> None:
    def load(item: int) -> int:
        if item == 2:
            raise ImageError("decode", "broken")
        return item

    results = list(prefetch(range(4), load))
    assert [item for item, _ in results] == [0, 1, 2, 3]
    assert [value for _, value in results if not isinstance(value, ImageError)] == [0, 1, 3]
    error = results[2][1]
    assert isinstance(error, ImageError)
    assert (error.stage, error.reason) == ("decode", "broken")
    assert error.__traceback__ is None  # it would hold on to the bytes of the image


def test_prefetch_raises_what_is_no_image_error() -> None:
    def load(item: int) -> int:
        return 1 // (item - 2)

    loader = prefetch(range(10), load)
    assert [next(loader)[0], next(loader)[0]] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(loader)
    assert prefetch_threads() == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_prefetch_is_exactly_so_far_ahead(ahead: int) -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item

    for item, _ in prefetch(range(8), load, ahead=ahead, threads=3):
        expected = min(8, item + 1 + ahead)
        deadline = time.monotonic() + 10
        while len(started) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)  # time to run further ahead than allowed
        assert sorted(started) == list(range(expected))


def test_prefetch_loads_while_the_caller_works() -> None:
    second = threading.Event()

    def load(item: int) -> int:
        if item == 1:
            second.set()
        return item

    loader = prefetch(range(2), load)
    next(loader)
    assert second.wait(10)  # nobody has asked for it yet
    loader.close()


def test_prefetch_runs_as_many_loads_at_once_as_threads() -> None:
    together = threading.Barrier(3, timeout=10)  # broken unless three loads meet

    def load(item: int) -> int:
        together.wait()
        return item

    assert [item for item, _ in prefetch(range(6), load, threads=3)] == list(range(6))


def test_closing_prefetch_early_stops_the_threads() -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item

    loader = prefetch(range(1000), load, ahead=4)
    next(loader)
    assert prefetch_threads()
    del loader
    gc.collect()
    assert prefetch_threads() == []
    assert len(started) <= 5


def test_prefetch_refuses_nothing_ahead() -> None:
    with pytest.raises(ValueError, match="ahead is 0"):
        next(prefetch([1], str, ahead=0))
