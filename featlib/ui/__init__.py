"""The only package that imports streamlit: session, cache, frame, widgets, parts of pages."""
