"""zsmalloc, the allocator of compressed pages behind zram, as a driver of movable pages.

zram swaps pages to memory, compressed. zsmalloc packs them: objects of one size class share chains
of up to four pages, with no regard to where one page ends. Users know an object by a handle, so a
page can be moved under them, whenever nobody uses an object of its chain.

Read size_class.py, zspage.py, zspages.py, pool.py and migration.py in this order; zram.py is what
an experiment configures. Follows mm/zsmalloc.c and drivers/block/zram/zram_drv.c of Linux v6.1, as
stable since 6.1.47; pinning.py has the locks of v4.8, and trying.py those of v7.2.
"""

from movable_zsmalloc.contents import Bytes, Tags
from movable_zsmalloc.fullness import Fullness, InuseRatio
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.zram import Zram
from movable_zsmalloc.zspage import Zspage

__version__ = "0.1.0"

__all__ = ["Bytes", "Fullness", "InuseRatio", "Pool", "SizeClass", "Tags", "Zram", "Zspage"]
