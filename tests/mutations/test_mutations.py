"""Every rule of the engine counts: with one of them wrong, some recording is not reproduced.

Frames and counters alone would let many of these pass; that is why event sequences and list orders
are compared. The catalogue says for each mutation which recording sees it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mutations.mutant import NEVER_ENDS, Mutation, catalogue, copy_package, judge

MUTATIONS = catalogue()
SEEN = [mutation for mutation in MUTATIONS if mutation.recording]
UNSEEN = [mutation for mutation in MUTATIONS if not mutation.recording]
pytestmark = pytest.mark.large  # each runs uncompiled already, in a process of its own


@pytest.mark.parametrize("mutation", SEEN, ids=str)
def test_a_wrong_rule_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    """The replay differs, or the engine falls over; one that never ends would show nothing."""
    verdict = judge(tmp_path, mutation, [mutation.recording])

    assert verdict[mutation.recording] not in (None, NEVER_ENDS)


@pytest.mark.parametrize("recording", sorted({mutation.recording for mutation in SEEN}))
def test_without_a_mutation_nothing_is_noticed(recording: str, tmp_path: Path) -> None:
    """What is noticed above is the mutation, not the copying or the lack of compiled code."""
    verdict = judge(tmp_path, None, [recording])

    assert verdict[recording] is None


@pytest.mark.parametrize("mutation", UNSEEN, ids=str)
def test_what_no_recording_sees_has_its_reason(mutation: Mutation, tmp_path: Path) -> None:
    """It stays in the catalogue for the day when a recording does."""
    copy_package(tmp_path, mutation)

    assert mutation.unseen


def test_no_two_mutations_have_one_name() -> None:
    """The name is all that a failure shows."""
    assert len({str(mutation) for mutation in MUTATIONS}) == len(MUTATIONS)
