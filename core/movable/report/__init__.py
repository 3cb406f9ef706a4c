"""Results as people read them: memory as a map, tables, one verdict."""
