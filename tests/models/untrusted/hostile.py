"""Hostile and broken model files: name -> (how to make it, a part of the reason that must be given)."""

from __future__ import annotations

import base64
import json
import marshal
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np

from tests.models.untrusted.files import (
    CONFIG,
    METADATA,
    WEIGHTS,
    Good,
    edited_h5,
    edited_h5_config,
    h5,
    layer,
    repacked,
    with_config,
    with_layer,
    write,
    zipped,
)

MARKER = Path("/tmp/featlib_untrusted_test_marker")
LARGE_TEXT = 2_000_000
CODE = base64.b64encode(marshal.dumps(compile(f"open({str(MARKER)!r}, 'w')", "evil", "exec"))).decode()


def _content(name: str, data: bytes):
    return lambda folder, good: write(folder, name, data)


def _keras(make):
    """A `.keras` file out of the bytes that `make(good)` gives."""
    return lambda folder, good: write(folder, "model.keras", make(good))


def _layer(*args, **config):
    return _keras(lambda good: with_layer(good, layer(*args, **config)))


def _weights(build):
    """A `.keras` file whose weights member is replaced."""
    return _keras(lambda good: repacked(good, {WEIGHTS: h5(build)}))


def _config_text(data: bytes):
    return _keras(lambda good: with_config(good, data))


def _legacy(edit):
    return lambda folder, good: write(folder, "model.h5", edited_h5_config(good.h5, edit))


def _folder(folder, good):
    path = folder / "model.keras"
    path.mkdir()
    return path


def _large(folder, good):
    path = write(folder, "model.keras", good.keras)
    with path.open("r+b") as file:
        file.truncate(200 * 2**20 + 1)  # a hole: nothing is written
    return path


def _extra(name: str):
    return _keras(lambda good: zipped([*good.members.items(), (name, b"x")]))


def _twice(good: Good) -> bytes:
    return zipped([*good.members.items(), (CONFIG, b"{}")])


def _link(good: Good) -> bytes:
    info = zipfile.ZipInfo(WEIGHTS)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return zipped([(CONFIG, good.members[CONFIG]), (METADATA, b"{}"), (info, b"/etc/passwd")])


def _patched(good: Good, places: dict[str, tuple[int, bytes]]) -> bytes:
    """The good file with bytes overwritten, counted from the directory entry of its first member or from the end."""
    data = bytearray(good.keras)
    start = {"directory": data.index(b"PK\x01\x02"), "end": len(data) - 22, "local": 0}
    for where, (offset, new) in places.items():
        at = start[where] + offset
        data[at : at + len(new)] = new
    return bytes(data)


def _gap(good: Good) -> bytes:
    """Eight bytes of nobody between the members and the directory."""
    data, end = bytearray(good.keras), len(good.keras) - 22
    directory = struct.unpack_from("<L", data, end + 16)[0]
    data[end + 16 : end + 20] = struct.pack("<L", directory + 8)
    return bytes(data[:directory]) + b"smuggled" + bytes(data[directory:])


def _flipped(good: Good) -> bytes:
    data = bytearray(good.keras)
    data[data.index(b'"class_name"') + 1] ^= 1
    return bytes(data)


def _many_layers(good: Good) -> bytes:
    config = good.config
    config["config"]["layers"] += [layer("ReLU")] * 10_001
    return with_config(good, config)


def _nested_models(good: Good) -> bytes:
    config = good.config
    for _ in range(17):
        config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    return with_config(good, config)


def _input(shape: list) -> dict:
    return layer("InputLayer", batch_shape=shape)


