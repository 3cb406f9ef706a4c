"""Numbers that others have published, and what movable says to them: `movable published`.

`numbers.toml` holds what was published, where, and how it is worked out here. Most of it is done by
shipped experiments; what the engine is not made for, by the small models of this package.
"""

from movable.published.answers import answer
from movable.published.claims import Claim, claims
from movable.published.table import Row, row

__all__ = ["Claim", "Row", "answer", "claims", "row"]
