"""Every rule of the engine counts: with one of them wrong, a recording is not reproduced, or a test
that derives the outcome from the rule fails.

Frames and counters alone would let many of these pass; that is why event sequences and list orders
are compared. The catalogue says for each mutation who sees it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mutations.mutant import NEVER_ENDS, Judge, Mutation, catalogue

MUTATIONS = catalogue()
SEEN = [mutation for mutation in MUTATIONS if mutation.recording]
TESTED = [mutation for mutation in MUTATIONS if mutation.test]
UNSEEN = [mutation for mutation in MUTATIONS if mutation.unseen]
pytestmark = pytest.mark.large  # each runs uncompiled already, in a process of its own


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process that tries them all."""
    with Judge() as process:
        yield process


@pytest.mark.parametrize("mutation", SEEN, ids=str)
def test_a_wrong_rule_is_noticed(mutation: Mutation, judge: Judge) -> None:
    """The replay differs, or the engine falls over; one that never ends would show nothing."""
    assert judge.replays(mutation, mutation.recording) not in (None, NEVER_ENDS)


@pytest.mark.parametrize("mutation", TESTED, ids=str)
def test_a_wrong_rule_fails_its_test(mutation: Mutation, judge: Judge) -> None:
    """Where no recording has the occasion, a test makes it."""
    assert judge.passes(mutation, [mutation.test]) not in (None, NEVER_ENDS)


@pytest.mark.parametrize("recording", sorted({mutation.recording for mutation in SEEN}))
def test_without_a_mutation_nothing_is_noticed(recording: str, judge: Judge) -> None:
    """What is noticed above is the mutation, not the copying or the lack of compiled code."""
    assert judge.replays(None, recording) is None


def test_without_a_mutation_the_tests_pass(judge: Judge) -> None:
    """As above."""
    assert judge.passes(None, sorted({mutation.test for mutation in TESTED})) is None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_somebody_sees_it_or_there_is_a_reason(mutation: Mutation) -> None:
    """And its text is still there to be changed, into code."""
    assert [mutation.recording, mutation.test, mutation.unseen].count("") == 2
    compile(mutation.source(), mutation.file, "exec")


def test_no_two_mutations_have_one_name() -> None:
    """The name is all that a failure shows."""
    assert len({str(mutation) for mutation in MUTATIONS}) == len(MUTATIONS)
