"""A Ray cluster as joblib knows it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayActorError
from ray.util.joblib.ray_backend import RayBackend

from movable.errors import BadInput
from movable.experiment.backends import Crew

PLACE = "--backend ray"
VARIABLE = "RAY_ADDRESS"
PATIENCE = 10
"""Seconds."""


class Backend(RayBackend):  # type: ignore[misc]  # ray's types are not read
    """Hands back what is done as soon as it is; its pool can, but does not say so."""

    supports_return_generator = True

    def retrieve_result_callback(self, out: Any) -> Any:
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)


@contextmanager
def crew() -> Iterator[Crew]:
    """The workers of the cluster that Ray's environment variables name, or one of this machine.

    :raises BadInput: it cannot be reached, or is too small.
    """
    ours = not ray.is_initialized()
    if ours:
        _knock(os.environ.get(VARIABLE, ""))
        ray.init()
    try:
        size = int(ray.cluster_resources()["CPU"])
        if size < 2:  # joblib would do the jobs in this process, and die with them
            raise BadInput(PLACE, "the cluster has one CPU", "give it more, or leave out --backend")
        yield Crew(f"Ray, {size} CPUs", Backend(), size, (RayActorError,))
    finally:
        if ours:
            ray.shutdown()


def _knock(address: str) -> None:
    """See whether somebody listens at *address*: Ray itself would try for minutes."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        if parts.port:
            socket.create_connection((parts.hostname, parts.port), PATIENCE).close()
    except (OSError, ValueError) as error:
        remedy = f"see that {VARIABLE} is right, and the cluster up"
        raise BadInput(PLACE, f"{address}: {error}", remedy) from None
