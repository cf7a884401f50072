"""The command line: real runs, in this process and as a process of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import runpy
import subprocess
import sys
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import featlib
from featlib.cli import main
from featlib.features import raw_pixel_vectors
from featlib.models import list_models
from featlib.text import natural_key
from tests.images.corpus import corpus
from tests.shared_networks import load_shared

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("tensorflow", "keras", "sklearn", "streamlit", "plotly", "openTSNE", "pandas")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """The folder of the store."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FEATLIB_HOME", str(folder))
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("featlib.models.load_backbone", load_shared)  # a second to build a network, and two to compile
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


def environment(**variables: str) -> dict[str, str]:
    """What a person's shell has: nothing that the tests set for TensorFlow."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return own | {"PYTHONPATH": str(ROOT), **variables}


def process(*arguments, cwd: Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "featlib", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def write_photos(folder: Path, photos, names=("chelsea", "china", "coffee", "flower")) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in names]
    for path, name in zip(paths, names, strict=True):
        Image.fromarray(photos[photos.names.index(name)].thumbnail(160)).save(path)
    return paths


@pytest.fixture
def vectors(tmp_path, lite0):
    """A file of the vectors of 24 views."""
    path = tmp_path / "vectors.npz"
    table = featlib.extract_vectors(lite0, featlib.load_samples("views")[:24], "block4_add")
    return featlib.save_vectors(table, path), table


@pytest.mark.parametrize("arguments", [["--help"], ["layers", "--help"], ["extract", "-h"], ["project", "--help"]])
def test_help_is_light(arguments):
    code = f"""
import sys
from featlib.cli import main
from featlib.features import raw_pixel_vectors
main({arguments}, standalone_mode=False)
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout


def test_the_version_is_the_packages_own(tmp_path):
    assert featlib.__version__ == version("featlib")
    assert process("--version", cwd=tmp_path).stdout.split()[-1] == featlib.__version__


def test_help_names_the_networks_and_every_sample_set(run):
    text = run("extract", "--help").output
    assert list_models()[0].name in text
    assert "any network of keras.applications" in " ".join(text.split())
    assert all(f"samples:{sample.name}" in " ".join(text.split()) for sample in featlib.images.list_samples())


def test_layers_shows_the_summary_as_aligned_columns(run, lite0):
    result = run("layers", "efficientnetlite0")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()[: len(lite0.layers) + 1]
    for row, layer in zip(rows, lite0.layers, strict=True):
        assert row.split()[:3] == [str(layer.index), layer.path, layer.class_name]
        assert str(layer.output_shape) in row
        assert f" {layer.params:,} " in row
        assert row.endswith("stage end") == layer.stage_end
    columns = [header.index(title) for title in ("path", "class", "output shape")]
    assert all(row[start - 1] == " " and row[start] != " " for row in rows for start in columns)
    assert "61.2 KB" in rows[137]  # 7 × 7 × 320 float32
    assert "144 layers, 4,694,024 params" in result.stdout
    assert "x = (x - 127) / 128" in result.stdout


def test_layers_as_json(run, lite0):
    result = run("layers", "EfficientNetLite0", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["path"] for row in rows] == [layer.path for layer in lite0.layers]
    assert [tuple(row["output_shape"]) for row in rows] == [layer.output_shape for layer in lite0.layers]


def test_layers_of_a_network_as_asked(run):
    result = run("layers", "MobileNetV2", "--weights", "random", "--no-top", "--input-size", 96)
    assert result.exit_code == 0
    assert "(3, 3, 1280)" in result.stdout
    assert "predictions" not in result.stdout
    assert "input (96, 96, 3)" in result.stdout


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], {}),
        (["--layer", "block4_add", "--layer", "stem_relu"], {"layers": ["block4_add", "stem_relu"]}),
        (["--layer", "block4_add", "--pooling", "max", "--l2"], {"layers": "block4_add", "l2_normalize": True}),
        (["--layer", "predictions", "--pooling", "none", "--batch-size", 2], {"layers": "predictions"}),
    ],
)
def test_extract_writes_the_library_s_vectors(run, lite0, photos, options, asked):
    result = run("extract", "samples:photos", *options, "-o", "vectors.npz")
    assert result.exit_code == 0, result.output
    pooling = options[options.index("--pooling") + 1] if "--pooling" in options else "avg"
    expected = featlib.extract_vectors(lite0, photos, pooling=None if pooling == "none" else pooling, **asked)
    written = featlib.load_vectors("vectors.npz")
    np.testing.assert_allclose(written.X, expected.X, atol=1e-5)
    assert (written.ids, written.names, written.layers) == (expected.ids, expected.names, expected.layers)
    assert (written.pooling, written.fingerprint) == (pooling, lite0.fingerprint)
    np.testing.assert_array_equal(written.labels["photo"], expected.labels["photo"])
    assert "10 of 10 images\n" in result.stdout
    assert f"vectors.npz: (10, {expected.X.shape[1]}) float32" in result.stdout
    assert result.stderr == ""


