"""Odd and bad image files as bytes: what people really hand in, and what must be refused with a clear sentence."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

ORIENTATION = 0x0112


@dataclass(frozen=True)
class OddImage:
    """One file.

    Attributes:
        name: A file name, unique in the corpus.
        data: Its bytes.
        ok: Whether featlib reads it.
        reason_contains: For a bad one: words that its reason must contain besides the name.
    """

    name: str
    data: bytes
    ok: bool
    reason_contains: str | None = None


@cache
def corpus() -> tuple[OddImage, ...]:
    """All odd files, good and bad ones mixed, sorted by name; one of them has 50 MB."""
    return tuple(sorted([*_good(), *_bad()], key=lambda odd: odd.name))


@cache
def photo() -> Image.Image:
    """A small real photograph without any symmetry, 64 × 42 RGB; `copy()` before changing it."""
    image = Image.open(Path(find_spec("sklearn").origin).parent / "datasets/images/china.jpg")
    image.thumbnail((64, 64))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Saves a PIL image with Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int, kind: str = "JPEG") -> bytes:
    """The photo's pixels as they lie, with a note on how to turn them."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(photo(), kind, exif=exif)


def see_through() -> Image.Image:
    """The photo as RGBA: wholly transparent at the left edge, opaque at the right."""
    image = photo().convert("RGBA")
    alpha = np.broadcast_to(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, image.width))
    image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    return image


def sixteen_bits() -> np.ndarray:
    """A grey ramp over all of 0..65535: (16, 64) uint16."""
    return np.linspace(0, 65535, 1024).round().astype(np.uint16).reshape(16, 64)


def color_sixteen_bits() -> bytes:
    """A PNG of 16 bits per channel, which Pillow cannot write: `sixteen_bits()` in red, reversed in green, no blue."""
    ramp = sixteen_bits()
    pixels = np.stack([ramp, ramp[::-1, ::-1], np.zeros_like(ramp)], axis=2).astype(">u2")
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)
    return write_png(ramp.shape[1], ramp.shape[0], depth=16, color=2, packed=zlib.compress(rows))


