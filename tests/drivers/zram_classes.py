"""All size classes of Linux 6.1 with pages of 4 KiB, as a table to compare with.

Indices, sizes and pages per zspage are those of a complete dump of `classes` that was posted to
linux-mm in February 2016; the other columns were computed apart from the driver.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One class; ranges are from and to, both included."""

    idx: int
    serves: range
    """Indices of the classes that are this one."""
    size: int
    payload: range
    """Sizes of objects that go here, in bytes."""
    pages: int
    objects: int
    waste: int
    """Bytes at the end of a zspage that no chunk covers."""
    straddlers: int
    """Chunks that begin in one page and end in the next."""
    starts: list[int]
    """How many chunks begin in each page."""
    almost_empty: int | None
    """The most objects with which a zspage is still almost empty; None: it never is."""


# idx  serves size   payload pages objs waste straddlers starts AE
TABLE = """
  0       0   32      1-24 1 128   0 0         128  96
  1       1   48     25-40 3 256   0 2    86/85/85 192
  2       2   64     41-56 1  64   0 0          64  48
  3       3   80     57-72 1  51  16 0          51  38
  4       4   96     73-88 3 128   0 2    43/43/42  96
  5       5  112    89-104 2  73  16 1       37/36  54
  6       6  128   105-120 1  32   0 0          32  24
  7       7  144   121-136 3  85  48 2    29/28/28  63
  8       8  160   137-152 2  51  32 1       26/25  38
  9       9  176   153-168 4  93  16 3 24/23/23/23  69
 10      10  192   169-184 3  64   0 2    22/21/21  48
 11      11  208   185-200 2  39  80 1       20/19  29
 12      12  224   201-216 4  73  32 3 19/18/18/18  54
 13      13  240   217-232 1  17  16 0          17  12
 14      14  256   233-248 1  16   0 0          16  12
 15      15  272   249-264 1  15  16 0          15  11
 16      16  288   265-280 1  14  64 0          14  10
 17      17  304   281-296 3  40 128 2    14/13/13  30
 18      18  320   297-312 4  51  64 3 13/13/13/12  38
 19      19  336   313-328 1  12  64 0          12   9
 20      20  352   329-344 2  23  96 1       12/11  17
 21      21  368   345-360 1  11  48 0          11   8
 22      22  384   361-376 3  32   0 2    11/11/10  24
 23      23  400   377-392 1  10  96 0          10   7
 24      24  416   393-408 4  39 160 3  10/10/10/9  29
 25      25  432   409-424 3  28 192 2      10/9/9  21
 26      26  448   425-440 1   9  64 0           9   6
 27      27  464   441-456 4  35 144 3     9/9/9/8  26
 28      28  480   457-472 2  17  32 1         9/8  12
 29      29  496   473-488 4  33  16 3     9/8/8/8  24
 30      30  512   489-504 1   8   0 0           8   6
 31      31  528   505-520 4  31  16 3     8/8/8/7  23
 32      32  544   521-536 2  15  32 1         8/7  11
 33      33  560   537-552 4  29 144 3     8/7/7/7  21
 34      34  576   553-568 1   7  64 0           7   5
 35      35  592   569-584 4  27 400 3     7/7/7/6  20
 36      36  608   585-600 3  20 128 2       7/7/6  15
 37      37  624   601-616 2  13  80 1         7/6   9
 38      38  640   617-632 3  19 128 2       7/6/6  14
 40   39-40  672   633-664 1   6  64 0           6   4
 42   41-42  704   665-696 4  23 192 3     6/6/6/5  17
 43      43  720   697-712 3  17  48 2       6/6/5  12
 44      44  736   713-728 2  11  96 1         6/5   8
 46   45-46  768   729-760 3  16   0 2       6/5/5  12
 49   47-49  816   761-808 1   5  16 0           5   3
 51   50-51  848   809-840 4  19 272 3     5/5/5/4  14
 52      52  864   841-856 3  14 192 2       5/5/4  10
 54   53-54  896   857-888 2   9 128 1         5/4   6
 57   55-57  944   889-936 3  13  16 2       5/4/4   9
 58      58  960   937-952 4  17  64 3     5/4/4/4  12
 62   59-62 1024  953-1016 1   4   0 0           4   3
 66   63-66 1088 1017-1080 4  15  64 3     4/4/4/3  11
 67      67 1104 1081-1096 3  11 144 2       4/4/3   8
 71   68-71 1168 1097-1160 2   7  16 1         4/3   5
 74   72-74 1216 1161-1208 3  10 128 2       4/3/3   7
 76   75-76 1248 1209-1240 4  13 160 3     4/3/3/3   9
 83   77-83 1360 1241-1352 1   3  16 0           3   2
 91   84-91 1488 1353-1480 4  11  16 3     3/3/3/2   8
 94   92-94 1536 1481-1528 3   8   0 2       3/3/2   6
100  95-100 1632 1529-1624 2   5  32 1         3/2   3
107 101-107 1744 1625-1736 3   7  80 2       3/2/2   5
111 108-111 1808 1737-1800 4   9 112 3     3/2/2/2   6
126 112-126 2048 1801-2040 1   2   0 0           2   1
144 127-144 2336 2041-2328 4   7  32 3     2/2/2/1   5
151 145-151 2448 2329-2440 3   5  48 2       2/2/1   3
168 152-168 2720 2441-2712 2   3  32 1         2/1   2
190 169-190 3072 2713-3064 3   4   0 2       2/1/1   3
202 191-202 3264 3065-3256 4   5  64 3     2/1/1/1   3
254 203-254 4096 3257-4096 1   1   0 0           1   -
"""


def rows() -> list[Row]:
    """The table, smallest class first."""
    return [_row(*line.split()) for line in TABLE.strip().splitlines()]


def _row(*cells: str) -> Row:
    idx, serves, size, payload, pages, objects, waste, straddlers, starts, almost_empty = cells
    return Row(
        int(idx),
        _range(serves),
        int(size),
        _range(payload),
        int(pages),
        int(objects),
        int(waste),
        int(straddlers),
        [int(count) for count in starts.split("/")],
        None if almost_empty == "-" else int(almost_empty),
    )


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)
