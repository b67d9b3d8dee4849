"""Name to network with its weights, as its library builds it. Timm and torchvision only here.

Every weight is checked for its name and shape, and no weights file can run anything. Knows nothing
of embeddings: what `build` returns still ends in its classifier.
"""

import difflib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from features.errors import BackboneUnavailable
from features.images import DECODE_RULE
from features.keys import Preprocessing
from features.weights import PACKAGES, Source

_DECLARED = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
"""Holds what `_import_torchvision` declares; the names would vanish with it."""


def _import_torchvision() -> Any:  # noqa: ANN401  a module without types
    """Import torchvision, also where its compiled operators do not fit the installed torch.

    A CPU build of torch beside torchvision's ordinary wheel, which is built for CUDA, cannot load
    torchvision's operators, and the import then fails while registering shapes for them ("operator
    torchvision::nms does not exist"). We use its networks only, none of which needs an operator:
    declaring the two missing names is enough. Where the operators load this does nothing.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _DECLARED.define(signature)  # type: ignore[no-untyped-call]
        import torchvision
    return torchvision


torchvision = _import_torchvision()
# timm imports torchvision, so it must come second.
import timm  # noqa: E402
from timm.data.config import resolve_model_data_config  # noqa: E402


@dataclass(frozen=True, slots=True)
class Network:
    """A network with its weights, from `file`, and the preprocessing it was trained with.

    `classifies` is False if the weights came without a classifier that fits.
    """

    net: nn.Module
    preprocessing: Preprocessing
    file: Path
    classifies: bool = True


def build(source: Source) -> Network:
    """Build the network a source names, with its weights.

    Raises:
        BackboneUnavailable: the name is unknown, or its weights cannot be had or do not fit.
    """
    # The libraries' own readers would unpickle whatever lies in their caches.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    library, _, name = source.backbone.partition("/")
    if source.backbone in PACKAGES:
        library, name = "timm", f"tf_{source.backbone}"
    network = {"timm": _from_timm, "torchvision": _from_torchvision}[library](source, name)
    if source.file is None:
        return network
    return replace(network, classifies=_load(source, source.file, network.net))


def last_linear(net: nn.Module) -> tuple[str, nn.Linear] | None:
    """Return the name of a network's last linear layer, its classifier, and the layer."""
    linears = [(name, part) for name, part in net.named_modules() if isinstance(part, nn.Linear)]
    return linears[-1] if linears else None


def _from_timm(source: Source, name: str) -> Network:
    if not timm.is_model(name):
        raise _unknown(source, name, timm.list_models())
    try:
        net: Any = timm.create_model(name, pretrained=source.file is None)
    except Exception as error:  # timm, the hub's client and its network layer raise anything.
        raise _unfetched(source, error) from error
    wanted = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
    preprocessing = Preprocessing(
        decode=DECODE_RULE,
        size=wanted["input_size"][-1],
        crop=wanted["crop_pct"],
        interpolation=wanted["interpolation"],
        mean=wanted["mean"],
        std=wanted["std"],
    )
    return Network(net, preprocessing, source.file or _timm_file(source, net.pretrained_cfg))


def _timm_file(source: Source, config: dict[str, Any]) -> Path:
    """Return the file timm has just read pretrained weights from."""
    import huggingface_hub

    if repository := config.get("hf_hub_id"):
        for file in (config.get("hf_hub_filename"), "model.safetensors", "pytorch_model.bin"):
            found = huggingface_hub.try_to_load_from_cache(repository, file) if file else None
            if isinstance(found, str):
                return Path(found)
    return _hub_file(source, config.get("url") or "")


def _from_torchvision(source: Source, name: str) -> Network:
    models = torchvision.models
    name, _, tag = name.partition(".")
    if name not in models.list_models(module=models):
        raise _unknown(source, name, models.list_models(module=models))
    kinds = models.get_model_weights(name)
    if tag and tag.upper() not in kinds.__members__:
        raise _unknown(source, tag, map(str.lower, kinds.__members__))
    weights = kinds[tag.upper()] if tag else kinds.DEFAULT
    try:
        net = models.get_model(name, weights=None if source.file else weights, progress=False)
    except Exception as error:  # The network layer raises anything.
        raise _unfetched(source, error) from error
    wanted = weights.transforms()
    preprocessing = Preprocessing(
        decode=DECODE_RULE,
        size=wanted.crop_size[0],
        crop=wanted.crop_size[0] / wanted.resize_size[0],
        interpolation=wanted.interpolation.value,
        mean=tuple(wanted.mean),
        std=tuple(wanted.std),
    )
    return Network(net, preprocessing, source.file or _hub_file(source, weights.url))


def _hub_file(source: Source, url: str) -> Path:
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not file.is_file():
        raise _unfetched(source, f"no file of {url or 'unknown origin'} in {file.parent}")
    return file


def _load(source: Source, file: Path, net: nn.Module) -> bool:
    """Load a file into a network, all of it or nothing, and say whether a classifier was in it."""
    state, expected = _read_state(source, file), net.state_dict()
    if source.backbone in PACKAGES and expected.keys() != state.keys():
        # The packages name their tensors differently from timm but hold the same ones in the same
        # order; that every shape agrees is checked below.
        state = dict(zip(expected, state.values(), strict=False))
    layer = last_linear(net)
    own = {name for name in expected if layer and name.startswith(f"{layer[0]}.")}
    classifies = all(name in state and state[name].shape == expected[name].shape for name in own)
    if not classifies:
        # Other classes, or none, do not matter: the embedding is made before the classifier.
        state = {n: t for n, t in state.items() if n not in own} | {n: expected[n] for n in own}
    shared = expected.keys() & state.keys()
    for problem, names in (
        ("lacks", expected.keys() - shared),
        ("has unknown", state.keys() - shared),
        ("has misshapen", {n for n in shared if state[n].shape != expected[n].shape}),
    ):
        if names:
            raise _misfit(source, f"{problem} tensors: {len(names)}, such as {min(names)}")
    net.load_state_dict(state, strict=True)
    return classifies


def _read_state(source: Source, file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            import safetensors.torch

            return safetensors.torch.load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {str(name): tensor.detach() for name, tensor in state.items()}
    except Exception as error:  # Both readers raise anything on a damaged file.
        raise _misfit(source, f"cannot be read as a state dict ({error})") from error


def _unknown(source: Source, name: str, known: Iterable[str]) -> BackboneUnavailable:
    close = difflib.get_close_matches(name, list(known), n=3)
    return BackboneUnavailable(
        source.backbone,
        f"there is no {name!r}",
        hint=f"Try {', '.join(close)}." if close else "Look the name up in its library.",
    )


def _unfetched(source: Source, error: object) -> BackboneUnavailable:
    return BackboneUnavailable(
        source.backbone,
        f"its weights could not be fetched ({error})",
        hint="Fetch them where there is a network, and give the file as the weights.",
    )


def _misfit(source: Source, problem: str) -> BackboneUnavailable:
    return BackboneUnavailable(
        source.backbone,
        # The name alone: where it lies is nothing that a client of a service should learn.
        f"{source.file.name if source.file else source.backbone} {problem}",
        hint="Give a state dict of exactly this network, as .pth or .safetensors.",
    )
