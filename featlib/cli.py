"""The `featlib` command: the library's jobs from a shell. It only translates."""

from __future__ import annotations

import functools
import importlib
import ipaddress
import json
import os
import re
import runpy
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import urlsplit

import click

from featlib.errors import FeatlibError, FeatlibWarning

if TYPE_CHECKING:
    from featlib.images import ImageEntry, ImageProblem
    from featlib.models import Backbone, LayerInfo

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Command = TypeVar("Command", bound=Callable[..., Any])


class OneLineError(click.ClickException):
    """A FeatlibError as one line on stderr, with exit status 2."""

    exit_code = 2


class FeatlibGroup(click.Group):
    """Commands that report a FeatlibError in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            raise SystemExit(130) from None
        except FeatlibError as error:
            raise OneLineError(" ".join(str(error).split())) from error


class LiteralChoice(click.Choice[str]):
    """The values of one of the library's Literal types, which is imported only when they are needed."""

    def __init__(self, module: str, name: str, *others: str) -> None:
        self.source, self.others, self.case_sensitive = (module, name), others, True

    @functools.cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """The values allowed."""
        module, name = self.source
        return (*get_args(getattr(importlib.import_module(module), name)), *self.others)


@click.group(cls=FeatlibGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="featlib")
@click.pass_context
def main(ctx: click.Context) -> None:
    """See what a convolutional network sees: its layers, their vectors, a projection of them.

    Everything runs on this machine. `featlib app` shows the same in the browser.
    """
    ctx.with_resource(warnings.catch_warnings())
    warnings.filterwarnings("ignore", module=r"PIL\.")  # featlib reports each bad image itself, by name
    warnings.simplefilter("always", FeatlibWarning)
    show = warnings.showwarning
    messages: dict[str, None] = {}

    def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
        if issubclass(category, FeatlibWarning):
            messages[str(message)] = None
        else:
            show(message, category, *where, **more)

    warnings.showwarning = collect
    # Shown at the end, below the progress bar, each once and without the line of code it came from.
    ctx.call_on_close(lambda: click.echo("".join(f"{message}\n" for message in messages), nl=False, err=True))


@dataclass(frozen=True)
class Network:
    """The model asked for: its name or path, and the other arguments of `load_backbone`."""

    model: str
    options: dict[str, Any]

    def load(self) -> Backbone:
        """Load the model."""
        from featlib.models import list_models, load_backbone

        known = {choice.name.lower() for choice in list_models()}
        if self.model.partition("(")[0].strip().lower() in known or Path(self.model).exists():
            _import_keras()  # takes seconds; a mistyped name is reported at once
        return load_backbone(self.model, **self.options)


def _network_options(command: Command) -> Command:
    options = (
        click.option("--weights", default="imagenet", show_default=True, help="imagenet, random, or a weights file."),
        click.option("--no-top", is_flag=True, help="Without the classification layers (include_top=False)."),
        click.option(
            "--input-size", type=click.IntRange(1), help="Height and width in pixels. [default: the model's own]"
        ),
        click.option("--preprocessing", help="For a model file that does not tell: none, unit, tf, torch, caffe, …"),
        click.option("--class-names", type=click.Path(), help="For a model file: a text file with one name per line."),
        click.option("--trust-saved-model", is_flag=True, help="Load a SavedModel folder, which can run any code."),
    )

    @functools.wraps(command)
    def with_network(
        model: str,
        weights: str,
        no_top: bool,
        input_size: int | None,
        preprocessing: str | None,
        class_names: str | None,
        trust_saved_model: bool,
        **arguments: Any,  # noqa: ANN401 - the command's own
    ) -> Any:  # noqa: ANN401 - click's own
        _check_input_size(model, input_size)
        chosen = {
            "weights": None if weights == "random" else weights,
            "include_top": not no_top,
            "input_shape": None if input_size is None else (input_size, input_size, 3),
            "preprocessing": preprocessing,
            "class_names": None if class_names is None else _read_class_names(class_names),
            "trust_saved_model": trust_saved_model,
        }
        return command(network=Network(model, chosen), **arguments)

    for option in reversed(options):
        with_network = option(with_network)
    return with_network  # type: ignore[return-value]


