"""Compiles graphs for the CPU. OpenVINO only here; knows neither backbones nor caches.

Only float32 is the same everywhere: on a CPU that has bfloat16, OpenVINO would otherwise choose it
by itself, and its vectors would belong to another space.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from features.errors import EngineFailed

Hint = Literal["LATENCY", "THROUGHPUT"]
"""LATENCY gives all cores to one image; THROUGHPUT spreads many over streams of one image each."""

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
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise EngineFailed(f"OpenVINO cannot compile it ({error})") from error


def settings_of(precision: str) -> dict[str, Any]:
    """Return how OpenVINO is told to compute in a precision."""
    # Pinned threads of several worker processes would share the first cores and leave the others
    # idle. What is quantised in a graph runs as int8 whatever the hint says; the rest is float32.
    hint = "bf16" if precision == "bf16" else "f32"
    return {"INFERENCE_PRECISION_HINT": hint, "ENABLE_CPU_PINNING": False}


def request_queue(compiled: Any) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Return a queue with as many requests under way as a compiled graph has streams."""
    return openvino().AsyncInferQueue(compiled)


def fold_constants(model: Any) -> None:  # noqa: ANN401  OpenVINO publishes no types
    """Replace what a graph computes from constants alone by constants."""
    openvino()
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(model)
