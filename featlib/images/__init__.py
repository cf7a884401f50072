"""Images in, ImageSets out: one decoder for every way in, built-in samples, ids by content.

Needs NumPy and Pillow only.
"""

from featlib.images.decode import MAX_BYTES, MAX_PIXELS, decode_image
from featlib.images.given import as_image_set
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageItem, ImageProblem
from featlib.images.load import MAX_IMAGES, load_images
from featlib.images.mixed import list_sources
from featlib.images.pending import Pending, list_pending, open_image
from featlib.images.resize import RESIZERS, ResizerName, cover, resizer_name, use_resizer
from featlib.images.samples.samples import SampleInfo, list_samples, load_samples
from featlib.images.sources.listing import MAX_TOTAL_BYTES, Candidate

__all__ = [
    "MAX_BYTES",
    "MAX_IMAGES",
    "MAX_PIXELS",
    "MAX_TOTAL_BYTES",
    "RESIZERS",
    "Candidate",
    "ImageItem",
    "ImageProblem",
    "ImageSet",
    "Pending",
    "ResizerName",
    "SampleInfo",
    "as_image_set",
    "cover",
    "decode_image",
    "list_pending",
    "list_samples",
    "list_sources",
    "load_images",
    "load_samples",
    "open_image",
    "resizer_name",
    "use_resizer",
]
