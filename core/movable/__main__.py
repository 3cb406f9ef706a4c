"""`python -m movable`: the command line."""

from movable.cli import main

main()
