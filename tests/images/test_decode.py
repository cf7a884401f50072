"""The one decoder: every odd file against Pillow's own decode or pixels worked out by hand."""

from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest
from PIL import Image, ImageOps

from featlib.errors import FeatlibError, ImageError
from featlib.images import MAX_BYTES, decode_image
from tests.images import corpus as odd
from tests.images.corpus import corpus, encode, oriented, photo, see_through, sixteen_bits

GOOD = {image.name: image.data for image in corpus() if image.ok}
BAD = [image for image in corpus() if not image.ok]

# 16 bits to 8 by the definition: the nearest of 256 equal steps from black to white.
EIGHT_BITS = np.rint(sixteen_bits() / 65535 * 255).astype(np.uint8)


def pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha))


def assert_near(actual: np.ndarray, expected: np.ndarray, within: int = 1):
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected).max() <= within


@pytest.mark.parametrize("name", GOOD)
def test_every_good_file_is_rgb_uint8_of_its_own(name):
    pixels = decode_image(GOOD[name], name)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("image", BAD, ids=lambda image: image.name)
def test_every_bad_file_gets_one_sentence_with_its_name(image):
    with pytest.raises(ImageError) as error:
        decode_image(image.data, image.name)
    sentence = str(error.value)
    assert sentence.startswith(f"'{image.name}' ")
    assert image.reason_contains in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "name",
    [
        *("plain.jpg", "progressive.jpeg", "SHOUTING.JPG", "grey.jpg", "cmyk.jpg", "a jpeg inside.png"),
        *("plain.png", "palette.png", "one_bit.png", "one_pixel.png", "wide.png", "tall.png", "no_extension"),
        *("plain.webp", "plain.bmp"),
    ],
)
def test_plain_files_are_as_pillow_decodes_them(name):
    np.testing.assert_array_equal(decode_image(GOOD[name], name), pillow(GOOD[name]))


@pytest.mark.parametrize("name", ["plain.png", "plain.bmp", "pages.tif", "no_extension"])
def test_lossless_files_give_back_the_very_pixels(name):
    np.testing.assert_array_equal(decode_image(GOOD[name]), np.asarray(photo()))


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp"])
def test_of_an_animation_the_first_frame_is_taken(name):
    assert_near(decode_image(GOOD[name]), np.asarray(photo()).astype(int), within=110)
    with Image.open(io.BytesIO(GOOD[name])) as image:
        assert image.n_frames == 2
        np.testing.assert_array_equal(decode_image(GOOD[name]), np.array(image.convert("RGB")))
        image.seek(1)
        assert np.abs(decode_image(GOOD[name]).astype(int) - np.array(image.convert("RGB"))).mean() > 50


