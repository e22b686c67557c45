"""What a daily record says about price impact, as the record that ``gammawall calibrate-impact`` prints."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.calibration.file import LEAST_DAYS, History
from gammawall.scenarios.calibration.fit import (
    BLOCK_DAYS,
    DRAWS,
    SEED,
    ImpactFit,
    annual_vol_pct,
    best_on_profile,
    fit_impact,
    log_likelihood,
    profile_interval,
    resampled_days,
)
from gammawall.scenarios.calibration.record_types import (
    CalibrationRecord,
    FitRow,
    Gain,
    Octile,
    OutOfSample,
    SimulatedVol,
    SurvivingRow,
)
from gammawall.scenarios.provenance import environment
from gammawall.sim import GBM, LinearImpact, Market, Measure, SimConfig, simulate
from gammawall.surfaces.clock import new_york
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import exposures
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import USD_BN

__all__ = ["calibration_record", "judge_out_of_sample", "octiles", "simulated_vols"]

_BREAKS = (2016, 2020, 2023)
_SPLIT = "2023-01-01"
_BUCKETS = 8
_SPOT, _START, _CLOSE = 7000.0, "2026-01-28T09:30:00", "2026-01-28T16:00:00"
_FAR = "2028-01-21T16:00:00"


def calibration_record(history: History, split: str | None = None) -> CalibrationRecord:
    """Impact by period, vol by octile of gamma, and the judgement out of sample.

    Args:
        history: of `read_history`.
        split: ISO date; the fit that is judged uses returns before it, the judgement those from it on. 2023
            when not given, or the last third where the record does not reach over it.

    Raises:
        InputError: too few days before or after the split.
    """
    split = _split(history, split)
    notes = list(history.notes)
    periods, skipped = _periods(history)
    if skipped:
        notes.append(f"Too short for a fit of their own (under {LEAST_DAYS} days): {', '.join(skipped)}.")
    fits: list[FitRow] = []
    surviving: list[SurvivingRow] = []
    whole: ImpactFit | None = None
    for name, days in periods.items():
        plain, normal = fit_impact(days), fit_impact(days, "gaussian")
        control = fit_impact(days, past_vol=True)
        whole = whole or plain
        fits += [_fit_row(name, fit) for fit in (plain, normal, control)]
        surviving.append(_surviving(name, plain, control))
    assert whole is not None
    judged, earlier = judge_out_of_sample(history, split)
    ends = [judged["octiles"][k]["mean_gex_bn"] for k in (0, -1)]
    judged["simulated"] = simulated_vols(earlier, np.linspace(ends[0], ends[1], 5))
    return {
        "file": history.file,
        "first": str(history.date[0]),
        "last": str(history.date[-1]),
        "days": len(history),
        "split": split,
        "settings": {"block_days": BLOCK_DAYS, "resamples": DRAWS, "seed": SEED, "confidence": 0.95},
        "fits": fits,
        "surviving_past_vol": surviving,
        "octiles": octiles(history, whole),
        "out_of_sample": judged,
        "notes": notes,
        "provenance": environment(),
    }


def _split(history: History, split: str | None) -> str:
    if split is not None:
        try:
            day = str(pd.Timestamp(split).date())
        except (ValueError, TypeError):
            raise InputError(f"split must be a date such as {_SPLIT}; got {split!r}") from None
        counts = [len(history.between(None, day)), len(history.between(day))]
        if min(counts) < LEAST_DAYS:
            raise InputError(
                f"split {day} leaves {counts[0]} returns before and {counts[1]} after it: each side needs "
                f"{LEAST_DAYS}; the record goes from {history.date[0]} to {history.date[-1]}"
            )
        return day
    if min(len(history.between(None, _SPLIT)), len(history.between(_SPLIT))) >= LEAST_DAYS:
        return _SPLIT
    third = str(history.date[2 * len(history) // 3])
    return _split(history, third)


def _periods(history: History) -> tuple[dict[str, History], list[str]]:
    """The whole record and its blocks of calendar years, and the names of those too short."""
    years = history.date.astype("datetime64[Y]").astype(int) + 1970
    first, last = int(years[0]), int(years[-1])
    edges = [first, *(y for y in _BREAKS if first < y <= last), last + 1]
    found, short = {"whole record": history}, []
    for start, end in pairwise(edges):
        name = f"{start} on" if end > last else f"{start}–{end - 1}"
        days = history.between(f"{start}-01-01", f"{end}-01-01")
        if len(days) < LEAST_DAYS:
            short.append(name)
        elif len(days) < len(history):
            found[name] = days
    return found, short


def _fit_row(period: str, fit: ImpactFit) -> FitRow:
    days, control = fit.days, fit.vol_exponent is not None
    positive = days.select(days.gex > 0.0)
    plain = not control and len(positive) >= LEAST_DAYS
    return {
        "period": period,
        "first": str(days.date[0]),
        "last": str(days.date[-1]),
        "days": len(days),
        "errors": fit.errors,
        "with_past_vol": control,
        "bp_per_usd_bn": fit.bp_per_usd_bn,
        "bootstrap_interval": list(fit.interval),
        "resamples_without_maximum": int(np.isnan(fit.draws).sum()),
        "profile_interval": None if control else list(profile_interval(fit)),
        "largest_bp_per_usd_bn": fit.largest_bp,
        "positive_days_bp_per_usd_bn": best_on_profile(positive, fit.errors) if plain else None,
        "zero_gamma_vol_pct": fit.vol_pct,
        "past_vol_exponent": fit.vol_exponent,
        "log_likelihood": fit.log_likelihood,
        "gain_over_constant_nats": fit.gain,
    }


def _surviving(period: str, plain: ImpactFit, control: ImpactFit) -> SurvivingRow:
    """How much of λ is left once past vol is there too; both were fitted on the same resamples."""
    low, high = np.nanquantile(control.draws / plain.draws, [0.025, 0.975])
    table = pd.DataFrame({"gex": plain.days.gex, "past_vol": plain.days.past_vol}).rank()
    return {
        "period": period,
        "share": control.bp_per_usd_bn / plain.bp_per_usd_bn,
        "bootstrap_interval": [float(low), float(high)],
        "past_vol_exponent": control.vol_exponent,
        "rank_correlation_of_gex_and_past_vol": float(np.corrcoef(table.to_numpy().T)[0, 1]),
    }


def octiles(days: History, fit: ImpactFit) -> list[Octile]:
    """Realised vol of the next day by octile of gamma, beside the fitted curve at the octile's mean gamma.

    The standard error is that of block resamples of all the days.
    """
    edges = np.quantile(days.gex, np.linspace(0.0, 1.0, _BUCKETS + 1))
    group = np.clip(np.searchsorted(edges, days.gex, side="right") - 1, 0, _BUCKETS - 1)
    square = days.absolute_return**2

    def vols(index: np.ndarray) -> np.ndarray:
        count = np.bincount(group[index], minlength=_BUCKETS)
        total = np.bincount(group[index], square[index], minlength=_BUCKETS)
        return annual_vol_pct(np.sqrt(total / np.where(count > 0, count, np.nan)), "gaussian")

    realised = vols(np.arange(len(days)))
    spread = np.nanstd([vols(index) for index in resampled_days(len(days), DRAWS)], axis=0, ddof=1)
    mean_gex = np.array(
        [days.gex[group == k].mean() if (group == k).any() else np.nan for k in range(_BUCKETS)]
    )
    model = fit.vol_curve_pct(mean_gex)
    return [
        {
            "from_bn": float(edges[k]),
            "to_bn": float(edges[k + 1]),
            "mean_gex_bn": float(mean_gex[k]),
            "days": int((group == k).sum()),
            "realised_vol_pct": float(realised[k]),
            "stderr_pct": float(spread[k]),
            "model_vol_pct": float(model[k]),
            "z": float((model[k] - realised[k]) / spread[k]),
        }
        for k in range(_BUCKETS)
        if (group == k).any()
    ]


def judge_out_of_sample(history: History, split: str) -> tuple[OutOfSample, ImpactFit]:
    """The fit before the split, judged on the returns from it on; and that fit."""
    before, after = history.between(None, split), history.between(split)
    plain, control = fit_impact(before), fit_impact(before, past_vol=True)
    vol_only = fit_impact(replace(before, gex=np.zeros(len(before))), past_vol=True)
    # Where the earlier λ leaves no clearing price the model gives no density: such days are not judged.
    inside = np.isfinite(plain.scales(after)) & np.isfinite(control.scales(after))
    judged = after.select(inside)
    r = judged.absolute_return

    def score(scale: float | np.ndarray) -> np.ndarray:
        return log_likelihood(r, scale, "laplace")

    constant, with_gamma = score(plain.constant_scale), score(plain.scales(judged))
    past, both = score(vol_only.scales(judged)), score(control.scales(judged))
    hindsight = score(float(r.mean()))
    shuffled = _shuffled_gains(plain, judged, constant)
    gain = float((with_gamma - constant).sum())
    found: OutOfSample = {
        "fitted_before": split,
        "bp_per_usd_bn": plain.bp_per_usd_bn,
        "bootstrap_interval": list(plain.interval),
        "zero_gamma_vol_pct": plain.vol_pct,
        "constant_vol_pct": annual_vol_pct(plain.constant_scale, plain.errors),
        "days": len(after),
        "days_without_clearing": int((~inside).sum()),
        "gain_over_constant": _gain(with_gamma - constant),
        "gain_over_best_constant": _gain(with_gamma - hindsight),
        "gain_shuffled_nats": {
            "mean": float(shuffled.mean()),
            "interval": [float(q) for q in np.quantile(shuffled, [0.025, 0.975])],
            "share_as_good": float((1 + (shuffled >= gain).sum()) / (1 + shuffled.size)),
        },
        "gain_of_past_vol_over_constant": _gain(past - constant),
        "gain_of_gamma_over_past_vol": _gain(both - past),
        "octiles": octiles(after, plain),
        "simulated": [],
    }
    return found, plain


def _gain(daily: np.ndarray) -> Gain:
    """Sum of daily differences of log-likelihood, nats, with the standard error of block resamples."""
    sums = daily[resampled_days(daily.size, DRAWS)].sum(axis=1)
    return {"nats": float(daily.sum()), "stderr": float(sums.std(ddof=1)), "days": int(daily.size)}


def _shuffled_gains(fit: ImpactFit, days: History, constant: np.ndarray) -> np.ndarray:
    """Gains of the same fit when gamma is put on the wrong days, in blocks, so that it is as persistent."""
    rng = np.random.default_rng(SEED)
    blocks = np.array_split(np.arange(len(days)), max(len(days) // BLOCK_DAYS, 2))
    gains = np.empty(DRAWS)
    for k in range(DRAWS):
        order = np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])
        wrong = replace(days, gex=days.gex[order])
        gains[k] = (log_likelihood(days.absolute_return, fit.scales(wrong), fit.errors) - constant).sum()
    return gains


def simulated_vols(fit: ImpactFit, gex_bn: np.ndarray) -> list[SimulatedVol]:
    """Realised vol of simulated sessions whose dealers hold a given gamma in far-dated options.

    Options two years out keep their gamma through the session, so that σ0/(1 + g) is the exact answer.
    """
    fields: dict[str, Any] = {"strike": _SPOT, "expiry": _FAR, "vol": 0.2, "spot": _SPOT, "as_of": _START}
    one = exposures(Book.from_positions(contracts=1.0, **fields)).totals["gex_usd_per_1pct"] / USD_BN
    rows = []
    # Below zero, gamma seems to widen moves instead of damping them: no impact of trades does that.
    for target in gex_bn if fit.bp_per_usd_bn >= 0.0 else ():
        exact = float(fit.vol_curve_pct(target))
        if not np.isfinite(exact):
            continue
        found = simulate(
            Book.from_positions(contracts=float(target) / one, **fields),
            market=Market(_SPOT, new_york(_START, "start"), new_york(_CLOSE, "close")),
            dynamics=GBM(fit.vol_pct / 100.0),
            impact=LinearImpact(fit.bp_per_usd_bn),
            config=SimConfig(paths=4096, steps=78, block_paths=4096, keep_paths=0, max_nodes=512),
            seed=SEED,
            measure=Measure(_SPOT),
        )["realised_vol_pct"]
        rows.append(
            {
                "gex_bn": float(target),
                "vol_pct": found.value,
                "stderr_pct": found.stderr,
                "closed_form_pct": exact,
            }
        )
    return rows
