"""The command line `penultimate`. Each verb imports what it needs, so that start-up is quick."""

try:
    from service.cli.program import app, main
except KeyboardInterrupt:  # as the program itself ends, once it is there
    raise SystemExit(130) from None

__all__ = ["app", "main"]