def test_extract_to_csv_with_another_network_and_size(run, tmp_path, photos):
    write_photos(tmp_path / "set" / "a", photos)
    options = ["--model", "MobileNetV2", "--weights", "random", "--no-top", "--input-size", 96]
    result = run("extract", "set", *options, "-o", "vectors.csv")
    assert result.exit_code == 0, result.output
    network = featlib.load_backbone("MobileNetV2", weights=None, include_top=False, input_shape=(96, 96, 3))
    expected = featlib.extract_vectors(network, "set").X
    rows = list(csv.DictReader(io.StringIO(Path("vectors.csv").read_text(encoding="utf-8"))))
    assert [row["label:folder"] for row in rows] == ["a"] * 4
    found = np.array([[float(value) for name, value in row.items() if name.startswith("out_relu:")] for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_come_in_many_ways_and_keep_their_order(run, tmp_path, photos):
    cats = write_photos(tmp_path / "cats", photos, ["chelsea"])
    cups = write_photos(tmp_path / "cups", photos, ["coffee", "china"])
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(cats[0], "inside/z.png")
    result = run("extract", "cups", "cats", "cup*/c*.png", "more.zip", cats[0], "-o", "v.npz", "--layer", "stem_relu")
    assert result.exit_code == 0, result.output
    table = featlib.load_vectors("v.npz")
    in_folders = ["cups/china.png", "cups/coffee.png", "cats/chelsea.png"]
    assert [Path(name).name for name in table.names] == [
        *(Path(name).name for name in in_folders), "china.png", "coffee.png", "z.png", "chelsea.png"
    ]  # fmt: skip
    assert list(table.names[:3]) == in_folders
    assert list(table.labels["folder"][:3]) == ["cups", "cups", "cats"]
    np.testing.assert_allclose(table.X[2], table.X[6], atol=1e-5)  # the same cat, by folder and by name
    assert cups[0].name == "coffee.png"


def test_tables_and_lists_of_paths(run, tmp_path, lite0, photos):
    paths = write_photos(tmp_path / "set", photos)
    (tmp_path / "list.txt").write_text("".join(f"set/{path.name}\n" for path in paths))
    rows = [f"{path.name},{'animal' if path.stem == 'chelsea' else 'thing'}\n" for path in reversed(paths)]
    (tmp_path / "set" / "table.csv").write_text("where,kind\n" + "".join(rows))
    assert run("extract", "list.txt", "--layer", "stem_relu", "-o", "list.npz").exit_code == 0
    result = run("extract", "set/table.csv", "--path-column", "where", "--layer", "stem_relu", "-o", "table.npz")
    assert result.exit_code == 0, result.output
    expected = featlib.extract_vectors(lite0, paths, "stem_relu").X
    np.testing.assert_allclose(featlib.load_vectors("list.npz").X, expected, atol=1e-5)
    table = featlib.load_vectors("table.npz")
    np.testing.assert_allclose(table.X, expected[::-1], atol=1e-5)
    assert list(table.labels["kind"]) == ["thing", "thing", "thing", "animal"]


def test_a_bare_array_has_its_names_beside_it(run, photos, lite0):
    result = run("extract", "samples:photos", "--layer", "stem_relu", "-o", "v.npy")
    assert result.exit_code == 0, result.output
    expected = featlib.extract_vectors(lite0, photos, "stem_relu")
    rows = list(csv.DictReader(io.StringIO(Path("v.npy.rows.csv").read_text(encoding="utf-8"))))
    assert [row["id"] for row in rows] == list(expected.ids)
    np.testing.assert_allclose(np.load("v.npy"), expected.X, atol=1e-5)


@pytest.mark.slow
def test_a_killed_run_is_resumed(run, tmp_path, photos):
    (tmp_path / "set").mkdir()
    for i, image in enumerate(featlib.load_samples("views")[:60]):
        Image.fromarray(image.pixels).save(tmp_path / "set" / f"{i:03}.png")
    (tmp_path / "set" / "007b.png").write_bytes(b"not an image")
    arguments = ["extract", "set", "--batch-size", 4, "--no-cache", "-o"]
    assert run(*arguments, "whole.npy").exit_code == 1
    partial = tmp_path / ".v.npy.partial"
    command = [sys.executable, "-m", "featlib", *map(str, arguments), "v.npy"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while running.poll() is None and len(list(partial.glob("part-*"))) < 3:
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert not (tmp_path / "v.npy").exists()
    before = {path: path.stat().st_mtime_ns for path in partial.glob("part-*")}
    assert 3 <= len(before) < 16
    other = run(*arguments[:-1], "--layer", "stem_relu", "-o", "v.npy", "--resume")
    assert other.exit_code == 2
    assert "computed something else: layers" in other.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    resumed = run(*arguments, "v.npy", "--resume")
    assert resumed.exit_code == 1
    assert "60 of 61 images; 1 skipped" in resumed.stdout
    assert resumed.stderr.count("'007b.png'") == 1
    np.testing.assert_allclose(np.load("v.npy"), np.load("whole.npy"), atol=1e-5)
    assert Path("v.npy.rows.csv").read_text() == Path("whole.npy.rows.csv").read_text()
    assert not partial.exists()


def test_a_second_run_comes_from_the_store(run, tmp_path, photos, monkeypatch):
    write_photos(tmp_path / "set", photos)
    for path in (tmp_path / "set").iterdir():
        os.utime(path, (1e9, 1e9))  # of a file changed just now the digest is not trusted
    assert run("extract", "set", "-o", "first.npy").exit_code == 0
    kept = run("cache").stdout
    assert "4 vectors" in kept
    assert "EfficientNetLite0 head_relu avg float32" in kept
    opened = []
    monkeypatch.setattr("featlib.features.engine.open_image", lambda image: opened.append(image.name))
    assert run("extract", "set", "-o", "second.npy").exit_code == 0
    assert opened == []
    np.testing.assert_array_equal(np.load("second.npy"), np.load("first.npy"))
    assert "removed 4 vectors" in run("cache", "--clear").stdout


def test_what_is_to_be_known_of_the_vectors_is_one_sentence(run):
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    small = ["--weights", "random", "--no-top", "--input-size", 64, "--layer", "block2_add"]
    result = run("extract", "samples:photos", *small, "--precision", "bfloat16", "-o", "v.npy")
    assert result.exit_code == 0, result.output
    [line] = result.stderr.splitlines()
    assert re.fullmatch(r"bfloat16: vectors differ by up to \d+\.\d% of the largest value\.", line)


def test_a_bad_name_cannot_forge_a_line(run, tmp_path, photos):
    write_photos(tmp_path / "set", photos)
    (tmp_path / "set" / "x\nError y.png").write_bytes(b"?")
    result = run("extract", "set", "-o", "vectors.npz", "--layer", "stem_relu")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Skipped: ")


def test_nothing_but_bad_images_writes_nothing(run, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"")
    result = run("extract", "set", "-o", "vectors.npz")
    assert result.exit_code == 2
    assert "No image could be read, so no file is written. 'a.png' is empty" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "vectors.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers", "ResNet"], r"No network named 'ResNet'.*'EfficientNetLite0'"),
        (["layers", "MobileNetV2", "--weights", "mine.h5"], "No weights file at 'mine.h5'"),
        (["layers", "MobileNetV2", "--input-size", "8"], "--input-size must be from 32 to 1,024 pixels. Received: 8"),
        (["extract", "samples:photos", "--input-size", "7", "-o", "v.npz"], "--input-size must be .* Received: 7"),
        (["layers", "own.keras", "--input-size", "0"], "--input-size.*0 is not in the range x>=1"),
        (["extract", "samples:photo", "-o", "v.npz"], "No samples named 'photo'.*Did you mean 'photos'"),
        (["extract", "nowhere", "-o", "v.npz"], "There is no file or folder 'nowhere'"),
        (["extract", "samples:photos", "-o", "v.txt"], r"must end in .*\.npz or \.csv. Received: 'v.txt'"),
        (["extract", "samples:photos", "-o", "no/v.npz"], "The folder 'no' does not exist"),
        (["extract", "samples:photos", "--layer", "block4", "-o", "v.npz"], "Did you mean 'block4_add'"),
        (["extract", "samples:photos", "--batch-size", "0", "-o", "v.npz"], "batch_size must be at least 1"),
        (["extract", "samples:photos", "--pooling", "none", "-o", "v.npz"], "which is not a vector"),
        (["extract", "samples:photos", "--workers", "2", "-o", "v.npz"], "--workers is for --engine ray"),
        (["extract", "samples:photos", "--engine", "ray", "-o", "v.npz"], "writes a folder of Parquet files"),
        (["probe", "samples:photos", "--label", "folder"], "no label column 'folder'. The images have: 'photo'"),
        (["project", "no.npz"], "No file at 'no.npz'"),
        (["project", "no.npz", "-o", "v.png"], r"must end in \.csv or \.html"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, tmp_path, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    *_, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert re.search(message, line)
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_the_old_file_whole(run, tmp_path, vectors, monkeypatch):
    path, _ = vectors
    before = path.read_bytes()

    def interrupted(handle):
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    assert run("extract", "samples:photos", "--layer", "stem_relu", "-o", path).exit_code == 130
    assert path.read_bytes() == before
    assert run("project", path, "-o", "p.csv").exit_code == 130
    assert [file.name for file in tmp_path.iterdir()] == ["vectors.npz"]


def test_a_file_that_cannot_be_written(run, tmp_path, vectors):
    result = run("project", vectors[0], "-o", "x" * 300 + ".csv")
    assert result.exit_code == 2
    assert "cannot be written (file name too long). Choose another place." in result.stderr
    (tmp_path / "folder.csv").mkdir()
    assert "'folder.csv' is a folder" in run("project", vectors[0], "-o", "folder.csv").stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.csv", "vectors.npz"]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_link_stays_a_link(run, tmp_path, vectors):
    (tmp_path / "real").mkdir()
    (tmp_path / "p.csv").symlink_to(tmp_path / "real" / "p.csv")
    assert run("project", vectors[0], "-o", "p.csv").exit_code == 0
    assert (tmp_path / "p.csv").is_symlink()
    assert (tmp_path / "real" / "p.csv").read_text().startswith("id,name")


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], {}),
        (["--components", 3], {"n_components": 3}),
        (["--method", "tsne", "--perplexity", 4, "--seed", 5], {"method": "tsne", "perplexity": 4, "random_state": 5}),
    ],
)
def test_project_writes_the_library_s_coordinates(run, vectors, options, asked):
    path, table = vectors
    result = run("project", path, *options, "-o", "projection.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.reader(io.StringIO(Path("projection.csv").read_text(encoding="utf-8"))))
    expected = featlib.project(table.X, **asked).coordinates
    axes = ["x", "y", "z"][: expected.shape[1]]
    assert rows[0] == ["id", "name", "label:photo", "label:view", *axes]
    assert [tuple(row[:3]) for row in rows[1:]] == list(zip(table.ids, table.names, table.labels["photo"], strict=True))
    np.testing.assert_allclose(np.array([row[4:] for row in rows[1:]], float), expected, rtol=1e-6, atol=1e-8)


def test_probe_tells_which_layer_is_best(run, lite0):
    layers = ["--layer", "stem_relu", "--layer", "block4_add"]
    result = run("probe", "samples:views", "--label", "photo", *layers, "--cv", 3, "--seed", 1)
    assert result.exit_code == 0, result.output
    views = featlib.load_samples("views")
    expected = featlib.probe_layers(
        lite0, views, ["stem_relu", "block4_add"], y=views.labels_for("photo"), cv=3, random_state=1
    )
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[2:4]}
    for path, mean, std in zip(expected.layers, expected.mean_accuracies, expected.std_accuracies, strict=True):
        assert rows[path] == [f"{mean:.1%}", f"{std:.1%}", *(["best"] if path == expected.best else [])]
    *_, pixels, chance, folds = result.stdout.splitlines()
    raw = featlib.linear_probe(raw_pixel_vectors(views), views.labels_for("photo"), cv=3, random_state=1)
    assert pixels.split() == ["raw", "pixels", f"{raw.mean_accuracy:.1%}", f"{raw.std_accuracy:.1%}"]
    assert chance.split()[-1] == "10.0%"
    assert folds == "3-fold cross-validation over 120 images, label: photo"


