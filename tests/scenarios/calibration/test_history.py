"""Impact from a daily record: what is read, the estimate, its interval, and what other causes leave of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from gammawall.scenarios.calibration.file import History, read_history
from gammawall.scenarios.calibration.fit import best_on_profile, fit_impact, profile_interval, resampled_days
from gammawall.scenarios.calibration.record import judge_out_of_sample, octiles
from gammawall.scenarios.cli import main as cli
from gammawall.surfaces.errors import InputError
from tests.scenarios.cli.test_cli import checked

RECORD = Path(__file__).parents[4] / "shared" / "history" / "gex_daily.csv"
SCALE, DRAWS = 0.009, 100


def persistent(rng: np.random.Generator, days: int, keep: float = 0.95) -> np.ndarray:
    """A standard normal series whose autocorrelation falls by `keep` a day."""
    series = np.empty(days)
    series[0] = rng.standard_normal()
    for t in range(1, days):
        series[t] = keep * series[t - 1] + np.sqrt(1.0 - keep**2) * rng.standard_normal()
    return series


def make_days(
    days: int = 1000, bp: float = 12.0, *, seed: int = 1, errors: str = "laplace", vol: float = 0.0
) -> History:
    """Days whose vol answers gamma by σ0/(1 + 0.01 λ GEX), times exp(`vol` × a hidden persistent series)."""
    rng = np.random.default_rng(seed)
    gex = np.clip(3.0 + 2.5 * persistent(rng, days), -min(4.0, 70.0 / max(bp, 1.0)), 12.0)
    shock = rng.laplace(size=days) if errors == "laplace" else rng.standard_normal(days)
    size = np.abs(shock) * SCALE * np.exp(vol * persistent(rng, days)) / (1.0 + 0.01 * bp * gex)
    date = np.busday_offset(np.datetime64("2021-01-04"), np.arange(days))
    return History("made.csv", date, size, gex, np.full(days, SCALE))


def driven_days(days: int = 1200, seed: int = 3) -> tuple[History, np.ndarray]:
    """Vol that comes in clusters and drives gamma, and that vol itself; hedging does nothing."""
    rng = np.random.default_rng(seed)
    log_vol = persistent(rng, days, 0.97)
    size = np.abs(rng.laplace(size=days)) * SCALE * np.exp(0.6 * log_vol)
    gex = np.clip(
        4.0 - 2.0 * np.concatenate([[0.0], log_vol[:-1]]) + 0.5 * rng.standard_normal(days), 0.1, 20
    )
    past = np.empty(days)
    past[0] = 2.0 * SCALE**2
    for t in range(1, days):
        past[t] = 0.94 * past[t - 1] + 0.06 * size[t - 1] ** 2
    date = np.busday_offset(np.datetime64("2021-01-04"), np.arange(days))
    return History("driven.csv", date, size, gex, np.sqrt(past)), SCALE * np.exp(0.6 * log_vol)


def by_scipy(days: History, power: float, past_vol: bool = False) -> np.ndarray:
    """(σ0, λ, β) by another optimiser on the formula as it is written."""
    log_vol = np.log(days.past_vol) - np.log(days.past_vol).mean()

    def loss(u: np.ndarray) -> float:
        slope = 1.0 + 0.01 * u[1] * days.gex
        if (slope <= 0.0).any():
            return 1e9
        scale = np.exp(u[0] + (u[2] * log_vol if past_vol else 0.0)) / slope
        return float(np.mean(np.log(scale) + (days.absolute_return / scale) ** power / power))

    start = [np.log(days.absolute_return.mean()), 1.0, 0.0]
    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 20_000, "maxfev": 20_000}
    for _ in range(3):
        start = minimize(loss, start, method="Nelder-Mead", options=options).x
    return np.array([np.exp(start[0]), start[1], start[2]])


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "power"), [("laplace", 1.0), ("gaussian", 2.0)])
def test_the_estimate_is_the_one_another_optimiser_finds_and_holds_the_truth(errors, power):
    days = make_days(errors=errors)
    fit = fit_impact(days, errors, draws=DRAWS)
    scale, bp, _ = by_scipy(days, power)
    assert fit.bp_per_usd_bn == pytest.approx(bp, rel=1e-4)
    assert fit.scale == pytest.approx(scale, rel=1e-4)
    assert best_on_profile(days, errors) == pytest.approx(bp, rel=1e-4)
    low, high = fit.interval
    assert low < 12.0 < high
    assert high - low < 12.0
    assert fit.gain > 10.0


def test_with_past_vol_the_estimate_is_the_one_another_optimiser_finds():
    days, _ = driven_days()
    fit = fit_impact(days, past_vol=True, draws=DRAWS)
    _, bp, exponent = by_scipy(days, 1.0, past_vol=True)
    assert fit.bp_per_usd_bn == pytest.approx(bp, rel=1e-3)
    assert fit.vol_exponent == pytest.approx(exponent, rel=1e-3)


def test_the_profile_interval_is_where_the_likelihood_has_fallen_by_half_of_chi_square():
    days = make_days()
    fit = fit_impact(days, draws=DRAWS)
    for bp in profile_interval(fit):
        slope = 1.0 + 0.01 * bp * days.gex
        scale = np.mean(days.absolute_return * slope)
        height = np.sum(np.log(slope / scale) - days.absolute_return * slope / scale)
        assert fit.log_likelihood - height == pytest.approx(1.920729, abs=1e-4)
    low, high = profile_interval(fit)
    assert low < fit.bp_per_usd_bn < high


def test_impact_of_the_other_sign_is_found_and_none_where_there_is_none():
    wrong = fit_impact(make_days(bp=-5.0, seed=5), draws=DRAWS)
    assert wrong.interval[1] < 0.0
    nothing = fit_impact(make_days(bp=0.0, seed=6), draws=DRAWS)
    assert nothing.interval[0] < 0.0 < nothing.interval[1]


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    histories = 30
    covered = tight = 0
    for seed in range(histories):
        fit = fit_impact(make_days(400, seed=100 + seed), draws=DRAWS)
        low, high = fit.interval
        covered += low < 12.0 < high
        middle, half = 0.5 * (low + high), 0.1 * (high - low)
        tight += abs(12.0 - middle) < half
    # Binomial: 95 % of 30 is 28.5 ± 1.2; block resamples of short records fall a little short.
    assert covered >= 24
    # A fifth of the interval must not do.
    assert tight <= 18


def test_resamples_are_whole_blocks_and_repeat():
    index = resampled_days(105, 50)
    assert index.shape == (50, 105)
    steps = np.diff(index, axis=1) % 105
    inside = np.delete(steps, np.arange(19, 104, 20), axis=1)
    assert (inside == 1).all()
    assert (resampled_days(105, 50) == index).all()
    assert (resampled_days(105, 50, seed=2) != index).any()


def test_what_vol_does_to_gamma_looks_like_impact_and_past_vol_takes_only_some_of_it():
    days, hidden_vol = driven_days()
    plain, control = fit_impact(days, draws=DRAWS), fit_impact(days, past_vol=True, draws=DRAWS)
    assert plain.interval[0] > 0.0
    assert control.bp_per_usd_bn < 0.9 * plain.bp_per_usd_bn
    # Past vol is a blunt measure of vol: only the vol itself, which no record has, takes all of it away.
    hidden = fit_impact(replace(days, past_vol=hidden_vol), past_vol=True, draws=DRAWS)
    assert hidden.interval[0] < 0.0 < hidden.interval[1]
    assert abs(hidden.bp_per_usd_bn) < 0.2 * plain.bp_per_usd_bn
    # Where impact is real and past vol says nothing, nothing is taken away.
    real = make_days()
    rng = np.random.default_rng(9)
    real = replace(real, past_vol=SCALE * np.exp(0.3 * rng.standard_normal(len(real))))
    kept = fit_impact(real, past_vol=True, draws=DRAWS).bp_per_usd_bn
    assert kept == pytest.approx(fit_impact(real, draws=DRAWS).bp_per_usd_bn, rel=0.1)


def test_days_of_strongly_negative_gamma_bound_the_impact_and_are_never_crossed():
    days = make_days(bp=30.0)
    gex = np.maximum(days.gex, -2.0)
    gex[7], size = -6.0, days.absolute_return.copy()
    fit = fit_impact(replace(days, gex=gex, absolute_return=size), draws=DRAWS)
    assert fit.largest_bp == pytest.approx(100.0 / 6.0)
    assert 0.0 < fit.bp_per_usd_bn < 100.0 / 6.0
    assert np.isfinite(fit.scales(fit.days)).all()
    with_less = [d for d in fit.draws if d > 100.0 / 6.0]
    assert with_less, "resamples without that day are free of its bound"


def test_octiles_hold_every_day_and_their_own_vol():
    days = make_days()
    rows = octiles(days, fit_impact(days, draws=DRAWS))
    assert len(rows) == 8
    assert sum(r["days"] for r in rows) == len(days)
    first = days.gex < rows[0]["to_bn"]
    direct = 100.0 * np.sqrt(252.0 * np.mean(days.absolute_return[first] ** 2))
    assert rows[0]["realised_vol_pct"] == pytest.approx(direct)
    assert max(abs(r["z"]) for r in rows) < 4.0
    flat = octiles(days, replace(fit_impact(days, draws=DRAWS), bp_per_usd_bn=0.0))
    assert max(abs(r["z"]) for r in flat) > 4.0


@pytest.mark.slow
def test_out_of_sample_gamma_gains_only_where_it_matters():
    days = make_days(1300, bp=40.0, seed=2)
    judged, earlier = judge_out_of_sample(days, "2024-01-01")
    gain = judged["gain_over_constant"]
    assert gain["nats"] > 2.0 * gain["stderr"] > 0.0
    assert judged["gain_shuffled_nats"]["share_as_good"] < 0.02
    assert judged["gain_over_best_constant"]["nats"] < gain["nats"]
    assert judged["gain_of_gamma_over_past_vol"]["nats"] > 0.0
    assert earlier.days.date[-1] < np.datetime64("2024-01-01")
    rng = np.random.default_rng(4)
    wrong, _ = judge_out_of_sample(replace(days, gex=rng.permutation(days.gex)), "2024-01-01")
    gain = wrong["gain_over_constant"]
    assert gain["nats"] < 2.0 * gain["stderr"]


def record_text(days: int = 900, bp: float = 12.0, *, header: str = "date,close,gex_usd_per_1pct") -> str:
    """A file as vendors publish it, whose vol answers the gamma of the day before."""
    rng = np.random.default_rng(8)
    gex = np.clip(3.0 + 2.5 * persistent(rng, days), -4.0, 12.0)
    moves = rng.laplace(size=days - 1) * SCALE / (1.0 + 0.01 * bp * gex[:-1])
    close = 4000.0 * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    dates = np.busday_offset(np.datetime64("2021-01-04"), np.arange(days))
    rows = zip(dates, close, gex * 1e9, strict=True)
    return "\n".join([header, *(f"{d},{c:.6f},{g:.0f}" for d, c, g in rows)]) + "\n"


def test_a_record_is_read_with_todays_gamma_beside_tomorrows_return(tmp_path):
    path = tmp_path / "daily.csv"
    text = record_text(200)
    path.write_text(text, encoding="utf-8")
    days = read_history(path)
    rows = [line.split(",") for line in text.splitlines()[1:]]
    close, gex = [float(r[1]) for r in rows], [float(r[2]) for r in rows]
    assert len(days) == 200 - 1 - 20
    assert str(days.date[0]) == rows[21][0]
    assert days.gex[0] == pytest.approx(gex[20] / 1e9)
    assert days.absolute_return[0] == pytest.approx(abs(np.log(close[21] / close[20])), rel=1e-9)
    moves = np.diff(np.log(close))
    assert days.past_vol[0] == pytest.approx(np.sqrt(np.mean(moves[:20] ** 2)))
    assert days.past_vol[1] == pytest.approx(np.sqrt(0.94 * days.past_vol[0] ** 2 + 0.06 * moves[20] ** 2))
    shuffled = "\ufeffGEX,dix,price,Date\n" + "".join(f"{r[2]},0.4,{r[1]},{r[0]}\n" for r in rows)
    other = tmp_path / "other.csv"
    other.write_text(shuffled, encoding="utf-8")
    assert (read_history(other).gex == days.gex).all()


def edited(line: int, column: int, value: str) -> str:
    lines = record_text(200).splitlines()
    cells = lines[line].split(",")
    cells[column] = value
    return "\n".join([*lines[:line], ",".join(cells), *lines[line + 1 :]])


def in_units_of(unit: float) -> str:
    lines = record_text(200).splitlines()
    rows = [line.split(",") for line in lines[1:]]
    return "\n".join([lines[0], *(f"{d},{c},{float(g) / unit}" for d, c, g in rows)])


BAD = {
    "no gamma": (record_text(200, header="date,close,volume"), "no column gex_usd_per_1pct or gex"),
    "two gammas": (record_text(200, header="date,close,gex,gex_usd_per_1pct"), "several columns"),
    "unsorted": (edited(9, 0, "2020-01-02"), "line 10: date 2020-01-02 comes after"),
    "twice": (edited(2, 0, "2021-01-04"), "line 3: date 2021-01-04 appears twice"),
    "no date": (edited(5, 0, "4/1/2021"), "line 6: date '4/1/2021' is not a date"),
    "no number": (edited(5, 2, "1.5bn"), "line 6: gex_usd_per_1pct '1.5bn' is not a number"),
    "empty cell": (edited(5, 1, ""), "line 6: close nan is not a number"),
    "close of zero": (edited(5, 1, "0"), "line 6: close must be positive"),
    "wild close": (edited(5, 1, "40"), "no index does in a day"),
    "too few": (record_text(50), "the file has 50 days"),
    "in bn": (in_units_of(1e9), "looks like USD bn: multiply it by 1e+09"),
    "in mn": (in_units_of(1e6), "looks like USD mn: multiply it by 1e+06"),
    "per 100 %": (in_units_of(1e-5), "more than any index has"),
    "empty": ("", "is not a CSV file"),
    "longer rows": (edited(5, 2, "1,2,3"), "is not a CSV file"),
    "no text": ("\x00\xff\x00", "no column|is not a CSV file"),
    "too long": ("date,close,gex\n" + "2021-01-04,1,1\n" * 20_001, "at most 20,000 days"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_line_and_the_fix(name, tmp_path):
    text, message = BAD[name]
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        read_history(path)


def test_a_missing_file_and_a_period_without_change_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_history(tmp_path / "none.csv")
    days = make_days(200)
    with pytest.raises(InputError, match="at least 100"):
        fit_impact(days.select(np.arange(200) < 99))
    with pytest.raises(InputError, match="gamma is 2 bn on every"):
        fit_impact(replace(days, gex=np.full(200, 2.0)))
    with pytest.raises(InputError, match="errors must be one of"):
        fit_impact(days, "student")


def test_the_command_writes_a_record_that_meets_its_schema_and_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("daily.csv").write_text(record_text(), encoding="utf-8")

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gammawall", "calibrate-impact", *words])
        code = cli.run_guarded()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    code, out, err = call("daily.csv", "--json", "found.json", "--report", "pages")
    assert (code, err) == (0, "")
    assert "λ Laplace" in out
    record = checked(Path("found.json").read_text(encoding="utf-8"), "calibrate")
    assert [r["period"] for r in record["surviving_past_vol"]] == ["whole record", "2021–2022", "2023 on"]
    low, high = record["fits"][0]["bootstrap_interval"]
    assert low < 12.0 < high
    assert len(record["out_of_sample"]["simulated"]) == 5
    for row in record["out_of_sample"]["simulated"]:
        assert abs(row["vol_pct"] - row["closed_form_pct"]) < 4.0 * row["stderr_pct"] < 0.02 * row["vol_pct"]
    page = Path("pages/report.html").read_text(encoding="utf-8")
    assert "an upper bound" in page
    assert page.count("data-plot=") == 3
    assert "made.csv" not in page
    assert "daily.csv" in page
    code, _, err = call("daily.csv", "--split", "2030-01-01")
    assert code == 2
    assert "each side needs 100" in err
    assert call("daily.csv", "--split", "soon")[0] == 2


@pytest.mark.skipif(not RECORD.exists(), reason="the recorded series is not beside the project")
def test_the_recorded_series_gives_the_impacts_that_were_quoted():
    record = read_history(RECORD)
    during = fit_impact(record.between("2020-01-01", "2023-01-01"))
    since = fit_impact(record.between("2023-01-01"))
    # The quoted 12 bp per USD bn: met to 0.5 in 2020–22, and inside the measured interval of 2023 on, where
    # the estimate itself is higher.
    assert during.bp_per_usd_bn == pytest.approx(12.0, abs=0.5)
    for fit in (during, since):
        low, high = fit.interval
        assert low < 12.0 < high
        assert low > 5.0
    assert since.bp_per_usd_bn == pytest.approx(20.4, abs=0.5)
    rows = octiles(record, during)
    assert rows[0]["realised_vol_pct"] == pytest.approx(33.0, abs=1.0)
    assert min(r["realised_vol_pct"] for r in rows) == pytest.approx(11.0, abs=0.5)
