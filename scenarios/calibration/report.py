"""The report of an impact calibration."""

from __future__ import annotations

from collections.abc import Sequence

from gammawall.scenarios.calibration.figures import impact_by_period, vol_by_gamma
from gammawall.scenarios.calibration.record_types import CalibrationRecord, FitRow, Octile
from gammawall.scenarios.pages.page import Page, Picture, Table, number_text

__all__ = ["calibration_report", "calibration_sentence", "fit_of", "interval_text"]

_NEAR_EDGE = 0.9


def calibration_report(record: CalibrationRecord) -> str:
    """A record of `calibration_record` as the text of an HTML page."""
    return Page(
        title="Price impact from recorded gamma",
        kicker=f"{record['file']}, {record['days']:,} returns, {record['first']} to {record['last']}",
        headline=calibration_sentence(record),
        tiles=_tiles(record),
        pictures=_pictures(record),
        layout=[["judged", "whole"], ["impact"]],
        tables=[
            _caveat_table(record),
            _fits_table(record),
            _octile_table("octiles-judged", f"Vol by gamma from {record['split']} on", _judged(record)),
            _octile_table("octiles-whole", "Vol by gamma, whole record", record["octiles"]),
        ],
        notes=[*record["notes"], *_method(record)],
    ).html()


def calibration_sentence(record: CalibrationRecord) -> str:
    """The answer in two sentences."""
    judged, last = record["out_of_sample"], record["surviving_past_vol"][-1]
    latest, gain = fit_of(record, last["period"]), judged["gain_over_constant"]
    better = gain["nats"] > 2.0 * gain["stderr"] and judged["gain_shuffled_nats"]["share_as_good"] < 0.05
    verdict = "better than" if better else "no better, beyond its error, than"
    return (
        f"{last['period'].capitalize()}: USD 1 bn of dealers' hedging goes with a move of "
        f"{number_text(latest['bp_per_usd_bn'], 1)} bp ({interval_text(latest['bootstrap_interval'])}), of "
        f"which {last['share']:.0%} is left once past vol is allowed for: an upper bound. Fitted before "
        f"{record['split']}, gamma tells the next day's vol on the {judged['days']:,} days since {verdict} "
        "one vol for all."
    )


def fit_of(
    record: CalibrationRecord, period: str, errors: str = "laplace", *, past_vol: bool = False
) -> FitRow:
    """One row of the fits."""
    wanted = (period, errors, past_vol)
    return next(f for f in record["fits"] if (f["period"], f["errors"], f["with_past_vol"]) == wanted)


def interval_text(interval: Sequence[float] | None, digits: int = 1) -> str:
    """An interval for a cell or a sentence."""
    return "–" if interval is None else " to ".join(number_text(x, digits) for x in interval)


def share_text(interval: Sequence[float]) -> str:
    """An interval of shares in percent."""
    return " to ".join(f"{x:.0%}" for x in interval)


def _judged(record: CalibrationRecord) -> list[Octile]:
    return record["out_of_sample"]["octiles"]


def _tiles(record: CalibrationRecord) -> list[tuple[str, str, str]]:
    judged, buckets, surviving = record["out_of_sample"], record["octiles"], record["surviving_past_vol"]
    gain, shuffled = judged["gain_over_constant"], judged["gain_shuffled_nats"]
    latest = fit_of(record, surviving[-1]["period"])
    return [
        (
            f"impact, {latest['period']}",
            f"{number_text(latest['bp_per_usd_bn'], 1)} bp per USD bn",
            f"95 %: {interval_text(latest['bootstrap_interval'])}",
        ),
        (
            "vol, lowest → highest gamma",
            f"{number_text(buckets[0]['realised_vol_pct'], 0)} → "
            f"{number_text(buckets[-1]['realised_vol_pct'], 0)} % a year",
            "realised the next day, by octile",
        ),
        (
            f"out of sample, {record['split']} on",
            f"{_signed(gain['nats'])} ± {number_text(gain['stderr'], 0)} nats",
            f"over one vol for all; on wrong days {_signed(shuffled['mean'])}",
        ),
        (
            "left beside past vol, whole record",
            f"{surviving[0]['share']:.0%} of the impact",
            f"95 %: {share_text(surviving[0]['bootstrap_interval'])}",
        ),
    ]


def _signed(value: float, digits: int = 0) -> str:
    return f"{value:+,.{digits}f}".replace("-", "−")


def _pictures(record: CalibrationRecord) -> dict[str, Picture]:
    judged, whole = record["out_of_sample"], record["fits"][0]
    return {
        "judged": Picture(
            f"Vol by gamma from {record['split']} on, against a fit before it",
            "Dots: realised vol of the next day by octile of gamma. Curve: fitted only to earlier returns. "
            "Crosses: simulated sessions whose dealers hold that gamma.",
            "Realised next-day vol by dealer gamma, a curve fitted to earlier years, simulated sessions.",
            vol_by_gamma(
                judged["octiles"],
                bp_per_usd_bn=judged["bp_per_usd_bn"],
                zero_gamma_vol_pct=judged["zero_gamma_vol_pct"],
                constant_vol_pct=judged["constant_vol_pct"],
                simulated=judged["simulated"],
            ),
        ),
        "whole": Picture(
            "Vol by gamma, whole record",
            "Curve: one impact for all the years. Where the periods below differ it cannot fit all: as a "
            "market grows, USD 1 bn moves it less.",
            "Realised next-day vol by octile of dealer gamma over the whole record, with the fitted curve.",
            vol_by_gamma(
                record["octiles"],
                bp_per_usd_bn=whole["bp_per_usd_bn"],
                zero_gamma_vol_pct=whole["zero_gamma_vol_pct"],
            ),
        ),
        "impact": Picture(
            "Impact by period",
            "Maximum likelihood; bars: 95 % of block resamples. With past vol, the scale of the return also "
            "goes with a power of the vol of the days before.",
            "Estimated impact by period with intervals.",
            impact_by_period(record["fits"]),
        ),
    }


