"""The `featlib` command: the library's jobs from a shell. It only translates."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from featlib.errors import FeatlibError, FeatlibWarning

if TYPE_CHECKING:
    import numpy as np

    from featlib.analysis import Projection
    from featlib.features import Pooling, VectorTable
    from featlib.images import ImageProblem, Pending
    from featlib.models import Backbone, LayerInfo

SAMPLES = "samples:"
POOLINGS: dict[str, Pooling | None] = {"avg": "avg", "max": "max", "flatten": "flatten", "none": None}

Command = TypeVar("Command", bound=Callable[..., Any])


class OneLineError(click.ClickException):
    """An error that a person can act on: one line on stderr, exit status 2."""

    exit_code = 2


class FeatlibGroup(click.Group):
    """Commands whose FeatlibErrors are told in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            raise SystemExit(130) from None
        except FeatlibError as error:
            raise OneLineError(" ".join(str(error).split())) from error


@click.group(cls=FeatlibGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="featlib")
@click.pass_context
def main(ctx: click.Context) -> None:
    """See what a convolutional network sees: its layers, their vectors, a projection of them.

    Everything runs on this machine. `streamlit run app.py` shows the same in the browser.
    """
    ctx.with_resource(warnings.catch_warnings())
    # What is wrong with an image is told once, by its name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.simplefilter("always", FeatlibWarning)
    others = warnings.showwarning
    told: dict[str, None] = {}

    def tell(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
        if issubclass(category, FeatlibWarning):  # a sentence for people; the line of code says nothing to them
            told[str(message)] = None
        else:
            others(message, category, *where, **more)

    warnings.showwarning = tell
    # At the end, below the bar of the progress.
    ctx.call_on_close(lambda: click.echo("".join(f"{sentence}\n" for sentence in told), nl=False, err=True))


@dataclass(frozen=True)
class Network:
    """The network that was asked for: its name or path, and the further arguments of `load_backbone`."""

    model: str
    options: dict[str, Any]

    def load(self) -> Backbone:
        """Loads it."""
        from featlib.models import list_models, load_backbone

        known = {choice.name.lower() for choice in list_models()}
        if self.model.partition("(")[0].strip().lower() in known or Path(self.model).exists():
            _import_keras()  # takes seconds, which a mistyped name does not need
        return load_backbone(self.model, **self.options)


def _network_options(command: Command) -> Command:
    options = (
        click.option("--weights", default="imagenet", show_default=True, help="imagenet, random, or a weights file."),
        click.option("--no-top", is_flag=True, help="Leave out the classification layers (include_top=False)."),
        click.option("--input-size", type=int, help="Height and width, in pixels. [default: the network's own]"),
        click.option("--preprocessing", help="For a model file that does not show it: none, unit, tf, torch, caffe, …"),
        click.option("--class-names", type=click.Path(), help="For a model file: a text file with one name a line."),
        click.option("--trust-saved-model", is_flag=True, help="Run a SavedModel folder, which is a program."),
    )

    @functools.wraps(command)
    def with_network(model: str, **arguments: Any) -> Any:  # noqa: ANN401 - click's own
        names = ("weights", "no_top", "input_size", "preprocessing", "class_names", "trust_saved_model")
        chosen = {name: arguments.pop(name) for name in names}
        return command(network=Network(model, _for_load_backbone(**chosen)), **arguments)

    for option in reversed(options):
        with_network = option(with_network)
    return with_network  # type: ignore[return-value]


@main.command()
def models() -> None:
    """List the networks that can be asked for by name, and which have their weights on this machine."""
    from featlib.models import list_models, weights_on_disk

    rows = [("name", "family", "input", "params", "ImageNet weights")]
    for choice in list_models():
        size = "?" if choice.input_size is None else str(choice.input_size)
        params = "?" if choice.params is None else f"{choice.params:,}"
        there = "embedded" if choice.embedded else "on disk" if weights_on_disk(choice) else "to download"
        megabytes = "?" if choice.megabytes is None else f"{choice.megabytes:,.0f} MB"
        rows.append((choice.name, choice.family, size, params, f"{megabytes:>8}, {there}"))
    for line in _columns(rows, numbers={2, 3}):
        click.echo(line)


@main.command()
@click.argument("model")
@_network_options
@click.option("--json", "as_json", is_flag=True, help="Everything that is known of each layer, for a program.")
def layers(network: Network, as_json: bool) -> None:
    """List the layers of MODEL, those of inner models too.

    MODEL is EfficientNetLite0 (embedded), any network of keras.applications (`featlib models`), or the path of a
    .keras or .h5 file.

    \b
    featlib layers EfficientNetLite0
    featlib layers "MobileNetV2(alpha=0.35)" --no-top --input-size 96
    """  # noqa: D301 - click keeps the lines below \b
    backbone = network.load()
    if as_json:
        click.echo(json.dumps([asdict(layer) for layer in backbone.layers], indent=1))
        return
    for line in _layer_table(backbone.layers):
        click.echo(line)
    click.echo(f"\n{len(backbone.layers)} layers, {backbone.model.count_params():,} params")
    click.echo(f"input {backbone.input_shape}, RGB 0..255, {backbone.preprocessing.code}")
    for note in backbone.notes:
        click.echo(note)


@main.command()
@click.argument("images", nargs=-1, required=True)
@click.option(
    "--model",
    default="EfficientNetLite0",
    show_default=True,
    help="Or any network of keras.applications, or a model file.",
)
@_network_options
@click.option("--layer", multiple=True, help="A layer path; repeat it for several. [default: the last with maps]")
@click.option("--pooling", type=click.Choice(list(POOLINGS)), default="avg", show_default=True)
@click.option("--l2", is_flag=True, help="Scale each layer's part of a vector to length 1.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Images in one forward pass.")
@click.option("--runtime", type=click.Choice(["auto", "tensorflow", "openvino"]), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True)
@click.option("--path-column", help="Of a table: the column with the paths. [default: path, file, filename or image]")
@click.option("--no-cache", is_flag=True, help="Neither read nor keep vectors on disk (see `featlib cache`).")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", help="ray: several processes or machines."
)
@click.option("--address", help="With ray: auto, host:6379 or ray://host:10001. [default: Ray on this machine]")
@click.option(
    "--workers", type=click.IntRange(1), help="With ray: processes with a network. [default: one for 8 cores]"
)
@click.option("--shard-size", type=click.IntRange(1), help="With ray: images in a file. [default: 512]")
@click.option(
    "-o", "--output", required=True, help="The file to write: .npy, .npz, .parquet, .h5, .csv; a folder with ray."
)
def extract(
    network: Network,
    images: tuple[str, ...],
    layer: tuple[str, ...],
    pooling: str,
    l2: bool,
    output: str,
    path_column: str | None,
    no_cache: bool,
    resume: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    shard_size: int | None,
    **how: Any,  # noqa: ANN401 - batch_size, runtime and precision, as the library takes them
) -> None:
    """Turn IMAGES into one vector each.

    IMAGES are folders (sub-folders become labels), zips, globs, files, a .txt list of paths, a .csv, .tsv or .parquet
    table with a column of paths (its other columns become labels), or a built-in set: samples:photos, samples:views,
    samples:digits, samples:shapes. Any number of them: they are read while the network runs.

    The exit status is 0; 1 where images could not be read (each is named, and the rest is written); 2 where nothing
    is written; 130 after Ctrl+C, which keeps what was computed for --resume.

    \b
    featlib extract photos/ -o vectors.npz
    featlib extract samples:views --layer block4_add --layer head_relu --l2 -o vectors.csv
    featlib extract paths.csv --runtime openvino -o vectors.parquet --resume
    featlib extract photos/ --engine ray --workers 4 -o vectors
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.features import EngineOptions, VectorStore, extract_to_file, vector_engine
    from featlib.features.files import FORMATS, check_destination

    how |= {"pooling": POOLINGS[pooling], "l2_normalize": l2, "resume": resume}
    beyond = {"address": address, "workers": workers, "shard_size": shard_size}
    if engine == "ray":
        _extract_with_ray(network, images, path_column, output, layer, how | beyond)
        return
    for name in (name for name, value in beyond.items() if value is not None):
        raise FeatlibError(f"--{name.replace('_', '-')} is for --engine ray. Leave it out, or add --engine ray.")
    check_destination(output, FORMATS)
    options = EngineOptions(how["batch_size"], how["runtime"], how["precision"])
    pending = _list(images, path_column)  # before the seconds that a network takes
    backbone = network.load()
    vector_engine(backbone, layer or None, POOLINGS[pooling], options)  # checks what is asked for
    store = None if no_cache else VectorStore()
    with _progress("Images") as progress, _resumable():
        written = extract_to_file(
            backbone,
            pending,
            output,
            layer or None,
            store=store,
            on_progress=progress,
            **how,
        )
    _report(written.problems, written.shape[0])
    if store is not None and store.problem:
        click.echo(store.problem, err=True)
    click.echo(f"{output}: {written.shape} float32, {' + '.join(written.layers)}, pooling {pooling}")
    if written.problems:
        raise SystemExit(1)


def _extract_with_ray(
    network: Network,
    images: tuple[str, ...],
    path_column: str | None,
    output: str,
    layer: tuple[str, ...],
    how: dict[str, Any],
) -> None:
    from featlib.features.jobs import extract_with_ray

    if Path(output).suffix:
        raise FeatlibError(f"--engine ray writes a folder of Parquet files, such as 'vectors'. Received: '{output}'.")
    _import_keras()
    with _progress("Images") as progress, _resumable():
        run = extract_with_ray(
            network.model,
            _list(images, path_column),
            output,
            network_options=network.options,
            layers=layer or None,
            on_progress=progress,
            **{name: value for name, value in how.items() if value is not None or name == "pooling"},
        )
    _report(run.problems, run.images - len(run.problems))
    click.echo(f"{output}: {run.images - len(run.problems):,} vectors in {run.shards:,} Parquet files")
    if run.problems:
        raise SystemExit(1)


@contextmanager
def _resumable() -> Iterator[None]:
    """Ends the command in one line where it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nStopped. What was computed is kept: the same command with --resume goes on there.", err=True)
        raise SystemExit(130) from None


