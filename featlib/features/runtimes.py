"""Run a network on batches: Keras as it is, one compiled TensorFlow graph, or OpenVINO.

Each compiled graph is checked against Keras on two real photographs before it is used. The TensorFlow graph is compiled
with batch normalizations folded. Its variables stay variables: freezing them gained nothing on top of that, and it cost
0.4 to 4 seconds and a copy of all weights for each choice of layers (MobileNetV2, ResNet50).
"""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from featlib.checks import choice, sequence, shown, whole_number
from featlib.errors import FeatlibError, FeatlibWarning
from featlib.features.taps import Tap, check_rows, run_eagerly, tap_and_pool
from featlib.images import load_samples
from featlib.models import Backbone, as_backbone
from featlib.text import escaped, keras_reason

RuntimeName = Literal["auto", "tensorflow", "openvino"]
Precision = Literal["float32", "bfloat16"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
EAGER_IMAGES = 4  # up to here compiling a graph (0.5 to 0.8 s) costs more than it saves
OPENVINO_IMAGES = 1000  # from here OpenVINO saves more than the seconds in which it converts a network
COMPILED = 16  # graphs cached per backbone
SLICE = 4  # images that OpenVINO takes at once: more are slower, and take more memory
TOLERANCE = 1e-4  # of the largest value
THREADS = "FEATLIB_THREADS"  # the environment variable that gives a process its share of the machine

Run = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Runtime:
    """A network ready to run on batches.

    Attributes:
        name: "keras" (not compiled), "tensorflow" or "openvino".
        run: (n, height, width, channels) float32 -> one float32 array per tap, with n rows.
        precision: "float32" or "bfloat16".
        error: Largest difference to Keras on two photographs, relative to the largest value of each tap; 0 for Keras.
        note: One sentence where a faster runtime failed and was not used; else empty.
    """

    name: str
    run: Run = field(repr=False)
    precision: str = "float32"
    error: float = 0.0
    note: str = ""

    @property
    def at_once(self) -> int:
        """How many batches are best run at the same time: OpenVINO takes one on each core, the others all cores."""
        return cores() if self.name == "openvino" else 1


def cores() -> int:
    """Return the number in the environment variable FEATLIB_THREADS, or else the cores that this process may use.

    Raises:
        FeatlibError: The variable holds something other than a whole number of at least 1.
    """
    threads = os.environ.get(THREADS, "").strip()
    if threads:
        if not threads.isdecimal() or not int(threads):
            raise FeatlibError(f"{THREADS} must be a whole number of at least 1. Received: {threads!r}.")
        return int(threads)
    if hasattr(os, "sched_getaffinity"):  # fewer than the machine has under `taskset`, a scheduler or a container
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_runtime(runtime: RuntimeName, precision: Precision) -> None:
    """Check that a runtime and a precision are available on this machine.

    Raises:
        FeatlibError: One is unknown, or OpenVINO is needed and not installed.
    """
    choice("runtime", runtime, RUNTIMES)
    choice("precision", precision, PRECISIONS)
    if precision == "bfloat16" and runtime == "tensorflow":
        raise FeatlibError("precision='bfloat16' needs OpenVINO: on a processor TensorFlow gains nothing from it.")
    if (runtime == "openvino" or precision == "bfloat16") and not has_openvino():
        raise FeatlibError("OpenVINO is not installed. Install it with: pip install openvino")


def has_openvino() -> bool:
    """Return whether OpenVINO is installed (the extra `fast`)."""
    return importlib.util.find_spec("openvino") is not None


_guard = threading.Lock()
_locks: weakref.WeakKeyDictionary[Backbone, threading.RLock] = weakref.WeakKeyDictionary()
_compiled: weakref.WeakKeyDictionary[Backbone, dict[Any, Runtime]] = weakref.WeakKeyDictionary()


def make_runtime(
    backbone: str | Path | Backbone,
    taps: Sequence[Tap],
    runtime: RuntimeName = "auto",
    *,
    precision: Precision = "float32",
    n_images: int | None = None,
) -> Runtime:
    """Make a runtime for a network up to the taps, or return the one that was compiled before.

    "auto" does not compile for up to 4 images, takes OpenVINO where it is installed and there are 1,000 images or more
    to pay for its start, and otherwise TensorFlow, which it also takes where TensorFlow sees a GPU.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        taps: Layers and poolings.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32", or "bfloat16": about twice as fast where the processor has it; needs OpenVINO.
        n_images: The number of images to run; None for many.

    Returns:
        The runtime, checked against Keras.

    Raises:
        FeatlibError: An unknown runtime or precision, OpenVINO is not installed, or the requested runtime cannot run
            this network as Keras does.
        LayerNotFoundError: A path is unknown, or the layer has no accessible output.

    Warns:
        FeatlibWarning: A runtime cannot run this network as Keras does and another is used; or the error of bfloat16.
    """
    taps = tuple(_checked_taps(taps))
    check_runtime(runtime, precision)
    if n_images is not None:
        whole_number("n_images", n_images, 0)
    given = backbone
    backbone = as_backbone(given)
    with _guard:
        lock = _locks.setdefault(backbone, threading.RLock())
    with lock:
        cached = _compiled.setdefault(backbone, {})
        names = _candidates(runtime, precision, n_images)
        key = (names, runtime == "auto", precision, taps)
        found = cached.get(key)
        if found is None and runtime == "auto" and n_images is not None and n_images < OPENVINO_IMAGES:
            found = next((cached[other] for other in cached if other[2:] == key[2:]), None)
            if found is None and n_images <= EAGER_IMAGES and precision == "float32":
                return Runtime("keras", lambda batch: run_eagerly(backbone, taps, batch))
        if found is None:
            found = _first_that_agrees(backbone, taps, names, precision, requested=runtime != "auto")
            while len(cached) >= COMPILED:
                cached.pop(next(iter(cached)))
            cached[key] = found
    return found if given is backbone else replace(found, run=_keeping_alive(backbone, found.run))


def _keeping_alive(backbone: Backbone, run: Run) -> Run:
    """Run a network of which the caller has only the name."""

    def run_with(batch: np.ndarray, _network: Backbone = backbone) -> list[np.ndarray]:
        return run(batch)

    return run_with


def _checked_taps(taps: Sequence[Tap]) -> Iterator[Tap]:
    for tap in sequence("taps", taps, "a list of Tap"):
        if not (isinstance(tap, tuple) and len(tap) == 2 and isinstance(tap[0], str)):
            raise FeatlibError(f"taps must be a list of Tap(layer, pooling). Received in it: {shown(tap)}.")
        yield Tap(*tap)


def _candidates(runtime: RuntimeName, precision: Precision, n_images: int | None) -> tuple[str, ...]:
    if runtime != "auto":
        return (runtime,)
    if precision == "bfloat16":
        return ("openvino",)
    if (n_images is None or n_images >= OPENVINO_IMAGES) and has_openvino():
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            return ("openvino", "tensorflow")
    return ("tensorflow",)


_TITLES = {"openvino": "OpenVINO", "tensorflow": "The folded graph", "unfolded": "A compiled graph"}


def _first_that_agrees(
    backbone: Backbone, taps: tuple[Tap, ...], names: Sequence[str], precision: Precision, *, requested: bool
) -> Runtime:
    photos = backbone.prepare(load_samples("photos")[:2])
    expected = run_eagerly(backbone, taps, photos)
    note, found = "", None
    for name in (*names, "unfolded"):
        try:
            if name == "openvino":
                run = _convert(backbone, taps, precision)
            else:
                run = _compile(backbone, taps, folded=name == "tensorflow")
            error = _largest_error(check_rows(backbone, taps, run(photos), len(photos)), expected)
        except Exception as reason:  # noqa: BLE001 - OpenVINO raises bare Exception, custom layers anything
            problem = f"cannot run '{backbone.name}' ({_why(reason)})"
        else:
            if error <= TOLERANCE or precision == "bfloat16":
                found = Runtime("tensorflow" if name == "unfolded" else name, run, precision, error, note)
                break
            problem = f"differs from Keras by {error:.1e} of the largest value, and {TOLERANCE:.0e} is allowed"
        if (requested or precision == "bfloat16") and name == "openvino":
            raise FeatlibError(f"OpenVINO {problem} here. Use runtime='tensorflow' and precision='float32'.")
        note = f"{_TITLES[name]} {problem}, so it is not used."
    found = found or replace(_eager(backbone, taps), note=note)
    if precision == "bfloat16":
        note = f"{precision}: vectors differ by up to {found.error:.1%} of the largest value."
    if note:
        warnings.warn(note, FeatlibWarning, stacklevel=3)
    return found


def _why(error: Exception) -> str:
    """Name the operations that OpenVINO does not know, or what else is wrong."""
    unknown = re.search(r"No conversion rule found for operations: .*", str(error))
    return escaped(unknown[0])[:200] if unknown else keras_reason(error)


def _eager(backbone: Backbone, taps: tuple[Tap, ...]) -> Runtime:
    alive = weakref.ref(backbone)  # a cached runtime must not keep the network alive
    return Runtime("keras", lambda batch: run_eagerly(alive(), taps, batch))  # type: ignore[arg-type]


def _largest_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest difference relative to each array's largest value; infinite where only one is finite."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            return float("inf")
        finite = np.isfinite(other)
        largest = np.abs(other[finite]).max(initial=0.0)
        difference = np.abs(one[finite] - other[finite]).max(initial=0.0)
        worst = max(worst, float(difference / largest) if largest else float(difference))
    return worst


def _trace(backbone: Backbone, taps: tuple[Tap, ...], *, folded: bool) -> Any:  # noqa: ANN401 - a tf.function
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *backbone.input_shape), tf.float32)]
    return tf.function(tap_and_pool(backbone, taps, folded=folded), input_signature=signature, autograph=False)


