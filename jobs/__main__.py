"""`python -m jobs` is `xaipipe`."""

from jobs.cli import main

main()
