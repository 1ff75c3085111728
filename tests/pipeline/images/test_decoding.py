"""Decoding: files of every kind become upright RGB, or an error that says why not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images import Preprocess, load_image, read_image
from tests.pictures import picture, saved


def failure(uri: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(uri)
    assert "0x" not in str(caught.value) and "\n" not in caught.value.reason
    return caught.value


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    assert image.mode == "RGB"
    return [tuple(map(int, pixel)) for pixel in np.asarray(image).reshape(-1, 3)]


# Every kind of pixel becomes RGB


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


# What cannot be read


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
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("decode: the image is larger than 1000 pixels")
    assert "Warning" not in done.stderr


# Where files are


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