@main.command()
@click.argument("images", nargs=-1, required=True)
@click.option("--model", default="EfficientNetLite0", show_default=True, help="As for extract.")
@_network_options
@click.option("--layer", multiple=True, help="A layer path; repeat it for several. [default: the ends of the stages]")
@click.option("--pooling", type=click.Choice(["avg", "max", "flatten"]), default="avg", show_default=True)
@click.option("--label", help="The label column to learn. [default: the first]")
@click.option("--path-column", help="Of a table: the column with the paths.")
@click.option("--cv", type=click.IntRange(2), default=5, show_default=True, help="Folds of the cross-validation.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same folds.")
@click.option("--no-cache", is_flag=True, help="Neither read nor keep vectors on disk (see `featlib cache`).")
def probe(
    network: Network,
    images: tuple[str, ...],
    layer: tuple[str, ...],
    pooling: Pooling,
    label: str | None,
    path_column: str | None,
    cv: int,
    seed: int,
    no_cache: bool,
) -> None:
    """Say which layer is best for labelled IMAGES: the accuracy of a logistic regression on each layer's vectors.

    IMAGES as for extract; sub-folders, or a table's other columns, are the labels. The network runs once for all
    layers.

    \b
    featlib probe photos/
    featlib probe samples:shapes --label shape --layer block4_add --layer head_relu
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.features import VectorStore
    from featlib.transfer import probe_layers

    pending = _list(images, path_column)
    labels = None if label is None else _labels_of(pending, label)
    backbone = network.load()
    with _progress("Percent") as progress:
        result = probe_layers(
            backbone,
            pending,
            layer or None,
            y=labels,
            pooling=pooling,
            cv=cv,
            random_state=seed,
            store=None if no_cache else VectorStore(),
            on_progress=progress,
        )
    _report(result.problems, len(pending) - len(result.problems))
    rows = [("layer", "accuracy", "±", "")]
    for path, mean, std in zip(result.layers, result.mean_accuracies, result.std_accuracies, strict=True):
        rows.append((path, f"{mean:.1%}", f"{std:.1%}", "best" if path == result.best else ""))
    for line in _columns([*rows, ("always the commonest label", f"{result.majority_accuracy:.1%}", "", "")], {1, 2}):
        click.echo(line)
    folds = len(result.results[0].accuracies)
    click.echo(f"{folds}-fold cross-validation, learned: {label or 'the first label column'}")
    if result.problems:
        raise SystemExit(1)


def _labels_of(images: Sequence[Pending], column: str) -> list[str]:
    from featlib.images import ImageProblem

    labels = [{} if isinstance(image, ImageProblem) else image.labels for image in images]
    known = dict.fromkeys(name for own in labels for name in own)
    if column not in known:
        said = ", ".join(f"'{name}'" for name in known) or "none"
        raise FeatlibError(f"There is no label column '{column}'. The images have: {said}.")
    return [own.get(column, "") for own in labels]


@main.command()
@click.argument("vectors")
@click.option("--method", type=click.Choice(["pca", "tsne"]), default="pca", show_default=True)
@click.option("--perplexity", type=float, help="t-SNE only: how many neighbours a point looks at. [default: 30]")
@click.option("--components", type=click.IntRange(2, 3), default=2, show_default=True, help="2 or 3 dimensions.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same picture.")
@click.option("--label", help="The label column that colours the .html. [default: the first]")
@click.option("-o", "--output", help="The file to write: .csv, or .html with a picture. [default: CSV to the screen]")
def project(
    vectors: str,
    method: str,
    perplexity: float | None,
    components: int,
    seed: int,
    label: str | None,
    output: str | None,
) -> None:
    """Project VECTORS, an .npz or .parquet file of `featlib extract`, to two or three coordinates.

    \b
    featlib project vectors.npz -o projection.csv
    featlib project vectors.npz --method tsne --perplexity 10 -o projection.html
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.analysis import project as project_vectors
    from featlib.features import load_vectors
    from featlib.features.files import check_destination, coordinates_to_csv, write_whole

    destination = check_destination(output, (".csv", ".html")) if output else None
    table = load_vectors(vectors)
    labels = _labels(table, label)
    with _progress("Projection") as progress:
        projection = project_vectors(
            table.X,
            method=method,  # type: ignore[arg-type]
            n_components=components,
            perplexity=perplexity,
            random_state=seed,
            on_progress=progress,
        )
    if destination is None:
        click.echo(coordinates_to_csv(table, projection.coordinates), nl=False)
    elif destination.suffix.lower() == ".csv":
        write_whole(destination, coordinates_to_csv(table, projection.coordinates))
    else:
        write_whole(destination, _page(projection, table, labels))


