"""The command line `penultimate`. Each verb imports what it needs, so that start-up is quick."""

from service.cli.program import app, main

__all__ = ["app", "main"]
