"""zsmalloc, the allocator of compressed pages behind zram and zswap: coming.

It will keep objects of 255 size classes in chains of movable pages, and follow mm/zsmalloc.c of
Linux v6.1. Until it can run, the package names no driver to `movable drivers`.
"""