@main.command()
@click.option("--clear", is_flag=True, help="Remove everything that is kept.")
def cache(clear: bool) -> None:
    """Show what is kept on disk so that no vector is computed twice, or remove it.

    It lies in the folder FEATLIB_HOME, else in .featlib in your home.
    """
    from featlib.features.store.store import VectorStore
    from featlib.text import format_bytes, printable

    store = VectorStore()
    before = store.info()
    if clear and not store.problem:
        store.clear()
    if store.problem:
        raise FeatlibError(store.problem)
    click.echo(store.path)
    if clear:
        freed = format_bytes(max(0, before.bytes - store.info().bytes))
        click.echo(f"removed {before.vectors:,} vectors, freed {freed}")
        return
    share = f"{format_bytes(before.bytes)} of {format_bytes(before.max_bytes)} ({before.bytes / before.max_bytes:.1%})"
    click.echo(f"{before.vectors:,} vectors, {share}")
    rows = [(printable(name), f"{count:,}", format_bytes(size)) for name, count, size in before.spaces]
    if rows:
        click.echo()
    for line in _columns([("made by", "vectors", "size"), *rows], numbers={1, 2}) if rows else ():
        click.echo(line)


def _for_load_backbone(
    weights: str,
    no_top: bool,
    input_size: int | None,
    preprocessing: str | None,
    class_names: str | None,
    trust_saved_model: bool,
) -> dict[str, Any]:
    return {
        "weights": None if weights == "random" else weights,
        "include_top": not no_top,
        "input_shape": None if input_size is None else (input_size, input_size, 3),
        "preprocessing": preprocessing,
        "class_names": None if class_names is None else _class_names(class_names),
        "trust_saved_model": trust_saved_model,
    }


