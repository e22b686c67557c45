"""Reports of a chain: exposures and vol surface, on a synthetic chain."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from gammawall.scenarios.chains.exposure_record import exposure_record
from gammawall.scenarios.chains.exposures_report import exposures_report
from gammawall.scenarios.chains.surface_report import surface_report
from gammawall.scenarios.pages.page import level_text, number_text
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.exposures import exposures
from tests.helpers.synthetic import make_chain


@pytest.fixture(scope="module")
def chain():
    return make_chain()


@pytest.fixture(scope="module")
def exposures_page(chain):
    book = dealer_book(chain)
    exposed = exposures(book)
    return exposures_report(chain, book, exposed, exposure_record(book, exposed, chain)), exposed


@pytest.fixture(scope="module")
def surface_page(chain):
    return surface_report(chain)


def offline(page: str) -> bool:
    """No element of the page names a place outside it; the text of scripts does not count."""
    markup = re.sub(r"<script\b.*?</script>", "", page, flags=re.S)
    return not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", markup)


def test_exposures_page_answers_first_and_stays_offline(exposures_page):
    page, exposed = exposures_page
    gex = exposed.totals["gex_usd_per_1pct"] / 1e9
    headline = re.search(r"<h1>(.*?)</h1>", page, re.S)
    assert headline is not None
    assert f"USD {abs(gex):,.1f} bn" in headline[1]
    assert ("they sell" if gex > 0 else "they buy") in headline[1]
    assert offline(page)
    for part in ("profile", "strikes", "heat", "confidence", "conventions", "removal", "notes", "provenance"):
        assert f'id="{part}"' in page
    assert page.count("data-plot=") == 3


def test_record_says_how_the_vendor_s_vols_compare(chain):
    book = dealer_book(chain)
    rows = exposure_record(book, chain=chain)["report"]["vendor_vols"]
    assert sum(row["compared"] for row in rows) > 200
    assert {"expiry", "root", "median_vol_points", "worst_vol_points", "worst_strike"} < set(rows[0])
    assert isinstance(rows[0]["expiry"], str)
    assert "vendor_vols" not in exposure_record(book)["report"]


def test_selling_and_buying_follow_the_sign(chain):
    book = dealer_book(chain, "all_short")
    exposed = exposures(book)
    page = exposures_report(chain, book, exposed, exposure_record(book, exposed, chain))
    assert "they buy USD" in page


def test_after_the_close_there_is_no_heatmap_but_a_sentence(chain):
    book = dealer_book(chain)
    late = book.at(book.as_of.normalize() + np.timedelta64(20, "h"))
    exposed = exposures(late)
    page = exposures_report(chain, late, exposed, exposure_record(late, exposed, chain))
    assert "no rest of the day to draw" in page
    assert page.count("data-plot=") == 2


@pytest.mark.slow
def test_surface_page_and_record_say_how_good_the_fit_is(surface_page):
    record, page = surface_page
    assert offline(page)
    assert set(record["models"]) == {"essvi", "svi"}
    for model in record["models"].values():
        fitted = [row for row in model["by_expiry"] if not row["reason"]]
        assert fitted
        assert all(np.isfinite(row["rmse_vol_points"]) and 0.0 <= row["inside"] <= 1.0 for row in fitted)
        assert set(model["audit"]) == {"butterfly", "calendar", "lee"}
    assert record["models"]["essvi"]["arbitrage_free"]
    # The made-up vendor's vols are those the quotes were made from.
    compared = [row for row in record["vendor_vols"] if row["compared"]]
    assert len(compared) > 4
    assert all(abs(row["median_vol_points"]) < 0.05 for row in compared)
    assert "free of static arbitrage" in page
    for part in ("surface", "errors", "smiles", "fit", "audit", "vendor"):
        assert f'id="{part}"' in page


def test_names_from_files_are_escaped(chain):
    evil = dataclasses.replace(
        chain, report=dataclasses.replace(chain.report, notes=("<script>alert(1)</script>",))
    )
    book = dealer_book(evil)
    exposed = exposures(book)
    page = exposures_report(evil, book, exposed, exposure_record(book, exposed, evil))
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_numbers_as_text():
    assert number_text(-1234.5) == "−1,234.50"
    assert number_text(None) == number_text(np.nan) == level_text(np.nan) == "–"
    assert level_text(7000.0) == "7,000"
    assert level_text(6436.04) == "6,436.0"
