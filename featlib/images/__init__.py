"""Load images from any source into ImageSets: one decoder, one resize, ids by content, and built-in samples.

Needs NumPy and Pillow only.
"""

from featlib.images.decode import MAX_BYTES, MAX_PIXELS, decode_image
from featlib.images.folders import FOLDERS_VARIABLE, PLACE_PREFIX, OpenFolder, find_place, open_folders
from featlib.images.imageset import ImageSet
from featlib.images.item import ImageEntry, ImageItem, ImageProblem, digest_bytes, forget_thumbnails, open_image
from featlib.images.load import MAX_IMAGES, as_image_set, list_pending, load_images
from featlib.images.mixed import list_sources
from featlib.images.names import clean_name
from featlib.images.read import exists, open_file, read_path, to_path
from featlib.images.resize import RESIZERS, cover, resizer_name, use_resizer
from featlib.images.samples import SampleInfo, list_samples, load_samples
from featlib.images.sources import MAX_TOTAL_BYTES, list_uploads

__all__ = [
    "FOLDERS_VARIABLE",
    "MAX_BYTES",
    "MAX_IMAGES",
    "MAX_PIXELS",
    "MAX_TOTAL_BYTES",
    "PLACE_PREFIX",
    "RESIZERS",
    "ImageEntry",
    "ImageItem",
    "ImageProblem",
    "ImageSet",
    "OpenFolder",
    "SampleInfo",
    "as_image_set",
    "clean_name",
    "cover",
    "decode_image",
    "digest_bytes",
    "exists",
    "find_place",
    "forget_thumbnails",
    "list_pending",
    "list_samples",
    "list_sources",
    "list_uploads",
    "load_images",
    "load_samples",
    "open_file",
    "open_folders",
    "open_image",
    "read_path",
    "resizer_name",
    "to_path",
    "use_resizer",
]
