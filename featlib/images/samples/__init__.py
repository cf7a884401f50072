"""The built-in sets of images."""
