"""Results and where they came from: every number with the versions and seeds behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from movable.experiment import curves, frames
from movable.experiment.bench import Plan
from movable.experiment.code import versions
from movable.experiment.measures import Number, Outcome
from movable.experiment.source import Source

if TYPE_CHECKING:
    from polars import DataFrame

FORMAT = 1
"""Grows when a key of the result changes its meaning."""


@dataclass(frozen=True)
class Run:
    """One variant under one seed."""

    variant: str
    replica: int
    seed: int
    outcome: Outcome
    measures: dict[str, Number]
    audit: dict[str, str] | None
    """Owner and problem, if the final recount did not add up: then no number here counts."""
    seconds: float

    def __repr__(self) -> str:
        return f"<Run {self.variant or 'of the file'} [seed {self.replica}, {self.seconds:.1f} s]>"

    def document(self) -> dict[str, Any]:
        """Everything but the time it took."""
        before, after = self.outcome.before, self.outcome.after
        return {
            "variant": self.variant,
            "replica": self.replica,
            "seed": self.seed,
            "valid": self.audit is None,
            "audit": self.audit,
            "measures": self.measures,
            "owners": self.outcome.owners(),
            "causes": self.outcome.causes,
            "buddyinfo": {"before": before.buddyinfo, "after": after.buddyinfo},
            "unusable_index": {"before": before.unusable, "after": after.unusable},
            "vmstat": self.outcome.vmstat,
            "phases": self.outcome.phases,
            "map": {"before": before.map(), "after": after.map()},
        }


@dataclass(frozen=True)
class Result:
    """An experiment that has run."""

    source: Source
    provenance: dict[str, Any]
    runs: list[Run]

    def __repr__(self) -> str:
        state = "" if self.valid else ", invalid"
        return f"<Result {self.source.name} [{len(self.runs)} runs{state}]>"

    @property
    def valid(self) -> bool:
        """Every run ended with a recount that added up."""
        return all(run.audit is None for run in self.runs)

    @property
    def frame(self) -> DataFrame:
        """One row a run, with a column for each measure (a polars data frame)."""
        return frames.runs_frame(self.source.name, self.runs)

    @property
    def owners(self) -> DataFrame:
        """One row for each owner of pages in each run (a polars data frame)."""
        return frames.owners_frame(self.source.name, self.runs)

    @property
    def curves(self) -> DataFrame:
        """One row for each round of each curve in each run (a polars data frame)."""
        followed = curves.names(self.source.model.phases)
        return frames.curves_frame(self.source.name, self.runs, followed)

    @property
    def rules(self) -> dict[str, Any]:
        """What results must have in common to be compared: whose rules made them."""
        plans = self.provenance["configuration"]
        profiles = sorted({plan["machine"]["profile"] for plan in plans.values()})
        return {
            "format": FORMAT,
            "movable": self.provenance["versions"]["movable"],
            "profiles": profiles,
        }

    def files(self) -> dict[str, str | bytes]:
        """The result as files: `runs.parquet`, one row a run; `manifest.json`, all that is behind
        these numbers; `result.json`, every run whole."""
        table = frames.parquet(self.frame)
        manifest = {
            "experiment": self.source.name,
            "title": self.source.model.title,
            "question": self.source.question,
            "valid": self.valid,
            "rules": self.rules,
            "provenance": self.provenance,
            "files": {"runs.parquet": sha256(table).hexdigest()},
        }
        return {
            "runs.parquet": table,
            "manifest.json": json.dumps(manifest, indent=1) + "\n",
            "result.json": self.to_json(),
        }

    def document(self) -> dict[str, Any]:
        """What a result file says: the same for the same input, to the byte."""
        return {
            "format": FORMAT,
            "experiment": self.source.name,
            "title": self.source.model.title,
            "question": self.source.question,
            "valid": self.valid,
            "provenance": self.provenance,
            "curves": curves.document(self.runs, self.source.model.phases),
            "runs": [run.document() for run in self.runs],
        }

    def to_json(self, *, seconds: bool = False) -> str:
        """The document as text; with *seconds*, the time that each run took beside it."""
        document = self.document()
        if seconds:
            for run, row in zip(self.runs, document["runs"], strict=True):
                row["seconds"] = round(run.seconds, 4)
        return json.dumps(document, indent=1) + "\n"


def provenance(plans: Mapping[str, Plan], seed: int, recordings: list[Any]) -> dict[str, Any]:
    """All that somebody needs to get the same numbers again; *plans* by variant."""
    kinds = {kind for plan in plans.values() for kind in plan.kinds.values()}
    return {
        "versions": versions(kinds),
        "seed": seed,
        "recordings": recordings,
        "configuration": {name: plan.resolved() for name, plan in plans.items()},
    }
