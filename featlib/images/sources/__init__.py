"""Where images come from: files, folders, globs, zips, tables, uploads and arrays."""

from featlib.images.sources.listing import MAX_TOTAL_BYTES, find_images, list_uploads, too_many
from featlib.images.sources.tables import is_table
from featlib.images.sources.walk import is_glob

__all__ = ["MAX_TOTAL_BYTES", "find_images", "is_glob", "is_table", "list_uploads", "too_many"]
