"""Untrusted zips: hostile names, false sizes, bombs, damage. Good members beside them are still read."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from featlib.errors import ImageError
from featlib.images import load_images
from featlib.images.sources import archive
from tests.images.corpus import encode, photo, zipped

PNG = encode(photo(), "PNG")
GOOD = "good.png"


def with_members(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip of the members as they are, duplicates and impossible names included, and of one good picture."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        warnings.simplefilter("ignore")
        for name, data in [*members, (GOOD, PNG)]:
            target.writestr(name, data)
    return file.getvalue()


def raw_name(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # ZipInfo itself would clean it
    return info


def in_directory(data: bytes, member: str, offset: int, value: bytes) -> bytes:
    """The zip with other bytes in the member's entry, both in the list of contents and before its data."""
    central = data.index(b"PK\x01\x02")
    while data[central + 46 : central + 46 + len(member)] != member.encode():
        central = data.index(b"PK\x01\x02", central + 4)
    local = struct.unpack_from("<L", data, central + 42)[0]
    changed = bytearray(data)
    changed[central + offset : central + offset + len(value)] = value
    changed[local + offset - 2 : local + offset - 2 + len(value)] = value  # two bytes less: no "made by"
    return bytes(changed)


METHOD, FLAGS, CRC, COMPRESSED_SIZE, SIZE = 10, 8, 16, 20, 24


def only_problem(data: bytes) -> tuple[str, str]:
    found = load_images(data)
    assert found.names == (GOOD,)
    np.testing.assert_array_equal(found[0].pixels, np.asarray(photo()))
    (problem,) = found.problems
    assert problem.reason.startswith(f"'{problem.name}' ")
    return problem.name, problem.reason


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../evil.png", "evil.png"),
        ("a/../../evil.png", "a/evil.png"),
        ("/etc/evil.png", "etc/evil.png"),
        ("C:/evil.png", "evil.png"),
        ("C:evil.png", "evil.png"),
        ("a\\..\\evil.png", "a/evil.png"),
        ("\\\\server\\evil.png", "server/evil.png"),
        ("dogs\\a.png", "dogs/a.png"),
        ("a/..", "a"),
        ("new\nline.png", "new\N{REPLACEMENT CHARACTER}line.png"),
    ],
)
def test_a_member_that_points_outside_is_refused(name, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, reason = only_problem(with_members((raw_name(name), PNG)))
    assert found == shown
    assert "its name in the zip points outside of it" in reason
    assert list(tmp_path.iterdir()) == []


def test_a_name_cut_by_a_zero_is_refused():
    data = with_members(("a.exe?.png", PNG)).replace(b"a.exe?.png", b"a.exe\x00.png")
    assert only_problem(data)[1].endswith("points outside of it: rename it.")


def test_dots_within_names_are_fine():
    data = with_members(("a..b/c...png", PNG), ("..d/e.png", PNG))
    found = load_images(data)
    assert "a..b/c...png" in found.names
    assert found.problems == ()


def test_nothing_is_ever_written(tmp_path, monkeypatch):
    path = tmp_path / "set.zip"
    path.write_bytes(with_members(("a/b/c.png", PNG), ("../x.png", PNG)))
    opened = []
    true_open = open
    monkeypatch.setattr(
        "builtins.open", lambda own, mode="r", *a, **k: opened.append(mode) or true_open(own, mode, *a, **k)
    )
    load_images(path)
    assert set(opened) == {"rb"}
    assert list(tmp_path.iterdir()) == [path]


def test_zips_within_zips_are_refused_by_name_and_by_content():
    inner = zipped({"a.png": PNG})
    assert only_problem(with_members(("inner.zip", inner)))[1].startswith("'inner.zip' is a zip within a zip")
    assert only_problem(with_members(("photo.png", inner)))[1].startswith("'photo.png' is a zip within a zip")


def test_an_encrypted_member_is_refused():
    data = in_directory(with_members(("secret.png", PNG)), "secret.png", FLAGS, b"\x01\x00")
    assert "is encrypted: unpack the zip with its password" in only_problem(data)[1]


def test_an_unsupported_compression_method_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        target.writestr("a.png", PNG, compress_type=zipfile.ZIP_LZMA)
        target.writestr(GOOD, PNG)
    assert "uses an unsupported compression method (14)" in only_problem(file.getvalue())[1]


def test_a_bomb_by_its_ratio_is_refused_unread(monkeypatch):
    bomb = with_members(("bomb.png", PNG + bytes(20 * 2**20)))
    assert len(bomb) < 60_000
    reads = []
    true_open = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda self, info: reads.append(info.filename) or true_open(self, info)
    )
    name, reason = only_problem(bomb)
    assert name == "bomb.png"
    assert "would unpack from" in reason
    assert "to 20.0 MB, as no photo does" in reason
    assert reads == [GOOD]


