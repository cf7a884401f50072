"""Tools that build the files of these tests."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"


@dataclass(frozen=True)
class Good:
    """One honest network in both formats: Input, conv, depthwise, pool, an inner Sequential, dense."""

    keras: bytes
    h5: bytes

    @property
    def members(self) -> dict[str, bytes]:
        return members_of(self.keras)

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(self.members[CONFIG])


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: list[tuple[str | zipfile.ZipInfo, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def repacked(good: Good, changed: dict[str, bytes]) -> bytes:
    """The good `.keras` file with some members replaced or added."""
    return zipped(list((good.members | changed).items()))


def with_config(good: Good, config: Any) -> bytes:
    return repacked(good, {CONFIG: config if isinstance(config, bytes) else json.dumps(config).encode()})


def with_layer(good: Good, layer: dict[str, Any]) -> bytes:
    """The good `.keras` file with one more layer behind its input."""
    config = good.config
    config["config"]["layers"].insert(1, {"name": layer["config"].get("name"), "inbound_nodes": [], **layer})
    return with_config(good, config)


def layer(class_name: str, module: str = "keras.layers", registered_name: str | None = None, **config: Any) -> dict:
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "evil", **config},
        "registered_name": registered_name,
    }


def h5(build: Callable[[h5py.File], None]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        build(file)
    return stream.getvalue()


def edited_h5(data: bytes, edit: Callable[[h5py.File], None]) -> bytes:
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        edit(file)
    return stream.getvalue()


def edited_h5_config(data: bytes, edit: Callable[[dict], dict | None]) -> bytes:
    """A legacy full-model file with its config edited."""

    def rewrite(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        config = edit(copy.deepcopy(config)) or config
        file.attrs["model_config"] = json.dumps(config).encode()

    return edited_h5(data, rewrite)


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
