"""What runs a network: every runtime gives what Keras gives, and one that does not is not used."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref

import keras
import numpy as np
import pytest

import featlib.features.runtimes as runtimes
from featlib.errors import FeatlibError
from featlib.features.runtimes import cores, make_runtime
from featlib.features.taps import Tap, run_eagerly, tap_and_pool
from featlib.models import load_backbone

NETWORKS = {
    "EfficientNetLite0": {},
    "MobileNetV3Small": {"weights": None, "input_shape": (96, 96, 3)},
    "ResNet50V2": {"weights": None, "include_top": False, "input_shape": (64, 64, 3)},
}


@pytest.fixture(
    scope="module",
    params=["EfficientNetLite0", "MobileNetV3Small", pytest.param("ResNet50V2", marks=pytest.mark.slow)],
)
def backbone(request):
    keras.utils.set_random_seed(1)
    return load_backbone(request.param, **NETWORKS[request.param])


def largest_difference(found, expected) -> float:
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["tensorflow", "openvino"])
def test_many_layers_and_poolings_equal_keras(backbone, photos, name):
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    ends = [layer.path for layer in backbone.layers if layer.stage_end]
    taps = [Tap(path, pooling) for path in ends for pooling in ("avg", "max")] + [Tap(ends[-1], "flatten")]
    network = make_runtime(backbone, taps, name)
    assert (network.name, network.precision, network.note) == (name, "float32", "")
    for n in (1, 7):
        batch = backbone.prepare(photos[:n])
        expected = run_eagerly(backbone, taps, batch)
        assert [output.shape for output in network.run(batch)] == [output.shape for output in expected]
        assert largest_difference(network.run(batch), expected) < 1e-4
    assert network.error < 1e-4
    assert make_runtime(backbone, taps, name) is network


@pytest.mark.slow
def test_bfloat16_is_told_with_its_error(lite0, photos):
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    taps = [Tap("head_relu")]
    network = make_runtime(lite0, taps, "openvino", precision="bfloat16")
    batch = lite0.prepare(photos[:2])  # the two photographs that every runtime is checked on
    assert network.error == pytest.approx(largest_difference(network.run(batch), run_eagerly(lite0, taps, batch)))


def test_auto_compiles_where_it_pays(tiny):
    taps = [Tap("join"), Tap("side", "max")]
    assert make_runtime(tiny, taps, n_images=4).name == "keras"
    assert make_runtime(tiny, taps, n_images=5).name == "tensorflow"
    assert make_runtime(tiny, taps, n_images=4).name == "tensorflow"  # it is there already
    many = make_runtime(tiny, taps, n_images=runtimes.OPENVINO_IMAGES)
    assert many.name == ("openvino" if runtimes.has_openvino() else "tensorflow")


def test_a_runtime_that_differs_from_keras_is_not_used(tiny, photos, monkeypatch):
    def wrong(backbone, taps, *, folded):
        run = tap_and_pool(backbone, taps)
        return lambda batch: [output * (1.01 if folded else 1) for output in run(batch)]

    monkeypatch.setattr(runtimes, "tap_and_pool", wrong)
    with pytest.warns(RuntimeWarning, match=r"folded graph differs from Keras by 1\.0e-02 .* so it is not used"):
        network = make_runtime(tiny, [Tap("conv"), Tap("side")], "tensorflow")
    batch = tiny.prepare(photos)
    np.testing.assert_allclose(network.run(batch)[1], run_eagerly(tiny, [Tap("side")], batch)[0], rtol=1e-5)


class ByNumPy(keras.layers.Layer):
    """Works on numbers that are there, and so in no graph."""

    def call(self, x):
        return keras.ops.convert_to_tensor(np.asarray(x) * 2)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("runtime", ["auto", "tensorflow"])
def test_a_network_that_cannot_be_compiled_runs_as_it_is(photos, runtime):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, ByNumPy(name="twice")(keras.layers.Conv2D(4, 3, name="conv")(inputs)))
    backbone = load_backbone(model, preprocessing="none")
    with pytest.warns(RuntimeWarning, match=r"A compiled graph cannot run .* so it is not used"):
        network = make_runtime(backbone, [Tap("twice")], runtime, n_images=10)
    batch = backbone.prepare(photos)
    assert network.name == "keras"
    np.testing.assert_allclose(network.run(batch)[0], 2 * run_eagerly(backbone, [Tap("conv")], batch)[0], rtol=1e-5)
    gone = weakref.ref(backbone)
    del backbone, network
    gc.collect()
    assert gone() is None, "what is kept does not keep the network"


def recurrent():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.GRU(4, name="last")(keras.layers.Reshape((16, 48))(inputs)), name="net")


def with_a_space():
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Conv2D(4, 3, name="my conv")(inputs)
    return keras.Model(inputs, keras.layers.ReLU(name="last")(hidden), name="net")


def with_a_spectrum():
    inputs = keras.Input((16, 16, 3))
    real, imaginary = keras.ops.fft2((inputs, keras.ops.zeros_like(inputs)))
    return keras.Model(inputs, keras.layers.Add(name="last")([real, imaginary]), name="net")


def with_memory():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.LSTM(4, name="last")(keras.layers.Reshape((16, 48))(inputs)), name="net")


@pytest.mark.parametrize("name", ["tensorflow", "openvino"])
def test_names_with_spaces_run_everywhere(photos, name, recwarn):
    """TensorFlow refuses them as names of operations."""
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    backbone = load_backbone(with_a_space(), preprocessing="none")
    network, batch = make_runtime(backbone, [Tap("last")], name), backbone.prepare(photos)
    assert (network.name, network.note, list(recwarn)) == (name, "", [])
    assert largest_difference(network.run(batch), run_eagerly(backbone, [Tap("last")], batch)) < 1e-4


@pytest.mark.parametrize(
    "make", [recurrent, *(pytest.param(make, marks=pytest.mark.slow) for make in (with_memory, with_a_spectrum))]
)
def test_what_openvino_cannot_convert_runs_in_tensorflow(photos, make):
    """OpenVINO raises its OpConversionFailure."""
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    backbone, taps = load_backbone(make(), preprocessing="none"), [Tap("last")]
    why = r"cannot run '.*' \(No conversion rule found for operations: [\w, ]+\), so it is not used"
    with pytest.warns(RuntimeWarning, match=why):
        network = make_runtime(backbone, taps, n_images=runtimes.OPENVINO_IMAGES)
    assert network.name in ("tensorflow", "keras")
    batch = backbone.prepare(photos)
    assert largest_difference(network.run(batch), run_eagerly(backbone, taps, batch)) < 1e-4


@pytest.mark.slow
def test_what_openvino_cannot_convert_is_an_error_where_openvino_is_requested():
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    backbone, taps = load_backbone(recurrent(), preprocessing="none"), [Tap("last")]
    with pytest.raises(FeatlibError, match=r"OpenVINO cannot run '.*' \(.+\) here. Use runtime='tensorflow'"):
        make_runtime(backbone, taps, "openvino")
    with pytest.raises(FeatlibError, match=r"cannot run '.* precision='float32'"):  # never float32 unless requested
        make_runtime(backbone, taps, precision="bfloat16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "onnx"}, "runtime must be 'auto', 'tensorflow' or 'openvino'. Received: 'onnx'"),
        ({"precision": "float16"}, "precision must be 'float32' or 'bfloat16'. Received: 'float16'"),
        ({"runtime": "tensorflow", "precision": "bfloat16"}, "needs OpenVINO"),
    ],
)
def test_what_cannot_be_had(tiny, options, message):
    with pytest.raises(FeatlibError, match=message):
        make_runtime(tiny, [Tap("conv")], **options)


def test_without_openvino_it_is_told_how_to_get_it(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # so Python takes it for not installed
    with pytest.raises(FeatlibError, match=r"pip install openvino"):
        make_runtime(tiny, [Tap("conv")], "openvino")


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        assert cores() == len(os.sched_getaffinity(0))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
        assert cores() == 1
    monkeypatch.setenv("FEATLIB_THREADS", " 5")
    assert cores() == 5
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv("FEATLIB_THREADS", wrong)
        with pytest.raises(FeatlibError, match=f"whole number of at least 1. Received: '{wrong}'"):
            cores()


@pytest.mark.parametrize("name", ["tensorflow", "openvino"])
def test_four_threads_at_once(lite0, photos, name):
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    network = make_runtime(lite0, [Tap("block4_add"), Tap("block4_add", "max")], name)
    batches = [lite0.prepare(photos[i : i + 3]) for i in range(4)]
    expected = [network.run(batch) for batch in batches]
    found = [None] * 4

    def work(i):
        for _ in range(3):
            found[i] = network.run(batches[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        assert largest_difference(one, other) < 1e-5


def test_compiled_graphs_do_not_pile_up(tiny):
    paths = [layer.path for layer in tiny.layers if not layer.reason]
    taps = [Tap(path, pooling) for path in paths for pooling in ("avg", "max", "flatten")]
    made = [make_runtime(tiny, [tap], "tensorflow") for tap in taps[: runtimes.COMPILED + 1]]
    assert all(make_runtime(tiny, [tap], "tensorflow") is run for tap, run in list(zip(taps, made, strict=False))[1:])
    assert make_runtime(tiny, taps[:1], "tensorflow") is not made[0]  # the oldest was dropped
