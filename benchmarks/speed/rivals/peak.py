"""The floor of arithmetic: large matrix products, and how many operations one image needs."""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.rivals.eager import SIZE, network

SIDE, TIMES = 2_048, 5


class Product:
    """Products of large float32 matrices: no other work makes so much of the processor.

    Depthwise convolutions use each number a few times only; a network of them stays below this.
    """

    def __init__(self) -> None:
        self._matrices = torch.rand(2, SIDE, SIDE)
        with torch.inference_mode(), FlopCounterMode(display=False) as counted:
            network()(torch.rand(1, 3, SIZE, SIZE))
        self._operations = int(counted.get_total_flops())

    def __call__(self) -> float:
        """Images a second, were a network's operations as fast as those of such products."""
        left, right = self._matrices
        seconds: list[float] = []
        for _ in range(TIMES):
            start = time.perf_counter()
            torch.mm(left, right)
            seconds.append(time.perf_counter() - start)
        return 2 * SIDE**3 / min(seconds) / self._operations
