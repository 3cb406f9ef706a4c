"""Every rule that this package checks or follows: what it says, why, and where Linux says so.

`movable explain I08` prints one, and every `ContractViolation` ends with the name of one. E rules
are about the mapping word, V rules bind the VM, D rules bind drivers, I rules are what both keep
true together, L rules are about locks and contexts, and S1 to S13 are the remarks of the review of
27 May 2016 under which the contract took its form, with what became of each.
"""

from __future__ import annotations

from textwrap import fill

from movable.errors import BadInput
from movable.rules import driver, encoding, invariants, locks, review, vm
from movable.rules.rule import Rule

__all__ = ["RULES", "Rule", "explain"]

RULES: dict[str, Rule] = {
    rule.id: rule
    for module in (encoding, vm, driver, invariants, locks, review)
    for rule in module.RULES
}


def explain(id: str) -> str:  # noqa: A002  # it is one
    """A rule in full, as `movable explain` prints it; the name may be in lower case.

    :raises BadInput: there is no such rule; the error names those with similar names.
    """
    rule = RULES.get(id.upper())
    if rule is None:
        near = ", ".join(_near(id.upper()))
        raise BadInput(f"rule {id!r}", "there is none of this name", f"near it: {near}")
    parts = (("", rule.rule), ("Why: ", rule.reason), ("Example: ", rule.example))
    text = "\n\n".join(fill(head + body, 88) for head, body in parts)
    return f"{rule.id}\n\n{text}\n\nLinux: {rule.kernel}"


def _near(id: str) -> list[str]:  # noqa: A002
    """Four rules that may have been meant: of the same family, digits swapped, or numbers close."""
    number = int("0" + "".join(character for character in id if character.isdecimal()))

    def distance(rule: str) -> tuple[bool, bool, int]:
        return rule[0] != id[:1], sorted(rule) != sorted(id), abs(int(rule[1:]) - number)

    return sorted(RULES, key=distance)[:4]
