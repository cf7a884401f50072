"""ImageSet: an ordered, immutable batch of images with names and labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, overload

import numpy as np

from featlib.checks import seed, shown, whole_number
from featlib.errors import FeatlibError
from featlib.images.item import ImageItem, ImageProblem
from featlib.text import printable

if TYPE_CHECKING:
    import pandas as pd

MAX_THUMBNAILS = 24  # of a set in a notebook

Index = slice | Sequence[int] | Sequence[bool] | np.ndarray


@dataclass(frozen=True, repr=False)
class ImageSet(Sequence[ImageItem]):
    """A batch of images in a fixed order.

    `images[3]` is an ImageItem; `images[:10]`, `images[[4, 2]]` and `images[mask]` are ImageSets.

    Attributes:
        name: The set's name on screen.
        items: The images.
        problems: The images that were skipped when loading, and why; none for a part of a set.
    """

    name: str
    items: tuple[ImageItem, ...]
    problems: tuple[ImageProblem, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The images' content digests, in order."""
        return tuple(item.id for item in self.items)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The images' names, in order. They need not be unique."""
        return tuple(item.name for item in self.items)

    @cached_property
    def label_columns(self) -> tuple[str, ...]:
        """The label columns that any image has, in order of appearance."""
        return tuple(dict.fromkeys(column for item in self.items for column in item.labels))

    @property
    def labels(self) -> np.ndarray | None:
        """The first label column as (n,) str, or None for a set without labels."""
        return self.labels_for(self.label_columns[0]) if self.label_columns else None

    def labels_for(self, column: str) -> np.ndarray:
        """Return one label column as (n,) str; "" where an image has no such label.

        Raises:
            FeatlibError: If no image has this column.
        """
        self._check_column(column)
        return np.array([item.labels.get(column, "") for item in self.items], dtype=np.str_)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the ids in order: the same for the same images, whatever their source."""
        return hashlib.blake2b("\n".join(self.ids).encode(), digest_size=20).hexdigest()

    def sample(self, n: int, *, by: str | None = None, random_state: int = 0) -> ImageSet:
        """Draw at most `n` images without repeats and keep their order.

        Args:
            n: How many, at least 1. A set with no more than `n` images is returned whole.
            by: A label column: each label gets an equal share, as far as its images allow.
            random_state: The seed.

        Raises:
            FeatlibError: If `n` is below 1, or there is no such column.
        """
        whole_number("n, the number of images to draw,", n)
        random_state = seed(random_state)
        if by is not None:
            self._check_column(by)
        if n >= len(self):
            return self
        drawn: Counter[str] = Counter()
        ranked = []
        for position, index in enumerate(np.random.default_rng(random_state).permutation(len(self))):
            label = "" if by is None else self.items[index].labels.get(by, "")
            # Round-robin: the first image of every label ranks before the second of any.
            ranked.append((drawn[label], position, int(index)))
            drawn[label] += 1
        return self[sorted(index for _, _, index in sorted(ranked)[:n])]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ImageItem]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> ImageItem: ...

    @overload
    def __getitem__(self, index: Index) -> ImageSet: ...

    def __getitem__(self, index: int | Index) -> ImageItem | ImageSet:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"There is no image {shown(index)}: '{self.name}' has {_count(len(self), 'image')}.")
            return self.items[index]
        return ImageSet(self.name, tuple(self[i] for i in self._positions(index)))

    def __repr__(self) -> str:
        parts = [repr(self.name), _count(len(self), "image")]
        if self.label_columns:
            parts.append("labels " + ", ".join(self.label_columns))
        if self.problems:
            parts.append(_count(len(self.problems), "problem"))
        return f"ImageSet({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        more = len(self) - MAX_THUMBNAILS
        rest = f"<div>and {more:,} more</div>" if more > 0 else ""
        figures = "".join(item._repr_html_() for item in self.items[:MAX_THUMBNAILS])
        return f"<div>{escape(printable(repr(self)))}</div><div>{figures}</div>{rest}"

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: one row per image, with its name as index, its id and its labels."""
        import pandas as pd

        columns = {"id": self.ids} | {f"label:{column}": self.labels_for(column) for column in self.label_columns}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="name"))

    def _positions(self, index: Index) -> list[int]:
        if isinstance(index, slice):
            return list(range(*index.indices(len(self))))
        array = np.asarray(index)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
            raise TypeError(
                f"Received {index!r} as an index: use an int, a slice, a list of ints or a mask of {len(self)} bools."
            )
        if array.dtype.kind == "b":
            if len(array) != len(self):
                raise IndexError(f"The mask has {len(array)} values, and the set has {len(self)} images.")
            array = np.flatnonzero(array)
        return [int(i) for i in array]

    def _check_column(self, column: str) -> None:
        if not isinstance(column, str) or column not in self.label_columns:
            known = ", ".join(repr(c) for c in self.label_columns)
            raise FeatlibError(
                f"'{self.name}' has no label column {shown(column)}: "
                + (f"it has {known}." if known else "it has no labels; put each class into its own folder.")
            )


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}" + ("" if n == 1 else "s")
