"""`--proc DIR`: what the kernel's own files would say of a run's memory, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from movable.experiment.folder import Folder

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Texts:
    """The texts of one run; without a folder, nothing at all.

    They appear together when the run is done. One that fails, or whose recount does not add up,
    leaves none.
    """

    def __init__(self, folder: Path | None, memory: Memory) -> None:
        """Look at once whether *folder* can be written.

        :raises BadInput: it cannot.
        """
        self._folder, self._memory = Folder(folder, "--proc") if folder else None, memory
        self.keep()

    def __repr__(self) -> str:
        return f"<Texts for {self._folder.path if self._folder else 'nobody'}>"

    def keep(self) -> None:
        """This is "before", unless a later moment is."""
        if self._folder:
            from movable import procfs

            self._before = procfs.texts(self._memory)

    def write(self) -> None:
        """This is "after"."""
        if self._folder:
            from movable import procfs

            self._folder.write(procfs.files(self._before, self._memory))


def folder_of_run(folder: str | Path | None, variant: str, replica: int, seeds: int) -> Path | None:
    """Where in *folder* one of several runs has its own: by variant and seed, if there are many."""
    if folder is None:
        return None
    return Path(folder, variant, f"seed-{replica}" if seeds > 1 else "")
