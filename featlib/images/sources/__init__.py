"""Where images come from: files, folders, archives, tables."""
