"""Shared fixtures: the embedded model, real photographs, and a tiny seeded model for edge cases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.distribution import Scheduler, place

SHARED = Path(__file__).resolve().parents[2] / "shared" / "keras_home"
KERAS_HOME = SHARED if SHARED.is_dir() else Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
NO_WEIGHTS = "needs Keras' MobileNetV2 weights, and they could not be downloaded"  # .ci/run knows this sentence
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_HOME"] = str(KERAS_HOME)  # read once, when keras is imported


def pytest_addoption(parser):
    parser.addoption("--update-pictures", action="store_true", help="take the README's pictures again")


def pytest_xdist_make_scheduler(config, log):
    return Scheduler(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.nodeid))
    for item in items:
        if "keras_home" in item.keywords:
            item.fixturenames.insert(0, "keras_weights")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Make what a test has logged fit for another process: some tests log names that are not Unicode."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session")
def keras_weights():
    """Keras' files for MobileNetV2: in ../shared/keras_home, else downloaded by Keras, else the test is skipped."""
    if SHARED.is_dir():
        return
    import keras
    import numpy as np

    try:
        for options in ({}, {"include_top": False}, {"include_top": False, "alpha": 0.35}):
            keras.applications.MobileNetV2(**options)
        keras.applications.mobilenet_v2.decode_predictions(np.zeros((1, 1000)))
    except Exception:  # noqa: BLE001 - Keras raises whatever its download met
        pytest.skip(NO_WEIGHTS)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """Keep tests, and the processes they start, away from the user's own vector cache."""
    before = os.environ.get("FEATLIB_HOME")
    os.environ["FEATLIB_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ["FEATLIB_HOME"]
    else:
        os.environ["FEATLIB_HOME"] = before


@pytest.fixture(scope="session")
def photos():
    from featlib.images import load_samples

    return load_samples("photos")


@pytest.fixture(scope="session")
def lite0():
    from featlib.models import load_backbone

    return load_backbone("EfficientNetLite0")


@pytest.fixture(scope="session")
def mobilenet():
    from featlib.models import load_backbone

    return load_backbone("MobileNetV2")


@pytest.fixture(scope="session")
def tiny():
    """A seeded Functional model of 32 × 32 images, 5 classes, with a branch and a `keras.ops` node."""
    import keras

    from featlib.models import load_backbone

    keras.utils.set_random_seed(7)
    inputs = keras.Input((32, 32, 3), name="pixels")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv")(inputs)
    y = keras.layers.Conv2D(8, 3, padding="same", name="side")(x)
    x = keras.layers.Add(name="join")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.ops.relu(x))
    outputs = keras.layers.Dense(5, activation="softmax", name="classes")(x)
    return load_backbone(keras.Model(inputs, outputs, name="tiny"), preprocessing="none")
