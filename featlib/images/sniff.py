"""Recognize kinds of files by their first bytes, for messages about files that are not readable images."""

from __future__ import annotations

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
READABLE = "JPEG, PNG, WebP, BMP, GIF and TIFF"

_IMAGES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "an icon file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"FUJIFILMCCD-RAW", "a RAW photo"),
    (b"IIRO", "a RAW photo"),
    (b"IIU\x00", "a RAW photo"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


def is_zip(data: bytes) -> bool:
    """Return whether this is a zip, by its first bytes (a JPEG may carry a zip at its end and stays a JPEG)."""
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def image_format(data: bytes) -> str | None:
    """Return the format's name if the file begins like an image that featlib reads."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in _IMAGES if data.startswith(magic)), None)


def describe(data: bytes) -> str:
    """Name a file's kind from its first bytes, with its article: "a web page", "an unknown kind of file"."""
    for magic, words in _OTHERS:
        if data.startswith(magic):
            return words
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _HEIC_BRANDS:
            return "a HEIC photo"
        return {b"avif": "an AVIF image", b"avis": "an AVIF image", b"crx ": "a RAW photo"}.get(brand, "a video")
    if data[:4] == b"RIFF":
        return "a sound or video file"
    return _describe_text(data[:4096])


def _describe_text(head: bytes) -> str:
    if not head.strip(b"\x00"):
        return "a file of zero bytes only"
    # A text whose last character is cut off is still a text.
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n").lower()
    if b"\x00" in head or text[:-1].count("\N{REPLACEMENT CHARACTER}") > len(text) // 20:
        return "an unknown kind of file"
    if text.startswith("<svg") or (text.startswith(("<?xml", "<!doctype svg", "<!--")) and "<svg" in text):
        return "an SVG drawing"
    return "a web page" if text.startswith(("<!doctype html", "<html")) else "a text file"
