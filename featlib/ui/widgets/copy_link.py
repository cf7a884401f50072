"""A button that copies the address of the view."""

from __future__ import annotations

import streamlit as st

CSS = """
.link { display: flex; align-items: center; gap: 8px; font-size: 0.875rem; white-space: nowrap; }
.link button { padding: 4px 8px; color: var(--st-text-color); background: transparent; font: inherit; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 8px); }
.link button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
.link button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.link span { opacity: 0.75; }
"""

# The clipboard is for secure pages only: not over plain http from another machine, where the link is shown instead.
JS = """
export default function({ data, parentElement }) {
  let row = parentElement.querySelector(".link");
  if (!row) {
    row = document.createElement("div");
    row.className = "link";
    row.append(document.createElement("button"), document.createElement("span"));
    parentElement.appendChild(row);
  }
  const [button, note] = row.children;
  button.type = "button";
  button.textContent = "Copy link";
  button.title = "Copies the address of this view.";
  note.textContent = data.note;
  note.setAttribute("role", "status");
  button.onclick = async () => {
    const link = location.origin + location.pathname + (data.query && "?" + data.query);
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy link"; }, 2000);
    } catch {
      prompt("Copy this link:", link);
    }
  };
}
"""

_copy_link = st.components.v2.component("featlib_copy_link", css=CSS, js=JS)


def copy_link(query: str, note: str = "") -> None:
    """Show a button that copies the page's address with this query, and beside it what to know about the link."""
    _copy_link(key="copy link", data={"query": query, "note": note}, width="content")
