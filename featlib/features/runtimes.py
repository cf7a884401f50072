"""What runs a network on batches: Keras as it is, one compiled TensorFlow graph, or OpenVINO.

Each compiled graph is checked against Keras on two real photographs before it is used. The TensorFlow graph is compiled
with batch normalizations folded. Its variables stay variables: freezing them gained nothing on top of that, and it cost
0.4 to 4 seconds and a copy of all weights for each choice of layers (MobileNetV2, ResNet50).
"""

from __future__ import annotations

import importlib.util
import os
import queue
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from featlib.errors import FeatlibError, FeatlibWarning
from featlib.features.taps import Tap, check_rows, run_eagerly, tap_and_pool
from featlib.models import Backbone

RuntimeName = Literal["auto", "tensorflow", "openvino"]
Precision = Literal["float32", "bfloat16"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
EAGER_IMAGES = 4  # up to here compiling a graph (0.5 to 0.8 s) costs more than it saves
OPENVINO_IMAGES = 1000  # from here OpenVINO saves more than the seconds in which it converts a network
COMPILED = 16  # graphs kept for each backbone
SLICE = 4  # images that OpenVINO takes at once: more are slower, and take more memory
TOLERANCE = 1e-4  # of the largest value
THREADS = "FEATLIB_THREADS"  # the environment variable that gives a process its share of the machine

Run = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Runtime:
    """A network ready to run on batches.

    Attributes:
        name: "keras" (not compiled), "tensorflow" or "openvino".
        run: (n, height, width, channels) float32 -> one float32 array a tap, with n rows.
        precision: "float32" or "bfloat16".
        error: largest difference to Keras on two photographs, relative to the largest value of each tap; 0 for Keras.
        note: one sentence where another runtime was to be used and was not; else empty.
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


def make_runtime(
    backbone: Backbone,
    taps: Sequence[Tap],
    runtime: RuntimeName = "auto",
    *,
    precision: Precision = "float32",
    n_images: int | None = None,
) -> Runtime:
    """Makes what runs a network up to the taps; what was compiled before is used again.

    "auto" does not compile for up to 4 images, takes OpenVINO where it is installed and there are 1,000 images or more
    to pay for its start, and else TensorFlow, which is also taken where it sees a GPU.

    Args:
        backbone: from `load_backbone`.
        taps: layers and poolings.
        runtime: "auto", "tensorflow" or "openvino".
        precision: "float32", or "bfloat16": about twice as fast where the processor has it; needs OpenVINO.
        n_images: how many images are to run; None for many.

    Returns:
        The runtime, checked against Keras.

    Raises:
        FeatlibError: an unknown runtime or precision, OpenVINO is not installed, or the runtime that was asked for
            cannot run this network as Keras does.
        LayerNotFoundError: a path is unknown, or its output cannot be had.

    Warns:
        FeatlibWarning: a runtime cannot run this network as Keras does and another was taken; or what bfloat16 costs.
    """
    taps = tuple(taps)
    check_runtime(runtime, precision)
    with _lock(backbone):
        kept = _compiled.setdefault(backbone, {})
        names = _candidates(runtime, precision, n_images)
        key = (names, runtime == "auto", precision, taps)
        found = kept.get(key)
        if found is None and runtime == "auto" and n_images is not None and n_images < OPENVINO_IMAGES:
            found = next((kept[other] for other in kept if other[2:] == key[2:]), None)
            if found is None and n_images <= EAGER_IMAGES and precision == "float32":
                return _eager(backbone, taps)
        if found is None:
            found = _first_that_agrees(backbone, taps, names, precision, asked=runtime != "auto")
            while len(kept) >= COMPILED:
                kept.pop(next(iter(kept)))
            kept[key] = found
        return found


def check_runtime(runtime: RuntimeName, precision: Precision) -> None:
    """Checks that a runtime and a precision can be had on this machine.

    Raises:
        FeatlibError: one is unknown, or OpenVINO is needed and not installed.
    """
    if runtime not in RUNTIMES:
        raise FeatlibError(f"runtime must be 'auto', 'tensorflow' or 'openvino'. Received: {runtime!r}.")
    if precision not in PRECISIONS:
        raise FeatlibError(f"precision must be 'float32' or 'bfloat16'. Received: {precision!r}.")
    if precision == "bfloat16" and runtime == "tensorflow":
        raise FeatlibError("precision='bfloat16' needs OpenVINO: on a processor TensorFlow gains nothing from it.")
    if (runtime == "openvino" or precision == "bfloat16") and not has_openvino():
        raise FeatlibError("OpenVINO is not installed. Install it with: pip install openvino")


def has_openvino() -> bool:
    """Whether OpenVINO is installed (the extra `fast`)."""
    return importlib.util.find_spec("openvino") is not None


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


_guard = threading.Lock()
_locks: weakref.WeakKeyDictionary[Backbone, threading.RLock] = weakref.WeakKeyDictionary()
_compiled: weakref.WeakKeyDictionary[Backbone, dict[Any, Runtime]] = weakref.WeakKeyDictionary()


def _lock(backbone: Backbone) -> threading.RLock:
    with _guard:
        return _locks.setdefault(backbone, threading.RLock())


def _candidates(runtime: str, precision: str, n_images: int | None) -> tuple[str, ...]:
    if runtime != "auto":
        return (runtime,)
    if precision == "bfloat16":
        return ("openvino",)
    many = n_images is None or n_images >= OPENVINO_IMAGES
    return ("openvino", "tensorflow") if many and has_openvino() and not _sees_gpu() else ("tensorflow",)


def _sees_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _first_that_agrees(
    backbone: Backbone, taps: tuple[Tap, ...], names: Sequence[str], precision: str, *, asked: bool
) -> Runtime:
    photos = _photos(backbone)
    expected = run_eagerly(backbone, taps, photos)
    note = ""
    for name in (*names, "unfolded"):
        try:
            run = _make(name, backbone, taps, precision)
            error = _largest_error(check_rows(backbone, taps, run(photos), len(photos)), expected)
        except _third_party_errors() as reason:
            problem = f"cannot run '{backbone.name}' ({str(reason).strip().splitlines()[0][:200]})"
        else:
            if error <= TOLERANCE or precision == "bfloat16":
                return _told(Runtime("tensorflow" if name == "unfolded" else name, run, precision, error, note))
            problem = f"differs from Keras by {error:.1e} of the largest value, and {TOLERANCE:.0e} is allowed"
        if (asked or precision == "bfloat16") and name == "openvino":
            raise FeatlibError(f"OpenVINO {problem} here. Use runtime='tensorflow' and precision='float32'.")
        note = f"{_TITLES[name]} {problem}, so it is not used."
    return _told(replace(_eager(backbone, taps), note=note))


def _make(name: str, backbone: Backbone, taps: tuple[Tap, ...], precision: str) -> Run:
    if name == "openvino":
        return _openvino(backbone, taps, precision)
    return _tensorflow(backbone, taps, folded=name == "tensorflow")


def _eager(backbone: Backbone, taps: tuple[Tap, ...]) -> Runtime:
    alive = weakref.ref(backbone)  # what is kept must not keep the network
    return Runtime("keras", lambda batch: run_eagerly(alive(), taps, batch))  # type: ignore[arg-type]


def _told(runtime: Runtime) -> Runtime:
    note = runtime.note
    if runtime.precision != "float32":
        note = f"{runtime.precision}: vectors differ by up to {runtime.error:.1%} of the largest value."
    if note:
        warnings.warn(note, FeatlibWarning, stacklevel=2)
    return runtime


_TITLES = {"openvino": "OpenVINO", "tensorflow": "The folded graph", "unfolded": "A compiled graph"}


def _third_party_errors() -> tuple[type[Exception], ...]:
    """What converting and compiling have been seen to raise, in layers of a person's own too."""
    import tensorflow as tf

    return (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError, tf.errors.OpError)


def _photos(backbone: Backbone) -> np.ndarray:
    from featlib.images import load_samples

    return backbone.prepare(load_samples("photos")[:2])


def _largest_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference relative to each array's largest value; infinite where one has what the other has not."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            return float("inf")
        finite = np.isfinite(other)
        largest = np.abs(other[finite]).max(initial=0.0)
        difference = np.abs(one[finite] - other[finite]).max(initial=0.0)
        worst = max(worst, float(difference / largest) if largest else float(difference))
    return worst


def _tensorflow(backbone: Backbone, taps: tuple[Tap, ...], *, folded: bool) -> Run:
    import tensorflow as tf

    graph = _traced(backbone, taps, folded=folded).get_concrete_function()
    return lambda batch: [output.numpy() for output in graph(tf.convert_to_tensor(batch))]


def _traced(backbone: Backbone, taps: tuple[Tap, ...], *, folded: bool) -> Any:  # noqa: ANN401 - a tf.function
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *backbone.input_shape), tf.float32)]
    return tf.function(tap_and_pool(backbone, taps, folded=folded), input_signature=signature, autograph=False)


def _openvino(backbone: Backbone, taps: tuple[Tap, ...], precision: str) -> Run:
    import openvino

    network = openvino.convert_model(_traced(backbone, taps, folded=False))  # it folds by itself
    settings = {
        "NUM_STREAMS": cores(),  # a batch a core: threads that wait for each other cost a third more
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
        request = idle.get()
        try:
            parts = [_infer(request, batch[i : i + SLICE], ports) for i in range(0, len(batch), SLICE)]
        finally:
            idle.put(request)
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return run


def _infer(request: Any, batch: np.ndarray, ports: Sequence[Any]) -> list[np.ndarray]:  # noqa: ANN401 - OpenVINO's own
    results = request.infer([np.ascontiguousarray(batch)], share_inputs=True)
    return [np.array(results[port], np.float32) for port in ports]
