"""A driver that breaks a promise in the middle of an experiment: named, and the VM intact."""

from __future__ import annotations

from typing import Any

import pytest

from experiment.shelf import Shelf, misbehaving
from movable.errors import ContractViolation, Deadlock
from movable.experiment.runner import run

TABLE: dict[str, Any] = {
    "title": "A shelf that breaks promises",
    "machine": {"memory": "4 MiB", "pageblock_order": 5},
    "drivers": {"shelf": {}},
    "phases": [
        {"do": "shelf.store", "count": 100},
        {"do": "fill", "size": "1 MiB"},
        {"do": "drop", "share": 0.5},
        {"do": "compact"},
    ],
}


@pytest.mark.parametrize("contract", [True, False], ids=["watched", "unwatched"])
@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("isolate_page", None),
        ("isolate_page", 7),
        ("isolate_page", ValueError("sticky")),
        ("migratepage", None),
        ("migratepage", 7),
        ("migratepage", ValueError("sticky")),
        ("putback_page", ValueError("sticky")),
    ],
)
def test_nonsense_from_a_hook_names_promise_page_and_call(
    hook: str, answer: object, contract: bool
) -> None:
    """A driver author sees what to mend; nobody has to doubt the rest of memory."""
    error = broken(hook, answer, contract=contract)

    assert hook in error.call
    assert error.page.startswith("<Page ")
    assert error.rule in str(error)
    assert error.__notes__ == [
        "in experiment: phases[3] (compact)",
        "memory is intact: a recount of all frames agrees",
    ]


def test_an_answer_to_putback_is_noticed_by_whoever_watches() -> None:
    """The VM itself does not look at it: in the kernel the call is void."""
    assert broken("putback_page", 7, contract=True).call.endswith("putback_page")


def test_a_deadlock_says_in_which_phase_it_happened() -> None:
    """And which lock is waited for."""
    table = {**TABLE, "phases": [{"do": "shelf.wait_for_itself"}]}

    with pytest.raises(Deadlock, match="shelf_lock") as caught:
        run(table, drivers={"shelf": Shelf})

    assert caught.value.__notes__ == ["in experiment: phases[0] (shelf.wait_for_itself)"]


def broken(hook: str, answer: object, *, contract: bool) -> ContractViolation:
    """What is said of a shelf whose *hook* answers, or raises, *answer*."""
    table = {**TABLE, "observers": {"contract": contract}}
    with pytest.raises(ContractViolation) as caught:
        run(table, drivers={"shelf": misbehaving(hook, answer)})
    return caught.value