STORED = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
# How the stored rows and columns read after turning, from the EXIF specification: where row 0 and column 0 are.
UPRIGHT = {
    1: STORED,  # row 0 at the top, column 0 at the left
    2: STORED[:, ::-1],  # top, right
    3: STORED[::-1, ::-1],  # bottom, right
    4: STORED[::-1],  # bottom, left
    5: STORED.T,  # left, top
    6: STORED[::-1].T,  # right, top
    7: STORED[::-1, ::-1].T,  # right, bottom
    8: STORED[:, ::-1].T,  # left, bottom
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_by_hand(orientation):
    exif = Image.Exif()
    exif[odd.ORIENTATION] = orientation
    pixels = decode_image(encode(Image.fromarray(STORED), "PNG", exif=exif))
    np.testing.assert_array_equal(pixels, np.stack([UPRIGHT[orientation]] * 3, axis=2))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_pillow_turns_it(orientation, kind):
    data = oriented(orientation, kind)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape[:2] == ((43, 64) if orientation < 5 else (64, 43))
    np.testing.assert_array_equal(decode_image(data), expected)


@pytest.mark.parametrize("orientation", [0, 9, 6000])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    np.testing.assert_array_equal(decode_image(oriented(orientation, "PNG")), np.asarray(photo()))


@pytest.mark.parametrize("name", ["alpha.png", "alpha.webp"])
def test_alpha_is_blended_onto_white(name):
    pixels = decode_image(GOOD[name])
    assert_near(pixels, on_white(np.asarray(see_through())))
    assert (pixels[:, 0] == 255).all()  # wholly transparent
    np.testing.assert_array_equal(pixels[:, -1], np.asarray(photo())[:, -1])  # opaque


def test_grey_with_alpha_is_blended_onto_white():
    grey = np.asarray(see_through().convert("LA").convert("RGBA"))
    assert_near(decode_image(GOOD["grey_alpha.png"]), on_white(grey))


@pytest.mark.parametrize("name", ["palette_transparent.png", "transparent.gif"])
def test_the_transparent_color_of_a_palette_is_white(name):
    with Image.open(io.BytesIO(GOOD[name])) as image:
        see_through_index = np.asarray(image) == image.info["transparency"]
        opaque = np.asarray(image.convert("RGBA"))[..., :3]
    assert 0 < see_through_index.mean() < 1
    np.testing.assert_array_equal(decode_image(GOOD[name]), np.where(see_through_index[..., None], 255, opaque))


@pytest.mark.parametrize("name", ["grey_16_bits.png", "grey_16_bits.tiff"])
def test_sixteen_bits_are_scaled_not_clipped(name):
    np.testing.assert_array_equal(decode_image(GOOD[name]), np.stack([EIGHT_BITS] * 3, axis=2))


def test_sixteen_bit_color():
    expected = np.stack([EIGHT_BITS, EIGHT_BITS[::-1, ::-1], np.zeros_like(EIGHT_BITS)], axis=2)
    assert_near(decode_image(GOOD["color_16_bits.png"]), expected)


def test_cmyk_keeps_its_colors():
    assert np.abs(decode_image(GOOD["cmyk.jpg"]).astype(int) - np.asarray(photo())).mean() < 12


def test_every_source_gives_the_same_pixels(tmp_path):
    data = GOOD["turned_6.jpg"]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    expected = decode_image(data)
    with path.open("rb") as file, Image.open(path) as image:
        file.seek(7)  # an open file is read from its beginning
        for source in (path, str(path), bytearray(data), memoryview(data), io.BytesIO(data), file, image, expected):
            np.testing.assert_array_equal(decode_image(source), expected)


def test_home_folder_is_spelled_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(GOOD["plain.png"])
    np.testing.assert_array_equal(decode_image("~/a.png"), np.asarray(photo()))


GREY = np.array([[0, 100], [200, 255]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, np.stack([GREY] * 3, axis=2)),
        (GREY[..., None], np.stack([GREY] * 3, axis=2)),
        (GREY > 50, np.stack([[[0, 255], [255, 255]]] * 3, axis=2)),
        (np.array([[0, 257, 32896, 65535]], np.uint16), np.array([[[0] * 3, [1] * 3, [128] * 3, [255] * 3]])),
        (np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]], np.uint8), np.array([[[255, 255, 255], [10, 20, 30]]])),
        (np.array([[[0, 100, 200, 51]]], np.uint8), np.array([[[204, 224, 244]]])),  # a fifth of the color
        (np.array([[[0, 0, 65535, 65535]]], np.uint16), np.array([[[0, 0, 255]]])),
    ],
    ids=["grey", "one channel", "bool", "uint16", "alpha", "a fifth", "uint16 alpha"],
)
def test_arrays_by_hand(array, expected):
    np.testing.assert_array_equal(decode_image(array), expected)


