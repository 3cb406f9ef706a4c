"""frontrun beside our scheduler, on one small race: `uv run --group peer tests/bench/peer.py`.

Both check the same lines (tiny_balloon.py) in one run and in turns, so that whatever else the
machine does slows both: a balloon without a mistake, for schedules a second, and with one, for how
many schedules it takes until it is found. Each schedule begins with a new balloon.

It is not a comparison of equals. frontrun takes Python as it is, in real threads that it stops
between any two bytecodes; only with its markers does it know our points. We run a model that says
where another CPU may come in, on stacks that are switched without the operating system. So the
figures say what it costs to search with either, and not whose search is better.

Rates are of processor time of the process, and by the clock; medians over turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from bench.tiny_balloon import TinyBalloon  # noqa: E402
from movable.sched import SpinLock, point  # noqa: E402
from movable.sched.delays import DelayBounded  # noqa: E402
from movable.sched.exploration import Exploration, Strategy  # noqa: E402
from movable.sched.strategies import Pct, RandomWalk  # noqa: E402

TURNS = 3
MOST = 5_000
"""Schedules of the balloon without its mistake."""
SEEDS = 20
DEPTH = 3
"""Orderings of PCT and delays, as many as the mistake takes."""
CANNOT = 2
RATES = ("schedules_per_s", "schedules_per_s_by_the_clock")
Search = Callable[[Exploration, int], Iterable[Strategy]]
SEARCHES: dict[str, Search] = {
    "random": lambda run, seed: repeat(RandomWalk(seed)),
    "pct": lambda run, seed: repeat(Pct(seed, DEPTH)),
    "delays": lambda run, seed: DelayBounded(DEPTH),
}


class Unmeasurable(Exception):
    """There is nobody to compare with; the text says why."""


def schedules(search: Search, seed: int, mistake: bool) -> tuple[int, bool]:
    """Play until a page is lost or twice somewhere, at most so often; how often, and whether."""
    run, played = Exploration(), 0
    for strategy in search(run, seed):
        balloon = TinyBalloon(SpinLock("lock"), point, mistake)
        run.run([("vm", balloon.compact), ("user", balloon.deflate)], strategy)
        played += 1
        if not balloon.whole():
            return played, True
        if played == MOST:
            break
    return played, False


def ours() -> dict[str, Any]:
    """Our side of one turn, in the form of frontrun's."""
    sides = {}
    for name, search in SEARCHES.items():
        clock, processor = time.perf_counter(), time.process_time()
        played, failed = schedules(search, 0, mistake=False)
        processor, clock = time.process_time() - processor, time.perf_counter() - clock
        assert not failed
        found = [schedules(search, seed, mistake=True) for seed in range(SEEDS)]
        sides[name] = {
            "schedules_per_s": played / processor,
            "schedules_per_s_by_the_clock": played / clock,
            "to_failure": [count if failed else 0 for count, failed in found],
        }
    return {"searches": sides}


def theirs() -> dict[str, Any]:
    """frontrun's side of one turn.

    :raises Unmeasurable: it is not there, or falls over.
    """
    near = Path(sys.executable).parent
    command = which("frontrun", path=os.pathsep.join([str(near), os.environ.get("PATH", "")]))
    if command is None:
        raise Unmeasurable("there is no frontrun; uv run --group peer installs it")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    python = str(Path(command).with_name("python"))
    done = subprocess.run(
        [command, python, "-m", "bench.frontrun_side"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unmeasurable((done.stderr.strip().splitlines() or ["frontrun said nothing"])[-1])
    side: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return side


def medians(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Each search's rates over the turns of one side; schedules to failure are always the same."""
    return {
        name: side
        | {rate: median(turn["searches"][name][rate] for turn in turns) for rate in RATES}
        for name, side in turns[0]["searches"].items()
    }


def measure(wanted: int) -> dict[str, Any]:
    """Both sides, and how many times as many schedules a second ours plays, random beside random.

    :raises Unmeasurable: there is no frontrun.
    """
    turns = [(theirs(), ours()) for _ in range(wanted)]
    their, our = (medians([turn[side] for turn in turns]) for side in (0, 1))
    ratios = {rate: our["random"][rate] / their["random"][rate] for rate in RATES}
    version = turns[0][0]["version"]
    return {
        "version": version,
        "turns": wanted,
        "frontrun": their,
        "movable": our,
        "ratio": ratios,
    }


def text(found: dict[str, Any]) -> str:
    """A line a search."""
    lines = [f"{'':22}{'schedules/s':>14}{'by the clock':>14}  schedules to failure"]
    for side in ("frontrun", "movable"):
        for name, figures in found[side].items():
            rates = "".join(f"{figures[rate]:14,.0f}" for rate in RATES)
            lines.append(f"{side:10}{name:12}{rates}  {failures(figures['to_failure'])}")
    lines.append(
        f"{'ratio':10}{'random':12}" + "".join(f"{found['ratio'][rate]:14,.0f}" for rate in RATES)
    )
    return "\n".join([*lines, f"(frontrun {found['version']}; medians of {found['turns']} turns)"])


def failures(counts: list[int]) -> str:
    """The median, the least and the most."""
    found = sorted(count for count in counts if count)
    if not found:
        return "not found"
    if len(counts) == 1 or found[0] == found[-1]:
        return str(found[0])
    return f"{median(found):g} ({found[0]}-{found[-1]}), in {len(found)} of {len(counts)} seeds"


def main() -> None:
    """Print the figures side by side, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        found = measure(asked.turns)
    except Unmeasurable as reason:
        print(f"peer: {reason}", file=sys.stderr)
        raise SystemExit(CANNOT) from None
    print(json.dumps(found, indent=2) if asked.json else text(found))


if __name__ == "__main__":
    main()