def _check_input_size(model: str, input_size: int | None) -> None:
    """Name the option if the size is wrong for a network by name: the library speaks of its own input_shape."""
    from featlib.models import is_model_path
    from featlib.models.applications import MAX_SIDE, MIN_SIDE

    if input_size is not None and not is_model_path(model) and not MIN_SIDE <= input_size <= MAX_SIDE:
        raise FeatlibError(f"--input-size must be from {MIN_SIDE} to {MAX_SIDE:,} pixels. Received: {input_size}.")


@main.command()
def models() -> None:
    """List the models that can be loaded by name, and where their weights are."""
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
@click.option("--json", "as_json", is_flag=True, help="Print all details of each layer as JSON.")
def layers(network: Network, as_json: bool) -> None:
    """List the layers of MODEL, including those of nested models.

    MODEL is EfficientNetLite0 (embedded), any model of keras.applications (`featlib models`), or the path of a
    .keras or .h5 file.

    \b
    featlib layers EfficientNetLite0
    featlib layers "MobileNetV2(alpha=0.35)" --no-top --input-size 96
    """  # noqa: D301 - click keeps the lines below \b
    backbone = network.load()
    if as_json:
        click.echo(json.dumps([asdict(layer) for layer in backbone.layers], indent=1))
        return
    for line in _columns(_layer_rows(backbone.layers), numbers={0, 4, 5, 6, 7}):
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
    help="Also any network of keras.applications, or a model file.",
)
@_network_options
@click.option("--layer", multiple=True, help="A layer path; repeat for several. [default: the last with feature maps]")
@click.option("--pooling", type=LiteralChoice("featlib.features", "Pooling", "none"), default="avg", show_default=True)
@click.option("--l2", is_flag=True, help="L2-normalize each layer's part of a vector.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Images per forward pass.")
@click.option("--runtime", type=LiteralChoice("featlib.features", "RuntimeName"), default="auto", show_default=True)
@click.option("--precision", type=LiteralChoice("featlib.features", "Precision"), default="float32", show_default=True)
@click.option("--path-column", help="The column of paths in a table. [default: path, file, filename or image]")
@click.option("--no-cache", is_flag=True, help="Do not use the vector cache on disk (see `featlib cache`).")
@click.option("--resume", is_flag=True, help="Resume an interrupted run.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", help="ray: several processes or machines."
)
@click.option("--address", help="With ray: auto, host:6379 or ray://host:10001. [default: Ray on this machine]")
@click.option("--workers", type=click.IntRange(1), help="With ray: worker processes. [default: one per 8 cores]")
@click.option("--shard-size", type=click.IntRange(1), help="With ray: images per file. [default: 512]")
@click.option(
    "-o", "--output", required=True, help="The file to write: .npy, .npz, .parquet, .h5 or .csv; a folder with ray."
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
    engine: str,
    address: str | None,
    workers: int | None,
    shard_size: int | None,
    **options: Any,  # noqa: ANN401 - batch_size, runtime, precision and resume, as the library takes them
) -> None:
    """Turn IMAGES into one vector per image.

    IMAGES are folders (sub-folders become labels), zips, globs, files, a .txt list of paths, a .csv, .tsv or .parquet
    table with a column of paths (its other columns become labels), or a built-in set: samples:photos, samples:views,
    samples:digits, samples:shapes. Any number of images: they are read while the network runs.

    The exit status is 0; 1 if images were skipped because they cannot be read (each is named); 2 if nothing was
    written; 130 after Ctrl+C, where --resume continues.

    \b
    featlib extract photos/ -o vectors.npz
    featlib extract samples:views --layer block4_add --layer head_relu --l2 -o vectors.csv
    featlib extract paths.csv --runtime openvino -o vectors.parquet --resume
    featlib extract photos/ --engine ray --workers 4 -o vectors
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.features import VectorStore, extract_to_file
    from featlib.images import list_sources

    options |= {"layers": layer or None, "pooling": None if pooling == "none" else pooling, "l2_normalize": l2}
    for_ray = {"address": address, "workers": workers, "shard_size": shard_size}
    for_ray = {name: value for name, value in for_ray.items() if value is not None}
    if engine == "ray":
        _extract_with_ray(network, list_sources(images, path_column), output, **options, **for_ray)
        return
    for name in for_ray:
        raise FeatlibError(f"--{name.replace('_', '-')} is for --engine ray. Remove it, or add --engine ray.")
    listed = list_sources(images, path_column)  # before the seconds that a model takes
    backbone = network.load()
    store = None if no_cache else VectorStore()
    with _progress("Images") as progress, _resumable():
        written = extract_to_file(backbone, listed, output, store=store, on_progress=progress, **options)
    if store is not None and store.problem:
        click.echo(store.problem, err=True)
    summary = f"{output}: {written.shape} float32, {' + '.join(written.layers)}, pooling {pooling}"
    _finish(written.problems, written.shape[0], summary)


def _extract_with_ray(network: Network, images: object, output: str, **options: Any) -> None:  # noqa: ANN401
    from featlib.features import extract_with_ray

    if Path(output).suffix:
        raise FeatlibError(f"--engine ray writes a folder of Parquet files, such as 'vectors'. Received: '{output}'.")
    _import_keras()
    with _progress("Images") as progress, _resumable():
        run = extract_with_ray(
            network.model, images, output, network_options=network.options, on_progress=progress, **options
        )
    good = run.images - len(run.problems)
    _finish(run.problems, good, f"{output}: {good:,} vectors in {run.shards:,} Parquet files")


@contextmanager
def _resumable() -> Iterator[None]:
    """Report in one line how to resume if the command is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nStopped. The work done so far is saved: resume with the same command and --resume.", err=True)
        raise SystemExit(130) from None


