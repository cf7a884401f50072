"""List and load the built-in image sets: photos, views and digits from installed packages, and drawn shapes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from featlib.checks import shown
from featlib.errors import ImageError
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageItem, digest_pixels
from featlib.images.load import load_images
from featlib.images.samples.shapes import SHAPES_COUNT, draw_shapes
from featlib.images.samples.views import VIEWS, draw_views

_SKLEARN = ("sklearn", "datasets/images")
_SKIMAGE = ("skimage", "data")
PHOTOS = {
    "china": (*_SKLEARN, "china.jpg"),
    "flower": (*_SKLEARN, "flower.jpg"),
    "astronaut": (*_SKIMAGE, "astronaut.png"),
    "chelsea": (*_SKIMAGE, "chelsea.png"),
    "coffee": (*_SKIMAGE, "coffee.png"),
    "rocket": (*_SKIMAGE, "rocket.jpg"),
    "motorcycle": (*_SKIMAGE, "motorcycle_left.png"),
    "hubble": (*_SKIMAGE, "hubble_deep_field.jpg"),
    "retina": (*_SKIMAGE, "retina.jpg"),
    "ihc": (*_SKIMAGE, "ihc.png"),
}
DIGITS_COUNT = 1797


@dataclass(frozen=True)
class SampleInfo:
    """One built-in image set.

    Attributes:
        name: The name that `load_samples` takes.
        title: The name on screen.
        description: One sentence about its images.
        count: The number of images.
    """

    name: str
    title: str
    description: str
    count: int


def list_samples() -> tuple[SampleInfo, ...]:
    """Describe the built-in sets without loading any."""
    return (
        SampleInfo(
            "photos",
            "Photos",
            "Color photographs from scikit-learn and scikit-image: a temple, a cat, a rocket, …",
            len(PHOTOS),
        ),
        SampleInfo(
            "views",
            "Views",
            "Each photo cropped, flipped, rotated, darkened, …: does the network still see the same?",
            len(PHOTOS) * len(VIEWS),
        ),
        SampleInfo("digits", "Digits", "Handwritten digits of 8 × 8 pixels from scikit-learn.", DIGITS_COUNT),
        SampleInfo(
            "shapes",
            "Shapes",
            "Drawn in every combination of shape, color, size, rotation and texture: which layer knows which?",
            SHAPES_COUNT,
        ),
    )


def load_samples(name: str) -> ImageSet:
    """Load a built-in set, or return it again if it was loaded before.

    Args:
        name: "photos", "views", "digits" or "shapes".

    Raises:
        ImageError: If there is no such set, or the package that ships it is damaged.
    """
    if not isinstance(name, str) or name not in LOADERS:
        close = get_close_matches(str(name), LOADERS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ImageError(f"No samples named {shown(name)}: choose one of {', '.join(LOADERS)}.{hint}")
    return _load_once(name)


@cache
def _load_once(name: str) -> ImageSet:
    return LOADERS[name]()


def load_photos() -> ImageSet:
    """Load the photographs that scikit-learn and scikit-image ship."""
    paths = [(stem, packaged_file(*where)) for stem, where in PHOTOS.items()]
    found = load_images(paths, name="photos")
    if found.problems:
        raise ImageError(f"{found.problems[0].reason} Reinstall scikit-learn and scikit-image.")
    return replace(found, items=tuple(replace(item, labels={"photo": item.name}) for item in found))


def load_views() -> ImageSet:
    """Draw twelve views of each photo."""
    items = []
    for photo in load_samples("photos"):
        for view, pixels in draw_views(photo.pixels):
            labels = {"photo": photo.name, "view": view}
            items.append(_array_item(f"{photo.name} · {view}", labels, pixels))
    return ImageSet("views", tuple(items))


def load_digits() -> ImageSet:
    """Load the handwritten digits that scikit-learn ships, enlarged to 32 × 32 pixels."""
    path = packaged_file("sklearn", "datasets/data", "digits.csv.gz")
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    except (OSError, ValueError) as error:
        raise ImageError(f"'{path.name}' cannot be read ({error}): reinstall scikit-learn.") from error
    # 8 × 8 values from 0 to 16, enlarged so that thumbnails show each pixel as a crisp square.
    gray = ((table[:, :-1].reshape(-1, 8, 8) * 255 + 8) // 16).astype(np.uint8)
    large = gray.repeat(4, axis=1).repeat(4, axis=2)
    pixels = np.broadcast_to(large[..., np.newaxis], (*large.shape, 3))
    items = (
        _array_item(f"{digit} · {index:04d}", {"digit": str(digit)}, np.ascontiguousarray(image))
        for index, (digit, image) in enumerate(zip(table[:, -1], pixels, strict=True))
    )
    return ImageSet("digits", tuple(items))


def load_shapes() -> ImageSet:
    """Draw every combination of shape, color, size, rotation and texture."""
    items = (_array_item(" · ".join(labels.values()), labels, pixels) for labels, pixels in draw_shapes())
    return ImageSet("shapes", tuple(items))


def _array_item(name: str, labels: dict[str, str], pixels: np.ndarray) -> ImageItem:
    pixels.flags.writeable = False
    return ImageItem(digest_pixels(pixels), name, labels, pixels)


def packaged_file(package: str, folder: str, file: str) -> Path:
    """Return the path of an installed package's file without importing the package.

    Raises:
        ImageError: If the package or the file is missing.
    """
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(location, folder, file)
        if path.is_file():
            return path
    raise ImageError(f"The file '{folder}/{file}' of the package '{package}' is missing: reinstall it.")


LOADERS: dict[str, Callable[[], ImageSet]] = {
    "photos": load_photos,
    "views": load_views,
    "digits": load_digits,
    "shapes": load_shapes,
}
