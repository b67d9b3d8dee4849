"""`python -m service.cli` is `penultimate`."""

from service.cli.program import main

main()
