"""What a long run computes: the description that an interrupted run is compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from featlib.errors import ImageError
from featlib.features.engine import Engine
from featlib.features.files import plain_text
from featlib.features.vectors import Origin
from featlib.images import ImageEntry, ImageProblem, open_image


@dataclass(frozen=True)
class Job:
    """What is computed: all of it must be equal for a run to be resumed.

    Attributes:
        origin: The network, layers, pooling and resizer of the vectors.
        l2_normalize: Whether each layer's part is scaled to length 1.
        precision: "float32" or "bfloat16".
        images: A digest of the list of images.
        total: How many images there are, readable or not.
        label_columns: The columns of which any image has a label.
    """

    origin: Origin
    l2_normalize: bool
    precision: str
    images: str
    total: int
    label_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: Engine, images: Sequence[ImageEntry], *, l2_normalize: bool) -> Job:
        """Describe what an engine computes of a list of images."""
        labels = (image.labels for image in images if not isinstance(image, ImageProblem))
        return cls(
            origin=Origin.of(engine),
            l2_normalize=l2_normalize,
            precision=engine.options.precision,
            images=_digest(images),
            total=len(images),
            label_columns=tuple(dict.fromkeys(plain_text(column) for own in labels for column in own)),
        )

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return len(self.origin.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON has it."""
        names = ("l2_normalize", "precision", "images", "total")
        return json.loads(self.origin.to_json()) | {name: getattr(self, name) for name in names}


def _digest(images: Sequence[ImageEntry]) -> str:
    """Digest a list of images: their names, labels, and paths or, without a path, contents."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        labels = None if isinstance(image, ImageProblem) else dict(image.labels)
        if isinstance(image, ImageProblem):
            known = image.reason
        elif image.id:
            known = image.id
        elif image.path is not None:
            known = str(image.path.absolute())
        else:
            try:
                known = open_image(image).item.id
            except ImageError as error:
                known = str(error)
        digest.update(repr((image.name, known, labels)).encode(errors="surrogatepass"))
    return digest.hexdigest()
