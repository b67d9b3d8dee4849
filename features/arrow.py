"""Arrow where others speak it: vectors as a stream, pixels of a picture without a copy.

Knows nothing of stores or HTTP.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from features.keys import EmbeddingSpace, Float32, UInt8

MEDIA_TYPE = "application/vnd.apache.arrow.stream"


def to_stream(space: EmbeddingSpace, digests: Sequence[str], embeddings: Float32) -> bytes:
    """One record batch with the columns digest and vector.

    Args:
        space: where the vectors live; its id goes into the schema's metadata.
        digests: one for each row.
        embeddings: float32 (n_images, dim).

    Returns:
        An Arrow IPC stream.
    """
    vector = pa.list_(pa.float32(), space.dim)
    schema = pa.schema([("digest", pa.string()), ("vector", vector)], metadata={"space": space.id})
    flat = pa.array(embeddings.reshape(-1), pa.float32())
    columns = [pa.array(digests, pa.string()), pa.FixedSizeListArray.from_arrays(flat, space.dim)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return bytes(sink.getvalue())


def pixels_of(image: Image.Image) -> npt.NDArray[np.uint32] | UInt8 | None:
    """Return the pixels as they lie in memory, read-only; None if they lie in several pieces.

    Args:
        image: RGB or L.

    Returns:
        Of RGB, uint32 (height, width), red in the lowest byte, then green and blue; of L, uint8
        (height, width).
    """
    try:
        levels = pa.array(image)
    except ValueError:
        return None
    if image.mode == "L":
        return np.asarray(levels).reshape(image.height, image.width)
    return np.asarray(levels.flatten()).view("<u4").reshape(image.height, image.width)