def test_a_member_declared_too_large_is_refused():
    data = in_directory(with_members(("large.png", PNG)), "large.png", SIZE, struct.pack("<L", 60 * 2**20))
    assert "'large.png' is larger than 50.0 MB" in only_problem(data)[1]


def test_a_bomb_that_declares_little_is_never_unpacked(monkeypatch):
    """It says 1,000 bytes and holds 40 MB: no more than what it says comes out, and that is then found damaged."""
    honest = with_members(("liar.png", PNG + bytes(40 * 2**20)))
    lie = in_directory(honest, "liar.png", SIZE, struct.pack("<L", 1000))
    out = []
    true_read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: out.append(data := true_read(self, n)) or data)
    assert "is damaged inside the zip" in only_problem(lie)[1]
    assert sum(map(len, out)) <= 1000 + len(PNG)


def test_a_member_that_unpacks_beyond_the_limit_is_cut(monkeypatch):
    """Even of a decompressor that gives more than the list of contents declares, no more than the limit is read."""
    monkeypatch.setattr(archive, "MAX_BYTES", 20_000)
    monkeypatch.setattr("featlib.images.read.MAX_BYTES", 20_000)
    sizes = []
    true_read = zipfile.ZipExtFile.read

    def read(self, n=-1):
        sizes.append(n)
        return bytes(min(n, 90_000)) if self.name == "a.png" else true_read(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    assert "is larger than" in only_problem(with_members(("a.png", PNG)))[1]
    assert set(sizes) == {20_001}


def test_members_together_stay_below_the_memory_limit(monkeypatch):
    monkeypatch.setattr("featlib.images.load.MAX_TOTAL_BYTES", 2 * len(PNG))
    found = load_images(zipped({f"{index}.png": PNG for index in range(4)}))
    assert found.names == ("0.png", "1.png")
    assert [problem.name for problem in found.problems] == ["2.png", "3.png"]
    assert "was skipped because all images together would take too much memory" in found.problems[0].reason


def test_two_zips_share_the_memory_limit(monkeypatch):
    monkeypatch.setattr("featlib.images.load.MAX_TOTAL_BYTES", 3 * len(PNG))
    found = load_images(
        [("1.zip", zipped({"a.png": PNG, "b.png": PNG})), ("2.zip", zipped({"c.png": PNG, "d.png": PNG}))]
    )
    assert found.names == ("a.png", "b.png", "c.png")
    assert [problem.name for problem in found.problems] == ["d.png"]


def test_a_zip_larger_than_the_limit_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "big.zip"
    path.write_bytes(zipped({"a.png": PNG}))
    monkeypatch.setattr("featlib.images.sources.listing.MAX_TOTAL_BYTES", 1000)
    for source in (path, [("big.zip", path.read_bytes())]):
        found = load_images(source)
        assert len(found) == 0
        assert found.problems[0].reason.startswith("'big.zip' is ")


def test_too_many_members_are_refused_before_any_is_read(monkeypatch):
    data = zipped({f"{index}.png": PNG for index in range(6)})
    assert len(load_images(data, max_images=6)) == 6
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    found = load_images(data, max_images=5)
    assert len(found) == 0
    assert found.problems[0].reason == "'zip 1.zip' contains more than 5 files (6), the limit for one load: split it."


def test_a_huge_list_of_members_is_refused_before_it_is_read(monkeypatch):
    data = zipped({f"{index:0200d}": b"" for index in range(6000)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "contains more than 10 files" in load_images(data, max_images=10).problems[0].reason


def test_system_files_are_skipped_silently():
    junk = ["__MACOSX/dogs/._a.png", "dogs/.DS_Store", "Thumbs.db", "desktop.ini", ".hidden/a.png", "dogs/"]
    found = load_images(zipped({**dict.fromkeys(junk, b"x"), "dogs/a.png": PNG}))
    assert found.names == ("dogs/a.png",)
    assert found.labels.tolist() == ["dogs"]
    assert found.problems == ()


def test_members_come_in_natural_order_with_their_folders():
    files = ["b.png", "dogs/img10.png", "dogs/img9.png", "cats/old/x.png"]
    found = load_images(zipped(dict.fromkeys(files, PNG)))
    assert dict(zip(found.names, found.labels, strict=True)) == {
        "b.png": "",
        "cats/old/x.png": "old",
        "dogs/img9.png": "dogs",
        "dogs/img10.png": "dogs",
    }
    assert found.names.index("dogs/img9.png") < found.names.index("dogs/img10.png")


def test_two_members_of_one_name_are_both_read():
    found = load_images(with_members(("a.png", PNG), ("a.png", encode(photo().convert("L"), "PNG"))))
    assert found.names == ("a.png", "a.png", GOOD)
    assert len(set(found.ids)) == 2


def test_a_link_in_a_zip_is_not_followed():
    link = zipfile.ZipInfo("link.png")
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    assert "is a text file" in only_problem(with_members((link, b"/etc/passwd")))[1]


def test_a_member_with_a_wrong_checksum():
    data = in_directory(with_members(("a.png", PNG)), "a.png", CRC, b"\x00\x00\x00\x00")
    assert "'a.png' is damaged inside the zip" in only_problem(data)[1]


def test_other_files_in_a_zip_are_named():
    found = load_images(zipped({"README.txt": b"Two dogs.", "a.png": PNG, "z.png": b""}))
    assert found.names == ("a.png",)
    assert [problem.reason.split(",")[0] for problem in found.problems] == [
        "'README.txt' is a text file",
        "'z.png' is empty (0 bytes): export or download it again.",
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zipped({"a.png": PNG})[:-30], "damaged zip archive"),
        (zipped({"a.png": PNG})[:500], "damaged zip archive"),
        (b"PK\x03\x04", "damaged zip archive"),
        (b"PK\x03\x04" + bytes(range(256)) * 20, "damaged zip archive"),
        (zipped({}), "contains no files"),
        (zipped({"dogs/": b""}), "contains no files"),
    ],
)
def test_a_zip_without_anything_to_read(data, words, tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(data)
    for source in (path, [("set.zip", data)]):
        found = load_images(source)
        assert len(found) == 0
        (problem,) = found.problems
        assert problem.name == "set.zip"
        assert words in problem.reason


def test_a_bad_zip_in_a_list_does_not_stop_the_rest():
    found = load_images(
        [("bad.zip", zipped({"a.png": PNG})[:200]), ("set.zip", zipped({"b.png": PNG})), ("c.png", PNG)]
    )
    assert found.names == ("b.png", "c.png")
    assert [problem.name for problem in found.problems] == ["bad.zip"]


def test_a_jpeg_with_a_zip_at_its_end_is_a_jpeg():
    jpeg = encode(photo(), "JPEG") + zipped({"a.png": PNG})
    assert load_images(jpeg).names == ("image 1",)


def zip64(monkeypatch, members: dict[str, bytes], size: int) -> bytes:
    """A zip with a large zip's second list of contents, and any size of that list in the old place."""
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
        data = zipped(members)
    end = data.rindex(b"PK\x05\x06")
    assert data[end - 20 : end - 16] == b"PK\x06\x07"
    return data[: end + 12] + struct.pack("<L", size) + data[end + 16 :]


def test_a_large_zip_is_measured_by_its_second_list(monkeypatch):
    many = zip64(monkeypatch, {f"{index:0200d}": b"" for index in range(6000)}, size=10)
    assert load_images(many, max_images=10_000).problems
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "contains more than 10 files" in load_images(many, max_images=10).problems[0].reason


def test_a_large_zip_without_a_size_in_the_old_place(monkeypatch):
    few = zip64(monkeypatch, dict.fromkeys(["a.png", "b.png", "c.png"], PNG), size=0xFFFFFFFF)
    assert load_images(few).names == ("a.png", "b.png", "c.png")


def test_damage_anywhere_is_an_image_error_or_a_problem():
    """Zips damaged at random bytes of their structure: nothing but problems and refusals comes out."""
    data = with_members(("dogs/a.png", PNG), ("b.png", PNG))
    random = np.random.default_rng(0)
    # Not within the pictures: those are the decoder's matter.
    places = [i for i in range(len(data)) if i < 60 or i > len(data) - 250]
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.choice(places, 3):
            damaged[place] = random.integers(256)
        try:
            found = load_images([("set.zip", bytes(damaged))])
        except ImageError:
            continue
        assert len(found) + len(found.problems) >= 1
