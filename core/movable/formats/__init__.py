"""What Linux says of its own memory, as text: each file read, and printed again to the byte.

One module a file: `buddyinfo`, `pagetypeinfo` and `vmstat` of /proc, `extfrag` for the two indexes
in debugfs, `ftrace` for traces. Each has `parse(text, place)`, whose result prints as the text it
came from; what would not is refused. `movable.procfs` makes the same of a simulated memory.

The layout is that of Linux v6.1; where other versions differ, the module says how.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from movable.errors import BadInput
from movable.formats.lines import REMEDY

Text = TypeVar("Text")


def read(path: str | Path, parse: Callable[[str, str], Text]) -> Text:
    """The text in the file at *path*: `read("buddyinfo", buddyinfo.parse)`.

    :raises BadInput: it cannot be read, or is not what *parse* expects.
    """
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(str(path), reason, "name a file that can be read") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "this is not text", REMEDY) from None
    return parse(text, str(path))
