"""The memory manager: file by file as in the kernel's mm/, in compiled loops over `struct page`."""
