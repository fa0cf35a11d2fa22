"""float16 in kernels: kept as the bits, uint16, and rounded to nearest as the processor does it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LARGEST = 65_504.0  # the largest float16


@intrinsic  # type: ignore[untyped-decorator]
def to_half(typing: Any, value: Any) -> Any:
    """The bits of a float32, rounded to the nearest float16."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def from_half(typing: Any, bits: Any) -> Any:
    """The float32 of a float16's bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate
