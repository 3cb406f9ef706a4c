"""What a changed rule does: recordings replayed by this package and by another checkout."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from movable.errors import BadInput
from movable.recording.checkout import Checkout
from movable.recording.moved import Moved, moved
from movable.recording.replay import find


def recordings(words: Sequence[str]) -> dict[str, Path]:
    """The recordings that *words* name, by what to call them; a folder means all of its own.

    :raises BadInput: there is no such recording, or none in a folder.
    """
    paths = list(dict.fromkeys(path for word in words for path in _named(word)))
    stems = [path.stem for path in paths]
    return {p.stem if stems.count(p.stem) == 1 else str(p): p for p in paths}


def _named(word: str) -> list[Path]:
    if not Path(word).is_dir():
        return [find(word)]
    paths = sorted(Path(word).glob("*.npz"))
    if not paths:
        raise BadInput(word, "there is no recording in this folder", "they end in .npz")
    return paths


def run(
    wanted: dict[str, Path],
    there: Checkout,
    jobs: int = 1,
    say: Callable[[str, float], object] = lambda _step, _share: None,
) -> list[Moved]:
    """Have both sides replay all that is *wanted*, *jobs* recordings at a time.

    What cannot be compared is told in its place; the others are compared all the same.
    """
    here = Checkout.here()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_both, *item, here, there): item[0] for item in wanted.items()}
        try:
            for count, done in enumerate(as_completed(futures), 1):
                say(futures[done], count / len(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _both(name: str, recording: Path, here: Checkout, there: Checkout) -> Moved:
    try:
        with tempfile.TemporaryDirectory() as folder:
            one, two = (s.outcome(recording, Path(folder, f"{s.side}.npz")) for s in (here, there))
        return moved(name, recording, one, two)
    except BadInput as error:
        return Moved(name, problem=str(error))