@main.command()
@click.argument("images", nargs=-1, required=True)
@click.option("--model", default="EfficientNetLite0", show_default=True, help="As for extract.")
@_network_options
@click.option("--layer", multiple=True, help="A layer path; repeat for several. [default: the stage outputs]")
@click.option("--pooling", type=LiteralChoice("featlib.features", "Pooling"), default="avg", show_default=True)
@click.option("--label", help="The label column to predict. [default: the first]")
@click.option("--path-column", help="The column of paths in a table.")
@click.option(
    "--cv", type=click.IntRange(2), default=5, show_default=True, help="Folds; no more than the smallest class has."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same folds.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="Of more images a sample is used, equally many of each label, as in the app. 0 uses all.",
)
@click.option("--no-cache", is_flag=True, help="Do not use the vector cache on disk (see `featlib cache`).")
def probe(
    network: Network,
    images: tuple[str, ...],
    layer: tuple[str, ...],
    pooling: str,
    label: str | None,
    path_column: str | None,
    cv: int,
    seed: int,
    limit: int,
    no_cache: bool,
) -> None:
    """Find the best layer for labeled IMAGES: the accuracy of a logistic regression on each layer's vectors.

    IMAGES as for extract; sub-folders, or a table's other columns, are the labels. The network runs once for all
    layers. Classes with a single image are skipped.

    \b
    featlib probe photos/
    featlib probe samples:shapes --label shape --layer block4_add --layer head_relu
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.analysis import linear_probe
    from featlib.features import VectorStore, raw_pixel_vectors
    from featlib.images import list_sources
    from featlib.transfer import probe_layers

    listed = list_sources(images, path_column)
    used = _sample(listed, limit, label) if 0 < limit < len(listed) else listed
    backbone = network.load()
    with _progress("Images and probes") as progress:
        result = probe_layers(
            backbone,
            used,
            layer or None,
            y=label,
            pooling=pooling,  # type: ignore[arg-type]
            cv=cv,
            random_state=seed,
            store=None if no_cache else VectorStore(),
            on_progress=progress,
        )
    first = result.results[0]
    pixels = linear_probe(raw_pixel_vectors(result.images), first.labels, cv=cv, random_state=seed)
    rows = [("layer", "accuracy", "±", "")]
    for path, mean, std in zip(result.layers, result.mean_accuracies, result.std_accuracies, strict=True):
        rows.append((path, f"{mean:.1%}", f"{std:.1%}", "best" if path == result.best else ""))
    rows.append(("raw pixels", f"{pixels.mean_accuracy:.1%}", f"{pixels.std_accuracy:.1%}", ""))
    rows.append(("majority class", f"{result.majority_accuracy:.1%}", "", ""))
    for name in result.skipped:
        click.echo(f"Skipped: the class '{name}', which has a single image", err=True)
    summary = f"{first.cv}-fold cross-validation over {first.n_used:,} images, label: {result.column}"
    if first.cv < cv:
        summary += f"; not {cv}-fold, as the smallest class has {first.cv} images"
    if len(used) < len(listed):
        summary += f"; a sample of {len(listed):,}, --limit 0 uses all"
    _finish(result.problems, len(result.images), *_columns(rows, {1, 2}), summary)


def _sample(listed: Sequence[ImageEntry], limit: int, label: str | None) -> list[ImageEntry]:
    """Draw the sample that the app uses, from the images that can be read, with equally many of each label."""
    from featlib.images import load_images

    with _progress("Images") as progress:
        images = load_images(listed, max_images=len(listed), on_progress=progress)
    by = label if label in images.label_columns else next(iter(images.label_columns), None)
    return [*images.sample(limit, by=by), *images.problems]


@main.command()
@click.argument("vectors")
@click.option("--method", type=LiteralChoice("featlib.analysis", "ProjectionMethod"), default="pca", show_default=True)
@click.option("--perplexity", type=float, help="t-SNE only: how many neighbors count for a point. [default: 30]")
@click.option("--components", type=click.IntRange(2, 3), default=2, show_default=True, help="2 or 3 dimensions.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same map.")
@click.option("--label", help="The label column that colors the .html. [default: the first]")
@click.option("-o", "--output", help="The file to write: .csv, or .html with a plot. [default: CSV to the screen]")
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
    from featlib.plots import projection_scatter

    destination = check_destination(output, (".csv", ".html")) if output else None
    table = load_vectors(vectors)
    if label is not None and label not in table.labels:
        known = ", ".join(f"'{name}'" for name in table.labels) or "none"
        raise FeatlibError(f"There is no label column '{label}'. The vectors have: {known}.")
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
        return
    if destination.suffix.lower() == ".csv":
        write_whole(destination, coordinates_to_csv(table, projection.coordinates))
    else:
        title = label or next(iter(table.labels), "")
        figure = projection_scatter(
            projection, ids=table.ids, names=table.names, labels=table.labels.get(title), label_title=title, height=720
        )
        # With Plotly's script inside, so that the page needs no network connection.
        page = figure.to_html(include_plotlyjs=True, config={"displaylogo": False})
        write_whole(destination, page.encode())
    click.echo(f"{output}: {len(table.X):,} images in {components} dimensions by {method}")


@main.command()
@click.option("--clear", is_flag=True, help="Remove all cached vectors.")
def cache(clear: bool) -> None:
    """Show the vectors cached on disk, or remove them.

    The cache is in the folder FEATLIB_HOME, or else in your user cache folder.
    """
    from featlib.features import VectorStore
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
    for line in _columns([("computed by", "vectors", "size"), *rows], numbers={1, 2}) if rows else ():
        click.echo(line)


@main.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--address", default="localhost", show_default=True, help="Where to listen; 0.0.0.0 for the network.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8501, show_default=True, help="The port to listen on.")
@click.option("--host", "hosts", multiple=True, help="A name or address that browsers open; repeat for several.")
def app(folders: tuple[Path, ...], address: str, port: int, hosts: tuple[str, ...]) -> None:
    """Start the app in the browser, from a clone of the repository.

    FOLDERS are opened: whoever can open the app can see all images, models and vector files in them, and nothing
    else of this machine. So can the links that the app makes, as long as the folders keep their names.

    By default only this machine can open the app. For a class, listen to the network and say which name or address
    the others type:

    \b
    featlib app photos/
    featlib app photos/ --address 0.0.0.0 --host 192.168.1.20 --host teacher.local
    """  # noqa: D301 - click keeps the lines below \b
    from featlib.images import FOLDERS_VARIABLE, open_folders
    from featlib.text import printable

    hosts = tuple(_host_name(given) for given in hosts)
    everywhere = address in ("0.0.0.0", "::")
    if everywhere and not hosts:
        raise FeatlibError(
            f"With --address {address}, say which name or address the others type into their browsers, for example "
            f"--host {socket.gethostname()}. Others are refused."
        )
    for path in folders:
        if os.pathsep in str(path.absolute()):
            raise FeatlibError(
                f"'{printable(str(path))}' cannot be opened, because '{os.pathsep}' in its path separates folders in "
                f"{FOLDERS_VARIABLE}: open a folder whose path has none."
            )
    script = _app_script()
    os.environ[FOLDERS_VARIABLE] = os.pathsep.join(
        [*(str(path.absolute()) for path in folders), os.environ.get(FOLDERS_VARIABLE, "")]
    )
    for folder in open_folders():
        click.echo(f"Open to all who can open the app: {folder.root}, as '{folder.name}'")
    sys.argv = ["streamlit", "run", script, "--server.address", address, "--server.port", str(port)]
    sys.argv += ["--server.fileWatcherType", "none"]  # visitors are not told that a file of the app has changed
    for host in dict.fromkeys([*LOOPBACK, *([] if everywhere else [address]), *hosts]):
        sys.argv += ["--server.allowedHosts", host]  # a list with commas would be taken for one host
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)


def _host_name(given: str) -> str:
    """Return the name or address in what may have been pasted from a browser, such as http://a.local:8501/layers."""
    host = given.strip()
    try:
        if host.count(":") < 2 or "[" in host or "//" in host:  # else an IPv6 address without brackets
            host = urlsplit(host if "//" in host else f"//{host}").hostname or ""
        valid = bool(re.fullmatch(r"[\w.-]+", host)) or ipaddress.ip_address(host).version == 6
    except ValueError:
        valid = False
    if not valid:
        raise FeatlibError(
            f"--host must be one name or address, such as teacher.local or 192.168.1.20. Received: {given!r}."
        )
    return host