def _external(file: h5py.File) -> None:
    file.create_dataset("w", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def _virtual(file: h5py.File) -> None:
    plan = h5py.VirtualLayout((4,), "f4")
    plan[:] = h5py.VirtualSource("/etc/passwd", "w", (4,))
    file.create_virtual_dataset("w", plan)


def _loop(file: h5py.File) -> None:
    inner = file.create_group("layers/conv")
    inner["back"] = file["layers"]


def _two_names(file: h5py.File) -> None:
    file["a"] = np.zeros(4, "f4")
    file["b"] = file["a"]


def _deep(file: h5py.File) -> None:
    file.create_group("/".join("g" * 70))


def _attributes(file: h5py.File) -> None:
    for i in range(1001):
        file.attrs[f"a{i}"] = i


def _bomb(file: h5py.File) -> None:
    array = file.create_dataset("w", (1024,), "f4", chunks=(1024,), compression="gzip")
    array.id.write_direct_chunk((0,), zlib.compress(bytes(50_000_000)))


def _large_bomb(file: h5py.File) -> None:
    """300 MB of zeros in 0.3 MB."""
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(bytes(3_000_000)) for _ in range(100)), packer.flush()])
    array = file.create_dataset("w", (1024,), "f4", chunks=(1024,), compression="gzip")
    array.id.write_direct_chunk((0,), packed)


def _sharing(build) -> bytes:
    """An HDF5 file in which every text of four bytes is forged to be the one large text of the file."""
    data = bytearray(h5(build))
    large = data.index(struct.pack("<L", LARGE_TEXT))  # a text is described by its length, its block, its number
    at = data.find(struct.pack("<L", 4))
    while at >= 0:
        block = struct.unpack_from("<Q", data, at + 4)[0]
        if data[block : block + 4] == b"GCOL":
            data[at : at + 16] = data[large : large + 16]
        at = data.find(struct.pack("<L", 4), at + 4)
    return bytes(data)


def _same_names(file: h5py.File) -> None:
    file.attrs["model_config"] = "x" * LARGE_TEXT
    file.attrs.create("layer_names", ["name"] * 3000, dtype=h5py.string_dtype())


def _names_of_groups(file: h5py.File) -> None:
    file.attrs["model_config"] = "x" * LARGE_TEXT
    for i in range(300):
        file.create_group(f"g{i}").attrs["name"] = "name"


def _record_attribute(file: h5py.File) -> None:
    file.attrs["name"] = np.zeros(2, np.dtype([("a", "f4"), ("b", "i4")]))


def _region(file: h5py.File) -> None:
    array = file.create_dataset("a", data=np.arange(9))
    file.create_dataset("w", (1,), dtype=h5py.regionref_dtype)[0] = array.regionref[1:3]


def _to_itself(file: h5py.File) -> None:
    group = file.create_group("g")
    group["a"] = group["b"] = group


def _long_names(file: h5py.File) -> None:
    file.attrs["model_config"] = "{" + " " * 2_000_000
    file.attrs.create("layer_names", ["a"] * 3000, dtype=h5py.string_dtype())


def _reference(file: h5py.File) -> None:
    file.create_dataset("w", data=np.array([file.ref], dtype=h5py.ref_dtype))


def _named_type(file: h5py.File) -> None:
    file["kind"] = np.dtype("f4")


def _soft(file: h5py.File) -> None:
    file["w"] = h5py.SoftLink("/elsewhere")


def _external_link(file: h5py.File) -> None:
    file["w"] = h5py.ExternalLink("/etc/passwd", "/")


def _array(name: str, *args, **options):
    return _weights(lambda file: file.create_dataset(name, *args, **options))


def _no_model(config: dict) -> dict:
    return {"class_name": "Dense", "config": {"units": 3, "name": "only"}}


def _add_legacy(class_name: str, **config):
    def edit(model: dict) -> dict:
        model["config"]["layers"].insert(1, {"class_name": class_name, "config": {"name": "evil", **config}})
        return model

    return _legacy(edit)


