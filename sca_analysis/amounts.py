"""Money between its two exact forms: whole cents in numpy, decimals of Arrow in pandas."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

MONEY = pd.ArrowDtype(pa.decimal128(18, 2))


def money(cents: npt.NDArray[np.int64]) -> pd.Series:
    """Return whole cents as a Series of dollars with two decimals, exact (Arrow decimal128)."""
    words = np.empty((len(cents), 2), dtype=np.int64)  # little-endian 128 bits: low word, then sign
    words[:, 0] = cents
    words[:, 1] = words[:, 0] >> 63
    array = pa.Array.from_buffers(pa.decimal128(18, 2), len(cents), [None, pa.py_buffer(words)])
    return pd.Series(pd.arrays.ArrowExtensionArray(array))


def cents(dollars: pd.Series) -> npt.NDArray[np.int64]:
    """Return a Series of exact dollars as whole cents.

    Raises
    ------
    ValueError
        If a value is blank: what a blank means is for the caller to decide.

    """
    if dollars.isna().any():
        raise ValueError("blank amounts have no cents")
    array = pa.array(dollars.astype(MONEY)).cast(pa.decimal128(18, 2))
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    words = np.frombuffer(array.buffers()[1], dtype=np.int64).reshape(-1, 2)
    return words[array.offset : array.offset + len(array), 0].copy()