def test_probe_names_the_column_that_it_predicts_and_the_classes_that_it_skips(run, photos):
    for folder, count in (("cats", 3), ("dogs", 3), ("dragons", 1)):
        Path("set", folder).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(photos[i].pixels[i * 8 :]).save(f"set/{folder}/{i}.png")
    result = run("probe", "set", "--layer", "stem_relu")
    assert result.exit_code == 0, result.output
    assert result.stderr == "Skipped: the class 'dragons', which has a single image\n"
    assert result.stdout.splitlines()[-1] == (
        "3-fold cross-validation over 6 images, label: folder; not 5-fold, as the smallest class has 3 images"
    )


def test_probe_uses_the_sample_that_the_app_uses(run, lite0):
    options = ("probe", "samples:shapes", "--label", "color", "--layer", "stem_relu")
    result = run(*options, "--limit", 30)
    assert result.exit_code == 0, result.output
    shapes = featlib.load_samples("shapes")
    expected = featlib.probe_layers(lite0, shapes.sample(30, by="color"), ["stem_relu"], y="color")
    assert result.stdout.splitlines()[2].split()[1] == f"{expected.mean_accuracies[0]:.1%}"
    assert f"over 30 images, label: color; a sample of {len(shapes):,}, --limit 0 uses all" in result.stdout


