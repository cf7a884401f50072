"""The zip archive of a `.keras` file: three members, stored uncompressed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile

from featlib.errors import ModelError
from featlib.models.untrusted.wording import SAVE_AGAIN, quoted

SIGNATURE = b"PK\x03\x04"
CONFIG, METADATA, WEIGHTS = MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
ALLOWED = f"a .keras file holds exactly {', '.join(MEMBERS)}"
MAX_ENTRIES = 10_000
MODEL_SUFFIXES = (".h5", ".hdf5", ".keras")
ENCRYPTED_FLAG = 0x1


def read_members(data: bytes) -> dict[str, bytes]:
    """Read the three members of a `.keras` file.

    Args:
        data: The whole file.

    Returns:
        Member name -> its content.

    Raises:
        ModelError: The archive is damaged, or holds anything else; the message names the member.
    """
    if data.count(b"PK\x01\x02") > MAX_ENTRIES:  # each takes memory before it can be looked at
        raise ModelError(f"The zip has more than {MAX_ENTRIES:,} members; {ALLOWED}.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_names([entry.filename for entry in entries])
            for entry in entries:
                name = quoted(entry.filename)
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise ModelError(f"Member {name} is a link to another file; {ALLOWED}, as plain files.")
                if entry.flag_bits & ENCRYPTED_FLAG:
                    raise ModelError(f"Member {name} is encrypted; Keras reads unencrypted files only. {SAVE_AGAIN}")
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise ModelError(
                        f"Member {name} is compressed; a .keras file stores all members uncompressed. {SAVE_AGAIN}"
                    )
                if entry.compress_size != entry.file_size or entry.file_size > len(data):
                    raise ModelError(
                        f"Member {name} has an impossible size: the zip is damaged or forged. {SAVE_AGAIN}"
                    )
            return {entry.filename: archive.read(entry) for entry in entries}
    except ModelError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError, struct.error) as error:
        raise ModelError(f"The zip is damaged, cut off or forged ({quoted(str(error))}). {SAVE_AGAIN}") from error


def write_members(members: dict[str, bytes]) -> bytes:
    """Write a `.keras` file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _check_names(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    missing = sorted(set(MEMBERS) - set(names))
    foreign = sorted(set(names) - set(MEMBERS))
    models = [name for name in foreign if name.lower().endswith(MODEL_SUFFIXES)]
    if models:
        raise ModelError(f"It is a zip around {quoted(models[0])}: unpack it and give that file.")
    if any(name.endswith("saved_model.pb") for name in foreign):
        raise ModelError("It is a zipped SavedModel, whose graph can access files. Give a .keras or .h5 file.")
    if any(name.endswith("data.pkl") for name in foreign):
        raise ModelError("It is a PyTorch file; featlib reads Keras models. Give a .keras or .h5 file.")
    if any(name.startswith("assets/") for name in foreign):
        raise ModelError(f"Member {quoted(foreign[0])} belongs to a text layer; {ALLOWED}. Remove the text layers.")
    if foreign:
        raise ModelError(f"Member {quoted(foreign[0])} does not belong there; {ALLOWED}.")
    if repeated:
        raise ModelError(f"Member {quoted(repeated[0])} is there twice; {ALLOWED}.")
    if missing:
        raise ModelError(f"Member {quoted(missing[0])} is missing; {ALLOWED}. {SAVE_AGAIN}")
