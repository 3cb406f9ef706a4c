"""Doubly linked lists through `next` and `prev` of frames and heads (linux/list.h, v6.1)."""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled

Array = Any


@compiled
def list_add(mem_map: Array, entry: int, head: int) -> None:
    """Put *entry* right behind *head*."""
    after = mem_map[head]["next"]
    mem_map[entry]["next"] = after
    mem_map[entry]["prev"] = head
    mem_map[after]["prev"] = entry
    mem_map[head]["next"] = entry


@compiled
def list_add_tail(mem_map: Array, entry: int, head: int) -> None:
    """Put *entry* right before *head*: at the end of its list."""
    list_add(mem_map, entry, mem_map[head]["prev"])


@compiled
def list_del(mem_map: Array, entry: int) -> None:
    """Take *entry* out of whatever list it is on."""
    before = mem_map[entry]["prev"]
    after = mem_map[entry]["next"]
    mem_map[before]["next"] = after
    mem_map[after]["prev"] = before


@compiled
def list_next(mem_map: Array, entry: int) -> int:
    """What follows *entry*, or the first after a head."""
    return int(mem_map[entry]["next"])


@compiled
def list_empty(mem_map: Array, head: int) -> bool:
    """Nothing is on the list at *head*."""
    return bool(mem_map[head]["next"] == head)


@compiled
def list_count(mem_map: Array, head: int) -> int:
    """How many entries the list at *head* has."""
    count, entry = 0, int(mem_map[head]["next"])
    while entry != head:
        count += 1
        entry = int(mem_map[entry]["next"])
    return count


@compiled
def list_splice(mem_map: Array, source: int, head: int) -> None:
    """Move all of one list to the front of another."""
    first, last = mem_map[source]["next"], mem_map[source]["prev"]
    if first == source:
        return
    after = mem_map[head]["next"]
    mem_map[head]["next"] = first
    mem_map[first]["prev"] = head
    mem_map[last]["next"] = after
    mem_map[after]["prev"] = last
    mem_map[source]["next"] = mem_map[source]["prev"] = source


@compiled
def list_splice_tail(mem_map: Array, source: int, head: int) -> None:
    """Move all of one list to the end of another."""
    list_splice(mem_map, source, mem_map[head]["prev"])


@compiled
def list_rotate_to_front(mem_map: Array, head: int, entry: int) -> None:
    """Make *entry* the first of its list; what stood before it goes to the end, in order."""
    list_del(mem_map, head)
    list_add_tail(mem_map, head, entry)


@compiled
def list_cut(mem_map: Array, source: int, count: int, head: int) -> None:
    """Move the first *count* entries of one list to the end of another, in order."""
    for _ in range(count):
        entry = mem_map[source]["next"]
        if entry == source:
            return
        list_del(mem_map, entry)
        list_add_tail(mem_map, entry, head)
