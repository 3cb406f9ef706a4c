"""A Dask cluster on this machine: a scheduler and workers, each a process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask

TESTS = Path(__file__).parent.parent
LOCAL = ("--host", "127.0.0.1", "--no-dashboard")


class Cluster:
    """Its processes, and where its scheduler listens."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[str]] = []
        self.scheduler = self._start("scheduler", *LOCAL, "--port", "0", **environment)
        try:
            self.address = _said(self.scheduler, "Scheduler at:")
        except BaseException:
            self.close()
            raise

    def add_worker(self, *options: str, **environment: str) -> int:
        """Start a worker; the number of its process."""
        words = ("worker", self.address, "--nthreads", "1", *options)
        worker = self._start(*words, *LOCAL, **environment)
        self.workers.append(worker)
        _said(worker, "Registered to:")
        return worker.pid

    def _start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, **environment},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """End everything, nannies and their workers too."""
        for process in (*self.workers, self.scheduler):
            with process, suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, **environment: str) -> Iterator[Cluster]:
    """A scheduler, which Dask's configuration names; it has no workers yet."""
    started = Cluster(folder, **environment)
    try:
        with dask.config.set({"scheduler-address": started.address}):
            yield started
    finally:
        started.close()


def _said(process: subprocess.Popen[str], words: str) -> str:
    """What *process* says after *words*."""
    assert process.stderr
    for line in process.stderr:
        if words in line:
            return line.rpartition(" ")[2].strip()
    raise AssertionError(f"{process.args!r} ended before it said {words!r}")