def _class_names(path: str) -> tuple[str, ...]:
    from featlib.models import read_class_names

    try:
        return read_class_names(Path(path).read_bytes())
    except OSError as error:
        raise FeatlibError(f"The class names in '{path}' cannot be read: {error.strerror}.") from error


def _import_keras() -> None:
    """Imports Keras and TensorFlow without the lines that TensorFlow writes to stderr whatever its log level is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())  # then they may say why
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _list(sources: Sequence[str], path_column: str | None) -> list[Pending]:
    """Lists the images without reading them."""
    from featlib.images import list_pending, load_samples

    if path_column is not None and not any(map(_is_table, sources)):
        raise FeatlibError("--path-column is for a .csv, .tsv or .parquet table, and there is none among the sources.")
    listed: list[Pending] = []
    for part in _together(sources):
        if isinstance(part, str) and part.startswith(SAMPLES):
            listed += load_samples(part.removeprefix(SAMPLES)).items
        else:
            listed += list_pending(part, path_column=path_column if _is_table(part) else None)
    return listed


def _together(sources: Sequence[str]) -> Iterator[str | list[str]]:
    """Splits what was asked for into what is listed at once; paths side by side share their folder's name."""
    from featlib.images.sources.walk import is_glob

    paths: list[str] = []
    for source in sources:
        if not (source.startswith(SAMPLES) or is_glob(source) or _is_table(source)):
            paths.append(source)
            continue
        if paths:
            yield paths
            paths = []
        yield source
    if paths:
        yield paths if len(sources) > 1 else paths[0]


