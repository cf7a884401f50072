"""Cached wrappers over the library, with progress and Stop."""
