"""Ties this process to the life of the one that started it. Knows nothing else."""

import os
import time
from threading import Thread

LOOK_EVERY_S = 0.2

SERVER_PID = "SERVER_PID_OF_PENULTIMATE"
"""Environment variable by which workers know the process that started them."""


def name_as_parent() -> bool:
    """Lets the processes that this one starts know it, unless one further up has done so.

    Returns:
        Whether this process is the one that starts the others.
    """
    own = str(os.getpid())
    return os.environ.setdefault(SERVER_PID, own) == own


def die_with_parent() -> None:
    """Ends this process at once when its parent is gone.

    BentoML's workers outlive a killed parent: they would go on answering on the old socket, beside
    the server that is started next. The parent may have been killed before this is called; then
    who the parent is now says nothing.
    """
    named = int(os.environ.get(SERVER_PID, os.getppid()))
    parent = os.getppid() if named == os.getpid() else named

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    Thread(target=watch, name="leash", daemon=True).start()
