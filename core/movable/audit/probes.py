"""Events of probes as calls: one that has `ret` is a whole call, else two make one.

docs/audit.md says how the probes are set. The beginning and the end of a call are paired by task,
which cannot be in two calls at once: a driver that allocates memory in a call could be asked for
another page by the same task, and may not (D08, L07).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from movable.audit.calls import NO_ANSWER, UNKNOWN, Call, Kind, Misfit, Trace
from movable.audit.ftrace import CUT, RETURN, WHOLE, Line, read_lines
from movable.audit.kernels import DEFAULT, KERNELS, Kernel
from movable.errors import BadInput

LOWER = (1 << 32) - 1


def read_trace(path: Path, kernel: Kernel | None, *, cut: bool = False) -> Trace:
    """The calls in the ftrace text at *path*.

    :raises BadInput: it is none, or something is missing from it.
    """
    pairing = _Pairing(path, cut)
    for line in read_lines(path):
        pairing.see(line)
    pairing.end()
    kernel = kernel or KERNELS[DEFAULT]
    return Trace(path.name, kernel, pairing.calls, cut=cut, misfits=pairing.misfits)


@dataclass
class _Pairing:
    path: Path
    cut: bool
    calls: list[Call] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    _open: dict[int, Call] = field(default_factory=dict)
    """By task: the call that it is in."""
    _last: Line | None = None

    def see(self, line: Line) -> None:
        """Begin a call, end one, or both."""
        kind = Kind(line.name.removesuffix(RETURN))
        if line.name.endswith(RETURN):
            call = self._end(line, kind)
        else:
            call = self._begin(line, kind)
        if call and self._last:
            self._compare(line, self._last, call)
        self._last = line

    def end(self) -> None:
        """A call that nobody came back from is one that hangs, or whose end was lost."""
        if self._last and self._last.cut and self._last.task in self._open:
            raise BadInput(f"{self.path}, {self._last.place}", CUT, WHOLE)
        for call in () if self.cut else self._open.values():
            problem, expected = "the call never returns", f"{call.kind.value}{RETURN}"
            self._misfit(call, "I17", problem, f"{expected}, unless tracing stopped before (--cut)")

    def _begin(self, line: Line, kind: Kind) -> Call | None:
        if within := self._open.pop(line.task, None):
            rule = "D08" if within.kind is Kind.ISOLATE else "L07"
            problem = f"{kind.value} is called by the same task before this has returned"
            expected = f"{within.kind.value}{RETURN}; is its probe set, and missed by nobody?"
            self._misfit(within, rule, problem, expected)
        call = Call(
            number=len(self.calls) + 1,
            place=line.place,
            kind=kind,
            page=self._number(line, "page", "pfn"),
            newpage=self._number(line, "newpage", "newpfn") if kind is Kind.MIGRATE else 0,
            mode=self._number(line, "mode") if "mode" in line.fields else None,
            ret=NO_ANSWER,
            task=line.task,
        )
        if kind is Kind.PUTBACK or "ret" in line.fields:
            return self._done(call, line)
        self._open[line.task] = call
        return call

    def _end(self, line: Line, kind: Kind) -> Call | None:
        if kind is Kind.PUTBACK:
            return None
        call = self._open.pop(line.task, None)
        if call and call.kind is kind:
            return self._done(call, line)
        if not self.cut:
            lost = Call(len(self.calls) + 1, line.place, kind, UNKNOWN, task=line.task)
            expected = f"{kind.value} of the same task before it"
            self._misfit(lost, "V28", "the end of a call that did not begin", expected)
        return None

    def _done(self, call: Call, line: Line) -> Call:
        ret = 0 if call.kind is Kind.PUTBACK else self._number(line, "ret")
        ret = (ret & LOWER) - ((ret & LOWER) >> 31 << 32)
        self.calls.append(done := call._replace(number=len(self.calls) + 1, ret=ret))
        return done

    def _compare(self, line: Line, last: Line, call: Call) -> None:
        """What no kernel writes, whatever its driver does: lines out of time, and lines twice."""
        if line.time < last.time:
            problem = f"its time is before that of {last.place}"
            self._misfit(call, "V28", problem, "lines in the order of their times")
        elif line.text == last.text and call.kind is Kind.ISOLATE:
            expected = "a scan of some pages before the same page is asked for again"
            self._misfit(call, "V28", f"the same line as {last.place}", expected)

    def _misfit(self, call: Call, rule: str, problem: str, expected: str) -> None:
        self.misfits.append(Misfit(call, call.page, rule, problem, expected))

    def _number(self, line: Line, *names: str) -> int:
        """The first field of these *names* that *line* has."""
        place, name = f"{self.path}, {line.place}", " or ".join(names)
        text = next((line.fields[name] for name in names if name in line.fields), None)
        if text is None:
            problem = CUT if line.cut else f"{line.name} has no field {name}"
            raise BadInput(place, problem, WHOLE if line.cut else "set the probe as in --help")
        try:
            return int(text, 0)
        except ValueError:
            problem = f"{name}={text} is no number"
            raise BadInput(place, problem, "fetch it as x64, u32 or s32") from None
