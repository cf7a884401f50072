"""The channels of a layer as colored tiles, each its own palette image or all in one picture with captions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from PIL import Image

from featlib.checks import as_array, choice, shown, whole_number
from featlib.errors import FeatlibError
from featlib.plots.captions import font_size, format_range, line_height, text_mask
from featlib.plots.checks import check_area, checked_color, checked_numbers, checked_side
from featlib.plots.colors import (
    LEVELS,
    MISSING,
    MISSING_COLOR,
    TEXT_COLOR,
    Colormap,
    checked_colormap,
    color_limits,
    color_table,
    quantize,
)

Scale = Literal["channel", "shared"]

# Codes of the palette: colors, missing, then captions from transparent to opaque.
CLEAR = MISSING + 1
TEXT_LEVELS = 256 - CLEAR
GAP = 8


@dataclass(frozen=True, eq=False)
class ChannelTiles:
    """Channels as small pictures, one for each.

    Attributes:
        codes: (k, h, w) uint8 palette codes, one per position of the map, or fewer if the map is large.
        colormap: The colors.
        channels: The channels, in order.
        ranges: (k, 2) smallest and largest finite value of each channel.
        limits: (k, 2) values of the first and last color; equal in all rows if the scale is shared.
    """

    codes: np.ndarray
    colormap: Colormap
    channels: tuple[int, ...]
    ranges: np.ndarray
    limits: np.ndarray

    def png(self, number: int) -> bytes:
        """Return one channel as a PNG file, one pixel per position: enlarge it without smoothing."""
        palette = np.concatenate([color_table(self.colormap), [MISSING_COLOR]]).astype(np.uint8)
        return _palette_png(self.codes[number], palette)


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Channels drawn side by side, row by row.

    Attributes:
        codes: (H, W) uint8 palette codes.
        palette: (256, 4) uint8 RGBA; gaps are transparent.
        channels: The channels drawn, in order.
        columns: Tiles per row.
        rows: Number of rows.
        tile_width: Distance from one tile's left edge to the next one's, in pixels.
        tile_height: Distance from one tile's upper edge to the next one's, in pixels.
        map_width: Width of a tile without its gap.
        map_height: Height of a tile without its caption and gap.
        ranges: (k, 2) smallest and largest finite value of each channel drawn (in its caption).
        limits: (k, 2) values of the first and last color; equal in all rows if the scale is shared.
        colormap: The colors.
    """

    codes: np.ndarray
    palette: np.ndarray
    channels: tuple[int, ...]
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    map_width: int
    map_height: int
    ranges: np.ndarray
    limits: np.ndarray
    colormap: Colormap

    @cached_property
    def image(self) -> np.ndarray:
        """(H, W, 4) uint8 RGBA."""
        return self.palette[self.codes]

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file with a palette and fast compression."""
        return _palette_png(self.codes, self.palette[:, :3], transparency=self.palette[:, 3].tobytes())


def channel_tiles(
    maps: np.ndarray,
    channels: Sequence[int] | np.ndarray | None = None,
    *,
    scale: Scale = "channel",
    tile: int = 96,
    colormap: Colormap | None = None,
) -> ChannelTiles:
    """Color channels of one image's feature maps.

    Maps larger than the tile are averaged down. NaN and infinite values are gray.

    Args:
        maps: (h, w, c) feature maps of one image.
        channels: Channels to draw, in this order; all if None.
        scale: "channel" maps the colors to each channel's own range of values, which shows its structure; "shared" to
            the range of all c channels (also those not drawn), which makes tiles comparable.
        tile: The most positions along a tile's longer side.
        colormap: One of `COLORMAPS`; if None, a diverging one with zero in its middle where any of the c channels
            has negative values, else "viridis".

    Raises:
        FeatlibError: If `maps` is not (h, w, c), a channel does not exist, or an option is out of bounds.
    """
    maps, picked = _checked(maps, channels, scale, tile)
    colormap = checked_colormap(colormap, maps)
    planes = np.ascontiguousarray(np.moveaxis(maps[..., picked], -1, 0), dtype=np.float32)  # (k, h, w)
    ranges = _ranges(planes)
    spans = ranges if scale == "channel" else np.broadcast_to(_ranges(maps[None]), ranges.shape)
    limits = np.stack(color_limits(spans[:, 0], spans[:, 1], colormap), axis=1)
    height, width = tile_shape(planes.shape[1:], tile)
    codes = quantize(shrink(planes, height, width), *limits.T[:, :, None, None])
    return ChannelTiles(codes, colormap, tuple(picked.tolist()), ranges, limits)


def mosaic(
    maps: np.ndarray,
    channels: Sequence[int] | np.ndarray | None = None,
    *,
    scale: Scale = "channel",
    tile: int = 96,
    columns: int | None = None,
    colormap: Colormap | None = None,
    text_color: tuple[int, int, int] = TEXT_COLOR,
) -> Mosaic:
    """Draw channels of one image's feature maps as tiles, each with its number and range of values.

    Small maps are enlarged without smoothing, so that every position stays one flat rectangle.

    Args:
        maps: (h, w, c) feature maps of one image.
        channels: As in `channel_tiles`.
        scale: As in `channel_tiles`.
        tile: Length of a tile's longer side, in pixels.
        columns: Tiles per row; up to 8 if None.
        colormap: As in `channel_tiles`.
        text_color: RGB of the captions; the default is readable on light and dark pages.

    Raises:
        FeatlibError: As `channel_tiles`.
    """
    columns = 8 if columns is None else whole_number("columns", columns)
    text_color = checked_color("text_color", text_color)
    _check_size(*_checked(maps, channels, scale, tile), tile, columns)
    tiles = channel_tiles(maps, channels, scale=scale, tile=tile, colormap=colormap)
    height, width = tile_shape(np.shape(maps)[:2], tile)
    size = font_size(tile)
    captions = [
        _caption(channel, low, high, width, size)
        for channel, (low, high) in zip(tiles.channels, tiles.ranges.tolist(), strict=True)
    ]
    columns = min(len(captions), columns)
    return Mosaic(
        codes=_arrange(enlarge(tiles.codes, height, width), captions, columns, line_height(size) + 2),
        palette=_palette(tiles.colormap, text_color),
        channels=tiles.channels,
        columns=columns,
        rows=-(-len(captions) // columns),
        tile_width=width + GAP,
        tile_height=height + line_height(size) + 2 + GAP,
        map_width=width,
        map_height=height,
        ranges=tiles.ranges,
        limits=tiles.limits,
        colormap=tiles.colormap,
    )


def tile_shape(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Return (height, width) in pixels for a map of `shape` whose longer side becomes `side`."""
    height, width = shape
    longest = max(height, width)
    return max(1, round(side * height / longest)), max(1, round(side * width / longest))


