"""Money between whole cents and exact decimals: nothing is lost either way."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis.amounts import MONEY, cents, money

MOST = 10**18 - 1  # decimal(18, 2)
AMOUNTS = st.lists(st.integers(-MOST, MOST) | st.sampled_from([0, 1, -1, MOST, -MOST, 2**53 + 1, -(2**53) - 1]))


def dollars(amounts):
    return [Decimal(a).scaleb(-2) for a in amounts]


@given(AMOUNTS)
def test_cents_become_dollars_and_cents_again(amounts):
    series = money(np.array(amounts, dtype=np.int64))
    assert series.dtype == MONEY
    assert list(series) == dollars(amounts)
    assert cents(series).tolist() == amounts


@given(AMOUNTS, st.data())
def test_slices_and_chunks_have_the_cents_of_their_own_rows(amounts, data):
    array = pa.array(dollars(amounts), pa.decimal128(18, 2))
    cut = data.draw(st.integers(0, len(amounts)))
    start = data.draw(st.integers(0, cut))
    series = pd.Series(pd.arrays.ArrowExtensionArray(array))
    assert cents(series[start:cut]).tolist() == amounts[start:cut]
    assert cents(series.iloc[::-1]).tolist() == amounts[::-1]
    chunked = pa.chunked_array([array.slice(start), array.slice(0, cut)], type=array.type)
    together = pd.Series(pd.arrays.ArrowExtensionArray(chunked))
    assert cents(together).tolist() == amounts[start:] + amounts[:cut]


@given(st.lists(st.integers(-MOST // 1000, MOST // 1000), min_size=1))
def test_wider_decimals_of_a_sum_are_money_too(amounts):
    wide = pd.Series(pd.array(dollars(amounts), dtype=pd.ArrowDtype(pa.decimal128(38, 2))))
    assert cents(wide).tolist() == amounts
    assert cents(pd.Series(dollars(amounts), dtype=object)).tolist() == amounts


def test_money_adds_up_where_floats_would_not():
    tenths = money(np.full(10, 10, dtype=np.int64))
    assert tenths.sum() == Decimal("1.00")
    assert sum([0.1] * 10) != 1


def test_cents_may_be_written_to():
    array = cents(money(np.array([1, 2], dtype=np.int64)))
    array[0] = 5
    assert array.tolist() == [5, 2]


def test_blanks_have_no_cents():
    with pytest.raises(ValueError, match="blank"):
        cents(pd.Series([Decimal("1.00"), None], dtype=MONEY))


def test_fractions_of_a_cent_are_refused_not_rounded():
    with pytest.raises(ValueError):  # noqa: PT011 - of Arrow
        cents(pd.Series([Decimal("1.005")], dtype=object))
