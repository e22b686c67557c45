"""The report of a chain's vol surface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.chain_figures import error_by_expiry, smiles, surface_3d
from gammawall.scenarios.page import Page, Picture, Table
from gammawall.surfaces.arbitrage import ArbitrageReport, check_arbitrage
from gammawall.surfaces.chain import OptionChain
from gammawall.surfaces.fit import SurfaceFit, fit_surface
from gammawall.surfaces.forwards import imply_forwards
from gammawall.surfaces.smile import quote_bands

__all__ = ["surface_report"]

_REACH_SD = np.linspace(-3.0, 3.0, 61)


def surface_report(chain: OptionChain) -> tuple[dict[str, Any], str]:
    """Fit both models to a chain and audit them: a record and the text of an HTML page."""
    fits = {model: fit_surface(chain, model) for model in ("essvi", "svi")}
    audits = {model: check_arbitrage(fit.surface) for model, fit in fits.items()}
    record = {
        "spot": chain.spot,
        "as_of": chain.as_of.isoformat(),
        "models": {model: _fit_record(fits[model], audits[model]) for model in fits},
    }
    essvi = fits["essvi"]
    years = np.asarray(essvi.surface.years, float)
    spread = np.sqrt(np.asarray(essvi.surface.total_variance(np.zeros_like(years), years)))
    vol = np.sqrt(
        np.asarray(essvi.surface.total_variance(spread[:, None] * _REACH_SD, years[:, None])) / years[:, None]
    )
    reports = {model: fit.report for model, fit in fits.items()}
    bands = quote_bands(chain, imply_forwards(chain))
    bands, curves = _smile_data(bands, fits)
    medians = {m: float(np.nanmedian(r["rmse_vol_points"].to_numpy(float))) for m, r in reports.items()}
    free = "free of static arbitrage" if audits["essvi"].is_free else "NOT free of static arbitrage"
    pictures = {
        "surface": Picture(
            "The eSSVI surface",
            "Drag to turn.",
            "Vol over moneyness and time.",
            surface_3d(_REACH_SD, years, vol),
        ),
        "errors": Picture(
            "Error by expiry",
            "Root mean square of model vol minus mid vol, out-of-the-money quotes within ±3 standard "
            "deviations of the forward.",
            "Fit error by expiry.",
            error_by_expiry(reports),
        ),
        "smiles": Picture(
            "Smiles",
            "Bars: bid to ask. Lines: the two models.",
            "Smiles of several expiries.",
            smiles(bands, curves),
            height=560,
        ),
    }
    tiles = [
        ("expiries fitted", f"{len(years)}", f"of {len(essvi.report)}"),
        ("median error, eSSVI", f"{medians['essvi']:.2f} vol points", ""),
        ("median error, SVI", f"{medians['svi']:.2f} vol points", ""),
        (
            "arbitrage, eSSVI",
            "none" if audits["essvi"].is_free else "found",
            f"{audits['essvi'].points:,} points",
        ),
        ("arbitrage, SVI", "none" if audits["svi"].is_free else "found", f"{audits['svi'].points:,} points"),
    ]
    page = Page(
        title=f"Vol surface at {chain.as_of:%Y-%m-%d %H:%M}",
        kicker=Path(chain.report.path).name or "quotes",
        headline=(
            f"One eSSVI surface through {len(years)} expiries, {free} on a dense grid, misses the mids by "
            f"{medians['essvi']:.2f} vol points at the median expiry; SVI slices by {medians['svi']:.2f}."
        ),
        tiles=tiles,
        pictures=pictures,
        layout=[["surface", "errors"], ["smiles"]],
        tables=[_fit_table(reports), _audit_table(audits)],
        notes=list(chain.report.notes),
    ).html()
    return record, page


def _fit_record(fit: SurfaceFit, audit: ArbitrageReport) -> dict[str, Any]:
    table = fit.report.assign(expiry=[t.isoformat() for t in fit.report["expiry"]])
    checks = {name: vars(getattr(audit, name)) for name in ("butterfly", "calendar", "lee")}
    return {
        "by_expiry": table.to_dict("records"),
        "arbitrage_free": audit.is_free,
        "audit": checks,
        "loss": fit.loss,
    }


def _fit_table(reports: dict[str, pd.DataFrame]) -> Table:
    rows = []
    joined = reports["essvi"].assign(**{f"svi_{c}": reports["svi"][c] for c in ("rmse_vol_points", "inside")})
    for _, r in joined.iterrows():
        label = f"{r['expiry']:%Y-%m-%d %H:%M} {r['root']}"
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


def _smile_data(
    bands: pd.DataFrame, fits: dict[str, SurfaceFit]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Bands within ±3 sd of each fitted slice, labelled, and the models' vols at the same strikes."""
    fitted = fits["essvi"].report
    fitted = fitted.loc[fitted["reason"] == "", ["expiry", "root"]]
    bands = bands.merge(fitted, on=["expiry", "root"])
    t, k = (
        bands["years"].to_numpy(float),
        np.log(bands["strike"].to_numpy(float) / bands["forward"].to_numpy(float)),
    )
    at_money = np.sqrt(np.asarray(fits["essvi"].surface.total_variance(np.zeros_like(t), t)))
    near = np.abs(k) <= 3.0 * at_money
    bands, t, k = bands.loc[near], t[near], k[near]
    bands = bands.assign(expiry=[f"{e:%d %b %Y %H:%M}" for e in bands["expiry"]])
    curves = {}
    for model, fit in fits.items():
        vol = np.sqrt(np.asarray(fit.surface.total_variance(k, t)) / t)
        curves["eSSVI" if model == "essvi" else "SVI"] = bands[["expiry", "strike"]].assign(vol=vol)
    return bands, curves
