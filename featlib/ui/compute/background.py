"""Vectors that are made ready before anybody asks: those of all stages, for the images that a person has chosen.

One thread for the server, at work only while nobody waits for anything, and only as long as somebody wants the result.
It holds names and weak references: no session, network or upload lives on because of it.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import streamlit as st

from featlib.errors import ImageError
from featlib.images import ImageSet, load_samples
from featlib.models import Backbone, find_layer
from featlib.transfer import stage_layers
from featlib.ui.compute import cache
from featlib.ui.compute.rows import Rows, Shared
from featlib.ui.compute.turns import FRONT
from featlib.ui.session import UPLOADS, Session
from featlib.ui.widgets.pickers import LIMITS, sample_column

_log = logging.getLogger(__name__)

MAX_IMAGES = 2000
MAX_BYTES = 128 * 2**20  # of all vectors of a job together
PART_SECONDS = 0.3  # what a person who asks may have to wait for the part at work
QUIET_SECONDS = 0.5
LOOK_SECONDS = 0.1  # between two looks whether it is quiet
FIRST, LARGEST = 4, 32  # images in a part


@dataclass(frozen=True)
class Job:
    """What is to be prepared.

    Attributes:
        backbone: the network, while it is loaded.
        images: the whole set, while somebody has it.
        count: how many of them are used.
        by: the label column of which each label gets an equal share.
    """

    backbone: weakref.ref[Backbone]
    images: weakref.ref[ImageSet]
    count: int
    by: str | None


@dataclass
class Wish:
    """A job that a session wants.

    Attributes:
        session: whose it is, while the visit lasts.
        job: the job.
        done: how many images are ready.
        finished: whether there is nothing left to do.
    """

    session: weakref.ref[Session]
    job: Job
    done: int = 0
    finished: bool = False


class Preparer:
    """The thread, and what the sessions want of it: one job each."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._wishes: dict[int, Wish] = {}
        self._thread: threading.Thread | None = None
        self._leaving = threading.Event()
        atexit.register(self.stop)

    def want(self, session: Session, job: Job) -> Wish:
        """Puts the job in place of what this session wanted before; the work on that ends."""
        key = id(session)
        with self._lock:
            wish = self._wishes.get(key)
            if wish is None or wish.job != job or wish.session() is not session:
                self._wishes.pop(key, None)  # the new one goes to the end
                wish = self._wishes[key] = Wish(weakref.ref(session), job)
            if self._thread is None and not wish.finished and not self._leaving.is_set():
                self._thread = threading.Thread(target=self._work, name="featlib-prepare", daemon=True)
                self._thread.start()
            return wish

    def forget(self, session: Session) -> None:
        """The session wants nothing any more."""
        with self._lock:
            self._wishes.pop(id(session), None)

    def wish_of(self, session: Session) -> Wish | None:
        """What the session wants."""
        with self._lock:
            return self._wishes.get(id(session))

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the work after the part that is running: at the end of the process it would end in mid-air."""
        self._leaving.set()
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while (wish := self._next()) is not None:
            try:
                self._prepare(wish)
            except Exception:  # noqa: BLE001 - a person's own network can raise anything; a page that asks for it tells it
                if not _process_ends():
                    _log.exception("Preparing the ends of the stages has failed.")
            wish.finished = True

    def _next(self) -> Wish | None:
        with self._lock:
            self._wishes = {key: wish for key, wish in self._wishes.items() if wish.session() is not None}
            open_wishes = [wish for wish in self._wishes.values() if not wish.finished]
            if not open_wishes or self._leaving.is_set():
                self._thread = None
                return None
            return open_wishes[-1]

    def _prepare(self, wish: Wish) -> None:
        rows = self._open(wish.job)
        size = FIRST
        while rows is not None and (missing := rows.missing):
            wish.done = rows.total - len(missing)
            if not self._is_wanted(wish):
                return
            if not FRONT.is_quiet(QUIET_SECONDS):
                self._leaving.wait(LOOK_SECONDS)
                continue
            began = time.monotonic()
            rows.compute_part(missing[:size])
            quick = time.monotonic() - began < PART_SECONDS
            size = min(LARGEST, size * 2) if quick else max(1, size // 2)

    def _open(self, job: Job) -> Rows | None:
        backbone, images = job.backbone(), job.images()
        if backbone is None or images is None:
            return None
        part = images.sample(job.count, by=job.by)
        layers = stage_layers(backbone)
        size = sum(find_layer(backbone, layer).output_shape[-1] or 1 for layer in layers)
        if size * len(part) * 4 > MAX_BYTES:
            return None
        return Rows(self._shared, backbone, part, layers, "avg")

    def _is_wanted(self, wish: Wish) -> bool:
        """False where the session has ended, or wants something else."""
        with self._lock:
            is_last = any(wish is other for other in self._wishes.values())
        return is_last and wish.session() is not None and not self._leaving.is_set()


def _process_ends() -> bool:
    """Whether the interpreter shuts down: thread pools refuse work then, some time before `stop` is called."""
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int)
    except RuntimeError:
        return True
    return False


@st.cache_resource(show_spinner=False)
def preparer() -> Preparer:
    """The server's one."""
    return Preparer(cache.shared())


def prepare(session: Session, backbone: Backbone, by: str | None = None) -> None:
    """Has the vectors of the session's images prepared, as far as the pages use them, and shows how far that is."""
    job = _job(session, backbone, by)
    if job is None:
        preparer().forget(session)
        return
    if not preparer().want(session, job).finished:
        with st.sidebar:
            _show(session)


def _job(session: Session, backbone: Backbone, by: str | None) -> Job | None:
    try:
        images = session.uploads if session.images == UPLOADS else load_samples(session.images)
    except ImageError:  # the page says it
        return None
    if images is None:
        return None
    column = by if by in images.label_columns else sample_column(images)
    count = _count_used(session, images)
    if not 0 < count <= MAX_IMAGES:
        return None
    return Job(weakref.ref(backbone), weakref.ref(images), count, column)


def _count_used(session: Session, images: ImageSet) -> int:
    """How many of the images the pages use: see `pick_part`."""
    if len(images) <= min(LIMITS):
        return len(images)
    options = [limit for limit in LIMITS if limit < len(images)] + [len(images)]
    return min(options, key=lambda option: abs(option - session.limit))


@st.fragment(run_every=1.0)
def _show(session: Session) -> None:
    """One line that moves by itself. When all is done the page runs once more, without it."""
    wish = preparer().wish_of(session)
    if wish is None or wish.finished:
        session.say_again()
        st.rerun()
    st.caption(f":material/hourglass_top: Preparing all stages: {wish.done:,} of {wish.job.count:,} images")
