"""One file a page, of the same name."""
