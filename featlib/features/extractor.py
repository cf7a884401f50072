"""Extract features as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config  # it has no public name
from sklearn.utils.validation import check_is_fitted

from featlib.checks import flag, sequence, shown, whole_number
from featlib.errors import FeatlibError, ModelError
from featlib.features.engine import Engine, EngineOptions, raise_for_problems
from featlib.features.runtimes import Precision, RuntimeName
from featlib.features.store import VectorStore
from featlib.features.taps import Pooling
from featlib.features.vectors import Origin, combine_layers, vector_engine
from featlib.images import list_pending
from featlib.models import Backbone, as_backbone, is_model_path, load_backbone

SHAPE = "(height, width, channels)"

_shared_backbone = lru_cache(maxsize=4)(load_backbone)


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """Turn images into vectors: a scikit-learn transformer around a frozen network.

    Args:
        backbone: A network's name, the path of a model file, or a `Backbone`. `load_backbone(model, preprocessing=…)`
            makes one of a live model.
        layers: One layer path, or several to concatenate; None means the backbone's feature layer.
        pooling: "avg", "max", "flatten", or None for layers that have no height and width.
        weights: "imagenet", None for random, or a weights file; only for a name.
        include_top: Whether the model has its classification layers; only for a name.
        input_shape: (height, width, 3) in pixels, or None for the network's own; only for a name.
        l2_normalize: Whether each layer's part of the vector is scaled to length 1.
        layer_weights: One factor per layer, applied after the normalization.
        batch_size: Images in one forward pass.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32", or "bfloat16", which needs OpenVINO.
        cache: Where vectors are cached so that none is computed twice: None for no cache, True for the cache of this
            machine (`featlib cache` shows it), or a file.

    Attributes:
        layers_: The layer paths in use.
        n_features_out_: D, the length of a vector.
        feature_names_out_: D names, `layer:channel`.
        fingerprint_: The backbone's fingerprint.
    """

    def __init__(
        self,
        backbone: str | Path | Backbone = "EfficientNetLite0",
        *,
        layers: str | Sequence[str] | None = None,
        pooling: Pooling | None = "avg",
        weights: str | None = "imagenet",
        include_top: bool = True,
        input_shape: Sequence[int] | None = None,
        l2_normalize: bool = False,
        layer_weights: Sequence[float] | None = None,
        batch_size: int = 32,
        runtime: RuntimeName = "auto",
        precision: Precision = "float32",
        cache: str | Path | bool | None = None,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.pooling = pooling
        self.weights = weights
        self.include_top = include_top
        self.input_shape = input_shape
        self.l2_normalize = l2_normalize
        self.layer_weights = layer_weights
        self.batch_size = batch_size
        self.runtime = runtime
        self.precision = precision
        self.cache = cache

    def fit(self, X: object = None, y: object = None) -> FeatureExtractor:
        """Load the network and check the parameters. Nothing is learned from X or y.

        Raises:
            FeatlibError: A parameter is invalid; the message says which and what is allowed.
        """
        network = self._load()
        origin = Origin.of(self._engine(network, self.layers))
        self.n_features_out_ = len(origin.columns)
        self.layers_ = list(origin.layers)
        self.feature_names_out_ = np.array(origin.columns, dtype=object)
        self.fingerprint_ = network.fingerprint
        self._network = network
        return self

    def transform(self, X: object) -> np.ndarray:
        """Compute the vectors.

        Args:
            X: An ImageSet, a list of paths, bytes, PIL images or uint8 arrays, one (n, h, w, 3) array, or a DataFrame
                with one column of paths.

        Returns:
            (n, D) float32, in the order given. After `set_output(transform="pandas")` a DataFrame with the names of the
            images, which need not be unique, as its index; that of X if X is a Series or DataFrame of paths.

        Raises:
            ImageError: An image cannot be read.
        """
        check_is_fitted(self, "layers_")
        found, parts = self._engine(self._fitted_network(), self.layers_).run(list_pending(X))
        raise_for_problems(found)
        vectors = combine_layers(parts, self.layers_, self.l2_normalize, self.layer_weights)
        if _get_output_config("transform", self)["dense"] != "pandas" or hasattr(X, "iloc"):  # which has an index
            return vectors
        import pandas as pd

        return pd.DataFrame(vectors, index=pd.Index([image.name for image in found], name="name"))

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Name the D columns `layer:channel`."""
        check_is_fitted(self, "layers_")
        return self.feature_names_out_

    def _engine(self, network: Backbone, layers: str | Sequence[str] | None) -> Engine:
        options = EngineOptions(self.batch_size, self.runtime, self.precision, self._store())
        return vector_engine(
            network,
            layers,
            self.pooling,
            options,
            l2_normalize=self.l2_normalize,
            layer_weights=self.layer_weights,
        )

    def _store(self) -> VectorStore | None:
        if self.cache is None or self.cache is False:
            return None
        if self.cache is not True and not isinstance(self.cache, str | Path):
            raise FeatlibError(f"cache must be None, True, False or a file's path. Received: {shown(self.cache)}.")
        return VectorStore(None if self.cache is True else self.cache)

    def _load(self) -> Backbone:
        include_top = flag("include_top", self.include_top)
        if not isinstance(self.backbone, str | Path):
            return as_backbone(self.backbone)
        # A file may change under its name, so only fixed weights are shared.
        fixed = (
            isinstance(self.weights, str | None)
            and self.weights in (None, "imagenet")
            and not is_model_path(self.backbone)
        )
        load = _shared_backbone if fixed else load_backbone
        shape = None
        if self.input_shape is not None:
            shape = tuple(whole_number("input_shape", n) for n in sequence("input_shape", self.input_shape, SHAPE))
        return load(self.backbone, weights=self.weights, include_top=include_top, input_shape=shape)

    def _fitted_network(self) -> Backbone:
        if "_network" not in self.__dict__:
            network = self._load()
            if network.fingerprint != self.fingerprint_:
                raise ModelError(
                    f"'{network.name}' is not the network this extractor was fitted with: its weights or preprocessing "
                    "changed. Call fit again."
                )
            self._network = network
        return self._network

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_network"}

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own type
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
