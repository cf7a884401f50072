"""The zip layout that Keras writes for a `.keras` file, and no other."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from featlib.errors import ModelError
from featlib.models.untrusted.wording import shown

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
ALLOWED = f"a .keras file holds exactly {', '.join(MEMBERS)}"
AGAIN = "Save the model again with model.save('name.keras')."
END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
UTF8_FLAG, ENCRYPTED_FLAG, ZIP64 = 0x800, 0x1, 0xFFFFFFFF
SYMLINK, KIND_MASK = 0o120000, 0o170000
MODEL_SUFFIXES = (".h5", ".hdf5", ".keras")


@dataclass(frozen=True)
class _Entry:
    name: str
    flags: int
    method: int
    crc: int
    stored: int
    size: int
    mode: int
    start: int


def read_members(data: bytes) -> dict[str, bytes]:
    """Reads the three members of a `.keras` file.

    The members must lie one after another from the first byte, stored as they are, with the directory right behind
    them and nothing after it, so that every reader of the file sees the same three members.

    Args:
        data: the whole file.

    Returns:
        Member name -> its bytes.

    Raises:
        ModelError: the layout is any other; the message names the member.
    """
    try:
        entries, directory = _directory(data)
    except struct.error:
        raise ModelError(f"The directory of the zip is damaged or cut off. {AGAIN}") from None
    for entry in entries:
        _check_entry(entry)
    _check_names([entry.name for entry in entries])
    return _contents(data, sorted(entries, key=lambda entry: entry.start), directory)


def _directory(data: bytes) -> tuple[list[_Entry], int]:
    end = len(data) - END.size
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        cut = b"PK\x05\x06" not in data[-66_000:]
        why = "is cut off before its end" if cut else "carries a comment or other bytes behind its end"
        raise ModelError(f"The zip {why}. {AGAIN}")
    _, disk, start_disk, here, count, size, start, comment = END.unpack_from(data, end)
    if ZIP64 in (size, start) or 0xFFFF in (here, count) or data[end - 20 : end - 16] == b"PK\x06\x07":
        raise ModelError(f"The zip is in the zip64 form for files above 4 GB, which a model here never is. {AGAIN}")
    if disk or start_disk or comment or here != count or start + size != end:
        raise ModelError(f"The end record of the zip does not fit the file: it is damaged or forged. {AGAIN}")
    return _central_entries(data, start, end, count), start


def _central_entries(data: bytes, start: int, end: int, count: int) -> list[_Entry]:
    entries = []
    for _ in range(count):
        fields = CENTRAL.unpack_from(data, start)
        flags, method, crc, stored, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        length, extra, comment, mode, offset = fields[10], fields[11], fields[12], fields[15] >> 16, fields[16]
        name = data[start + CENTRAL.size : start + CENTRAL.size + length].decode("utf-8", "backslashreplace")
        if fields[0] != b"PK\x01\x02" or extra or comment or ZIP64 in (stored, size, offset):
            raise ModelError(
                f"Member {shown(name)} has extra fields (zip64 or other), which Keras never writes. {AGAIN}"
            )
        entries.append(_Entry(name, flags, method, crc, stored, size, mode, offset))
        start += CENTRAL.size + length
    if start != end:
        raise ModelError(f"The directory of the zip does not fit its {count} members: it is damaged or forged. {AGAIN}")
    return entries


def _check_entry(entry: _Entry) -> None:
    name = shown(entry.name)
    if entry.name.startswith(("/", "\\")) or ".." in entry.name or ":" in entry.name:
        raise ModelError(f"Member {name} names a place outside the archive; {ALLOWED}.")
    if entry.mode & KIND_MASK == SYMLINK:
        raise ModelError(f"Member {name} is a link to another file; {ALLOWED}, as plain files.")
    if entry.flags & ENCRYPTED_FLAG:
        raise ModelError(f"Member {name} is encrypted; Keras reads unencrypted files only. {AGAIN}")


def _check_names(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ModelError(f"Member {shown(repeated[0])} is there twice; {ALLOWED}.")
    foreign = sorted(set(names) - set(MEMBERS))
    if foreign:
        raise ModelError(_foreign(names, foreign))
    missing = sorted(set(MEMBERS) - set(names))
    if missing:
        raise ModelError(f"Member {shown(missing[0])} is missing; {ALLOWED}. {AGAIN}")


def _foreign(names: list[str], foreign: list[str]) -> str:
    inner = [name for name in foreign if name.lower().endswith(MODEL_SUFFIXES) and name not in MEMBERS]
    if inner:
        return f"It is a zip around {shown(inner[0])}: unpack it and give that file."
    if any(name.endswith("saved_model.pb") for name in names):
        return "It is a zipped SavedModel, whose graph can read and write files; give a .keras or .h5 file."
    if any(name.endswith("data.pkl") for name in names):
        return "It is a PyTorch file; featlib reads Keras models: give a .keras or .h5 file."
    if any(name.startswith("assets/") for name in names):
        return f"Member {shown(foreign[0])} is a layer's own file (a vocabulary); {ALLOWED}. Remove its text layers."
    return f"Member {shown(foreign[0])} does not belong there; {ALLOWED}."


def _contents(data: bytes, entries: list[_Entry], directory: int) -> dict[str, bytes]:
    members, position = {}, 0
    for entry in entries:
        if entry.method or entry.stored != entry.size:
            raise ModelError(
                f"Member {shown(entry.name)} is compressed; in a .keras file all are stored as they are. {AGAIN}"
            )
        start = _content_start(data, entry, position)
        position = start + entry.size
        content = data[start:position]
        if position > directory or zlib.crc32(content) != entry.crc:
            raise ModelError(f"Member {shown(entry.name)} is damaged: its checksum does not fit. {AGAIN}")
        members[entry.name] = content
    if position != directory:
        raise ModelError(f"The zip holds bytes that belong to no member. {AGAIN}")
    return members


def _content_start(data: bytes, entry: _Entry, position: int) -> int:
    fields = LOCAL.unpack_from(data, position) if position + LOCAL.size <= len(data) else (b"",) * 11
    if entry.start != position or fields[0] != b"PK\x03\x04":
        raise ModelError(f"Member {shown(entry.name)} does not lie where the zip's directory says. {AGAIN}")
    name = data[position + LOCAL.size : position + LOCAL.size + fields[9]].decode("utf-8", "backslashreplace")
    told = (name, fields[2], fields[3], fields[6], fields[7], fields[8], fields[10])
    if entry.flags & ~UTF8_FLAG or told != (entry.name, entry.flags, 0, entry.crc, entry.size, entry.size, 0):
        raise ModelError(f"Member {shown(entry.name)} is described in two ways that differ: the zip is forged. {AGAIN}")
    return position + LOCAL.size + fields[9]
