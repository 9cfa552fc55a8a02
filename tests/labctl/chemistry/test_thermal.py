"""Cold additions with and without the glass, and hot volumes."""

import pytest

from labctl.chemistry.thermal import (
    OIL_HEAT_CAPACITY_J_ML_K,
    cold_addition_drop_k,
    hot_volume_ml,
    warming_power_w,
)
from labctl.errors import UsageError

GLASS_J_K = 30.0


def drop_of_oil(flask_ml, flask_c, added_ml, added_c, glass_j_k):
    flask_j_k = glass_j_k + flask_ml * OIL_HEAT_CAPACITY_J_ML_K
    return cold_addition_drop_k(flask_c, flask_j_k, added_c, added_ml * OIL_HEAT_CAPACITY_J_ML_K)


@pytest.mark.parametrize(
    ("flask_ml", "flask_c", "added_ml", "final_c"),
    [
        (4.43, 200, 0.57, 184),
        (10, 200, 1.18, 185),
        (10, 200, 3, 168),
        (13.5, 250, 5, 199),
        (10, 310, 8, 199),
    ],
)
def test_warm_additions_to_liquid_alone(flask_ml, flask_c, added_ml, final_c):
    drop_k = drop_of_oil(flask_ml, flask_c, added_ml, 60, glass_j_k=0)
    assert flask_c - drop_k == pytest.approx(final_c, abs=0.6)


@pytest.mark.parametrize(
    ("flask_ml", "flask_c", "added_ml", "added_c", "bare_k", "with_glass_k"),
    [(10, 260, 2, 25, 39, 16), (13.5, 250, 5, 60, 51, 26)],
)
def test_the_glass_more_than_halves_the_drop(
    flask_ml, flask_c, added_ml, added_c, bare_k, with_glass_k
):
    bare = drop_of_oil(flask_ml, flask_c, added_ml, added_c, 0)
    glass = drop_of_oil(flask_ml, flask_c, added_ml, added_c, GLASS_J_K)
    assert bare == pytest.approx(bare_k, abs=0.5)
    assert glass == pytest.approx(with_glass_k, abs=0.5)


def test_something_hotter_warms():
    assert cold_addition_drop_k(20, 10, 80, 10) == -30


def test_refuses_what_cannot_be_mixed():
    with pytest.raises(UsageError, match="cannot be mixed"):
        cold_addition_drop_k(200, 0, 25, 0)
    with pytest.raises(UsageError, match="cannot be mixed"):
        cold_addition_drop_k(200, -1, 25, 5)


def test_a_millilitre_a_minute_is_within_a_mantle():
    # 1.7 J/K over 190 K in a minute.
    assert warming_power_w(1.0, 250, 60) == pytest.approx(323 / 60)


@pytest.mark.parametrize(
    ("cold_ml", "hot_c", "hot_ml"), [(23.8, 260, 28.8), (18.6, 320, 23.6), (10.0, 25, 10.0)]
)
def test_hot_volumes(cold_ml, hot_c, hot_ml):
    assert hot_volume_ml(cold_ml, hot_c) == pytest.approx(hot_ml, abs=0.1)
