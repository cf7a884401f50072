"""Writes a growing file in children that die: run `python -m tests.features.jobs.growing FOLDER`, without TensorFlow.

One process forks all of them, since importing takes longer than the work.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import h5py  # noqa: F401 - before the forks
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from featlib.errors import FeatlibError
from featlib.features.jobs.partial import Job, PartialFile
from featlib.images import ImageItem, ImageProblem

TOTAL, BATCH, WIDTHS = 61, 7, (5, 3)
FORMATS = (".npy", ".npz", ".parquet", ".h5", ".csv")
JOB = Job("m", "f" * 40, ("a/b", "c"), WIDTHS, "avg", False, "float32", "digest", TOTAL)


def image(number: int) -> ImageItem | ImageProblem:
    """The image of a number; every fifth is bad."""
    if number % 5 == 3:
        return ImageProblem(f"bad{number}.png", f"'bad{number}.png' is damaged, \"really\": é")
    labels = {"kind": f"k{number % 3}", "odd/column": "ü"} if number % 2 else {"kind": f"k{number % 3}"}
    return ImageItem(f"{number:040x}", f"set/im{number}.png", labels, Path(f"/photos/im{number}.png"))


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=sum(WIDTHS)).astype(np.float32)


def work(target: Path) -> None:
    """What a run does, and a resumed one too."""
    with PartialFile.open(target, JOB, resume=True) as file:
        while file.done < TOTAL:
            numbers = range(file.done, min(file.done + BATCH, TOTAL))
            found = [image(number) for number in numbers]
            good = [vector(n) for n, one in zip(numbers, found, strict=True) if isinstance(one, ImageItem)]
            file.append(found, np.array(good, np.float32).reshape(len(good), sum(WIDTHS)))
        file.finish()


def die_at(event: int) -> None:
    """Kills this process when it touches a file the so-manieth time."""
    left = event

    def hook(name: str, _: object) -> None:
        nonlocal left
        if name in ("open", "os.rename", "os.remove", "os.rmdir", "os.truncate"):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def child(target: Path, *, event: int | None = None, room: int | None = None) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if event is not None:
            die_at(event)
        if room is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        work(target)
        status = 0
    except FeatlibError as error:
        (target.parent / "said").write_text(str(error), encoding="utf-8")
        status = 3
    finally:
        os._exit(status)


def end(pid: int) -> int:
    """Waits: 0, 3 for a FeatlibError, -9 for killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(folder: Path, suffix: str, rng: random.Random) -> dict[str, object]:
    """Kills runs by time and at touches of files, 20 and more, each but the first resuming the one before."""
    whole = folder / f"whole{suffix}"
    end(child(whole))
    began = time.perf_counter()
    statuses = [end(child(whole))]
    takes = time.perf_counter() - began
    target, deaths, finished = folder / f"killed{suffix}", 0, 0
    while deaths < 12:
        pid = child(target)
        time.sleep(rng.uniform(0, takes))
        os.kill(pid, signal.SIGKILL)
        status = end(pid)
        deaths += status == -9
        statuses.append(status)
        if status == 0:
            finished += 1
            if deaths < 12:
                target.unlink()
    event = 0
    status = -9
    while status == -9:  # a little further each time
        status = end(child(target, event=event))
        event += 1
    statuses.append(status)
    return {"deaths": deaths + event - 1, "statuses": statuses, "left": sorted(p.name for p in folder.iterdir())}


def full(folder: Path, suffix: str) -> dict[str, object]:
    """Lets the disk be full at several points, and goes on with room."""
    target = folder / f"full{suffix}"
    said, statuses = [], []
    for room in (400, 900, 1500, 2500, 5000, 7000):
        statuses.append(end(child(target, room=room)))
        if statuses[-1] == 3:
            said.append((folder / "said").read_text(encoding="utf-8"))
    appeared = target.exists() and 0 not in statuses
    statuses.append(end(child(target)))
    return {"said": said, "statuses": statuses, "appeared": appeared}


def main() -> None:
    root, rng, told = Path(sys.argv[1]), random.Random(int(sys.argv[2])), {}
    pa.array(["x"]), pa.array(np.zeros(1))  # imports pandas where that is installed
    for suffix in FORMATS:
        folder = root / suffix[1:]
        folder.mkdir()
        told[suffix] = {"killed": killed(folder, suffix, rng)}
        if suffix != ".h5":  # the HDF5 library ends a process that cannot write on
            told[suffix]["full"] = full(folder, suffix)
    (root / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
