"""Scroll a table to a row, which `st.dataframe` cannot."""

from __future__ import annotations

import streamlit as st

ROW_HEIGHT = 35  # pixels, of a row and of the header

# The table may come after this part of the page, and may not yet be as high as its rows.
JS = """
export default function({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  if (place.dataset.row === String(data.row)) return;
  const top = data.row * data.height;
  const started = Date.now();
  const timer = setInterval(() => {
    const table = document.querySelector(`[data-testid="stDataFrame"] .dvn-scroller`);
    if (Date.now() - started > 10000) clearInterval(timer);
    if (!table || table.scrollHeight <= table.clientHeight) return;
    const room = window.innerHeight - table.getBoundingClientRect().top;  // the window may end before the table
    const rows = Math.min(table.clientHeight, Math.max(room, 4 * data.height)) - data.height;  // without the header
    if (top < table.scrollTop || top + data.height > table.scrollTop + rows) table.scrollTop = top - rows / 2;
    place.dataset.row = String(data.row);
    clearInterval(timer);
  }, 100);
  return () => clearInterval(timer);
}
"""

_scroll = st.components.v2.component("featlib_scroll", js=JS)


def scroll_table(row: int, key: str) -> None:
    """Scroll the page's table so that a row is seen, once for each `key` and row.

    Args:
        row: The row's position, from 0.
        key: Tells the table, with its filters, from others.
    """
    _scroll(key=f"scroll {key}", data={"row": row, "height": ROW_HEIGHT}, height=1)
