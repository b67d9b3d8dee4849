"""Compiles graphs for the CPU. OpenVINO only here; knows neither backbones nor caches.

Only float32 is the same everywhere: on a CPU that has bfloat16, OpenVINO would otherwise choose it
by itself, and its vectors would belong to another space.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from features.errors import EngineFailed

Hint = Literal["LATENCY", "THROUGHPUT"]
"""LATENCY gives all cores to one image; THROUGHPUT spreads many over streams of one image each."""

REQUESTS_PER_STREAM = 16

NICENESS = 5
"""Of the threads that run a backbone, beyond that of their process."""

Change = Callable[[Any], None]
"""Changes a graph before it is compiled."""


def openvino() -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Import OpenVINO with its telemetry cut off.

    As soon as it is imported, `openvino` forks a process that reports to an analytics service on
    the internet, and writes a client number and a counter into the home folder, unless a file there
    says no. It does without if `openvino_telemetry` cannot be imported: None in `sys.modules` makes
    that so, for this process only and whatever is installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def has_bf16() -> bool:
    """Say whether this CPU multiplies bfloat16 numbers itself, so that they are worth using."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_graph(
    graph: Path, precision: str, hint: Hint, threads: int, change: Change | None = None
) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Return a compiled graph.

    The weights are mapped from the file beside the graph, not read: lanes and processes share them.
    Its threads give way to all others of the process. They never hold Python, and the others do:
    one of these that waited for a core would keep all of Python waiting.

    Raises:
        EngineFailed: OpenVINO cannot read or compile it.
    """
    settings = settings_of(precision) | {"PERFORMANCE_HINT": hint}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino().Core()
    try:
        model = core.read_model(graph)
        if change is not None:
            change(model)
        with ThreadPoolExecutor(1, initializer=_give_way) as thread:
            return thread.submit(core.compile_model, model, "CPU", settings).result()
    except RuntimeError as error:
        raise EngineFailed(f"OpenVINO cannot compile it ({error})") from error


def _give_way() -> None:
    """Lower the priority of this thread, and of those that it starts."""
    if sys.platform == "linux":  # elsewhere it is the process's, and cannot be raised again
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


def settings_of(precision: str) -> dict[str, Any]:
    """Return how OpenVINO is told to compute in a precision."""
    # Pinned threads of several worker processes would share the first cores and leave the others
    # idle. What is quantised in a graph runs as int8 whatever the hint says; the rest is float32.
    hint = "bf16" if precision == "bf16" else "f32"
    return {"INFERENCE_PRECISION_HINT": hint, "ENABLE_CPU_PINNING": False}


def make_requests(compiled: Any) -> list[Any]:  # noqa: ANN401  OpenVINO publishes no types
    """Return what a compiled graph is run by, several for each of its streams.

    A stream that is done takes the next request by itself. With one for each, it would wait until a
    thread of Python, which other threads keep waiting, has fetched the result and brings the next:
    on two cores that costs one image in eight, and more while requests are answered.
    """
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    return [compiled.create_infer_request() for _ in range(REQUESTS_PER_STREAM * streams)]


def fold_constants(model: Any) -> None:  # noqa: ANN401  OpenVINO publishes no types
    """Replace what a graph computes from constants alone by constants."""
    openvino()
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(model)