def _doubling(depth: int, calls: int) -> bytes:
    """A model that calls an inner model a few times, which calls an inner model a few times, and so on."""
    model: dict = layer("ReLU") | {"config": {"name": "relu"}}
    for level in range(depth):
        nodes = [[[["in", 0, 0, {}]]], *[[[["body", i, 0, {}]]] for i in range(calls - 1)]]
        first = layer("InputLayer") | {"config": {"batch_shape": [None, 4], "name": "in"}, "inbound_nodes": []}
        body = json.loads(json.dumps(model))
        body["config"]["name"] = "body"
        config = {
            "name": f"level{level}",
            "layers": [first | {"name": "in"}, body | {"name": "body", "inbound_nodes": [node[0] for node in nodes]}],
            "input_layers": ["in", 0, 0],
            "output_layers": ["body", calls - 1 + (level > 0), 0],
        }
        model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}
    return json.dumps(model).encode()


def _backwards(count: int) -> bytes:
    """A chain of layers in the wrong order: Keras goes through all of them once for each."""
    first = layer("InputLayer") | {"config": {"batch_shape": [None, 4], "name": "0"}, "inbound_nodes": [], "name": "0"}
    chain = [
        layer("ReLU") | {"config": {"name": str(i)}, "name": str(i), "inbound_nodes": [[[str(i - 1), 0, 0, {}]]]}
        for i in range(1, count)
    ]
    config = {"layers": [first, *chain[::-1]], "input_layers": ["0", 0, 0], "output_layers": [str(count - 1), 0, 0]}
    model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config | {"name": "slow"}}
    return json.dumps(model).encode()