def _compile(backbone: Backbone, taps: tuple[Tap, ...], *, folded: bool) -> Run:
    import tensorflow as tf

    graph = _trace(backbone, taps, folded=folded).get_concrete_function()
    return lambda batch: [output.numpy() for output in graph(tf.convert_to_tensor(batch))]


def _convert(backbone: Backbone, taps: tuple[Tap, ...], precision: Precision) -> Run:
    import openvino

    network = openvino.convert_model(_trace(backbone, taps, folded=False))  # it folds by itself
    settings = {
        "NUM_STREAMS": cores(),  # a batch per core: threads that wait for each other cost a third more
        "INFERENCE_NUM_THREADS": cores(),
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    compiled = openvino.Core().compile_model(network, "CPU", settings)
    # OpenVINO sorts a function's outputs by name, "Identity_10" before "Identity_2".
    ports = [compiled.output(f"Identity_{i}:0" if i else "Identity:0") for i in range(len(taps))]
    idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(cores()):
        idle.put(compiled.create_infer_request())

    def run(batch: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = []
        request = idle.get()
        try:
            for start in range(0, len(batch), SLICE):
                part = np.ascontiguousarray(batch[start : start + SLICE])
                results = request.infer([part], share_inputs=True)
                parts = [results[port] for port in ports]
                outputs = outputs or [np.empty((len(batch), *output.shape[1:]), np.float32) for output in parts]
                for output, values in zip(outputs, parts, strict=True):
                    output[start : start + len(part)] = values
        finally:
            idle.put(request)
        return outputs

    return run
