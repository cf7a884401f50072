"""Lists of paths and tables: the path column, the labels, and the errors."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featlib.errors import ImageError
from featlib.images import list_pending, load_images
from featlib.images.sources import find_images
from tests.images.corpus import encode, photo

NAMES = ("cats/img1.png", "cats/img2.png", "dogs/a.png")
LIMITS = {"max_images": 1000, "max_bytes": 2**20}


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """A folder with three different pictures; the current folder is another one."""
    root = tmp_path / "pets"
    for index, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(photo().crop((index, 0, 40, 40)), "PNG"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return root


def rows(**columns):
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def write(path, table, **options):
    """Writes rows as the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
        return path
    with path.open("w", encoding=options.pop("encoding", "utf-8"), newline="") as file:
        delimiter = options.pop("delimiter", "\t" if path.suffix == ".tsv" else ",")
        writer = csv.DictWriter(file, list(table[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    return path


def read(path, **options):
    """(names, labels) of what a table gives, none of it a problem."""
    found = load_images(path, **options)
    assert found.problems == ()
    return found.names, [item.labels for item in found]


def test_a_list_names_one_path_per_line(pets):
    reference = load_images(pets)
    for text in ("\n".join(NAMES), "\ufeff" + "\r\n".join(NAMES) + "\r\n\r\n", "\n\n " + "  \n".join(NAMES)):
        (pets / "list.txt").write_bytes(text.encode())
        found = load_images(pets / "list.txt")
        assert (found.name, found.ids, found.names) == ("list", reference.ids, NAMES)
        assert list(found.labels) == ["cats", "cats", "dogs"]
    (pets / "list.txt").write_text("\n".join(NAMES), encoding="utf-16")
    assert load_images(str(pets / "list.txt")).ids == reference.ids
    (pets.parent / "absolute.txt").write_text("\n".join(str(pets / name) for name in reversed(NAMES)))
    found = load_images(pets.parent / "absolute.txt")
    assert (found.names, found.ids) == (NAMES[::-1], reference.ids[::-1])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_columns_of_text_whole_numbers_and_booleans_are_labels(pets, suffix):
    table = rows(
        label=["cat", "cat", "dog"], path=NAMES, age=[3, 12, 5], old=[True, False, True], score=[0.5, 1.0, 2.5]
    )
    found = load_images(write(pets / f"table{suffix}", table))
    assert found.names == NAMES
    assert found.ids == load_images(pets).ids
    assert found.label_columns == ("label", "age", "old")
    assert list(found.labels) == ["cat", "cat", "dog"]
    assert list(found.labels_for("age")) == ["3", "12", "5"]
    assert [text.lower() for text in found.labels_for("old")] == ["true", "false", "true"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", ["path", "File", "FILENAME", "image", "photograph"])
def test_the_path_column_is_found(pets, suffix, name):
    table = rows(title=["x", "y", "z"], **{name: NAMES})
    assert read(write(pets / f"t{suffix}", table)) == (NAMES, [{"title": "x"}, {"title": "y"}, {"title": "z"}])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_path_column_is_named(pets, suffix):
    path = write(pets / f"t{suffix}", rows(path=["x.png"] * 3, real=NAMES))
    assert read(path, path_column="real")[0] == NAMES
    with pytest.raises(ImageError, match=r"no text column named 'rael'. Its columns: 'path' \(string\), 'real'"):
        load_images(path, path_column="rael")
    with pytest.raises(ImageError, match="without a table"):
        load_images(pets, path_column="real")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_ambiguous_path_column_is_reported_with_the_columns(pets, suffix):
    two = write(pets / f"two{suffix}", rows(left=NAMES, right=NAMES, size=[1, 2, 3]))
    with pytest.raises(
        ImageError, match=r"Several columns of 'two\..*'left' \(string\), 'right' \(string\), 'size' \(int"
    ):
        load_images(two)
    none = write(pets / f"none{suffix}", rows(name=["x", "y", "z"], size=[1, 2, 3]))
    with pytest.raises(ImageError, match=r"No column of 'none\..*path_column. Its columns: 'name' \(string\), 'size'"):
        load_images(none)


def test_relative_paths_count_from_the_table_then_from_the_current_folder(pets, tmp_path):
    here = tmp_path / "elsewhere"
    (here / "cats").mkdir()
    (here / "cats/img1.png").write_bytes(encode(photo().crop((9, 0, 40, 40)), "PNG"))
    (here / "mine.png").write_bytes(encode(photo().crop((8, 0, 40, 40)), "PNG"))
    (pets / "list.txt").write_text("cats/img1.png\nmine.png\nnowhere.png")
    found = load_images(pets / "list.txt")
    assert found[0].path == pets / "cats/img1.png"
    assert found[1].path == here / "mine.png"
    assert [problem.reason for problem in found.problems] == [
        "There is no file or folder 'nowhere.png': check the path."
    ]


def test_rows_that_name_no_image_are_problems_and_the_rest_goes_on(pets):
    (pets / "text.png").write_text("hello")
    table = rows(path=["", "text.png", "cats", "http://x.org/a.png", "a\0b.png", NAMES[0]], label=list("abcdef"))
    for path in (write(pets / "t.csv", table), write(pets / "t.parquet", table)):
        found = load_images(path)
        assert found.names == NAMES[:1]
        assert list(found.labels) == ["f"]
        reasons = " ".join(problem.reason for problem in found.problems)
        assert len(found.problems) == 5
        for said in (f"Row 1 of '{path.name}' has no path", "a text file", "is a folder", "web address", "a null byte"):
            assert said in reasons


def test_other_ways_to_write_csv(pets):
    table = rows(path=NAMES, title=["a,b", 'say "x"\nand y', "ü"])
    expected = (NAMES, [{"title": "a,b"}, {"title": 'say "x"\N{REPLACEMENT CHARACTER}and y'}, {"title": "ü"}])
    for delimiter in ",;\t":
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            path = write(pets / "t.csv", table, delimiter=delimiter, encoding=encoding)
            assert read(path) == expected, (delimiter, encoding)


def test_a_column_that_changes_its_type_far_down_is_read(pets):
    n = 60_000
    table = rows(path=[NAMES[0]] * n, note=["x" * 100] * n, code=[*range(n - 1), "x1"])
    found = find_images(write(pets / "t.csv", table), max_images=10**6, max_bytes=1)
    assert [candidate.labels["code"] for candidate in found[-2:]] == [str(n - 2), "x1"]
    assert len(found) == n


def test_dictionaries_and_nested_columns_of_parquet(pets):
    nested = pa.array([{"bytes": b"x", "path": name} for name in NAMES])
    kinds = pa.array(["cat", None, "dog"]).dictionary_encode()
    path = pets / "t.parquet"
    pq.write_table(pa.table({"image": nested, "where": list(NAMES), "kind": kinds}), path)
    assert read(path) == (NAMES, [{"kind": "cat"}, {}, {"kind": "dog"}])
    pq.write_table(pa.table({"image": nested}), path)
    with pytest.raises(ImageError, match=r"No column of 't.parquet' .* 'image' \(struct<"):
        load_images(path)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty.csv", b"", r"'empty.csv' is empty \(0 bytes\)"),
        ("header.csv", b"path,label\n", "'header.csv' lists no images"),
        ("ragged.csv", b"path,label\na.png,x\nb.png\n", "'ragged.csv' cannot be read as a table .*Expected 2 columns"),
        ("long.csv", b"path,label\na.png,x,y\nb.png,z,y\n", "'long.csv' cannot be read as a table .*2 columns, got 3"),
        ("latin.csv", "path,label\na.png,münchen\n".encode("latin-1"), "'latin.csv' is not encoded in UTF-8"),
        ("headless.csv", b"a.png,cat\nb.png,dog\n", "begins with 'a.png' instead of the column names"),
        ("twice.csv", b"path,x,x\na.png,1,2\n", "two columns named 'x'"),
        ("binary.csv", bytes(range(256)) * 100, "'binary.csv' "),
        ("zeros.csv", b"\0" * 1000, "'zeros.csv' "),
        ("photo.parquet", b"PAR1" + b"x" * 100 + b"PAR1", "'photo.parquet' cannot be read as a table"),
        ("empty.txt", b"\n\n", "'empty.txt' lists no images"),
        (
            "line.txt",
            b"a.png" * 100_000,
            "'line.txt' is not a list of paths, as it contains a line of more than 65,536",
        ),
        ("zeros.txt", b"a.png\0b.png\0", "'zeros.txt' is not a list of paths"),
    ],
)
def test_unreadable_tables_are_explained_in_one_sentence(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=said) as error:
        load_images(tmp_path / name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_damaged_parquet_never_raises_anything_else(pets):
    path = write(pets / "t.parquet", rows(path=NAMES * 50, label=["x", "y", "z"] * 50))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            find_images(path, **LIMITS)
        except ImageError as error:
            assert "\n" not in str(error)


def test_too_many_rows_are_refused_before_all_are_read(pets):
    (pets / "list.txt").write_text("a.png\n" * 2000)
    write(pets / "t.csv", rows(path=["a.png"] * 2000))
    for name in ("list.txt", "t.csv"):
        with pytest.raises(ImageError, match="more than 1,000 files"):
            load_images(pets / name, max_images=1000)


def test_only_a_table_named_itself_is_read_as_one(pets):
    write(pets / "cats/labels.csv", rows(path=["img1.png"]))
    for source in (pets, f"{pets}/**/*", [pets / "cats/img1.png", pets / "cats/labels.csv"]):
        problems = load_images(source).problems
        assert ["labels.csv" in problem.name and "text file" in problem.reason for problem in problems] == [True]
    both = [pets / "cats/labels.csv", pets / "cats/labels.csv"]
    assert load_images(both).names == ("img1.png", "img1.png")


def test_the_path_of_an_image_is_known_where_it_has_one(pets):
    assert load_images(pets)[0].path == pets / NAMES[0]
    assert load_images((pets / NAMES[0]).read_bytes())[0].path is None


def test_columns_that_look_alike_are_not_mixed(tmp_path):
    (tmp_path / "t.csv").write_text("path,a\x01,a\x02\nx.jpg,1,2\n")
    with pytest.raises(ImageError, match="has two columns named 'a\N{REPLACEMENT CHARACTER}'"):
        list_pending(tmp_path / "t.csv")