def _caveat_table(record: CalibrationRecord) -> Table:
    rows = []
    for row in record["surviving_past_vol"]:
        period = row["period"]
        rows.append(
            [
                period,
                number_text(fit_of(record, period)["bp_per_usd_bn"], 1),
                number_text(fit_of(record, period, past_vol=True)["bp_per_usd_bn"], 1),
                f"{row['share']:.0%}",
                share_text(row["bootstrap_interval"]),
                number_text(row["past_vol_exponent"]),
                number_text(row["rank_correlation_of_gex_and_past_vol"]),
            ]
        )
    columns = ["period", "λ", "λ with past vol", "left", "95 %", "power of past vol", "rank correlation"]
    judged = record["out_of_sample"]
    gamma, past = judged["gain_of_gamma_over_past_vol"], judged["gain_of_past_vol_over_constant"]
    gains = [f"{_signed(g['nats'])} ± {number_text(g['stderr'], 0)}" for g in (past, gamma)]
    note = (
        "Gamma is low when vol is high: falls carry dealers below the puts they are short, and vol comes in "
        "clusters. So calm days follow high gamma even if hedging does nothing. Past vol (exponentially "
        "weighted squared returns, decay 0.94) takes out only what it knows: where gamma tells tomorrow's "
        "vol more sharply, part stays though hedging did nothing. Correlation: of gamma with past vol, by "
        f"rank. Out of sample past vol alone gains {gains[0]} nats over one vol for all, gamma {gains[1]} "
        "on top."
    )
    return Table("caveat", "Vol also drives gamma: what is left of the impact", columns, rows, note)


def _fits_table(record: CalibrationRecord) -> Table:
    rows = [
        [
            f"{f['period']}, {f['errors'].capitalize()}{', past vol' if f['with_past_vol'] else ''}",
            f"{f['days']:,}",
            number_text(f["bp_per_usd_bn"], 1),
            interval_text(f["bootstrap_interval"]),
            interval_text(f["profile_interval"]),
            number_text(f["largest_bp_per_usd_bn"], 1),
            number_text(f["positive_days_bp_per_usd_bn"], 1),
            number_text(f["zero_gamma_vol_pct"], 1),
            number_text(f["gain_over_constant_nats"], 0),
        ]
        for f in record["fits"]
    ]
    columns = [
        "period, law of the return",
        "days",
        "λ, bp per USD bn",
        "95 %, blocks",
        "95 %, profile",
        "largest possible",
        "λ, gamma > 0",
        "vol at gamma 0, %",
        "gain, nats",
    ]
    note = (
        "Blocks: resamples of 20 days in a row. Profile: likelihood of independent days, too narrow where "
        "vol clusters. Largest possible: λ beyond which the day of lowest gamma has no clearing price: an "
        "estimate near it hangs on that day. λ, gamma > 0: without the days of negative gamma. Gain: "
        "log-likelihood over one vol for all days."
    )
    return Table("fits", "All fits", columns, rows, note)


def _octile_table(key: str, title: str, buckets: Sequence[Octile]) -> Table:
    rows = [
        [
            f"{number_text(b['from_bn'])} to {number_text(b['to_bn'])}",
            f"{b['days']:,}",
            number_text(b["mean_gex_bn"]),
            f"{number_text(b['realised_vol_pct'], 1)} ± {number_text(b['stderr_pct'], 1)}",
            number_text(b["model_vol_pct"], 1),
            number_text(b["z"], 1),
        ]
        for b in buckets
    ]
    columns = ["gamma, USD bn per 1 %", "days", "mean", "realised vol, %", "curve at the mean, %", "z"]
    note = "z: curve less recorded, in standard errors of block resamples."
    return Table(key, title, columns, rows, note)


def _method(record: CalibrationRecord) -> list[str]:
    settings = record["settings"]
    notes = [
        "Scale of tomorrow's |return|: σ₀ / (1 + 0.01 λ GEX), GEX at today's close. A return counts in the "
        "period of its own day.",
        f"Intervals: {settings['resamples']} circular resamples of blocks of {settings['block_days']} days, "
        f"seed {settings['seed']}.",
    ]
    for fit in record["fits"]:
        most = fit["largest_bp_per_usd_bn"]
        if fit["errors"] == "laplace" and most is not None and fit["bp_per_usd_bn"] > _NEAR_EDGE * most:
            kind = " with past vol" if fit["with_past_vol"] else ""
            notes.append(
                f"{fit['period']}{kind}: λ is at {fit['bp_per_usd_bn'] / most:.0%} of the largest that the "
                "day of most negative gamma allows; that one day holds it down."
            )
    best = record["out_of_sample"]["gain_over_best_constant"]
    notes.append(
        "Out of sample, over the one vol that fits those days best in hindsight: "
        f"{_signed(best['nats'])} ± {number_text(best['stderr'], 0)} nats."
    )
    left_out = record["out_of_sample"]["days_without_clearing"]
    if left_out:
        notes.append(
            f"{left_out:,} days out of sample have no clearing price under the fit and are not judged."
        )
    return notes
