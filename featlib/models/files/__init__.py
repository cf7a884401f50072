"""A person's own model files and models."""
