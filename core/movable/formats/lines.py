"""Reading a text line by line, and saying at which line it is not what it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized

from movable.errors import BadInput

REMEDY = "give the file whole, as the kernel prints it"
NUMBER = re.compile(r"[0-9]{1,20}")
"""What the kernel counts fits into 64 bits."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
SHOWN, NEARBY = 60, 16
"""How many characters of a line a message repeats, from its start or from what is wrong."""


class Lines:
    """The lines of a text, taken one after the other.

    :raises BadInput: the text is empty, is no text, or breaks off within a line.
    """

    def __init__(self, text: str, place: str) -> None:
        self.place, self.text = place, text
        self.number = 0
        """Of the last line taken."""
        self._lines = text.split("\n")
        unfinished = self._lines.pop()
        if not text:
            raise BadInput(place, "it is empty", REMEDY)
        if found := CONTROL.search(text):
            self.number = text.count("\n", 0, found.start()) + 1
            raise self.bad(f"this is not text, but has a byte {ord(found[0]):#04x}")
        if unfinished:
            self.number = len(self._lines) + 1
            raise self.bad(f"cut short after {_shown(unfinished)}")

    def __repr__(self) -> str:
        return f"<Lines of {self.place} [{self.number} of {len(self._lines)} taken]>"

    @property
    def left(self) -> bool:
        """There are more lines."""
        return self.number < len(self._lines)

    @property
    def trimmed(self) -> bool:
        """No line ends in a blank, though the kernel puts one behind each number of a table."""
        return " \n" not in self.text

    def take(self, wanted: re.Pattern[str], what: str) -> re.Match[str]:
        """The next line, which must be *what*.

        :raises BadInput: it is something else, or there is none.
        """
        match = self.take_if(wanted)
        if match:
            return match
        self.number += 1
        if self.number > len(self._lines):
            raise self.bad(f"cut short: {what} is missing")
        raise self.bad(f"{_shown(self._lines[self.number - 1])} is not {what}")

    def take_if(self, wanted: re.Pattern[str]) -> re.Match[str] | None:
        """The next line if it is *wanted*; else it stays the next."""
        match = wanted.fullmatch(self._lines[self.number]) if self.left else None
        self.number += match is not None
        return match

    def numbers(self, words: list[str]) -> tuple[int, ...]:
        """*words* of the last line taken as numbers."""
        for word in words:
            if not NUMBER.fullmatch(word):
                raise self.bad(f"{_shown(word)} is not a number")
        return tuple(map(int, words))

    def count(self, found: Sized, columns: int) -> None:
        """The last line taken must have *columns* numbers."""
        if len(found) != columns:
            raise self.bad(f"{len(found)} numbers, where {columns} belong")

    def end(self, printed: str) -> None:
        """The text must end here, and be what its contents are *printed* as.

        One blank more or less is what readers that count columns stumble over. It is looked for
        here, for every file, so that nothing is read that would come out differently.
        """
        if printed == self.text:
            return
        ours = printed.split("\n")
        self.number = 1 + _first_difference(ours, self._lines)
        theirs, kernels = self._lines[self.number - 1], ours[self.number - 1]
        if not kernels:
            raise self.bad(f"{_shown(theirs)} is one line too many")
        at = _first_difference(theirs, kernels)
        found, wanted = theirs[at:][:NEARBY], kernels[at:][:NEARBY]
        raise self.bad(f"{found!r} from column {at + 1}, where the kernel prints {wanted!r}")

    def bad(self, problem: str) -> BadInput:
        """What is wrong with the last line taken."""
        return BadInput(f"{self.place}, line {self.number}", problem, REMEDY)


def trim(text: str) -> str:
    """*text* without the blanks that the kernel leaves at the ends of lines."""
    return re.sub(" +$", "", text, flags=re.MULTILINE)


def _first_difference(a: Sequence[str], b: Sequence[str]) -> int:
    """Where *a* and *b* part: at the latest where one of them ends."""
    pairs = zip(a, b, strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _shown(line: str) -> str:
    return repr(line if len(line) <= SHOWN else f"{line[:SHOWN]}...")