def test_probe_draws_its_sample_from_the_images_that_can_be_read(run, lite0, tmp_path):
    for i, item in enumerate(featlib.load_samples("views")[:36]):
        path = tmp_path / "set" / item.labels["photo"] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(item.pixels).save(path)
    (tmp_path / "set/china/broken.png").write_bytes(b"no image")
    images = featlib.load_images(tmp_path / "set")
    assert len(images) == 36
    result = run("probe", tmp_path / "set", "--layer", "stem_relu", "--limit", 20)
    expected = featlib.probe_layers(lite0, images.sample(20, by="folder"), ["stem_relu"])
    assert result.stdout.splitlines()[2].split()[1] == f"{expected.mean_accuracies[0]:.1%}"
    assert "over 20 images, label: folder; a sample of" in result.stdout
    assert "broken.png" in result.stderr


def test_project_without_a_file_prints_csv(run, vectors):
    result = run("project", vectors[0])
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout_bytes.decode())))
    assert [row["name"] for row in rows] == list(vectors[1].names)
    assert rows[0]["name"].startswith("china · ")


@pytest.mark.parametrize(("options", "column"), [([], "photo"), (["--components", 3, "--label", "view"], "view")])
def test_project_draws_a_page_that_needs_no_network(run, tmp_path, lite0, photos, options, column):
    images = featlib.load_samples("views")[:24]
    table = featlib.extract_vectors(lite0, images, "stem_relu")
    names = ("</script><script>alert(1)</script>", *table.names[1:])
    featlib.save_vectors(type(table)(**{**vars(table), "names": names}), "vectors.npz")
    result = run("project", "vectors.npz", *options, "-o", "projection.html")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("projection.html: 24 images in ")
    page = Path("projection.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)\s*=", page)
    assert "alert(1)</script>" not in page
    figure = page[page.rindex("Plotly.newPlot") :]
    assert all(f'"{label}"' in figure for label in set(table.labels[column]))
    assert all(image_id in figure for image_id in table.ids)
    assert ("turntable" in figure) == ("--components" in options)


