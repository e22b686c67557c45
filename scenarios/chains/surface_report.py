"""The report of a chain's vol surface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.chains.exposure_record import rows_of
from gammawall.scenarios.chains.figures import error_by_expiry
from gammawall.scenarios.chains.objects import MODEL_NAMES, surface_picture, surface_smiles
from gammawall.scenarios.pages.page import Page, Picture, Table, level_text, number_text
from gammawall.surfaces.chains.bands import vendor_vol_report
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import chain_terms
from gammawall.surfaces.vol_surfaces.arbitrage import ArbitrageReport, check_arbitrage
from gammawall.surfaces.vol_surfaces.fit import SurfaceFit, fit_surface

__all__ = ["surface_report"]


def surface_report(chain: OptionChain) -> tuple[dict[str, Any], str]:
    """Fit both models to a chain and audit them: a record and the text of an HTML page."""
    terms = chain_terms(chain)
    essvi = fit_surface(chain, "essvi", terms=terms)
    fits = {"essvi": essvi, "svi": fit_surface(chain, "svi", seed=essvi)}
    audits = {model: check_arbitrage(fit.surface) for model, fit in fits.items()}
    vendor = vendor_vol_report(chain, terms)
    record = {
        "spot": chain.spot,
        "as_of": chain.as_of.isoformat(),
        "models": {model: _fit_record(fits[model], audits[model]) for model in fits},
        "vendor_vols": rows_of(vendor),
    }
    medians = {m: float(np.nanmedian(f.report["rmse_vol_points"].to_numpy(float))) for m, f in fits.items()}
    free = "free of static arbitrage" if audits["essvi"].is_free else "NOT free of static arbitrage"
    page = Page(
        title=f"Vol surface at {chain.as_of:%Y-%m-%d %H:%M}",
        kicker=Path(chain.report.path).name or "quotes",
        headline=(
            f"One eSSVI surface through {len(fits['essvi'].surface.years)} expiries, {free} on a dense grid, "
            f"misses the mids by {medians['essvi']:.2f} vol points at the median expiry; SVI slices by "
            f"{medians['svi']:.2f}."
        ),
        tiles=_tiles(fits, audits, medians),
        pictures=_pictures(fits, essvi.bands),
        layout=[["surface", "errors"], ["smiles"]],
        tables=[_fit_table(fits), _audit_table(audits), _vendor_table(vendor)],
        notes=list(chain.report.notes),
    )
    return record, page.html()


def _tiles(
    fits: dict[str, SurfaceFit], audits: dict[str, ArbitrageReport], medians: dict[str, float]
) -> list[tuple[str, str, str]]:
    fitted, listed = len(fits["essvi"].surface.years), len(fits["essvi"].report)
    return [
        ("expiries fitted", f"{fitted}", f"of {listed}"),
        *((f"median error, {MODEL_NAMES[m]}", f"{medians[m]:.2f} vol points", "") for m in fits),
        *(
            (f"arbitrage, {MODEL_NAMES[m]}", "none" if a.is_free else "found", f"{a.points:,} points")
            for m, a in audits.items()
        ),
    ]


def _pictures(fits: dict[str, SurfaceFit], bands: pd.DataFrame) -> dict[str, Picture]:
    return {
        "surface": Picture(
            "The eSSVI surface",
            "Drag to turn.",
            "Vol over moneyness and time.",
            surface_picture(fits["essvi"]),
        ),
        "errors": Picture(
            "Error by expiry",
            "Root mean square of model vol minus mid vol, out-of-the-money quotes within ±3 standard "
            "deviations of the forward.",
            "Fit error by expiry.",
            error_by_expiry({model: fit.report for model, fit in fits.items()}),
        ),
        "smiles": Picture(
            "Smiles",
            "Bars: bid to ask. Lines: the two models.",
            "Smiles of several expiries.",
            surface_smiles(bands, {MODEL_NAMES[model]: fit for model, fit in fits.items()}),
            height=560,
        ),
    }


def _fit_record(fit: SurfaceFit, audit: ArbitrageReport) -> dict[str, Any]:
    checks = {name: vars(getattr(audit, name)) for name in ("butterfly", "calendar", "lee")}
    return {
        "by_expiry": rows_of(fit.report),
        "arbitrage_free": audit.is_free,
        "audit": checks,
        "loss": fit.loss,
    }


def _fit_table(fits: dict[str, SurfaceFit]) -> Table:
    rows, svi = [], fits["svi"].report
    joined = fits["essvi"].report.assign(**{f"svi_{c}": svi[c] for c in ("rmse_vol_points", "inside")})
    for _, r in joined.iterrows():
        label = _label(r)
        if str(r["reason"]):
            rows.append([label, str(r["quotes"]), str(r["reason"]), "", "", "", ""])
            continue
        rows.append(
            [
                label,
                str(r["quotes"]),
                f"{r['forward']:,.2f}",
                f"{r['rmse_vol_points']:.3f}",
                f"{r['inside']:.0%}",
                f"{r['svi_rmse_vol_points']:.3f}",
                f"{r['svi_inside']:.0%}",
            ]
        )
    columns = ["expiry", "quotes", "forward", "eSSVI error", "inside bid–ask", "SVI error", "inside bid–ask"]
    return Table("fit", "Fit by expiry", columns, rows, "Errors in vol points, root mean square.")


def _audit_table(audits: dict[str, ArbitrageReport]) -> Table:
    rows = []
    for model, audit in audits.items():
        for name in ("butterfly", "calendar", "lee"):
            c = getattr(audit, name)
            rows.append(
                [
                    f"{model}, {name}",
                    f"{c.violations:,}",
                    f"{c.share:.3%}",
                    f"{c.worst:.3g}",
                    f"{c.k:.3g}",
                    f"{c.years:.4g}",
                ]
            )
    columns = ["condition", "violations", "share", "smallest margin", "at ln(K/F)", "at years"]
    return Table(
        "audit", "Arbitrage audit", columns, rows, "Margins are dimensionless and must not be negative."
    )


def _vendor_table(vendor: pd.DataFrame) -> Table:
    rows = [
        [
            _label(r),
            f"{r['compared']:,}",
            number_text(r["median_vol_points"]),
            number_text(r["worst_vol_points"]),
            level_text(r["worst_strike"]),
        ]
        for _, r in vendor.iterrows()
    ]
    columns = ["expiry", "compared", "median", "worst", "at strike"]
    note = "Vendor vol minus our own of the same out-of-the-money mid, vol points."
    return Table("vendor", "The vendor's vols beside our own", columns, rows, note)


def _label(row: pd.Series) -> str:
    return f"{row['expiry']:%Y-%m-%d %H:%M} {row['root']}"
