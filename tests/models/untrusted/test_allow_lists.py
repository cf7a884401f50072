"""The allow-lists against the installed Keras: a class that Keras gains or loses is noticed here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from featlib.models.untrusted import allow_lists

BASES = {"Layer", "Wrapper", "InputSpec", "Initializer", "Regularizer", "Constraint", "SegmentReduction"}


def _classes(module_name):
    module = importlib.import_module(module_name)
    return {name for name in dir(module) if inspect.isclass(getattr(module, name))} - BASES


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("keras.layers", allow_lists.LAYERS),
        ("keras.initializers", allow_lists.INITIALIZERS),
        ("keras.regularizers", allow_lists.REGULARIZERS),
        ("keras.constraints", allow_lists.CONSTRAINTS),
        ("keras.dtype_policies", allow_lists.DTYPE_POLICIES),
    ],
)
def test_classes_are_those_of_keras(module, allowed):
    assert _classes(module) - set(allow_lists.REFUSED) == allowed


def test_activations_are_those_of_keras():
    import keras

    helpers = {"get", "serialize", "deserialize", "exponential"}
    names = {name for name in dir(keras.activations) if inspect.isfunction(getattr(keras.activations, name))}
    assert names - helpers == allow_lists.ACTIVATIONS - helpers


def test_operations_are_those_of_keras():
    import keras.src.ops as ops
    from keras.src.ops.operation import Operation

    found: dict[str, set[str]] = {}
    for info in pkgutil.iter_modules(ops.__path__, "keras.src.ops."):
        if info.name.endswith("_test"):
            continue
        module = importlib.import_module(info.name)
        names = {
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and issubclass(value, Operation) and value.__module__ == info.name
        }
        names -= {"Operation"} | BASES | set(allow_lists.REFUSED)
        if names:
            found[info.name] = names
    assert found == {module: set(names) for module, names in allow_lists.OPERATIONS.items()}


def test_every_module_gives_the_class():
    """What the list promises, Keras finds."""
    from keras.src.saving.serialization_lib import _retrieve_class_or_fn

    for module in ("keras.src.applications.convnext", "keras.src.applications.inception_resnet_v2", "keras.quantizers"):
        for name in allow_lists.MODULES[module]:
            assert _retrieve_class_or_fn(name, None, module, "class", {}, {}).__name__ == name


def test_nothing_refused_is_allowed():
    allowed = set().union(*allow_lists.MODULES.values(), allow_lists.WITHOUT_MODULE)
    assert not allowed & set(allow_lists.REFUSED)
