"""Ties this process to the life of the one that started it. Knows nothing else."""

import os
import time
from threading import Thread

LOOK_EVERY_S = 0.2


def die_with_parent() -> None:
    """Ends this process at once when its parent is gone.

    BentoML's workers outlive a killed parent: they would go on answering on the old socket, beside
    the server that is started next.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    Thread(target=watch, name="leash", daemon=True).start()