def _is_table(source: str | list[str]) -> bool:
    from featlib.images.sources.tables import is_table

    return isinstance(source, str) and is_table(Path(source))


def _report(problems: Sequence[ImageProblem], good: int) -> None:
    for problem in problems:
        click.echo(f"Left out: {' '.join(problem.reason.split())}", err=True)
    left_out = f"; {len(problems):,} left out" if problems else ""
    click.echo(f"{good:,} of {good + len(problems):,} images{left_out}")


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with count and ETA on stderr, where that is a terminal. Yields what reports (done, in all)."""
    with ExitStack() as stack:
        bar = None
        began = first = 0.0

        def update(done: int, total: int) -> None:
            nonlocal bar, began, first
            if bar is None:
                began, first = time.monotonic(), done
                shown = click.progressbar(
                    length=total, label=label, show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
                )
                bar = stack.enter_context(shown)
            if done > first and time.monotonic() > began + 1:
                bar.label = f"{label}, {(done - first) / (time.monotonic() - began):,.0f} a second"
            bar.update(done - bar.pos)

        yield update


def _layer_table(layers: Sequence[LayerInfo]) -> Iterator[str]:
    """The layers as lines of aligned columns."""
    from featlib.text import format_bytes

    rows = [("", "path", "class", "output shape", "params", "memory/image", "sees", "stride", "")]
    for layer in layers:
        memory = "?" if layer.bytes_per_image is None else format_bytes(layer.bytes_per_image)
        note = f"cannot be had: {layer.reason}" if layer.reason else "stage end" if layer.stage_end else ""
        sees, stride = (
            "" if pair is None else f"{pair[0]}×{pair[1]}" for pair in (layer.receptive_field, layer.stride)
        )
        shape = "" if layer.reason else str(layer.output_shape)
        path = "  " * layer.depth + layer.path
        rows.append((str(layer.index), path, layer.class_name, shape, f"{layer.params:,}", memory, sees, stride, note))
    yield from _columns(rows, numbers={0, 4, 5, 6, 7})


def _columns(rows: Sequence[tuple[str, ...]], numbers: set[int]) -> Iterator[str]:
    """Rows as lines of aligned columns, those of `numbers` to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _labels(table: VectorTable, column: str | None) -> tuple[str, np.ndarray | None]:
    if column is None:
        column = next(iter(table.labels), None)
        return ("", None) if column is None else (column, table.labels[column])
    if column not in table.labels:
        known = ", ".join(f"'{name}'" for name in table.labels) or "none"
        raise FeatlibError(f"There is no label column '{column}'. The vectors have: {known}.")
    return column, table.labels[column]


def _page(projection: Projection, table: VectorTable, labels: tuple[str, np.ndarray | None]) -> bytes:
    """An HTML page that needs no network: Plotly's script is in it."""
    from featlib.plots import projection_scatter

    title, values = labels
    figure = projection_scatter(
        projection, ids=table.ids, names=table.names, labels=values, label_title=title, height=720
    )
    return figure.to_html(include_plotlyjs=True, config={"displaylogo": False}).encode()


if __name__ == "__main__":
    main()
