"""What movable says to the published numbers: runs what has to be run, each thing once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from movable.errors import AuditFailed
from movable.experiment.job import Say, silent
from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.published import arithmetic, trees
from movable.published.claims import Claim, numbers

SEEDS = 8
"""Of the models; experiments have their own."""

Measured = Mapping[str, Sequence[Mapping[str, float]]]
"""By variant: the measures of each seed."""


@dataclass(frozen=True)
class Answer:
    """Ours, for one claim."""

    values: list[float]
    """One a seed."""
    signs: list[int]
    """One a seed: whether it is more than the variant compared with has, 1, 0 or -1."""

    def __repr__(self) -> str:
        return f"<Answer [{len(self.values)} seeds]>"


@dataclass(frozen=True)
class Worked:
    """What one experiment or model said, and the time it took."""

    measured: Measured
    seconds: float


def answer(claim: Claim, measured: Measured) -> Answer:
    """Work out *claim* from the measures of the runs."""
    ours = [_value(claim, one) for one in measured[claim.variant]]
    if claim.than is None:
        return Answer(ours, [])
    others = [_value(claim, one) for one in measured[claim.than]]
    pairs = list(zip(ours, others, strict=True))
    signs = [(one > other) - (one < other) for one, other in pairs]
    if claim.as_ == "gain":
        return Answer([one - other for one, other in pairs], signs)
    if claim.as_ == "change":
        return Answer([100 * (one / other - 1) if other else 0.0 for one, other in pairs], signs)
    return Answer(ours, signs)


def _value(claim: Claim, measures: Mapping[str, float]) -> float:
    divisor = measures[claim.divided_by] if claim.divided_by else 1
    return claim.times * measures[claim.measure] / divisor if divisor else 0.0


def work_out(wanted: Iterable[Claim], jobs: int = 1, say: Say = silent) -> dict[str, Worked]:
    """Run every experiment and model that the claims need, by name.

    :raises AuditFailed: a recount of memory did not add up: then no number counts.
    """
    names = list(dict.fromkeys(claim.of for claim in wanted))
    worked: dict[str, Worked] = {}
    for number, name in enumerate(names):
        began = time.perf_counter()
        measured = MODELS[name]() if name in MODELS else _run(name, jobs, _part(say, number, names))
        worked[name] = Worked(measured, time.perf_counter() - began)
        say(name, (number + 1) / len(names))
    return worked


def _run(name: str, jobs: int, say: Say) -> Measured:
    return measured_by(run(name, jobs=jobs, say=say))


def measured_by(result: Result) -> dict[str, list[dict[str, float]]]:
    """The measures of *result*, by variant."""
    measured: dict[str, list[dict[str, float]]] = {}
    for one in result.runs:
        if one.audit is not None:
            raise AuditFailed(one.audit["owner"], one.audit["problem"])
        measured.setdefault(one.variant, []).append(dict(one.measures))
    return measured


def _trees() -> Measured:
    published = np.array(numbers().curves["llfree"])
    return {"": [trees.measures(seed, published) for seed in range(SEEDS)]}


def _arithmetic() -> Measured:
    return {kernel: [measures] for kernel, measures in arithmetic.measures().items()}


MODELS: dict[str, Callable[[], Measured]] = {"trees": _trees, "arithmetic": _arithmetic}
"""What is worked out here, and not by an experiment."""


def _part(say: Say, number: int, names: Sequence[str]) -> Say:
    return lambda step, share: say(step, (number + share) / len(names))
