"""The networks that can be asked for by name, known before Keras is imported."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from featlib.errors import ModelError
from featlib.models.applications.facts import FAMILIES, KERAS_FACTS, MEASURED_WITH
from featlib.models.applications.names import Option, keras_arguments, keras_options

DEFAULT_MODEL = "EfficientNetLite0"
SIZES = (96, 128, 160, 192, 224, 299, 384, 480)  # to offer, where a network's own is larger
FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ModelChoice:
    """A network that can be asked for by name.

    Attributes:
        name: what `load_backbone` takes.
        family: the family's name for people, for example "EfficientNetV2".
        module: name of its preprocessing, which is that of its module in keras.applications.
        description: one sentence for people.
        embedded: whether its ImageNet weights come with the installation.
        input_size: default height and width in pixels; None where only building it would tell.
        input_sizes: sizes in pixels to offer; ImageNet weights were trained for the last.
        params: number of weights, with the top; None where only building it would tell.
        megabytes: size of the ImageNet weights, with the top, in 10^6 bytes; None as above.
        feature_layer: path of the last layer with height and width; None as above.
        options: its own options and their defaults, such as alpha. Every network of Keras also takes `classes`.
    """

    name: str
    family: str
    module: str
    description: str
    embedded: bool
    input_size: int | None
    input_sizes: tuple[int, ...]
    params: int | None
    megabytes: float | None
    feature_layer: str | None
    options: Mapping[str, Option] = field(default_factory=dict, hash=False)


EMBEDDED = ModelChoice(
    DEFAULT_MODEL,
    "EfficientNet-Lite",
    "lite0",
    "Embedded: small, quick, trained on ImageNet; nothing to download.",
    embedded=True,
    input_size=224,
    input_sizes=(96, 128, 160, 192, 224),
    params=4_694_024,
    megabytes=18.8,
    feature_layer="head_relu",
)


def list_models() -> tuple[ModelChoice, ...]:
    """Lists the networks that can be loaded by name: the embedded one, then keras.applications by family.

    Keras is not imported for it. Networks that a newer Keras has, and that featlib's table does not know, are at the
    end once something has imported Keras; `load_backbone` takes them in any case.
    """
    keras = sys.modules.get("keras")
    newer = _newer(keras) if hasattr(keras, "applications") else ()
    return EMBEDDED, *_known(tuple(KERAS_FACTS)), *newer


def find_choice(name: str) -> ModelChoice:
    """Finds a network by its name, in upper or lower case.

    Raises:
        ModelError: there is none; the message gives close matches.
    """
    if name.lower() not in _by_name() and _keras_may_have_more():
        import keras.applications  # noqa: F401 - from now on list_models asks it
    choices = _by_name()
    if name.lower() not in choices:
        raise ModelError(_no_such_network(name, choices))
    return choices[name.lower()]


def weights_on_disk(choice: ModelChoice, include_top: bool = True, input_size: int | None = None) -> bool:
    """Tells whether the ImageNet weights of a network are on this machine.

    Args:
        choice: from `list_models`, with default options.
        include_top: the files differ.
        input_size: height and width in pixels; MobileNet and MobileNetV2 have a file for each. None means the default.

    Returns:
        False where nothing is downloaded yet, and for networks of a newer Keras whose files are not known.
    """
    if choice.embedded:
        return True
    file = weights_file(choice, include_top, input_size)
    return file is not None and (keras_folder() / file).is_file()


def weights_file(choice: ModelChoice, include_top: bool, input_size: int | None = None) -> str | None:
    """The name under which Keras keeps a network's ImageNet weights; None where it is not known."""
    facts = KERAS_FACTS.get(choice.name)
    if facts is None:
        return None
    family = next(family for family in FAMILIES if family.module == facts.module)
    name = family.files[0 if include_top else 1].format(facts.file)
    return name.replace("_224", f"_{input_size}") if input_size in family.file_sizes else name


def keras_folder() -> Path:
    """Where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def keras_networks(keras: Any, known: Container[str] = ()) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a module
    """The functions of keras.applications that build a network, but for those known by name."""
    for name, function in sorted(vars(keras.applications).items()):
        if name not in known and callable(function) and "weights" in keras_arguments(function):
            yield name, function


def _by_name() -> dict[str, ModelChoice]:
    return {choice.name.lower(): choice for choice in list_models()}


def _keras_may_have_more() -> bool:
    """Whether Keras is another than the one that was measured; importing it takes seconds."""
    return "keras" in sys.modules or metadata.version("keras") != MEASURED_WITH


@lru_cache
def _known(names: tuple[str, ...]) -> tuple[ModelChoice, ...]:
    return tuple(_choice(name) for name in names)


def _choice(name: str) -> ModelChoice:
    facts = KERAS_FACTS[name]
    family = next(family for family in FAMILIES if family.module == facts.module)
    return ModelChoice(
        name,
        family.title,
        facts.module,
        family.description,
        embedded=False,
        input_size=facts.input_size,
        input_sizes=(*(size for size in SIZES if size < facts.input_size), facts.input_size),
        params=facts.params,
        megabytes=round(facts.params * FLOAT32_BYTES / 1e6, 1),
        feature_layer=facts.feature_layer,
        options=dict(family.options),
    )


def _newer(keras: Any) -> tuple[ModelChoice, ...]:  # noqa: ANN401 - a module
    """The networks of this Keras that the table does not know."""
    return tuple(
        ModelChoice(
            name,
            family=name,
            module=function.__module__.split(".")[-1],
            description="New in keras.applications: its size is known once it is built.",
            embedded=False,
            input_size=None,
            input_sizes=SIZES[:5],
            params=None,
            megabytes=None,
            feature_layer=None,
            options=keras_options(function),
        )
        for name, function in keras_networks(keras, KERAS_FACTS)  # looking at a function's arguments takes its time
    )


def _no_such_network(name: str, choices: Mapping[str, ModelChoice]) -> str:
    close = [f"'{choices[match].name}'" for match in difflib.get_close_matches(name.lower(), choices, n=3)]
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return (
        f"No network named '{name}'.{hint} Allowed: {len(choices)} names, among them '{DEFAULT_MODEL}' (embedded) and "
        "'MobileNetV2', or a live keras.Model; featlib.list_models() gives them all."
    )
