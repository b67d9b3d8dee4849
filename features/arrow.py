"""Vectors as an Arrow stream, for readers that want columns. Knows nothing of stores or HTTP."""

from collections.abc import Sequence

import pyarrow as pa

from features.keys import EmbeddingSpace, Float32

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
