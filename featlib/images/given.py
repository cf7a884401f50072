"""What functions that compute one row an image do with the images they are given."""

from __future__ import annotations

from featlib.errors import ImageError
from featlib.images.imageset import ImageSet
from featlib.images.load import load_images

SHOWN = 3
UNLIMITED = 10**9


def as_image_set(images: object) -> ImageSet:
    """Returns the images as a set that lacks none of them, so that row i belongs to image i.

    Args:
        images: Whatever `load_images` takes, of any number: a person limits what a page loads, not a program.

    Raises:
        ImageError: One of the images cannot be read.
    """
    loaded = load_images(images, max_images=UNLIMITED)
    if loaded.problems and not isinstance(images, ImageSet):
        reasons = " ".join(problem.reason for problem in loaded.problems[:SHOWN])
        raise ImageError(
            f"{len(loaded.problems)} of {len(loaded) + len(loaded.problems)} images cannot be read: {reasons} "
            "To go on without them, load the images with featlib.load_images first; it lists them in .problems."
        )
    return loaded