def test_project_tells_the_label_columns(run, vectors):
    result = run("project", vectors[0], "--label", "folder", "-o", "p.html")
    assert result.exit_code == 2
    assert "no label column 'folder'. The vectors have: 'photo', 'view'." in result.stderr


@pytest.mark.parametrize("arguments", [["--perplexity", 100, "--method", "tsne"], ["--components", 4]])
def test_project_states_the_bounds(run, vectors, arguments):
    result = run("project", vectors[0], *arguments)
    assert result.exit_code == 2
    assert "7.667" in result.stderr or "2<=x<=3" in result.stderr


def test_a_damaged_vectors_file(run, vectors):
    path, table = vectors
    featlib.save_vectors(type(table)(**{**vars(table), "names": table.names[:3]}), path)
    result = run("project", path)
    assert result.exit_code == 2
    assert "'vectors.npz' does not hold vectors written by featlib (its columns are not equally long)" in result.stderr


@pytest.mark.slow
def test_as_a_process_it_says_nothing_but_its_own(tmp_path, photos):
    write_photos(tmp_path / "set", photos)
    (tmp_path / "set" / "empty.png").write_bytes(b"")
    Image.new("1", (12_000, 12_000)).save(tmp_path / "set" / "vast.png")
    done = process("extract", "set", "-o", "vectors.npz", cwd=tmp_path)
    assert done.returncode == 1
    empty, vast = done.stderr.splitlines()
    assert empty == "Skipped: 'empty.png' is empty (0 bytes): export or download it again."
    assert vast.startswith("Skipped: 'vast.png' has more than 64 megapixels")
    assert done.stdout.splitlines() == [
        "4 of 6 images; 2 skipped",
        "vectors.npz: (4, 1280) float32, head_relu, pooling avg",
    ]
    done = process("project", "vectors.npz", "-o", "projection.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "projection.csv: 4 images in 2 dimensions by pca\n", "")
    assert len((tmp_path / "projection.csv").read_text().splitlines()) == 5


def test_errors_as_a_process(tmp_path):
    done = process("layers", "ResNet", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: No network named 'ResNet'.")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_sees_progress(tmp_path, photos):
    import pty

    write_photos(tmp_path / "set", photos)
    terminal, stderr = pty.openpty()
    arguments = ["extract", "set", "samples:shapes", "--layer", "block4_add", "--batch-size", "4", "-o", "v.npz"]
    running = subprocess.Popen(
        [sys.executable, "-m", "featlib", *arguments],
        cwd=tmp_path,
        env=environment(COLUMNS="100", TERM="xterm"),
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    os.close(stderr)
    seen = b""
    with contextlib.suppress(OSError):  # raised at the end by Linux; elsewhere the last read is empty
        while piece := os.read(terminal, 65536):
            seen += piece
    os.close(terminal)
    assert running.wait() == 0
    seen = seen.decode()
    assert re.search(r"Images, \d+ per second[^\r]*\d+/436  00:00:\d\d", seen)  # speed, count and time to go
    assert re.search(r"Images[^\r]*436/436", seen)
    assert "oneDNN" not in seen
    assert "cuda" not in seen.lower()


def test_the_whole_corpus_of_odd_images_in_one_call(run, tmp_path, lite0):
    odd = sorted(corpus(), key=lambda image: natural_key(image.name))
    good, bad = [image for image in odd if image.ok], [image for image in odd if not image.ok]
    (tmp_path / "set").mkdir()
    for image in odd:
        (tmp_path / "set" / image.name).write_bytes(image.data)
    result = run("extract", "set", "--layer", "stem_relu", "-o", "vectors.npz")
    assert result.exit_code == 1, result.output
    assert f"{len(good)} of {len(odd)} images; {len(bad)} skipped" in result.stdout
    told = result.stderr.splitlines()
    assert len(told) == len(bad)
    for line, image in zip(told, bad, strict=True):  # in the folder's order
        assert line.startswith("Skipped: ")
        assert image.name in line
        assert image.reason_contains in line
    table = featlib.load_vectors("vectors.npz")
    assert table.names == tuple(image.name for image in good)
    expected = featlib.extract_vectors(lite0, [image.data for image in good], "stem_relu").X
    np.testing.assert_allclose(table.X, expected, atol=1e-5)


@pytest.fixture
def started(run, monkeypatch):
    """Runs `featlib app` up to the start of Streamlit; gives the result, and (arguments, open folders) of Streamlit."""
    monkeypatch.setenv("FEATLIB_DATA", "")
    monkeypatch.setattr(sys, "argv", sys.argv)
    starts = []
    monkeypatch.setattr(
        runpy, "run_module", lambda name, **_: starts.append((name, sys.argv[1:], os.environ["FEATLIB_DATA"]))
    )
    return lambda *arguments: (run("app", *arguments), starts)


def test_the_app_starts_from_a_clone_with_folders_for_this_machine_only(started, tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/birds").mkdir()
    result, [(name, arguments, data)] = started("birds", tmp_path / "b/birds")
    assert result.exit_code == 0, result.output
    assert [name, *arguments[:6]] == [
        "streamlit", "run", str(ROOT / "app.py"), "--server.address", "localhost", "--server.port", "8501",
    ]  # fmt: skip
    assert arguments[6:8] == ["--server.fileWatcherType", "none"]
    assert arguments[8:] == [
        part for host in ("localhost", "127.0.0.1", "::1") for part in ("--server.allowedHosts", host)
    ]
    assert [path for path in data.split(os.pathsep) if path] == [str(tmp_path / "birds"), str(tmp_path / "b/birds")]
    assert f"{tmp_path / 'b/birds'}, as 'birds-2'" in result.output


def test_the_app_for_a_class_names_its_hosts(started):
    result, starts = started("--address", "0.0.0.0")
    assert result.exit_code == 2
    assert "--host" in result.output
    assert not starts
    _, [(_, arguments, _)] = started("--address", "0.0.0.0", "--host", "a.local", "--host", "10.0.0.7", "--port", "80")
    assert arguments[-4:] == ["--server.allowedHosts", "a.local", "--server.allowedHosts", "10.0.0.7"]
    assert "0.0.0.0" in arguments
    assert "80" in arguments


def test_a_pasted_address_names_its_host(started):
    given = {
        "http://teacher.local:8501/layers?layer=conv": "teacher.local",
        "https://192.168.1.20/": "192.168.1.20",
        "10.0.0.7:8501": "10.0.0.7",
        "fe80::1": "fe80::1",
        "http://[fe80::1]:8501": "fe80::1",
    }
    _, [(_, arguments, _)] = started("--address", "0.0.0.0", *(part for host in given for part in ("--host", host)))
    allowed = [arguments[i + 1] for i, part in enumerate(arguments) if part == "--server.allowedHosts"]
    assert allowed[3:] == list(dict.fromkeys(given.values()))


@pytest.mark.parametrize("host", ["", "a.local,b.local", "http://", "http://[x", "two words", "*", "1:2:3"])
def test_what_names_no_host_is_refused(started, host):
    result, starts = started("--address", "0.0.0.0", "--host", host)
    assert result.exit_code == 2
    assert f"such as teacher.local or 192.168.1.20. Received: {host!r}" in " ".join(result.output.split())
    assert not starts


def test_without_a_clone_the_way_to_one_is_told(started, monkeypatch, tmp_path):
    monkeypatch.setattr("featlib.cli.__file__", str(tmp_path / "site-packages/featlib/cli.py"))
    result, starts = started()
    assert result.exit_code == 2
    assert "Clone featlib's repository" in result.output
    assert not starts


def test_a_folder_that_would_open_others_is_refused(started, tmp_path):
    folder = tmp_path / f"photos{os.pathsep}home"
    folder.mkdir()
    result, starts = started(folder)
    assert result.exit_code == 2
    assert f"because '{os.pathsep}' in its path separates folders in FEATLIB_DATA" in " ".join(result.output.split())
    assert not starts


def test_a_folder_that_is_missing_is_refused(started):
    result, starts = started("nowhere")
    assert result.exit_code == 2
    assert "does not exist" in result.output
    assert not starts
