"""Who is long and how hard hedging pushes: the estimate, and the placebos that it has to beat."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.sim.evidence.buckets import Buckets
from gammawall.sim.evidence.controls import DEFAULT_CONTROLS, MORE_CONTROLS
from gammawall.sim.evidence.placebos import neighbours, other_days
from gammawall.sim.evidence.problem import Moves, Problem
from gammawall.sim.evidence.session import Session, sample
from gammawall.surfaces.errors import InputError

__all__ = ["UNIT", "Evidence", "infer"]

UNIT = "bp per USD bn × dealers' share"
SHIFTS = (-100.0, -75.0, -50.0, -25.0, -12.5, 0.0, 12.5, 25.0, 50.0, 75.0, 100.0)
_INTERVALS = (5.0, 10.0, 15.0, 30.0)
_LEAST_SESSIONS = 5
FORKS = {
    "as fixed": DEFAULT_CONTROLS,
    "more controls": MORE_CONTROLS,
    "drawn day level": ("drawn_level", *DEFAULT_CONTROLS[1:]),
    "no day level": DEFAULT_CONTROLS[1:],
    "day level and profile": ("day_level", "profile"),
    "day level alone": ("day_level",),
    "none": (),
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the prices of some sessions say about dealers' hedging.

    θ is in bp of price per USD bn of hedging, times dealers' net share of the bucket: positive where dealers
    are long. λ and the share are not identified apart.
    """

    theta: pd.DataFrame
    """one row per bucket: value; stderr, the spread over other days' books, which is the one to quote; the
    naive errors stderr_hessian and stderr_clustered; gain_log_likelihood over no hedging, of all buckets
    together; p_placebo, the rank of that gain among other days' books; p_neighbours, among books nearby"""
    shifts: pd.DataFrame
    """gain and θ with all strikes moved: hedging has its peak at 0"""
    placebos: pd.DataFrame
    """every placebo: kind, gain_log_likelihood, and θ of each bucket"""
    by_interval: pd.DataFrame
    """θ by sampling interval: hedging that takes its time rises"""
    forks: pd.DataFrame
    """θ and gain under other choices of controls"""
    by_session: pd.DataFrame
    """what each session adds to the gain, and how many of its steps count"""
    out_of_sample: dict[str, float]
    """gain in log score per session over no hedging, parameters fitted to earlier sessions, and its error"""
    observations: int
    left_out: dict[str, int]
    """sessions and steps that do not count, by reason"""
    converged: bool

    def __repr__(self) -> str:
        rows = self.theta.to_dict("records")
        said = "; ".join(f"{r['bucket']} {r['value']:.2f} ± {r['stderr']:.2f}" for r in rows)
        return f"Evidence({len(self.by_session)} sessions; θ: {said}; p = {rows[0]['p_placebo']:.3g})"

    def frame(self) -> pd.DataFrame:
        """The estimates, one row per bucket."""
        return self.theta


