"""Where the weights of a backbone are on this machine, if they are. Opens no backbone."""

from pathlib import Path

from features.weights import network_of
from service.settings import Settings
from service.workspace import WEIGHTS


def weights_of(settings: Settings, backbone: str) -> Path | None:
    """The local weights file of a backbone; None where a package or a library has its weights.

    A file in the home's `weights` folder is found by the backbone's name, with `-` for `/`; the
    setting goes before it for the backbone that is served. Every precision has the same weights.
    """
    network = network_of(backbone)
    if settings.weights is not None and network == network_of(settings.backbone):
        return settings.weights
    stem = settings.home / WEIGHTS / network.replace("/", "-")
    files = [stem.with_name(f"{stem.name}{ending}") for ending in (".safetensors", ".pth")]
    return next((file for file in files if file.is_file()), None)


def needs_fetching(settings: Settings, backbone: str) -> bool:
    """Whether a library would fetch the weights, as only whoever starts the server may ask for."""
    is_ours = network_of(backbone) == network_of(settings.backbone)
    return "/" in backbone and not is_ours and weights_of(settings, backbone) is None
