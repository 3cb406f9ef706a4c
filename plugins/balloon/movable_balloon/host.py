"""The host: whom the balloon's pages are lent to."""

from __future__ import annotations

from movable.errors import AuditFailed


class Host:
    """The other side of the virtqueues: which guest frames it holds at present.

    It believes nothing: a frame lent twice, or asked back without having been lent, is an error.
    """

    def __init__(self) -> None:
        self.pfns: set[int] = set()
        self.target = 0
        """How large the host wants the balloon (`num_pages` of its configuration), in pages."""
        self.actual = 0
        """What the guest last wrote as the balloon's size."""

    def __repr__(self) -> str:
        return f"<Host [{len(self.pfns)} frames]>"

    def inflate(self, pfns: list[int]) -> None:
        """One buffer of the inflate queue: the guest will not touch these frames."""
        for pfn in pfns:
            if pfn in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was lent to it twice")
            self.pfns.add(pfn)

    def deflate(self, pfns: list[int]) -> None:
        """One buffer of the deflate queue: the guest wants these frames back."""
        for pfn in pfns:
            if pfn not in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was asked back, which it does not have")
            self.pfns.remove(pfn)
