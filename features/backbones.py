"""Network to frozen backbone and its embedding space, and the engine that runs it in torch.

Nothing imports this file at start-up: `engine` does where a backbone must be converted, or when
torch is to run it. Knows nothing of images as bytes, and nothing of how vectors are kept.

One forward pass gives two things. The *embedding* is what the network's last linear layer, its
classifier, would be given. The *stages* are the mean and the standard deviation, over height and
width, of every channel of the last four stages:
    EfficientNet and MobileNet    the last four of `blocks` (in EfficientNet-Lite: blocks.3..6)
    other networks of timm        the last four of its `feature_info`
    torchvision                   layer1..layer4, else the last four of `features`
A network whose stages are no maps of (channels, height, width), such as a vision transformer, has
an embedding and no stages.
"""

import threading
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from features import networks
from features.errors import BackboneUnavailable, EngineFailed, NoMaps
from features.images import INTERPOLATIONS
from features.keys import EmbeddingSpace, Float32, Preprocessing, Stage, UInt8, Vectors
from features.maps import EPSILON, Maps, from_layers
from features.stream import Alone, Take, always, in_batches
from features.weights import Source, locate

_STAGES = 4


class Backbone(nn.Module):
    """A frozen network from pixels to vectors, normalisation included, in one forward pass.

    `net` ends where its classifier was; `classifier` is that layer, or None if the weights have
    none that fits. Not thread-safe: the stages of a pass wait in the module.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        net: nn.Module,
        classifier: nn.Linear | None,
        stages: Iterable[str],
        preprocessing: Preprocessing,
    ) -> None:
        super().__init__()
        self.net = net
        self.classifier = classifier
        self._pooled: list[Tensor] = []
        for name in stages:
            net.get_submodule(name).register_forward_hook(self._keep)
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        self.register_buffer("scale", (1 / (255 * std)).reshape(3, 1, 1))
        self.register_buffer("shift", (-mean / std).reshape(3, 1, 1))
        self.requires_grad_(requires_grad=False).eval()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002  torch's signature
        """Stay in evaluation mode: in training mode an image's vector depends on its neighbours."""
        return super().train(mode=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return embedding and stages: float32 (n, dim) and (n, stages_dim).

        Args:
            pixels: uint8 (n, size, size, 3), RGB.
        """
        self._pooled = []
        images = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        embedding: Tensor = self.net(images)
        pooled, self._pooled = self._pooled, []
        return embedding, torch.cat(pooled, 1) if pooled else embedding[:, :0]

    def look(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3)."""
        with torch.inference_mode():
            # Torch takes no reversed views.
            images = torch.tensor(np.ascontiguousarray(pixels), device=self.scale.device)
            embeddings, stages = self(images)
            return Vectors(embeddings.cpu().numpy(), stages.cpu().numpy())

    def layers(self, image: UInt8) -> tuple[Vectors, dict[str, Float32]]:
        """Return the vectors of one image, and every map on the way, by module, as they came.

        Args:
            image: uint8 (size, size, 3).

        Returns:
            The vectors; float32 (channels, side, side) for each module that gives such a map.
        """
        seen: dict[str, Float32] = {}

        def note(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:  # noqa: PLR2004  (n, c, h, w)
                # Copied at once: networks may go on to change it in place.
                seen[name] = output[0].cpu().numpy().copy()

        hooks = [
            part.register_forward_hook(partial(note, name))
            for name, part in self.net.named_modules()
        ]
        try:
            return self.look(image[np.newaxis]), seen
        finally:
            for hook in hooks:
                hook.remove()

    def traced(self, pixels: UInt8) -> torch.jit.ScriptModule:
        """Return this backbone as a graph for inputs of exactly this shape, to be converted.

        Torch calls tracing deprecated, but what replaces it converts fewer networks and takes four
        times as long. Its check of the trace is left out: it takes longer than all the rest, and
        who converts the graph compares the result with `look` anyway.
        """
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                self, torch.tensor(pixels), check_trace=False
            )
            return traced

    def _keep(self, _module: nn.Module, _inputs: object, maps: Tensor) -> None:
        # Pooled at once: networks may go on to change these maps in place.
        self._pooled += _pool(maps)


def _pool(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel: (n, c, h, w) to twice (n, c).

    The deviation is taken from the mean, in a second pass: the shorter `E[x^2] - E[x]^2` loses all
    its digits where a channel varies little around a large mean.
    """
    maps = maps.flatten(2)
    mean = maps.mean(2, keepdim=True)
    return mean.squeeze(2), ((maps - mean).square().mean(2) + EPSILON).sqrt()


def has_cuda() -> bool:
    """Say whether torch can use a GPU here."""
    return torch.cuda.is_available()


class TorchEngine:
    """An engine that runs a backbone in torch, in float32, on one device."""

    def __init__(self, source: Source, device: str, threads: int) -> None:
        if device == "cuda":
            if not has_cuda():
                raise EngineFailed("torch finds no CUDA device", hint="Use device='cpu'.")
            # TF32 keeps 10 bits of each factor: that would be another embedding space.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
        if threads:
            torch.set_num_threads(threads)
        self.device = device
        self.backbone, self.space = load(source)
        self.backbone.to("cuda" if device == "cuda" else "cpu")
        # Measured half again as fast as torch's default order, on CPU and more so on CUDA.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # The backbone keeps the maps of a pass in itself.
        self._lock = threading.Lock()

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, size, size, 3)."""
        self.space.preprocessing.check(pixels)
        with self._lock:
            return self.backbone.look(pixels)

    def stream(self, take: Take, alone: Alone = always) -> Iterator[Vectors]:  # noqa: ARG002  its own business
        """Run images as they come; yield the vectors of some of them at a time, in order."""
        return in_batches(self.run, take)

    def maps(self, image: UInt8) -> Maps:
        """Return what each place of an image adds to its vectors; image: uint8 (size, size, 3)."""
        self.space.preprocessing.check(image[np.newaxis])
        with self._lock:
            vectors, layers = self.backbone.layers(image)
        # The last layer whose mean is the embedding is the one that was pooled.
        for layer in reversed(layers.values()):
            if layer.shape[0] == self.space.dim and layer.shape[1] == layer.shape[2] > 1:
                maps = from_layers(layer, [layers[stage.name] for stage in self.space.stages])
                if maps.pool_to(vectors):
                    return maps
        raise NoMaps(self.space.backbone)

    def warm(self) -> None:
        """Do nothing: it is loaded."""

    def close(self) -> None:
        """Do nothing: the memory goes with the last reference."""


def load(source: Source) -> tuple[Backbone, EmbeddingSpace]:
    """Build the backbone a source names, and its embedding space.

    Raises:
        BackboneUnavailable: the name is unknown, its weights cannot be had or do not fit, or it is
            not the kind of network an embedding can be taken from.
    """
    network = networks.build(source)
    net, preprocessing = network.net, network.preprocessing
    if preprocessing.interpolation not in INTERPOLATIONS:
        raise _unsuitable(source, f"it wants {preprocessing.interpolation} interpolation")
    if (last := networks.last_linear(net)) is None:
        raise _unsuitable(source, "it has no linear layer")
    layer, classifier = last
    net.set_submodule(layer, nn.Identity())
    stages = _probe(source, net, classifier.in_features, preprocessing.size)
    space = EmbeddingSpace(
        backbone=source.backbone,
        weights_sha256=locate(source.backbone, network.file).identity,
        layer=f"input of {layer}",
        stages=tuple(Stage(name, channels) for name, channels in stages.items()),
        preprocessing=preprocessing,
        precision="f32",
        dim=classifier.in_features,
    )
    return Backbone(net, classifier if network.classifies else None, stages, preprocessing), space


def _probe(source: Source, net: nn.Module, dim: int, size: int) -> dict[str, int]:
    """Look once, check that an embedding comes out, and return each stage's channels by name."""
    channels: dict[str, int] = {}

    def note(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        # Transformers give (n, tokens, c) or (n, h, w, c): nothing to pool by channel.
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] == output.shape[3]:  # noqa: PLR2004  (n, c, h, w)
            channels[name] = output.shape[1]

    hooks = [
        net.get_submodule(name).register_forward_hook(partial(note, name))
        for name in _stage_names(net)
    ]
    try:
        with torch.inference_mode():
            shape = tuple(net.eval()(torch.zeros(1, 3, size, size)).shape)
    except Exception as error:  # Any network may fail in its own way without its classifier.
        raise _unsuitable(source, f"it does not run without its classifier ({error})") from error
    finally:
        for hook in hooks:
            hook.remove()
    if shape != (1, dim):
        raise _unsuitable(source, "it does not end in a linear layer")
    return channels


def _stage_names(net: nn.Module) -> list[str]:
    """Return the names of the last four stages, by the rules at the top of this file."""
    if isinstance(blocks := getattr(net, "blocks", None), nn.Sequential):
        names = [f"blocks.{name}" for name, _ in blocks.named_children()]
    elif info := getattr(net, "feature_info", None):
        names = [stage["module"] for stage in info]
    elif isinstance(features := getattr(net, "features", None), nn.Sequential):
        names = [f"features.{name}" for name, _ in features.named_children()]
    else:
        names = ["layer1", "layer2", "layer3", "layer4"]
    known = dict(net.named_modules())
    return [name for name in names if name in known][-_STAGES:]


def _unsuitable(source: Source, problem: str) -> BackboneUnavailable:
    return BackboneUnavailable(
        source.backbone,
        problem,
        hint="Choose a classification network that ends in a linear layer.",
    )