def enlarge(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge (…, h, w) to (…, height, width) by nearest neighbor."""
    h, w = planes.shape[-2:]
    rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
    return planes[..., rows[:, None], columns]


def shrink(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Average (…, h, w) down where it is larger than (height, width); a side that fits is unchanged."""
    h, w = planes.shape[-2:]
    if w > width:
        planes = np.tensordot(planes, _area_weights(w, width), (-1, 1))  # one product for all planes
    if h > height:
        planes = np.moveaxis(np.tensordot(_area_weights(h, height), planes, (1, -2)), 0, -2)
    return planes


def _area_weights(size: int, target: int) -> np.ndarray:
    """Return (target, size) weights: how much of each new pixel every old one covers."""
    edges = np.linspace(0, size, target + 1)
    old = np.arange(size)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (np.clip(overlap, 0, None) * target / size).astype(np.float32)


def _ranges(planes: np.ndarray) -> np.ndarray:
    """Return the (k, 2) smallest and largest finite values of k planes; (0, 0) where there are none."""
    flat = planes.reshape(len(planes), -1)
    finite = np.isfinite(flat)
    if finite.all():
        return np.stack([flat.min(axis=1), flat.max(axis=1)], axis=1)
    low, high = np.where(finite, flat, np.inf).min(axis=1), np.where(finite, flat, -np.inf).max(axis=1)
    return np.where(finite.any(axis=1)[:, None], np.stack([low, high], axis=1), 0)


def _caption(channel: int, low: float, high: float, width: int, size: int) -> np.ndarray:
    """Draw the channel's number on the left and its range on the right; only the number if both do not fit."""
    number, values = text_mask(str(channel), size), text_mask(format_range(low, high), size)
    space = width - number.shape[1] - values.shape[1]
    if space < 4:
        return number[:, :width]
    return np.hstack([number, np.zeros((len(number), space), np.uint8), values])


def _arrange(tiles: np.ndarray, captions: list[np.ndarray], columns: int, caption_height: int) -> np.ndarray:
    """Put tiles and their captions into rows of cells, as palette codes."""
    count, height, width = tiles.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + caption_height + GAP, width + GAP), CLEAR, np.uint8)
    cells[:count, :height, :width] = tiles
    for cell, mask in zip(cells, captions, strict=False):
        area = cell[height + 2 : height + 2 + len(mask), : mask.shape[1]]
        area[...] = CLEAR + (mask.astype(np.uint16) * (TEXT_LEVELS - 1) + 127) // 255
    grid = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid.reshape(rows * cells.shape[1], -1)[:-GAP, :-GAP])


def _palette(colormap: Colormap, text_color: tuple[int, int, int]) -> np.ndarray:
    palette = np.empty((256, 4), np.uint8)
    palette[:LEVELS, :3] = color_table(colormap)
    palette[MISSING, :3] = MISSING_COLOR
    palette[CLEAR:, :3] = text_color
    palette[:CLEAR, 3] = 255
    palette[CLEAR:, 3] = np.linspace(0, 255, TEXT_LEVELS)
    return palette


def _palette_png(codes: np.ndarray, palette: np.ndarray, **options: bytes) -> bytes:
    """Encode a picture of palette codes, with fast compression."""
    picture = Image.fromarray(codes, mode="P")
    picture.putpalette(palette.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, **options)
    return file.getvalue()


def _check_size(maps: np.ndarray, picked: np.ndarray, tile: int, columns: int) -> None:
    """Refuse a mosaic that would take gigabytes."""
    height, width = tile_shape(maps.shape[:2], tile)
    columns = min(len(picked), columns)
    rows = -(-len(picked) // columns)
    check_area(rows * (height + line_height(font_size(tile)) + 2 + GAP), columns * (width + GAP))


def _checked(
    maps: np.ndarray,
    channels: Sequence[int] | np.ndarray | None,
    scale: str,
    tile: int,
) -> tuple[np.ndarray, np.ndarray]:
    maps = checked_numbers("maps", maps)
    if maps.ndim != 3 or maps.size == 0:
        raise FeatlibError(f"Received maps of shape {maps.shape}; one image's feature maps (h, w, c) are needed.")
    picked = np.arange(maps.shape[2]) if channels is None else as_array("channels", channels)
    whole = picked.ndim == 1 and picked.size and picked.dtype.kind in "iu"
    if not whole or picked.min() < 0 or picked.max() >= maps.shape[2]:
        raise FeatlibError(f"Received channels {shown(channels)}; choose some of 0 to {maps.shape[2] - 1}.")
    choice("scale", scale, get_args(Scale))
    checked_side("tile", tile, 8)
    return maps, picked
