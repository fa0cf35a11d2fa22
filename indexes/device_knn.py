"""faiss' brute-force search over torch tensors on a GPU, called by pointer.

faiss' own bridge (`faiss.contrib.torch_utils`) replaces methods of every index class when it is
imported, and its `search` no longer takes search parameters: the CPU index of the same process
would break. So the few lines that are needed stand here.
"""

from __future__ import annotations

from typing import Any

from indexes.extras import faiss_for, torch_for

# The most neighbours that faiss selects on a GPU.
MOST = 2_048
_MEBIBYTE = 1 << 20


def resources(temporary_mebibytes: int) -> Any:
    """What faiss needs on the device; its calls are queued behind torch's own.

    `temporary_mebibytes` is the device memory it may keep, in MiB; the default would be 1.5 GB.
    """
    made = faiss_for("faiss_gpu").StandardGpuResources()
    made.setTempMemory(temporary_mebibytes * _MEBIBYTE)
    # The null stream is the one that torch uses unless told otherwise.
    made.setDefaultNullStreamAllDevices()
    return made


def nearest(using: Any, queries: Any, rows: Any, k: int) -> tuple[Any, Any]:
    """The k ≤ `MOST` rows with the largest inner product.

    Parameters
    ----------
    using : Any
        From `resources`.
    queries, rows : torch.Tensor
        (m, d) and (n, d), contiguous, on one device, both float16 or both float32.

    Returns
    -------
    scores, found : torch.Tensor
        (m, k) float32, falling, and (m, k) int64 row numbers, on the device.
    """
    torch = torch_for("faiss_gpu")
    scores = torch.empty((len(queries), k), dtype=torch.float32, device=rows.device)
    found = torch.empty((len(queries), k), dtype=torch.int64, device=rows.device)
    faiss_for("faiss_gpu").bfKnn(using, arguments(queries, rows, scores, found))
    return scores, found


def arguments(queries: Any, rows: Any, scores: Any, found: Any) -> Any:
    """The search as faiss wants it described: pointers, counts and types; see `nearest`."""
    faiss, torch = faiss_for("faiss_gpu"), torch_for("faiss_gpu")
    half = rows.dtype == torch.float16
    kind = faiss.DistanceDataType_F16 if half else faiss.DistanceDataType_F32
    tensors = (queries, rows, scores, found)
    if queries.dtype != rows.dtype or not all(tensor.is_contiguous() for tensor in tensors):
        raise ValueError("queries and rows must be contiguous and of one type")
    search = faiss.GpuDistanceParams()
    search.metric = faiss.METRIC_INNER_PRODUCT
    search.k = scores.shape[1]
    search.dims = rows.shape[1]
    search.vectors = faiss.cast_integer_to_void_ptr(rows.data_ptr())
    search.vectorType = kind
    search.vectorsRowMajor = True
    search.numVectors = len(rows)
    search.queries = faiss.cast_integer_to_void_ptr(queries.data_ptr())
    search.queryType = kind
    search.queriesRowMajor = True
    search.numQueries = len(queries)
    search.outDistances = faiss.cast_integer_to_float_ptr(scores.data_ptr())
    search.outIndicesType = faiss.IndicesDataType_I64
    search.outIndices = faiss.cast_integer_to_void_ptr(found.data_ptr())
    search.device = rows.device.index
    return search
