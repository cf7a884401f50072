"""Writes vector files in children that die: `python -m tests.features.jobs.growing FOLDER SEED`, no TensorFlow.

One process forks all of them, since importing takes longer than the work.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock  # noqa: F401 - before the forks
import h5py  # noqa: F401
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from featlib.errors import FeatlibError
from featlib.features.jobs.job import Job
from featlib.features.jobs.local import finish, open_partial
from featlib.features.jobs.shards import ShardFolder
from featlib.features.vectors import Origin, layer_columns
from featlib.images import ImageItem, ImageProblem

TOTAL, SHARD, PIECE, WIDTHS = 61, 7, 5, (5, 3)  # nine shards; a piece of images seldom ends where a shard does
FORMATS = (".npy", ".npz", ".parquet", ".h5", ".csv")
ORIGIN = Origin("m", "f" * 40, ("a/b", "c"), layer_columns(("a/b", "c"), WIDTHS), "avg")
JOB = Job(ORIGIN, False, "float32", "digest", TOTAL, ("kind", "odd/column"))


def image(number: int) -> ImageItem | ImageProblem:
    """The image of a number; every fifth is bad."""
    if number % 5 == 3:
        return ImageProblem(f"bad{number}.png", f"'bad{number}.png' is damaged, \"really\": é")
    labels = {"kind": f"k{number % 3}", "odd/column": "ü"} if number % 2 else {"kind": f"k{number % 3}"}
    return ImageItem(f"{number:040x}", f"set/im{number}.png", labels, Path(f"/photos/im{number}.png"))


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=sum(WIDTHS)).astype(np.float32)


def compute(numbers: Sequence[int], log: int | None = None, full_at: int | None = None) -> Iterator[tuple]:
    """What an engine yields; each number is logged, and from one of them on the disk is full."""
    for start in range(0, len(numbers), PIECE):
        piece = numbers[start : start + PIECE]
        if full_at is not None and piece[-1] >= full_at:
            fill_the_disk()
        if log is not None:
            os.write(log, "".join(f"{number}\n" for number in piece).encode())
        found = [image(number) for number in piece]
        good = [vector(n) for n, one in zip(piece, found, strict=True) if isinstance(one, ImageItem)]
        yield found, np.array(good, np.float32).reshape(len(good), sum(WIDTHS))
    if full_at is not None:
        fill_the_disk()


def fill_the_disk() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def work(folder: ShardFolder, log: int | None = None, full_at: int | None = None, end: int = TOTAL) -> None:
    """What a run does, up to an image."""
    missing = folder.missing()
    numbers = [number for shard in missing for number in folder.images(shard) if number < end]
    for _ in folder.fill(missing, compute(numbers, log, full_at)):
        pass


def die_at(event: int) -> None:
    """Kills this process when it touches a file for the so-manieth time."""
    left = event

    def hook(name: str, _: object) -> None:
        nonlocal left
        if name in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Runs:
    """Starts and ends children that write one file, and watches its finished shards."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.statuses: list[int] = []
        self.said, self.heard, self.reused = "", 0, 0
        self.wrong: list[str] = []
        self.shards: dict[int, tuple[int, int]] = {}

    def start(self, event: int | None = None, full_at: int | None = None) -> int:
        self.shards = self.look()
        heard, said = os.pipe()  # a full disk takes no log
        pid = os.fork()
        if pid:
            os.close(said)
            self.heard = heard
            return pid
        status = 1
        try:
            if event is not None:
                die_at(event)
            with open_partial(self.target, JOB, SHARD, resume=True) as folder:
                work(folder, said, full_at)
                finish(folder, self.target)
            status = 0
        except FeatlibError as error:
            os.write(said, str(error).encode())
            status = 3
        finally:
            os._exit(status)

    def end(self, pid: int) -> int:
        """Waits: 0, 3 for a FeatlibError, -9 for killed. Shards that were there are neither computed nor written."""
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.statuses.append(status)
        with os.fdopen(self.heard, "rb") as heard:
            lines = heard.read().decode().splitlines()
        computed = {int(line) // SHARD for line in lines if line.isdigit()}
        self.said = "".join(line for line in lines if not line.isdigit())
        after = self.look()
        self.reused += len(self.shards)
        self.wrong += [f"{n} computed again" for n in self.shards if n in computed]
        self.wrong += [f"{n} written again" for n, seen in self.shards.items() if after.get(n, seen) != seen]
        return status

    def look(self) -> dict[int, tuple[int, int]]:
        folder = self.target.with_name(f".{self.target.name}.partial")
        found = {int(path.stem.removeprefix("part-")): path.stat() for path in folder.glob("part-*.parquet")}
        return {number: (one.st_ino, one.st_mtime_ns) for number, one in found.items()}


def killed(folder: Path, suffix: str, rng: random.Random) -> dict[str, object]:
    """Kills runs by time and at touches of files, 20 and more, each but the first resuming the one before."""
    whole = Runs(folder / f"whole{suffix}")
    whole.end(whole.start())
    whole.target.unlink()
    began = time.perf_counter()
    whole.end(whole.start())
    takes = time.perf_counter() - began
    runs, deaths, event, status = Runs(folder / f"killed{suffix}"), 0, 0, -9
    while deaths < 12:
        pid = runs.start()
        time.sleep(rng.uniform(0, takes))
        os.kill(pid, signal.SIGKILL)
        status = runs.end(pid)
        deaths += status == -9
        if status == 0 and deaths < 12:
            runs.target.unlink()
    status = -9
    while status == -9:  # a little further each time
        status = runs.end(runs.start(event=event))
        deaths += status == -9
        event += 1
    told = {"deaths": deaths, "statuses": whole.statuses + runs.statuses, "wrong": runs.wrong, "reused": runs.reused}
    return told | {"left": sorted(path.name for path in folder.iterdir())}


def full(folder: Path, suffix: str) -> dict[str, object]:
    """Lets the disk be full at several points, and continues with room."""
    runs, said, appeared = Runs(folder / f"full{suffix}"), [], False
    for full_at in (0, 20, 45, TOTAL):
        if runs.end(runs.start(full_at=full_at)) == 3:
            said.append(runs.said)
        appeared |= runs.target.exists()
    runs.end(runs.start())
    return {"said": said, "statuses": runs.statuses, "appeared": appeared, "wrong": runs.wrong}


def main() -> None:
    root, rng, told = Path(sys.argv[1]), random.Random(int(sys.argv[2])), {}
    pa.array(["x"]), pa.array(np.zeros(1))  # imports pandas where that is installed
    for suffix in FORMATS:
        folder = root / suffix[1:]
        folder.mkdir()
        told[suffix] = {"killed": killed(folder, suffix, rng), "full": full(folder, suffix)}
    (root / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
