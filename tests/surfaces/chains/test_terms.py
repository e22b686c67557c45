"""Forwards are regressed once and quotes inverted once, whatever is made of a chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gammawall import surfaces
from gammawall.scenarios.chains.surface_report import surface_report
from gammawall.scenarios.cli.main import app
from gammawall.surfaces.chains import bands, forwards, smile, terms
from gammawall.surfaces.dealers import confidence, exposures, levels, rolloff
from gammawall.surfaces.vol_surfaces import fit
from tests.helpers.synthetic import EXPIRIES, cboe_csv, make_chain, make_quotes


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of the dear functions is called, under whatever name."""
    counted: Counter[str] = Counter()

    def watch(name: str, *homes: object) -> None:
        original = next(vars(home)[name] for home in homes if name in vars(home))

        def counting(*args: object, **options: object) -> object:
            counted[name] += 1
            return original(*args, **options)

        for home in homes:
            if name in vars(home):
                monkeypatch.setattr(home, name, counting)

    watch("imply_forwards", forwards, smile, terms, bands, fit)
    watch("implied_vol", smile, bands)
    watch("position_exposures", exposures, levels, confidence, rolloff)
    watch("_essvi_seeds", fit)
    return counted


@pytest.fixture
def quotes(tmp_path: Path) -> Path:
    path = tmp_path / "quotes.csv"
    path.write_text(cboe_csv(make_quotes(expiries=EXPIRIES[:4])), encoding="utf-8")
    return path


def test_exposures_regress_and_invert_once(calls: Counter[str], quotes: Path) -> None:
    done = CliRunner().invoke(app, ["exposures", str(quotes), "--quiet"])
    assert done.exit_code == 0, done.output
    assert calls == {"imply_forwards": 1, "implied_vol": 1, "position_exposures": 1}


def test_the_page_adds_only_other_books(calls: Counter[str], quotes: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["exposures", str(quotes), "--quiet", "--report", str(tmp_path / "x.html")]
    )
    assert done.exit_code == 0, done.output
    assert calls["imply_forwards"] == calls["implied_vol"] == 1


def test_a_surface_regresses_inverts_and_seeds_once(calls: Counter[str]) -> None:
    surface_report(make_chain(expiries=EXPIRIES[:4]))
    # One inversion each of bids, mids and asks.
    assert calls == {"imply_forwards": 1, "implied_vol": 3, "_essvi_seeds": 1}


def test_the_count_sees_what_is_done_again(calls: Counter[str]) -> None:
    chain = make_chain(expiries=EXPIRIES[:2])
    surfaces.dealer_book(chain)
    surfaces.dealer_book(chain)
    assert calls["imply_forwards"] == calls["implied_vol"] == 2


@pytest.fixture(scope="module")
def essvi() -> tuple[surfaces.OptionChain, surfaces.SurfaceFit]:
    chain = make_chain(expiries=EXPIRIES[:4])
    return chain, surfaces.fit_surface(chain)


def test_a_seed_changes_nothing(essvi: tuple[surfaces.OptionChain, surfaces.SurfaceFit]) -> None:
    chain, seed = essvi
    alone, seeded = surfaces.fit_surface(chain, "svi"), surfaces.fit_surface(chain, "svi", seed=seed)
    pd.testing.assert_frame_equal(alone.report, seeded.report, check_exact=True)
    for name in ("a", "b", "rho", "m", "sigma"):
        np.testing.assert_array_equal(getattr(alone.surface, name), getattr(seeded.surface, name))
    assert (alone.loss, alone.free_loss) == (seeded.loss, seeded.free_loss)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda chain, seed: surfaces.fit_surface(chain, "essvi", seed=seed),
        lambda chain, seed: surfaces.fit_surface(make_chain(expiries=EXPIRIES[:3]), "svi", seed=seed),
    ],
)
def test_a_seed_of_another_kind_is_refused(
    essvi: tuple[surfaces.OptionChain, surfaces.SurfaceFit], misuse: Callable[..., object]
) -> None:
    with pytest.raises(surfaces.InputError, match="it must be an essvi fit of the same chain"):
        misuse(*essvi)


def test_quote_vols_is_public_and_finds_the_smile() -> None:
    chain = make_chain(expiries=EXPIRIES[1:3], half_spread=0.0)
    vols = surfaces.quote_vols(chain)
    mid = (vols["source"] == "mid").to_numpy()
    truth = chain.quotes["vendor_vol"].to_numpy(float)
    np.testing.assert_allclose(vols["vol"][mid], truth[mid], atol=2e-6)
    own = vols["mid_vol"].notna().to_numpy()
    # In-the-money contracts share the vol of the other side: their own mids are not inverted.
    assert 0 < own.sum() < mid.sum()
    np.testing.assert_array_equal(vols["mid_vol"][own], vols["vol"][own])
