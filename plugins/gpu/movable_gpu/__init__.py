"""A GPU whose buffers live in system memory as a driver of movable pages: coming.

It will pin the pages of running jobs by fences and answer for all others. No driver of Linux does
this yet; the model says what it would cost. Until it can run, the package names no driver to
`movable drivers`.
"""
