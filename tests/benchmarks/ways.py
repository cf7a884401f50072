"""The ways from files to vectors, or a part of it, that are compared; each is a function of a number of images."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import featlib
from featlib.features.runtimes import has_openvino, make_runtime
from featlib.features.store import VectorStore
from featlib.features.taps import Tap
from featlib.images import list_pending, open_image, resizer_name, use_resizer
from tests.benchmarks.measure import cosines, least_seconds
from tests.benchmarks.networks import CORES, Network

BATCH = 32
FLOOR_BATCHES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Sizes:
    """The number of images per kind of way: few for what takes a second per image, since times are per image."""

    engine: int = 512
    layers: int = 256
    predict: int = 128
    forward: int = 256
    loop: int = 12
    rebuilt: int = 2
    batches: int = 64
    repeats: int = 5
    growth: tuple[int, ...] = (1, 16, 128, 512, 2048, 10_000)
    growth_loop: tuple[int, ...] = (1, 16, 128)
    memory: tuple[int, int] = (1000, 10_000)


QUICK = Sizes(64, 64, 32, 128, 4, 1, 32, 2, (1, 16, 64), (1, 16), (64, 256))


@dataclass(frozen=True)
class Way:
    """One way, and how many images it is given in a repeat; where it makes vectors it returns them."""

    images: int
    run: Callable[[int], np.ndarray | None]


def make_ways(network: Network, files: list[str], folder: Path, sizes: Sizes) -> dict[str, Callable[[], Way]]:
    """Return all ways by name; each is made, and compiled, when it is called."""
    runtimes = ["tensorflow", "openvino"] if has_openvino() else ["tensorflow"]
    ways: dict[str, Callable[[], Way]] = {
        "tutorial loop": lambda: _tutorial_loop(network, files, sizes),
        "tutorial loop, rebuilt": lambda: Way(sizes.rebuilt, lambda n: _rebuilt_loop(network, files[:n])),
        "PIL, then predict(32)": lambda: _pil_then_predict(network, files, sizes),
        "thingsvision's": lambda: Way(sizes.batches, lambda n: _thingsvision(network, files[:n])),
        "keract's": lambda: Way(sizes.loop, lambda n: _keract(network, files[:n], 1)),
        "keract's, 32 at once": lambda: Way(sizes.batches, lambda n: _keract(network, files[:n], BATCH)),
        "floor": lambda: _floor(network, files, sizes),
        "decoding": lambda: Way(sizes.forward, lambda n: _decode(network, files[:n])),
        "store": lambda: _store(network, files, folder, sizes, runtimes[-1]),
    }
    for runtime in runtimes:
        ways[f"engine {runtime}"] = _engine(network, files, sizes, runtime=runtime)
        ways[f"engine {runtime}, 5 layers"] = _engine(
            network, files[: sizes.layers], sizes, layers=network.five, runtime=runtime
        )
        ways[f"forward {runtime}"] = _forward(network, files, sizes, network.layer, runtime)
        ways[f"forward {runtime}, early"] = _forward(network, files, sizes, network.early, runtime)
    if has_openvino():
        ways["engine bfloat16"] = _engine(network, files, sizes, precision="bfloat16")
        ways["forward bfloat16"] = _forward(network, files, sizes, network.layer, "openvino", "bfloat16")
    ways["engine fastest"] = ways[f"engine {runtimes[-1]}"]
    return ways


def pooled_model(network: Network) -> Any:
    """The model of the tutorials: up to the layer, with global average pooling."""
    import keras

    output = network.model.get_layer(network.layer).output
    return keras.Model(network.model.inputs[0], keras.layers.GlobalAveragePooling2D()(output))


def loop_of_the_tutorials(model: Any, network: Network, files: list[str]) -> np.ndarray:
    return np.concatenate([model.predict(network.read([file]), verbose=0) for file in files])


def _tutorial_loop(network: Network, files: list[str], sizes: Sizes) -> Way:
    model = pooled_model(network)
    return Way(sizes.loop, lambda n: loop_of_the_tutorials(model, network, files[:n]))


def _maps_model(network: Network) -> Any:
    import keras

    return keras.Model(network.model.inputs[0], network.model.get_layer(network.layer).output)


def _rebuilt_loop(network: Network, files: list[str]) -> np.ndarray:
    """As in answers on the web: a new `keras.Model` inside the function that is called for each image."""
    rows = [_maps_model(network).predict(network.read([file]), verbose=0).mean(axis=(1, 2)) for file in files]
    return np.concatenate(rows)


def _pil_then_predict(network: Network, files: list[str], sizes: Sizes) -> Way:
    model = pooled_model(network)
    return Way(sizes.predict, lambda n: model.predict(network.read(files[:n]), batch_size=BATCH, verbose=0))


def _thingsvision(network: Network, files: list[str]) -> np.ndarray:
    """thingsvision's algorithm for TensorFlow: a model for each batch, maps kept, stacked and averaged at the end."""
    maps = [_maps_model(network).predict(network.read(part), verbose=0) for part in _parts(files, BATCH)]
    return np.vstack(maps).mean(axis=(1, 2))


