"""What Keras itself computes: every call of every operation, watched while the whole model runs."""

from collections import defaultdict
from contextlib import contextmanager

import keras
import numpy as np

from featlib.features import tap_layers


@contextmanager
def watched_calls():
    """Operation id -> the flat outputs of each of its calls, in order."""
    calls = defaultdict(list)
    original = keras.Operation.__call__

    def watch(self, *args, **kwargs):
        outputs = original(self, *args, **kwargs)
        calls[id(self)].append(keras.tree.flatten(outputs))
        return outputs

    keras.Operation.__call__ = watch
    try:
        yield calls
    finally:
        keras.Operation.__call__ = original


def check_all_taps(backbone, x, inputs=None, rtol=1e-5):
    """Compares every layer that can be tapped with the same call in a run of the whole model; returns how many.

    Args:
        backbone: the network.
        x: (n, height, width, channels) as it enters.
        inputs: what the model itself is called with, where that is not `x`.
        rtol: allowed difference, as a share of the layer's largest value.
    """
    with watched_calls() as calls:
        backbone.model(x if inputs is None else inputs, training=False)
    infos = [layer for layer in backbone.layers if not layer.reason]
    tapped = tap_layers(backbone, [layer.path for layer in infos])(x)
    seen, last, checked = defaultdict(int), {}, 0
    for info, output in zip(infos, tapped, strict=True):
        call, ref = backbone.graph.targets[info.path]
        if info.class_name == "InputLayer":
            continue
        if last.get(id(call.operation)) is not call:
            last[id(call.operation)] = call
            seen[id(call.operation)] += 1
        expected = calls[id(call.operation)][seen[id(call.operation)] - 1][call.outputs.index(ref)]
        expected = keras.ops.convert_to_numpy(keras.ops.cast(expected, "float32"))
        if info.channels_first:
            expected = np.moveaxis(expected, 1, -1)
        assert tuple(output.shape[1:]) == info.output_shape, info
        limit = rtol * max(float(np.abs(expected).max()), 1e-6)
        np.testing.assert_allclose(output, expected, rtol=0, atol=limit, err_msg=info.path)
        checked += 1
    return checked