def _app_script() -> str:
    """Return the path of app.py, which is in a clone of the repository and not in the installed package."""
    for root in (Path(__file__).resolve().parents[1], Path.cwd()):
        if (root / "app.py").is_file() and (root / "featlib" / "ui").is_dir():
            return str(root / "app.py")
    raise FeatlibError(
        "The app is not part of the installed package. Clone featlib's repository, run 'pip install -e .' in the "
        "clone, and then 'featlib app'."
    )


def _read_class_names(path: str) -> tuple[str, ...]:
    from featlib.models import read_class_names

    try:
        return read_class_names(Path(path).read_bytes())
    except OSError as error:
        raise FeatlibError(f"The class names in '{path}' cannot be read: {error.strerror}.") from error


def _import_keras() -> None:
    """Import Keras and TensorFlow without the lines that TensorFlow writes to stderr whatever its log level is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as output:
        stderr = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            output.seek(0)
            os.write(stderr, output.read())  # may say why the import failed
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _finish(problems: Sequence[ImageProblem], good: int, *lines: str) -> None:
    """Print the skipped images to stderr and the results to stdout; exit with status 1 if images were skipped."""
    for problem in problems:
        click.echo(f"Skipped: {' '.join(problem.reason.split())}", err=True)
    skipped = f"; {len(problems):,} skipped" if problems else ""
    click.echo(f"{good:,} of {good + len(problems):,} images{skipped}")
    for line in lines:
        click.echo(line)
    if problems:
        raise SystemExit(1)


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with count and ETA on stderr if that is a terminal; yields an OnProgress callback."""
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
                bar.label = f"{label}, {(done - first) / (time.monotonic() - began):,.0f} per second"
            bar.update(done - bar.pos)

        yield update


def _layer_rows(layers: Sequence[LayerInfo]) -> list[tuple[str, ...]]:
    """Return the layers as rows of a table, under a header."""
    from featlib.text import format_bytes

    rows: list[tuple[str, ...]] = [
        ("", "path", "class", "output shape", "params", "memory/image", "receptive field", "stride", "")
    ]
    for layer in layers:
        memory = "?" if layer.bytes_per_image is None else format_bytes(layer.bytes_per_image)
        note = f"unavailable: {layer.reason}" if layer.reason else "stage end" if layer.stage_end else ""
        field, stride = (
            "" if pair is None else f"{pair[0]}×{pair[1]}" for pair in (layer.receptive_field, layer.stride)
        )
        shape = "" if layer.reason else str(layer.output_shape)
        path = "  " * layer.depth + layer.path
        rows.append((str(layer.index), path, layer.class_name, shape, f"{layer.params:,}", memory, field, stride, note))
    return rows


def _columns(rows: Sequence[tuple[str, ...]], numbers: set[int]) -> Iterator[str]:
    """Yield rows as lines of aligned columns, those in `numbers` to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


if __name__ == "__main__":
    main()
