"""The two outsiders' drivers with one mistake each, and the rule that must name it.

The numbers are those of the catalogue of contract violations that drivers have had, or could have.
"""

from __future__ import annotations

from conformance import mistakes_afterwards, mistakes_when_asked
from conformance.planting import MISTAKES

__all__ = ["MISTAKES", "mistakes_afterwards", "mistakes_when_asked"]
