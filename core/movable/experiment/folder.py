"""Where results go: files appear complete and all together, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from movable.errors import BadInput


class Folder:
    """The folder of `--out` or another option, made when there is something to put into it."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        """Check at once that *path* can be written, before anybody works for an hour.

        :raises BadInput: it cannot.
        """
        self.path, self.option = path, option
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        if not there.is_dir():
            raise self._refused(f"{there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._refused(f"{there} cannot be written")

    def write(self, files: Mapping[str, str | bytes]) -> list[Path]:
        """Write *files*, name to text, and say where they are now. A name may have folders."""
        finals = [self.path / name for name in files]
        parts = [final.with_name(f".{final.name}.{os.getpid()}") for final in finals]
        try:
            for final in finals:
                final.parent.mkdir(parents=True, exist_ok=True)
            for part, content in zip(parts, files.values(), strict=True):
                part.write_bytes(content.encode() if isinstance(content, str) else content)
            for part, final in zip(parts, finals, strict=True):
                part.replace(final)
        except OSError as error:
            for part in parts:
                with suppress(OSError):
                    part.unlink()
            raise self._refused(error.strerror or str(error)) from None
        return finals

    def _refused(self, problem: str) -> BadInput:
        return BadInput(f"{self.option} {self.path}", problem, "name a folder that can be written")