# Refused by the inspection, without Keras.
INSPECTED = {
    "missing": (lambda folder, good: folder / "gone.keras", "is not a file"),
    "folder": (_folder, "is a folder"),
    "empty": (_content("model.keras", b""), "It is empty"),
    "text": (_content("model.keras", b"just words"), "of an unknown kind"),
    "web page": (_content("model.h5", b"<!DOCTYPE html><p>404"), "a web page"),
    "lfs pointer": (_content("model.h5", b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "json": (_content("model.json", b'{"class_name": "Sequential"}'), "layers without its weights"),
    "onnx": (_content("model.onnx", b"\x08\x07\x12\x07pytorch"), "an ONNX"),
    "tflite": (_content("model.tflite", b"\x1c\0\0\0TFL3"), "TensorFlow Lite"),
    "pickle": (_content("model.pt", b"\x80\x02cos\nsystem\n."), "a PyTorch or pickle file"),
    "torch zip": (_content("model.pt", zipped([("m/data.pkl", b"\x80\x02.")])), "a PyTorch file"),
    "saved model": (_content("m.zip", zipped([("m/saved_model.pb", b""), ("m/variables/v", b"")])), "SavedModel"),
    "zip around h5": (_content("m.zip", zipped([("keras_model.h5", b""), ("labels.txt", b"")])), "unpack it"),
    "too large": (_large, "at most 200.0 MB"),
    "truncated zip": (_keras(lambda good: good.keras[:-100]), "damaged, cut off or forged"),
    "bytes before": (_keras(lambda good: b"#!/bin/sh\n" + good.keras), "of an unknown kind"),
    "extra member": (_extra("run.py"), "'run.py' does not belong there"),
    "traversal": (_extra("../../evil.txt"), "'../../evil.txt' does not belong there"),
    "absolute": (_extra("/etc/cron.d/evil"), "'/etc/cron.d/evil' does not belong there"),
    "drive": (_extra("C:evil.txt"), "'C:evil.txt' does not belong there"),
    "assets": (_extra("assets/lookup/vocabulary.txt"), "belongs to a text layer"),
    "missing member": (_keras(lambda good: zipped([*good.members.items()][:2])), "is missing"),
    "twice": (_keras(_twice), "is there twice"),
    "symlink": (_keras(_link), "is a link"),
    "encrypted": (_keras(lambda good: _patched(good, {"directory": (8, b"\1")})), "is encrypted"),
    "deflated": (
        _keras(lambda good: zipped([*_repack_large(good).items()], zipfile.ZIP_DEFLATED)),
        "'config.json' is compressed",
    ),
    "zip64 sizes": (_keras(lambda good: _patched(good, {"directory": (24, b"\xff" * 4)})), "impossible size"),
    "zip64 end": (_keras(lambda good: _patched(good, {"end": (16, b"\xff" * 4)})), "damaged, cut off or forged"),
    "size lie": (_keras(lambda good: _patched(good, {"directory": (20, b"\x01\0\0\0\x01\0\0\0")})), "zip"),
    "huge size lie": (_keras(lambda good: _patched(good, {"directory": (20, b"\0\0\0\x7f" * 2)})), "'metadata.json'"),
    "overlap": (_keras(lambda good: _patched(good, {"directory": (42, b"\x20\0\0\0")})), "Bad magic number"),
    "two stories": (_keras(lambda good: _patched(good, {"local": (30, b"METADATA")})), "File name in directory"),
    "flipped": (_keras(_flipped), "Bad CRC-32"),
    "deep json": (_config_text(b"[" * 200_000 + b"]" * 200_000), "deeper than 100"),
    "deep json, open": (_config_text(b'{"a":' * 200_000), "deeper than 100"),
    "long json": (_config_text(b" " * 17_000_000), "at most 16.0 MB"),
    "many values": (_config_text(b"[" + b"1," * 1_100_000 + b"1]"), "more than 1,000,000 values"),
    "long number": (_config_text(b'{"a": ' + b"9" * 5000 + b"}"), "5,000 digits"),
    "nan": (_config_text(b'{"a": NaN}'), "only finite numbers"),
    "infinite": (_config_text(b'{"a": 1e999}'), "only finite numbers"),
    "name twice": (_config_text(b'{"class_name": "Lambda", "class_name": "Dense"}'), "same name twice"),
    "broken json": (_config_text(b'{"class_name": '), "not valid JSON"),
    "utf-16": (_config_text('{"a": 1}'.encode("utf-16")), "not valid JSON"),
    "json word": (_config_text(b'"Sequential"'), "describes no Keras model"),
    "metadata": (
        _keras(lambda good: repacked(good, {METADATA: b"[" * 5000})),
        "metadata.json is nested deeper than 100",
    ),
    "lambda bytecode": (
        _layer("Lambda", function={"class_name": "__lambda__", "config": {"code": CODE}}),
        "'evil' is of class 'Lambda', which is refused: it would run code",
    ),
    "lambda of a built-in": (
        _layer("Lambda", function={"module": "builtins", "class_name": "function", "config": "relu"}),
        "'Lambda', which is refused",
    ),
    "lambda activation": (
        _layer("Activation", activation={"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}),
        "'__lambda__', which is refused",
    ),
    "lambda in h5": (_add_legacy("Lambda", function=[CODE, None, None]), "'Lambda', which is refused"),
    "custom class": (_layer("Mine", "my_package", "my_package>Mine"), "'my_package>Mine' from 'my_package'"),
    "dressed up": (_layer("Dense", registered_name="my_package>Dense", units=3), "'my_package>Dense'"),
    "pickle module": (_layer("loads", "pickle"), "'loads' from 'pickle'"),
    "os module": (_layer("system", "os"), "'system' from 'os'"),
    "keras helper": (_layer("get_file", "keras.utils"), "'get_file' from 'keras.utils'"),
    "inner keras": (_layer("FeatureSpace", "keras.src.layers.preprocessing.feature_space"), "not one of Keras' own"),
    "class as list": (_keras(lambda good: with_layer(good, layer(["Dense"]))), "a class name is text"),
    "function": (
        _layer("Activation", activation={"module": "os", "class_name": "function", "config": "system"}),
        "names the function 'system' of 'os'",
    ),
    "function of a list": (
        _layer("Activation", activation={"module": ["x"], "class_name": "function", "config": "relu"}),
        "names the function 'relu' of 'a list'",
    ),
    "keras function": (
        _layer("Activation", activation={"module": "keras.utils", "class_name": "function", "config": "get_file"}),
        "names the function 'get_file'",
    ),
    "tfsm": (_layer("TFSMLayer", filepath="/srv/graph", call_endpoint="serve"), "'TFSMLayer', which is refused"),
    "torch module": (_layer("TorchModuleWrapper", module="keras.layers"), "'TorchModuleWrapper', which is refused"),
    "jax": (_layer("JaxLayer", call_fn="x"), "'JaxLayer', which is refused"),
    "while loop": (_layer("WhileLoop", "keras.src.ops.core"), "'WhileLoop', which is refused"),
    "vocabulary file": (_layer("StringLookup", vocabulary="/etc/passwd"), "would open as a file"),
    "text vocabulary": (_layer("TextVectorization", vocabulary="s3://bucket/words"), "would open as a file"),
    "type spec": (_layer("Activation", activation={"class_name": "__typespec__", "config": []}), "'__typespec__'"),
    "composite": (_add_legacy("CompositeTensor", spec={}, tensors=[]), "'CompositeTensor', which is refused"),
    "text array": (
        _layer("Rescaling", scale={"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "S2000000000"}}),
        "an array of type 'S2000000000'",
    ),
    "large array": (
        _layer("Rescaling", scale={"class_name": "__tensor__", "config": {"value": [["x"]], "dtype": "float32"}}),
        "only numbers are allowed",
    ),
    "units": (_layer("Dense", units=2_000_000_000), "'units' = 2,000,000,000; at most 65,536"),
    "filters in h5": (_add_legacy("Conv2D", filters=-70_000, kernel_size=1), "'filters' = -70,000"),
    "kernel": (
        _keras(
            lambda good: with_layer(
                good, layer("Dense", units=65536) | {"build_config": {"input_shape": [None, 65536]}}
            )
        ),
        "weights of 16.0 GB",
    ),
    "input size": (_keras(lambda good: with_layer(good, _input([None, 60000, 60000, 3]))), "40.2 GB per image"),
    "tensor size": (_layer("Reshape", target_shape=[3_000_000_000]), "11.2 GB per image"),
    "many layers": (_keras(_many_layers), "more than 10,000 layers"),
    "models in models": (_keras(_nested_models), "nested in more than 16 others"),
    "models call models": (_config_text(_doubling(10, 6)), "would call more than 100,000 layers"),
    "single layer": (_legacy(_no_model), "a single layer of class 'Dense'"),
    "keras 2 operation": (_add_legacy("TFOpLambda", function="math.add"), "Keras 3 cannot read it"),
    "weights magic": (_keras(lambda good: repacked(good, {WEIGHTS: b"no HDF5"})), "is not an HDF5 file"),
    "weights cut": (
        _keras(lambda good: repacked(good, {WEIGHTS: good.members[WEIGHTS][:3000]})),
        "damaged or cut off",
    ),
    "h5 cut": (lambda folder, good: write(folder, "model.h5", good.h5[:5000]), "damaged or cut off"),
    "h5 of weights": (lambda folder, good: write(folder, "w.h5", good.members[WEIGHTS]), "holds weights only"),
    "soft link": (_weights(_soft), "'/w' is a link"),
    "external link": (_weights(_external_link), "'/w' is a link"),
    "external array": (_weights(_external), "keeps its values in other files"),
    "virtual array": (_weights(_virtual), "keeps its values in other files"),
    "huge array": (_array("w", (100_000, 100_000), "f4", chunks=(10, 10)), "takes 37.3 GB"),
    "huge chunk": (_array("w", (10,), "f4", chunks=(100_000_000,), maxshape=(None,)), "chunks that are too large"),
    "objects": (_array("w", (3,), h5py.vlen_dtype("f4")), "objects of varying length"),
    "texts": (_array("w", data=[b"abc"]), "holds text"),
    "records": (_array("w", (3,), np.dtype([("a", "f4"), ("b", "i4")])), "holds records"),
    "references": (_weights(_reference), "holds references"),
    "long items": (_array("w", (1,), "V65535"), "raw bytes"),
    "lzf": (_array("w", (30,), "f4", compression="lzf"), "allowed are gzip and shuffle"),
    "gzip bomb": (_weights(_bomb), "does not unpack to the size"),
    "large gzip bomb": (_weights(_large_bomb), "does not unpack to the size"),
    "loop": (_weights(_loop), "a second path"),
    "two names": (_weights(_two_names), "a second path"),
    "deep groups": (_weights(_deep), "groups deep"),
    "long names": (_weights(_long_names), "could take 5.6 GB"),
    "one text for all names": (
        _keras(lambda good: repacked(good, {WEIGHTS: _sharing(_same_names)})),
        "could take 5.6 GB",
    ),
    "one text for all groups": (
        _keras(lambda good: repacked(good, {WEIGHTS: _sharing(_names_of_groups)})),
        "take more than 200.0 MB",
    ),
    "attribute of records": (_weights(_record_attribute), "holds records; allowed is text"),
    "regions": (_weights(_region), "holds references"),
    "group in itself": (_weights(_to_itself), "a second path"),
    "named type": (_weights(_named_type), "neither a group nor an array"),
    "config as numbers": (
        lambda folder, good: write(folder, "m.h5", h5(lambda file: file.attrs.update(model_config=[1, 2]))),
        "is not one text",
    ),
}


# Accepted, because the rewritten copy has nothing of it: README.md says why.
HARMLESS = {
    "bytes behind": _keras(lambda good: good.keras + b"more"),
    "comment": _keras(lambda good: _patched(good, {"end": (20, b"\2\0")}) + b"hi"),
    "gap": _keras(_gap),
    "count lie": _keras(lambda good: _patched(good, {"end": (8, b"\2\0\2\0")})),
    "many attributes": _keras(lambda good: repacked(good, {WEIGHTS: edited_h5(good.members[WEIGHTS], _attributes)})),
}


def _without_config(good: Good) -> dict[str, bytes]:
    return {name: content for name, content in good.members.items() if name != CONFIG}


def _repack_large(good: Good) -> dict[str, bytes]:
    return {CONFIG: json.dumps({"a": " " * 30_000_000}).encode()} | _without_config(good)


def _wide(model: dict) -> dict:
    """Two Dense layers of 65,536 units: weights of 17 GB, which only building the layers shows."""
    head = model["config"]["layers"][-1]
    head["config"]["units"] = 65_536
    again = json.loads(json.dumps(head).replace('"classes"', '"again"').replace('"pool"', '"classes"'))
    model["config"]["layers"].append(again)
    model["config"]["output_layers"] = ["again", 0, 0]
    return model


def _with_dtype(model: dict, dtype: str) -> dict:
    model["config"]["layers"][1]["config"]["dtype"] = dtype
    return model


def _groups_2(model: dict) -> dict:
    next(item for item in model["config"]["layers"] if item["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 2
    return model


# Refused by Keras or by the limits, in the trial.
TRIED = {
    "escapes": (
        _legacy(lambda model: _with_dtype(model, "x\x1b]0;OWNED\x07\x1b[31mRED\u202eevil")),
        r"x\x1b]0;OWNED\x07RED\u202eevil",
    ),
    "lone surrogate": (_legacy(lambda model: _with_dtype(model, "\ud800")), r"\ud800"),
    "wide": (_legacy(_wide), "more memory than"),
    "groups 2": (_legacy(_groups_2), "{'groups': 2}"),
    "large activations": (_keras(lambda good: _upsampled(good)), "The outputs of its layers take"),
    "slow": (_config_text(_backwards(9_000)), "longer than the"),
}


def _upsampled(good: Good) -> bytes:
    config = good.config
    pool = next(item for item in config["config"]["layers"] if item["class_name"] == "GlobalAveragePooling2D")
    replaced = layer("UpSampling2D", size=[700, 700], interpolation="nearest") | {
        "name": "pool",
        "inbound_nodes": pool["inbound_nodes"],
    }
    replaced["config"]["name"] = "pool"
    position = config["config"]["layers"].index(pool)
    config["config"]["layers"][position] = replaced
    config["config"]["layers"][position + 1].pop("build_config", None)
    return with_config(good, config)
