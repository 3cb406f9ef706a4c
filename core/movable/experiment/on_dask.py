"""A Dask cluster as joblib knows it, but for what joblib (1.6) leaves out."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, KilledWorker, get_client
from distributed.comm import CommClosedError
from joblib._dask import DaskDistributedBackend

from movable.errors import BadInput
from movable.experiment.backends import Crew

PLACE = "--backend dask"
VARIABLE = "DASK_SCHEDULER_ADDRESS"


class Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
    """Says too when a task will never be done; joblib's own would have us wait for ever."""

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
        def tell(done: futures.Future[Any]) -> None:
            if error := done.exception():
                callback(error)

        future = super().submit(func, callback)
        future.add_done_callback(tell)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)

    def effective_n_jobs(self, n_jobs: int) -> int:
        # With one worker, joblib would do the jobs in this process.
        size: int = super().effective_n_jobs(n_jobs)
        return max(2, size)


@contextmanager
def crew() -> Iterator[Crew]:
    """The workers of the current client, or of the scheduler that Dask's configuration names.

    :raises BadInput: there is neither, or it cannot be reached, or it has no worker.
    """
    client, ours = _client()
    try:
        backend = Backend(client=client)
        try:
            size = backend.effective_n_jobs(-1)
        except TimeoutError:
            where = client.scheduler.address
            raise BadInput(PLACE, f"{where} has no workers", "start some") from None
        yield Crew(
            f"Dask, {sum(client.ncores().values())} threads of workers",
            backend,
            size,
            (KilledWorker,),
            (CommClosedError, CancelledError, futures.CancelledError),
        )
    finally:
        if ours:
            client.close()


def _client() -> tuple[Any, bool]:
    try:
        return get_client(), False
    except ValueError:
        pass
    address = dask.config.get("scheduler-address", None)
    if not address:
        raise BadInput(PLACE, "no scheduler is named", f"set {VARIABLE} to tcp://HOST:8786")
    try:
        return Client(address, set_as_default=False), True
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            PLACE, reason, f"see that {VARIABLE} is right, and the scheduler up"
        ) from None