def blank_png(width: int, height: int) -> bytes:
    """A valid black 1-bit PNG: a few kilobytes, however many pixels."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return write_png(width, height, depth=1, color=0, packed=packed)


def write_png(width: int, height: int, *, depth: int, color: int, packed: bytes) -> bytes:
    """A PNG of the packed rows; `color` is the format's number, 0 for grey and 2 for RGB."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zipped(members: dict[str, bytes]) -> bytes:
    """A plain zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _good() -> Iterator[OddImage]:
    image = photo()
    palette = image.quantize(16)
    yield OddImage("plain.jpg", encode(image, "JPEG"), True)
    yield OddImage("progressive.jpeg", encode(image, "JPEG", progressive=True), True)
    yield OddImage("SHOUTING.JPG", encode(image, "JPEG", quality=60), True)
    yield OddImage("grey.jpg", encode(image.convert("L"), "JPEG"), True)
    yield OddImage("cmyk.jpg", encode(image.convert("CMYK"), "JPEG"), True)
    for orientation in range(1, 9):
        yield OddImage(f"turned_{orientation}.jpg", oriented(orientation), True)
    yield OddImage("turned_png.png", oriented(6, "PNG"), True)
    yield OddImage("turned_webp.webp", oriented(6, "WEBP"), True)
    yield OddImage("turned_tiff.tif", oriented(6, "TIFF"), True)
    yield OddImage("plain.png", encode(image, "PNG"), True)
    yield OddImage("alpha.png", encode(see_through(), "PNG"), True)
    yield OddImage("grey_alpha.png", encode(see_through().convert("LA"), "PNG"), True)
    yield OddImage("palette.png", encode(palette, "PNG"), True)
    yield OddImage("palette_transparent.png", encode(palette, "PNG", transparency=0), True)
    yield OddImage("grey_transparent.png", encode(image.convert("L"), "PNG", transparency=255), True)
    yield OddImage("grey_16_bits.png", encode(Image.fromarray(sixteen_bits()), "PNG"), True)
    yield OddImage("color_16_bits.png", color_sixteen_bits(), True)
    yield OddImage("grey_16_bits.tiff", encode(Image.fromarray(sixteen_bits()), "TIFF"), True)
    yield OddImage("one_bit.png", encode(image.convert("1"), "PNG"), True)
    yield OddImage("one_pixel.png", encode(image.crop((0, 0, 1, 1)), "PNG"), True)
    yield OddImage("wide.png", encode(image.resize((6000, 1)), "PNG"), True)
    yield OddImage("tall.png", encode(image.resize((1, 6000)), "PNG"), True)
    yield OddImage("plain.webp", encode(image, "WEBP"), True)
    yield OddImage("alpha.webp", encode(see_through(), "WEBP", lossless=True), True)
    yield OddImage("moving.webp", encode(image, "WEBP", save_all=True, append_images=[_negative()]), True)
    yield OddImage("moving.gif", encode(palette, "GIF", save_all=True, append_images=[_negative()], loop=0), True)
    yield OddImage("transparent.gif", encode(palette, "GIF", transparency=0), True)
    yield OddImage("plain.bmp", encode(image, "BMP"), True)
    yield OddImage("pages.tif", encode(image, "TIFF", save_all=True, append_images=[_negative()]), True)
    yield OddImage("a jpeg inside.png", encode(image, "JPEG", quality=80), True)
    yield OddImage("no_extension", encode(image, "PNG", compress_level=1), True)
    yield OddImage("naïve 写真 📷.jpg", encode(image, "JPEG", quality=70), True)


def _bad() -> Iterator[OddImage]:
    jpeg, png = encode(photo(), "JPEG"), encode(photo(), "PNG")
    yield OddImage("huge_65_megapixels.png", blank_png(10_000, 6_500), False, "more than 64 megapixels")
    yield OddImage("huge_400_megapixels.png", blank_png(20_000, 20_000), False, "more than 64 megapixels")
    yield OddImage("huge_file.jpg", jpeg + bytes(50 * 2**20), False, "larger than 50.0 MB")
    yield OddImage("cut_off.jpg", jpeg[: len(jpeg) // 2], False, "cut off JPEG file")
    yield OddImage("cut_off.png", png[: len(png) // 2], False, "cut off PNG file")
    yield OddImage("cut_off_early.png", png[:20], False, "cut off PNG file")
    yield OddImage("cut_off.gif", encode(photo().quantize(), "GIF")[:900], False, "cut off GIF file")
    yield OddImage("cut_off.webp", encode(photo(), "WEBP")[:300], False, "damaged WebP file")
    yield OddImage("cut_off.tif", encode(photo(), "TIFF")[:4000], False, "TIFF")
    yield OddImage("damaged.png", damaged_png(png), False, "damaged PNG file")
    yield OddImage("empty.jpg", b"", False, "is empty (0 bytes)")
    yield OddImage("zeros.jpg", bytes(5000), False, "zero bytes only")
    yield OddImage("text.jpg", "Grüße aus China\n".encode() * 40, False, "a text file, not an image")
    yield OddImage("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", False, "an SVG")
    yield OddImage("not_found.png", b"<!DOCTYPE html><html><body>404</body></html>", False, "a web page")
    yield OddImage("iphone.heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200), False, "HEIC")
    yield OddImage("really_a_zip.png", zipped({"a.png": png}), False, "a zip archive, not an image")
    yield OddImage("document.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(99), False, "a PDF document")
    yield OddImage("noise.jpg", np.random.default_rng(0).bytes(3000), False, "an unknown kind of file")
    yield OddImage("float.tif", encode(photo().convert("F"), "TIFF"), False, "32-bit values")
    preview = {254: 1, 256: 8, 257: 8, 258: (8, 8, 8), 259: 1, 262: 2, 271: "Maker", 277: 3, 330: 0}
    floats = {256: 8, 257: 8, 258: (32, 32, 32), 259: 1, 262: 2, 273: 8, 277: 3, 278: 8, 279: 768, 339: (3, 3, 3)}
    yield OddImage("float_rgb.tif", tiff(floats), False, "32-bit values, which have no defined white level")
    yield OddImage("photo.cr2", b"II*\0\x10\0\0\0CR\x02\0" + bytes(999), False, "RAW photo, which cameras write")
    yield OddImage("photo.cr3", b"\0\0\0\x18ftypcrx " + bytes(200), False, "a RAW photo, not an image")
    yield OddImage("photo.nef", tiff(preview), False, "RAW photo, which cameras write")
    yield OddImage("photo.dng", tiff(preview | {50706: b"\1\4\0\0"}), False, "RAW photo, which cameras write")
    yield OddImage("icon.ico", encode(photo(), "ICO"), False, "an icon file")


def tiff(tags: dict) -> bytes:
    """A TIFF of these tags, without pixels."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + bytes(1000)


def damaged_png(png: bytes) -> bytes:
    """The same file with one wrong byte in the middle of its pixels, as a bad disk or download leaves it."""
    middle = png.index(b"IDAT") + (png.index(b"IEND") - png.index(b"IDAT")) // 2
    return png[:middle] + bytes([png[middle] ^ 0xFF]) + png[middle + 1 :]


def _negative() -> Image.Image:
    return photo().point(lambda value: 255 - value)
