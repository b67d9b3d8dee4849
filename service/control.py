"""Lets nobody command the process that starts the workers. Knows BentoML's arbiter alone."""

import importlib
from typing import Any

COMMANDS = "inproc://commands"
EVENTS = "inproc://events"


def take_no_commands() -> None:
    """Makes BentoML's arbiter listen to its own process alone.

    circus, which BentoML starts its workers with, listens at two free ports of this machine, takes
    commands there and asks nobody who they are. One of the commands runs a program: any account of
    the machine could run one as the user of the server, past every key. And the port that it finds
    free may be the one that the server is about to listen at.
    """
    circus: Any = importlib.import_module("bentoml._internal.utils.circus")
    if not issubclass(circus.Arbiter, _Deaf):
        circus.Arbiter = type("Arbiter", (_Deaf, circus.Arbiter), {})


class _Deaf:
    def __init__(self, *args: object, **options: object) -> None:
        # A plugin is a process of its own that gives commands: `bentoml serve --reload` has one.
        if not options.get("plugins"):
            options |= {"endpoint": COMMANDS, "pubsub_endpoint": EVENTS}
        super().__init__(*args, **options)
