"""Doubly linked lists through `next` and `prev` of frames and heads (linux/list.h, v6.1)."""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled

Array = Any


@compiled
def list_add(mem_map: Array, entry: int, head: int) -> None:
    """Put *entry* right behind *head*."""
    after = mem_map["next"][head]
    mem_map["next"][entry] = after
    mem_map["prev"][entry] = head
    mem_map["prev"][after] = entry
    mem_map["next"][head] = entry


@compiled
def list_add_tail(mem_map: Array, entry: int, head: int) -> None:
    """Put *entry* right before *head*: at the end of its list."""
    list_add(mem_map, entry, mem_map["prev"][head])


@compiled
def list_del(mem_map: Array, entry: int) -> None:
    """Take *entry* out of whatever list it is on."""
    before = mem_map["prev"][entry]
    after = mem_map["next"][entry]
    mem_map["next"][before] = after
    mem_map["prev"][after] = before


@compiled
def list_empty(mem_map: Array, head: int) -> bool:
    """Nothing is on the list at *head*."""
    return bool(mem_map["next"][head] == head)
