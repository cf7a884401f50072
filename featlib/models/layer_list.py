"""The layers of a model as a list that shows itself as a table."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.models.backbone import Backbone
from featlib.models.layers import LayerInfo
from featlib.models.load import as_backbone
from featlib.text import printable

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("", "path", "class", "output shape", "params", "")
CELL = '<td style="text-align: {side}; padding: 0.1em 0.7em">{text}</td>'


class LayerList(list[LayerInfo]):
    """A list of layers: one line in a shell, a table in a notebook."""

    def __repr__(self) -> str:
        ends = f", '{self[0].path}' to '{self[-1].path}'" if self else ""
        return f"LayerList({len(self):,} layers{ends})"

    def _repr_html_(self) -> str:
        """Return a table in the colors of the page around it."""
        rows = ["<tr>" + "".join(f'<th style="text-align: left">{title}</th>' for title in COLUMNS) + "</tr>"]
        for layer in self:
            note = f"unavailable: {layer.reason}" if layer.reason else "stage end" if layer.stage_end else ""
            shape = " × ".join("?" if side is None else f"{side:,}" for side in layer.output_shape)
            path = "\N{NO-BREAK SPACE}" * 4 * layer.depth + printable(layer.path)
            texts = [str(layer.index), path, layer.class_name, "" if layer.reason else shape, f"{layer.params:,}", note]
            sides = ["right", "left", "left", "left", "right", "left"]
            cells = (CELL.format(side=side, text=escape(text)) for side, text in zip(sides, texts, strict=True))
            rows.append(f"<tr>{''.join(cells)}</tr>")
        return f'<table style="color: inherit">{"".join(rows)}</table>'

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame with the fields of `LayerInfo` as columns and the layer paths as index."""
        import pandas as pd

        fields = list(LayerInfo.__dataclass_fields__)
        return pd.DataFrame([asdict(layer) for layer in self], columns=fields).set_index("path")


def list_layers(backbone: str | Path | Backbone) -> LayerList:
    """List every layer and `keras.ops` operation of the model, including those of inner models and composite layers.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.

    Returns:
        One `LayerInfo` per output of each call of each layer, in graph order, inputs first; a list that a notebook
        shows as a table.

    Raises:
        ModelError: It is no backbone, or none can be loaded.
    """
    return LayerList(as_backbone(backbone).layers)


def find_layer(backbone: str | Path | Backbone, path: str) -> LayerInfo:
    """Find one layer by its path.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        path: The names from the outer model down to the layer, joined by "/".

    Raises:
        ModelError: It is no backbone, or none can be loaded.
        LayerNotFoundError: There is no such layer (the message gives close matches), or it has no accessible output
            (the message says why).
    """
    return as_backbone(backbone).find_layer(path)
