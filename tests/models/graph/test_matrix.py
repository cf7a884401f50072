"""Every network of keras.applications, wrapped as people wrap them: each tap equals a run of the whole model.

Wrappings test how inner graphs are flattened, so three networks of different build are wrapped in every way, and saved
and loaded in both formats; all others are checked as they are, and inside a transfer network.
"""

import inspect

import keras
import numpy as np
import pytest
from keras import layers

from featlib.models import load_backbone
from featlib.models.untrusted.inspection import inspect_model
from featlib.models.untrusted.opening import load_copy
from tests.models.oracle import check_all_taps

SIDE = 80
WRAPPED = ("MobileNetV2", "ConvNeXtTiny", "NASNetMobile")
QUICK = "MobileNetV3Small"  # in the default tier: blocks with ways around them, and operations that are no layers
ALL = sorted(name for name, build in vars(keras.applications).items() if inspect.isfunction(build))


def image_input():
    return layers.Input((SIDE, SIDE, 3), name="image")


def in_sequential(base):
    return keras.Sequential([image_input(), base, layers.GlobalAveragePooling2D(name="gap")])


def in_functional(base):
    image = image_input()
    return keras.Model(image, layers.Dense(3, name="head")(layers.GlobalMaxPooling2D(name="gmp")(base(image))))


def transfer(base):
    image = image_input()
    x = layers.RandomFlip("horizontal", name="flip")(image)
    x = base(layers.Rescaling(1 / 127.5, -1, name="scale")(x), training=False)
    x = layers.Dropout(0.2, name="drop")(layers.GlobalAveragePooling2D(name="gap")(x))
    return keras.Model(image, layers.Dense(5, activation="softmax", name="classes")(x), name="transfer")


def two_levels(base):
    image = image_input()
    inner = keras.Sequential([image_input(), base, layers.ReLU(name="positive")], name="inner")
    return keras.Model(image, layers.GlobalAveragePooling2D(name="gap")(inner(image)), name="outer")


WRAPPINGS = {
    "as is": lambda base: base,
    "augment, rescale, base, head": transfer,
    "in a Sequential": in_sequential,
    "inside a Functional": in_functional,
    "two levels deep": two_levels,
}
COMMON_WRAPPINGS = ("as is", "augment, rescale, base, head")


def check(model, images):
    return check_all_taps(load_backbone(model, preprocessing="none"), images)


def built(name):
    """A network of Keras with random weights, and an image for it."""
    keras.utils.set_random_seed(0)
    base = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    return base, np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")


def check_wrapped(base, images, wrappings):
    """Wrapping -> how many taps were checked."""
    counts = {wrapping: check(wrap(base), images) for wrapping, wrap in wrappings.items()}
    assert min(counts.values()) >= len(base.operations) - 1  # all but the input
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPED)
def test_every_layer_of_every_wrapping(name, tmp_path, record_property):
    """A plain network, one with inner models, and one whose blocks all have ways around them."""
    base, images = built(name)
    counts = check_wrapped(base, images, WRAPPINGS)
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        transfer(base).save(path)
        path.write_bytes(inspect_model(path.read_bytes()).content)  # in this process: others take seconds to start
        loaded = load_copy(path)
        path.unlink()
        counts[f"saved as {suffix}"] = check(loaded, images)
        assert counts[f"saved as {suffix}"] == counts["augment, rescale, base, head"]
    record_property("taps", counts)


@pytest.mark.parametrize(
    "name",
    [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL if name not in WRAPPED],
)
def test_every_layer_of_every_other_network(name, record_property):
    """As they are and inside a transfer network."""
    base, images = built(name)
    record_property("taps", check_wrapped(base, images, {name: WRAPPINGS[name] for name in COMMON_WRAPPINGS}))
