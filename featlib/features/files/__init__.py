"""The formats of vector files."""