def infer(
    sessions: Sequence[Session],
    *,
    buckets: Buckets = "calls_minus_puts",
    interval_min: float = 5.0,
    placebos: int = 500,
    seed: int = 0,
    controls: Sequence[str] = DEFAULT_CONTROLS,
    leave_out_min: float = 10.0,
    theta_range: tuple[float, float] = (-1.0, 3.0),
    shifts: Sequence[float] = SHIFTS,
    grid_points: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Estimate θ = λ × dealers' share of each bucket from recorded prices, with placebos.

    The likelihood of a path is exact (see `evidence.likelihood`); its inverse Hessian is too small an error,
    since vol moves with the very things that gamma moves with. So the error is the spread of θ over the books
    of other days, and the p-value is the rank of the gain in log-likelihood among them.

    Args:
        sessions: prices and morning books, ascending.
        buckets: parts of the book whose shares are told apart, see `BUCKETS`.
        interval_min: sampling interval, minutes.
        placebos: draws of other days' books, and as many of neighbouring days'.
        seed: of the draws.
        controls: of the vol, see `CONTROLS`; the default was fixed in advance.
        leave_out_min: minutes before the close that do not count.
        theta_range: values of θ that are tried; steps on which one of them may fold the map do not count.
        shifts: points by which all strikes are moved.
        grid_points: strikes of other days' books, scaled by the ratio of the opens, are rounded to this; 0
            leaves them where they fall.
        progress: called with (pairs of path and book done, pairs in all).

    Returns:
        θ with its honest error, and everything that speaks for and against it.

    Raises:
        InputError: fewer than five sessions are left, or an argument is out of range.
    """
    low, high = theta_range
    if not low < 0.0 < high:
        raise InputError(f"theta_range must hold zero, such as (-1, 3); got ({low:g}, {high:g})")
    if placebos < 19:
        raise InputError(f"placebos must be at least 19, or no p-value of 5 % can be; got {placebos}")
    kept, left_out = _alike(sessions)
    if len(kept) < _LEAST_SESSIONS:
        said = ", ".join(f"{n} {why}" for why, n in left_out.items()) or "none left out"
        raise InputError(f"at least {_LEAST_SESSIONS} sessions are needed; got {len(kept)} ({said})")
    work = Moves([sample(s, interval_min) for s in kept], buckets, grid_points)
    days = len(kept)
    random = np.random.default_rng(seed)
    drawn = [other_days(random, days) for _ in range(placebos)]
    near = [neighbours(random, days) for _ in range(placebos)]
    pairs = sorted({(i, int(j)) for draw in (*drawn, *near) for i, j in enumerate(draw)})
    for done, (path, book) in enumerate(pairs):
        work.of(path, book)
        if progress is not None:
            progress(done + 1, len(pairs))
    own = np.arange(days)
    problem = Problem(work, controls, leave_out_min, theta_range)
    found, base = problem.fit(own)
    others, near_found = problem.fit_draws(drawn), problem.fit_draws(near)
    gains, theta = others
    gain = float(found.log_likelihood - base.log_likelihood)
    p_other, p_near = (float((1 + np.sum(g >= gain)) / (1 + g.size)) for g in (gains, near_found[0]))
    errors = {
        "stderr": theta.std(axis=0, ddof=1),
        "stderr_hessian": np.sqrt(np.diag(found.covariance)),
        "stderr_clustered": np.sqrt(np.diag(found.clustered)),
    }
    rows = {
        "bucket": work.names,
        "interval_min": interval_min,
        "unit": UNIT,
        "value": np.asarray(found.theta),
        **errors,
        "gain_log_likelihood": gain,
        "p_placebo": p_other,
        "p_neighbours": p_near,
        "placebos": placebos,
    }
    kinds = np.repeat(["other_days", "neighbours"], placebos)
    columns = np.concatenate([theta, near_found[1]])
    table = {"kind": kinds, "gain_log_likelihood": np.concatenate([gains, near_found[0]])}
    return Evidence(
        theta=pd.DataFrame(rows),
        shifts=_shift_table(problem, own, shifts),
        placebos=pd.DataFrame(table | {f"theta_{n}": columns[:, b] for b, n in enumerate(work.names)}),
        by_interval=_interval_table(work, controls, leave_out_min, theta_range),
        forks=_fork_table(work, leave_out_min, theta_range),
        by_session=problem.by_session(own, found, base),
        out_of_sample=problem.out_of_sample(own, controls),
        observations=int(problem.data(own).weight.sum()),
        left_out={**left_out, **problem.left_out(own)},
        converged=bool(found.converged & base.converged),
    )


def _alike(sessions: Sequence[Session]) -> tuple[list[Session], dict[str, int]]:
    """The sessions of the usual length; a shorter one has no other to be compared with."""
    lengths = Counter(round(s.length_min) for s in sessions)
    usual = lengths.most_common(1)[0][0] if lengths else 0
    kept = [s for s in sessions if round(s.length_min) == usual]
    short = len(sessions) - len(kept)
    for before, after in itertools.pairwise(kept):
        if after.start < before.start:
            raise InputError(f"sessions must ascend in time; {after.date} stands after {before.date}")
    return kept, {"other_length": short} if short else {}


def _shift_table(problem: Problem, own: np.ndarray, shifts: Sequence[float]) -> pd.DataFrame:
    rows = []
    for points in shifts:
        found, base = problem.fit(own, float(points))
        theta = {f"theta_{n}": float(t) for n, t in zip(problem.work.names, found.theta, strict=True)}
        rows.append(
            {
                "points": float(points),
                "gain_log_likelihood": float(found.log_likelihood - base.log_likelihood),
            }
            | theta
        )
    return pd.DataFrame(rows)


def _interval_table(
    work: Moves, controls: Sequence[str], leave_out_min: float, theta_range: tuple[float, float]
) -> pd.DataFrame:
    rows = []
    finest, length = work.sampled[0].interval_min, work.sampled[0].minutes[-1]
    for interval in _INTERVALS:
        factor = round(interval / finest)
        if factor < 1 or abs(factor * finest - interval) > 1e-9 or length % interval > 1e-9:
            continue
        problem = Problem(work, controls, leave_out_min, theta_range, factor)
        rows += _estimates(problem, {"interval_min": interval})
    return pd.DataFrame(rows)


def _fork_table(work: Moves, leave_out_min: float, theta_range: tuple[float, float]) -> pd.DataFrame:
    rows = []
    for fork, names in FORKS.items():
        rows += _estimates(Problem(work, names, leave_out_min, theta_range), {"controls": fork})
    return pd.DataFrame(rows)


def _estimates(problem: Problem, choice: dict[str, float | str]) -> list[dict[str, float | str | bool]]:
    """A row for each bucket of the fit that a choice leads to."""
    found, base = problem.fit(np.arange(len(problem.sampled)))
    return [
        {
            "bucket": bucket,
            **choice,
            "value": float(found.theta[b]),
            "stderr_hessian": float(np.sqrt(found.covariance[b, b])),
            "stderr_clustered": float(np.sqrt(found.clustered[b, b])),
            "gain_log_likelihood": float(found.log_likelihood - base.log_likelihood),
            "converged": bool(found.converged),
        }
        for b, bucket in enumerate(problem.work.names)
    ]
