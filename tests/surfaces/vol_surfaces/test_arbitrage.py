from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.vol_surfaces.arbitrage import check_arbitrage
from gammawall.surfaces.vol_surfaces.svi import SviSurface, TotalVariance

# Axel Vogt's slice, as given by Gatheral and Jacquier (2014), example 3.1.
VOGT = {"a": -0.0410, "b": 0.1331, "m": 0.3586, "rho": 0.3060, "sigma": 0.4153}
CLEAN = {"a": 0.01, "b": 0.1, "m": 0.0, "rho": -0.4, "sigma": 0.2}


def slices(years, *parameters) -> SviSurface:
    columns = {name: np.array([p[name] for p in parameters]) for name in ("a", "b", "rho", "m", "sigma")}
    return SviSurface(np.array(years), np.ones(len(years)), **columns)


@dataclass
class Flat:
    """A surface that is none of ours: w = vol²T, with an error to be found."""

    vol: float = 0.2
    kink: float = 0.0
    fall: float = 0.0
    slope: float = 0.0

    years: Any = (0.1, 1.0)

    def derivatives(self, k: Any, t: Any) -> TotalVariance:
        k, t = np.broadcast_arrays(np.asarray(k, float), np.asarray(t, float))
        w = self.vol**2 * t + self.slope * np.abs(k)
        return TotalVariance(
            w, self.slope * np.sign(k), np.full(k.shape, -self.kink), self.vol**2 - self.fall * (t > 0.5)
        )

    def forward(self, t: Any) -> Any:
        return np.ones_like(t)


def test_vogts_slice_is_caught_where_it_is_wrong():
    report = check_arbitrage(slices([1.0], VOGT))
    assert not report.is_free
    assert report.butterfly.violations > 0
    # The density of this slice is negative around k = 0.8.
    assert report.butterfly.worst < -0.01
    assert 0.6 < report.butterfly.k < 1.1
    row = report.by_time.loc[report.by_time["years"] == 1.0].iloc[0]
    k = np.linspace(row["butterfly_k"] - 0.1, row["butterfly_k"] + 0.1, 21)
    assert check_arbitrage(slices([1.0], VOGT), k=k, years=[1.0]).butterfly.share == 1.0
    assert report.lee.violations == 0
    assert "butterfly" in str(report)


def test_a_clean_slice_is_clean():
    report = check_arbitrage(slices([1.0], CLEAN))
    assert report.is_free
    assert "none" in str(report)


def test_slices_that_cross_are_caught():
    lower = CLEAN | {"b": 0.05}
    report = check_arbitrage(slices([0.5, 1.0], CLEAN, lower))
    assert report.calendar.violations > 0
    assert 0.5 <= report.calendar.years < 1.0
    assert report.butterfly.violations == 0


def test_wings_beyond_lee_are_caught():
    steep = {"a": 0.04, "b": 1.5, "rho": -0.5, "m": 0.0, "sigma": 0.5}
    report = check_arbitrage(slices([1.0], steep))
    assert report.lee.violations > 0
    assert report.lee.worst == pytest.approx(2.0 - 1.5 * 1.5, abs=1e-6)
    assert report.lee.k == -np.inf


def test_any_object_with_the_protocol_can_be_audited():
    assert check_arbitrage(Flat()).is_free
    assert check_arbitrage(Flat(kink=3.0)).butterfly.violations > 0
    falling = check_arbitrage(Flat(fall=0.05)).calendar
    assert falling.violations > 0
    assert falling.years > 0.5
    assert check_arbitrage(Flat(slope=2.5)).lee.violations > 0


def test_a_surface_of_nan_is_not_free():
    report = check_arbitrage(Flat(vol=np.nan), k=[-0.1, 0.1])
    assert not report.is_free
    assert report.butterfly.violations == report.points


def test_rounding_is_tolerated_and_no_more():
    # g = 1 - w'²... of a flat surface is 1; a curvature of -2 brings it to 0.
    assert check_arbitrage(Flat(kink=2.0 + 1e-12)).is_free
    assert not check_arbitrage(Flat(kink=2.0 + 1e-8)).is_free


@pytest.mark.parametrize(
    ("k", "years"), [(np.zeros((3, 2)), [1.0, 2.0]), (np.zeros(3), [0.0]), ([np.nan], [1.0]), (0.1, [1.0])]
)
def test_bad_grids_are_refused(k, years):
    with pytest.raises(InputError, match="grid"):
        check_arbitrage(slices([1.0], CLEAN), k=k, years=years)