def test_an_array_is_copied_whatever_its_layout():
    pixels = np.asarray(photo()).copy()
    decoded = decode_image(pixels)
    decoded[:] = 0
    assert pixels.any()
    np.testing.assert_array_equal(decode_image(pixels[::-2, ::-1]), pixels[::-2, ::-1])
    np.testing.assert_array_equal(decode_image(np.asfortranarray(pixels)), pixels)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3)), "uint8 0..255"),
        (np.zeros((4, 4, 3), np.float32), "dtype float32"),
        (np.zeros((4, 4, 3), np.int64), "dtype int64"),
        (np.zeros((3, 4, 5), np.uint8), "move the channels last"),
        (np.zeros((4, 5, 2), np.uint8), "shape (4, 5, 2)"),
        (np.zeros(4, np.uint8), "shape (4,)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "shape (1, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "4 × 0 pixels"),
        (np.broadcast_to(np.uint8(0), (8001, 8000)), "more than 64 megapixels (8,000 × 8,001)"),
    ],
)
def test_arrays_that_are_no_images(array, words):
    with pytest.raises(ImageError) as error:
        decode_image(array, "my array")
    assert str(error.value).startswith("'my array' ")
    assert words in str(error.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pil_images_of_any_mode(mode):
    image = photo().convert(mode)
    np.testing.assert_array_equal(decode_image(image), np.array(image.convert("RGB")))
    assert image.mode == mode


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pil_images_without_a_white(mode):
    with pytest.raises(ImageError, match="'deep' has 32-bit values"):
        decode_image(photo().convert(mode), "deep")


def test_a_closed_pil_image():
    image = Image.open(io.BytesIO(GOOD["plain.png"]))
    image.close()
    with pytest.raises(ImageError, match="cannot be decoded .*open the PIL image again"):
        decode_image(image, "closed")


def test_exactly_the_most_pixels_is_allowed(monkeypatch):
    monkeypatch.setattr("featlib.images.decode.MAX_PIXELS", 43 * 64)
    assert decode_image(GOOD["plain.png"]).shape == (43, 64, 3)
    monkeypatch.setattr("featlib.images.decode.MAX_PIXELS", 43 * 64 - 1)
    for source in (GOOD["plain.png"], photo(), np.asarray(photo())):
        with pytest.raises(ImageError, match=r"\(64 × 43\)"):
            decode_image(source)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(ImageError, match="megapixels"):
        decode_image(odd.blank_png(10_000, 6_500), "a.png")


def test_exactly_the_most_bytes_is_allowed():
    data = GOOD["plain.jpg"]
    assert decode_image(data + bytes(MAX_BYTES - len(data))).shape == (43, 64, 3)


def test_a_large_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    monkeypatch.setattr("pathlib.Path.open", None)
    with pytest.raises(ImageError, match="'large.jpg' is larger than 50.0 MB"):
        decode_image(path)


def test_a_closed_or_text_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    with path.open() as file, pytest.raises(ImageError, match="'a.txt' is opened as text"):
        decode_image(file)
    with pytest.raises(ImageError, match="'a.txt' cannot be read"):
        decode_image(file)


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "gone.png", "There is no file or folder 'gone.png'"),
        (tmp_path / "pipe.png", "'pipe.png' is not a regular file"),
        ("https://example.org/cat.jpg", "'cat.jpg' is a web address"),
        ("a\x00b.png", "There is no file or folder 'a\N{REPLACEMENT CHARACTER}b.png'"),
        ("x" * 5000 + ".png", "cannot be opened (file name too long)"),
        ("", "Received an empty path"),
        ("~no_such_user/a.png", "There is no file or folder 'a.png'"),
    ]:
        with pytest.raises(ImageError) as error:
            decode_image(path)
        assert words in str(error.value)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, [1, 2]])
def test_things_that_are_no_images(source):
    with pytest.raises(ImageError, match=f"Received {type(source).__name__} as an image"):
        decode_image(source)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "an SVG drawing"),
        (b"// draws\nconst s = '<svg>'\n", "a text file"),
        (b"  <html>", "a web page"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"\x00\x00\x00\x20ftypavif", "an AVIF image"),
        (b"\x00\x00\x00\x20ftypmp42", "a video"),
        (b"RIFF\x00\x00\x00\x00WAVE", "a sound or video file"),
        ("é".encode() * 4096, "a text file"),
        (b"a", "a text file"),
    ],
)
def test_what_else_people_hand_in_is_named(data, words):
    with pytest.raises(ImageError, match=f"is {words}, not an image that featlib reads: it reads JPEG, PNG, WebP"):
        decode_image(data)


def test_a_name_is_cleaned_before_it_is_shown():
    with pytest.raises(ImageError) as error:
        decode_image(b"", "../../etc/\x1b[31m\u202epass\nwd.png")
    assert "'etc/\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}pass\N{REPLACEMENT CHARACTER}wd.png'" in str(
        error.value
    )


def test_errors_are_featlib_errors():
    with pytest.raises(FeatlibError):
        decode_image(b"")
    with pytest.raises(ValueError, match="empty"):
        decode_image(b"")


@pytest.mark.filterwarnings("ignore")
def test_whatever_is_wrong_with_a_file_it_is_an_image_error():
    """Files damaged at random: each decodes or is refused in a sentence, and nothing else is ever raised."""
    dice = random.Random(0)
    refused = 0
    for name, data in GOOD.items():
        for _ in range(25):
            damaged = bytearray(data)
            for _ in range(dice.choice([1, 4, 30])):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            try:
                decode_image(bytes(damaged[: dice.choice([len(data), dice.randrange(1, len(data))])]), name)
            except ImageError as error:
                assert str(error).startswith(f"'{name}' ")
                refused += 1
    assert refused > 200
