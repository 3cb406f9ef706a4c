"""What a sweep costs by who does its runs: `python tests/bench/sweeps.py --json`.

Rows a second, medians of several sweeps, in this process and by two workers of each backend that is
installed, on this machine; and what a row costs beside the run itself, where runs are tiny. Workers
are up before time is taken; what a sweep of one row takes more than in this process is told as
`start`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

from movable.experiment.runner import run

WORKERS, TURNS = 2, 3
ROWS = {"tiny": 100, "real": 8}
"""Runs of a millisecond or some, to see what goes beside them; and runs as one really has them."""
Sweep = Callable[..., Any]


def experiment(kind: str, rows: int) -> dict[str, Any]:
    """*rows* runs."""
    memory, times = {"tiny": ("1 MiB", 1), "real": ("256 MiB", 20)}[kind]
    phases = [
        {"do": "fill", "mix": {"anon": 3, "file": 1}, "until_used": 0.7},
        {"do": "churn", "share": 0.2, "times": times},
        {"do": "compact"},
    ]
    machine = {"memory": memory, "pageblock_order": 5}
    return {"title": kind, "machine": machine, "seeds": rows, "phases": phases}


@contextmanager
def sweeps() -> Iterator[dict[str, Sweep]]:
    """Ways to do a sweep, by name."""
    with ExitStack() as stack:
        found: dict[str, Sweep] = {"here": run, "loky": partial(run, jobs=WORKERS)}
        if find_spec("distributed"):
            from distributed import Client, LocalCluster

            cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
            stack.enter_context(cluster)
            stack.enter_context(Client(cluster))
            found["dask"] = partial(run, backend="dask")
        if find_spec("ray"):
            import ray

            ray.init(num_cpus=WORKERS, log_to_driver=False)
            stack.callback(ray.shutdown)
            found["ray"] = partial(run, backend="ray")
        yield found


def seconds(sweep: Sweep, kind: str, rows: int) -> float:
    """How long *rows* runs take."""
    begun = perf_counter()
    sweep(experiment(kind, rows))
    return perf_counter() - begun


def measured() -> dict[str, dict[str, float]]:
    """By backend: what each of its figures is, in rows a second and milliseconds."""
    with sweeps() as found:
        taken: dict[str, dict[str, list[float]]] = {name: {} for name in found}
        for sweep in found.values():
            seconds(sweep, "tiny", WORKERS)  # workers import, and load compiled code
        for _ in range(TURNS):  # in turns, so that what else the machine does hits all of them
            for name, sweep in found.items():
                taken[name].setdefault("start", []).append(seconds(sweep, "tiny", 2))
                for kind, rows in ROWS.items():
                    taken[name].setdefault(kind, []).append(seconds(sweep, kind, rows))
    medians = {
        name: {kind: median(times) for kind, times in kinds.items()}
        for name, kinds in taken.items()
    }
    return {name: _figures(name, medians) for name in medians}


def _figures(name: str, medians: dict[str, dict[str, float]]) -> dict[str, float]:
    times, workers = medians[name], 1 if name == "here" else WORKERS
    row = {one: (t["tiny"] - t["start"]) / (ROWS["tiny"] - 2) for one, t in medians.items()}
    return {
        "start_ms": 1000 * (times["start"] - medians["here"]["start"]),
        "tiny_rows_per_s": ROWS["tiny"] / times["tiny"],
        "real_rows_per_s": ROWS["real"] / times["real"],
        "beside_a_row_ms": 1000 * (workers * row[name] - row["here"]),
    }


def main(*words: str) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="as JSON")
    found = measured()
    if parser.parse_args(words or None).json:
        print(json.dumps(found, indent=1))
        return
    for name, figures in found.items():
        print(name, *(f"{figure}={value:.1f}" for figure, value in figures.items()))


if __name__ == "__main__":
    main()
