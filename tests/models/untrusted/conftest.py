"""The honest network whose files the tests bend."""

from __future__ import annotations

import pytest

from tests.models.untrusted.files import Good


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.Sequential([keras.layers.ReLU(name="relu")], name="inner")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="classes")(x), name="good")
    folder = tmp_path_factory.mktemp("good")
    model.save(folder / "good.keras")
    model.save(folder / "good.h5")
    return Good((folder / "good.keras").read_bytes(), (folder / "good.h5").read_bytes())