def _keract(network: Network, files: list[str], at_once: int) -> np.ndarray:
    """keract's algorithm: a Keras function from input to layer made in each call, run eagerly, maps as NumPy."""
    import keras

    rows = []
    for part in _parts(files, at_once):
        maps = keras.ops.convert_to_numpy(_maps_model(network)(network.read(part), training=False))
        rows.append(maps.mean(axis=(1, 2)))
    return np.concatenate(rows)


def _floor(network: Network, files: list[str], sizes: Sizes) -> Way:
    """The compiled forward pass of plain Keras on tensors that are ready, with the best of four batch sizes."""
    import tensorflow as tf

    model = pooled_model(network)
    compiled = tf.function(lambda x: model(x, training=False), autograph=False)
    x = network.read(files[: max(FLOOR_BATCHES)])

    def way(size: int) -> Callable[[int], None]:
        tensors = [tf.constant(part) for part in _parts(x, size) if len(part) == size]

        def run(n: int) -> None:
            for i in range(max(1, n // size)):
                compiled(tensors[i % len(tensors)]).numpy()

        run(size)  # traces
        return run

    ways = {size: way(size) for size in FLOOR_BATCHES if size <= len(x)}
    images = len(x) // max(ways) * max(ways)
    best = min(ways, key=lambda size: least_seconds(lambda: ways[size](images), repeats=2))
    return Way(max(sizes.forward, best), ways[best])


def _decode(network: Network, files: list[str]) -> None:
    """Reading, decoding and resizing as the engine does it, on all cores and without a network."""
    size = network.backbone.input_shape[:2]
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(lambda image: open_image(image).resized(*size), list_pending(files)):
            pass


def _engine(network: Network, files: list[str], sizes: Sizes, **options: Any) -> Callable[[], Way]:
    def run(n: int) -> np.ndarray:
        return featlib.extract_vectors(network.backbone, files[:n], **options).X

    return lambda: Way(min(len(files), sizes.engine), run)


def _forward(
    network: Network, files: list[str], sizes: Sizes, layer: str, runtime: str, precision: str = "float32"
) -> Callable[[], Way]:
    """The engine's own runtime on arrays that are ready, in as many threads as the engine has."""

    def make() -> Way:
        run = make_runtime(network.backbone, [Tap(layer)], runtime, precision=precision).run
        parts = _parts(network.read(files[: max(FLOOR_BATCHES)]), BATCH)

        def forward(n: int) -> None:
            with ThreadPoolExecutor(CORES) as pool:
                for _ in pool.map(run, [parts[i % len(parts)] for i in range(max(1, n // BATCH))]):
                    pass

        return Way(sizes.forward, forward)

    return make


def _store(network: Network, files: list[str], folder: Path, sizes: Sizes, runtime: str) -> Way:
    """The second run of the same: everything is in the store."""
    store = VectorStore(folder / network.name / "vectors.db")

    def run(n: int) -> np.ndarray:
        return featlib.extract_vectors(network.backbone, files[:n], runtime=runtime, store=store).X

    run(sizes.engine)
    return Way(sizes.engine, run)


def compare_resizers(network: Network, files: list[str]) -> np.ndarray:
    """Return the cosine of each vector to the one made with Pillow's resize, for photographs and cut-outs of them."""
    images = [*featlib.load_samples("photos"), *featlib.load_images(files)]
    name, found = resizer_name(), []
    try:
        for resizer in (name, "pillow"):
            use_resizer(resizer)
            found.append(featlib.extract_vectors(network.backbone, images, runtime="tensorflow").X)
    finally:
        use_resizer(name)
    return cosines(*found)


def _parts(things: Any, size: int) -> list[Any]:
    return [things[i : i + size] for i in range(0, len(things), size)]
