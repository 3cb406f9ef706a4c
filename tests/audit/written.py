"""Calls written by hand, and calls as the lines that ftrace makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from movable.audit import Trace, audit
from movable.audit.calls import Call, Kind
from movable.audit.kernels import KERNELS

NAMES = {kind.value.removesuffix("_page"): kind for kind in Kind}
MODES = {Kind.ISOLATE: 8, Kind.MIGRATE: 2, Kind.PUTBACK: 0}


def calls(text: str) -> list[Call]:
    """`isolate PAGE RET`, `migrate PAGE NEWPAGE RET` and `putback PAGE`, parted by semicolons.

    `mode=N`, `idx=N` and `task=N` may follow.
    """
    return [_call(number, words.split()) for number, words in enumerate(text.split(";"), 1)]


def _call(number: int, words: list[str]) -> Call:
    kind = NAMES[words[0]]
    named = dict(word.split("=") for word in words if "=" in word)
    page, *rest = (int(word) for word in words[1:] if "=" not in word)
    return Call(
        number=number,
        place=f"call {number}",
        kind=kind,
        page=page,
        newpage=rest.pop(0) if kind is Kind.MIGRATE else 0,
        mode=int(named.get("mode", MODES[kind])),
        ret=rest[0] if rest else 0,
        idx=int(named["idx"]) if "idx" in named else None,
        task=int(named.get("task", 0)),
    )


def trace_of(text: str, kernel: str = "6.1", *, cut: bool = False) -> Trace:
    """What `calls` makes of *text*, as a trace."""
    return Trace("by hand", KERNELS[kernel], calls(text), cut=cut)


def rules(text: str, kernel: str = "6.1", *, cut: bool = False) -> list[str]:
    """The rules that the calls in *text* break, in the order of the findings."""
    report = audit(trace_of(text, kernel, cut=cut))
    return [finding.misfit.rule for finding in report.findings]


def whole(found: Iterable[Call]) -> list[str]:
    """One line a call, as a program prints it that has arguments and answer together."""
    return [_line(call, "", _arguments(call) + _answer(call)) for call in found]


def paired(found: Iterable[Call]) -> list[str]:
    """Two lines a call, as kprobes and kretprobes print it; pages are addresses."""
    return list(_pairs(found))


def _pairs(found: Iterable[Call]) -> Iterator[str]:
    for call in found:
        arguments = _arguments(
            call._replace(page=address(call.page), newpage=address(call.newpage))
        )
        yield _line(call, "", f"(my_{call.kind.value}+0x0/0x40 [mine]){arguments}")
        if call.kind is not Kind.PUTBACK:
            yield _line(call, "_ret", f"(move+0x6c/0x170 <- my_{call.kind.value}){_answer(call)}")


def address(page: int) -> int:
    """Where the struct page of a pfn is, without KASLR."""
    return 0xFFFFEA0000000000 + 64 * page


def _line(call: Call, suffix: str, fields: str) -> str:
    head = f"{'compact':>16}-{call.task + 1:<7} [000] ..... {call.number / 1000:12.6f}"
    return f"{head}: {call.kind.value}{suffix}: {fields.strip()}"


def _arguments(call: Call) -> str:
    name = "pfn" if call.page < 1 << 47 else "page"
    shown = str if name == "pfn" else hex
    new = f" new{name}={shown(call.newpage)}" if call.kind is Kind.MIGRATE else ""
    mode = "" if call.kind is Kind.PUTBACK else f" mode={call.mode}"
    return f"{new} {name}={shown(call.page)}{mode}"


def _answer(call: Call) -> str:
    return "" if call.kind is Kind.PUTBACK else f" ret={call.ret}"
