"""The contracts of what a user may write: every member is declared and said, and its absence is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gammawall import sim
from gammawall.sim.book.positions import book_delta, prepare_positions
from gammawall.sim.models.protocols import members
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import SPOT, STEPS, bp, make_book, make_market

BP = 3.0
PLUGINS: dict[str, tuple[Any, type, Callable[[Any], dict[str, Any]]]] = {
    "dynamics": (sim.GBM(0.12), sim.Dynamics, lambda p: {"dynamics": p}),
    "policy": (sim.Clock(10.0), sim.HedgingPolicy, lambda p: {"hedging": p}),
    "one policy of two": (
        sim.Clock(10.0, fraction=0.5),
        sim.HedgingPolicy,
        lambda p: {"hedging": [sim.NoHedging(), p]},
    ),
    "impact": (sim.ObizhaevaWang(1.0, 1.0, 5.0), sim.Impact, lambda p: {"impact": p}),
    "motion": (sim.SpotVolBeta(-1.0), sim.Motion, lambda p: {"motion": p}),
    "flow": (sim.ZeroDteFlow(vol=0.12, strikes=11), sim.OrderFlow, lambda p: {"flow": p}),
}


class Without:
    """Everything of another object but some members."""

    def __init__(self, whole: Any, *names: str) -> None:
        self._whole, self._names = whole, names

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__["_names"]:
            raise AttributeError(name)
        return getattr(self._whole, name)


def simulate(**chosen: Any) -> sim.SimResult:
    sizes: dict[str, Any] = {"paths": 1024, "steps": STEPS, "keep_paths": 1024, "max_nodes": 448}
    given = {"dynamics": sim.GBM(0.12), "impact": sim.LinearImpact(BP), "market": make_market()}
    book = chosen.pop("book", None) or make_book([0.0, 20_000.0, 0.0], SPOT + np.array([-1.0, 0.0, 1.0]))
    return sim.simulate(book, config=sim.SimConfig(**sizes), seed=3, **{**given, **chosen})


@pytest.mark.parametrize(
    "protocol",
    [
        sim.Dynamics,
        sim.NormalDynamics,
        sim.HedgingPolicy,
        sim.StatefulPolicy,
        sim.Impact,
        sim.Motion,
        sim.OrderFlow,
    ],
)
def test_every_member_says_what_it_is(protocol: type) -> None:
    source = inspect.getsource(protocol)
    for name in (
        n for n in members(protocol) if n in vars(protocol) or n in inspect.get_annotations(protocol)
    ):
        said = inspect.getdoc(inspect.getattr_static(protocol, name, None))
        if name in inspect.get_annotations(protocol):
            said = source.split(f"    {name}: ")[1].split('"""')[1]
        assert said, name
        assert len(said) > 30, name


@pytest.mark.parametrize(
    ("kind", "member"), [(kind, m) for kind, (_, protocol, _) in PLUGINS.items() for m in members(protocol)]
)
def test_a_missing_member_is_named(kind: str, member: str) -> None:
    whole, protocol, argument = PLUGINS[kind]
    with pytest.raises(InputError, match=rf"sim\.{protocol.__name__}; Without lacks {member}$"):
        simulate(**argument(Without(whole, member)))


@pytest.mark.parametrize("kind", PLUGINS)
def test_all_missing_members_stand_in_one_sentence(kind: str) -> None:
    whole, protocol, argument = PLUGINS[kind]
    names = members(protocol)
    with pytest.raises(InputError) as refused:
        simulate(**argument(Without(whole, *names)))
    assert str(refused.value).endswith(f"lacks {', '.join(names)}")
    assert str(refused.value).count("\n") == 0


def test_whole_objects_pass_and_a_class_is_told_from_one() -> None:
    for whole, protocol, _ in PLUGINS.values():
        sim.check_protocol(Without(whole), protocol, "it")
    with pytest.raises(
        InputError, match=r"dynamics must be an object; got the class GBM itself: write GBM\(\.\.\.\)"
    ):
        simulate(dynamics=sim.GBM)


def test_half_of_a_memory_is_refused() -> None:
    class Half(TenPoints):
        after = None  # pyright: ignore[reportAssignmentType]

    with pytest.raises(InputError, match=r"StatefulPolicy; Half lacks after$"):
        simulate(hedging=Half(10.0))


@pytest.mark.parametrize("shape", [(STEPS + 1,), (3, STEPS)])
def test_rows_of_another_number_than_the_steps_are_refused(shape: tuple[int, ...]) -> None:
    class Odd(sim.Clock):
        def numbers(self, schedule: sim.Schedule, spot: float) -> Any:
            return {**super().numbers(schedule, spot), "odd": np.zeros(shape)}

    class OddDynamics(sim.GBM):
        def drive(self, schedule: sim.Schedule, spot: float) -> Any:
            return {**super().drive(schedule, spot), "odd": np.zeros(shape)}

    with pytest.raises(InputError, match=f"numbers of Odd must be .* {STEPS} here; got 'odd'"):
        simulate(hedging=Odd(10.0))
    with pytest.raises(InputError, match=f"drive of OddDynamics must .* {STEPS} here; got 'odd'"):
        simulate(dynamics=OddDynamics(0.12))


# --- a policy that remembers --------------------------------------------------------------------------------


class TenPoints:
    """Rehedge when the index has moved so many points since the last hedge."""

    fraction = 1.0
    self_consistent = False

    def __init__(self, points: float) -> None:
        self.points = points

    def numbers(self, schedule: sim.Schedule, spot: float) -> dict[str, Any]:
        return {"points": np.float64(self.points), "start": np.float64(spot)}

    @staticmethod
    def open(numbers: Any, paths: int) -> Any:
        return jnp.full(paths, numbers["start"])

    @staticmethod
    def trade(numbers: Any, hedge: Any, view: sim.View, x: Any) -> Any:
        moved = jnp.abs(jnp.exp(view.price) - view.state) >= numbers["points"]
        return jnp.where(moved, -(view.delta(view.price) + hedge), 0.0)

    @staticmethod
    def after(numbers: Any, view: sim.View, x: Any, trade: Any) -> Any:
        moved = jnp.abs(jnp.exp(view.price) - view.state) >= numbers["points"]
        return jnp.where(moved, jnp.exp(x), view.state)


def by_hand(book: Any, fundamental: np.ndarray, points: float) -> tuple[np.ndarray, int]:
    """The same policy step by step in NumPy, [paths, N + 1]; and how often it hedged."""
    market = make_market()
    schedule = make_schedule(market, STEPS)
    positions = prepare_positions(book, market, schedule)

    def delta(x: np.ndarray, k: int) -> np.ndarray:
        return book_delta(positions, x, np.array([k]), settling=False)[0][0]

    moves, c = np.diff(np.log(fundamental), axis=1), bp(BP)
    x = np.full(len(moves), np.log(SPOT))
    hedge, anchor, out, count = -delta(x, 0), np.exp(x), [np.exp(x)], 0
    for k in range(STEPS):
        price = x + moves[:, k]
        moved = np.abs(np.exp(price) - anchor) >= points
        trade = np.where(moved, -(delta(price, k + 1) + hedge), 0.0)
        x, hedge = price + c * trade, hedge + trade
        anchor = np.where(moved, np.exp(x), anchor)
        count += int(moved.sum())
        out.append(np.exp(x))
    return np.stack(out, axis=1), count


def test_rehedging_after_ten_points_equals_a_loop() -> None:
    """Path by path on the same shocks; the options live beyond the close."""
    book = make_book([0.0, 20_000.0, 0.0], SPOT + np.array([-20.0, 0.0, 20.0]), expiry="2026-01-30T16:00:00")
    found = simulate(book=book, hedging=TenPoints(10.0))
    expected, count = by_hand(book, found.sample_baseline, 10.0)
    assert 1024 < count < 1024 * STEPS / 2
    assert np.abs(found.sample_paths - expected).max() < 1e-9 * SPOT
    # The control: another threshold, and one that forgets to move its anchor.
    assert np.abs(found.sample_paths - by_hand(book, found.sample_baseline, 11.0)[0]).max() > 0.1
    assert found.status["self_financing_residual"] < 1e-12

    class Forgetful(TenPoints):
        @staticmethod
        def after(numbers: Any, view: sim.View, x: Any, trade: Any) -> Any:
            return view.state

    forgetful = simulate(book=book, hedging=Forgetful(10.0))
    assert np.abs(forgetful.sample_paths - expected).max() > 0.1


def test_groups_with_and_without_memory_mix_and_a_policy_without_keeps_its_bits() -> None:
    class Remembering(sim.Clock):
        """Carries what it never uses."""

        @staticmethod
        def open(numbers: Any, paths: int) -> Any:
            return {"count": jnp.zeros(paths), "where": (jnp.zeros(paths), jnp.zeros((2, paths)))}

        @staticmethod
        def after(numbers: Any, view: sim.View, x: Any, trade: Any) -> Any:
            return {"count": view.state["count"] + (trade != 0.0), "where": (x, jnp.stack([x, x]))}

    plain = simulate(hedging=[sim.Clock(10.0, fraction=0.5), sim.Clearing(0.5)])
    mixed = simulate(hedging=[Remembering(10.0, fraction=0.5), sim.Clearing(0.5)])
    assert (plain.close == mixed.close).all()
    assert plain.metrics == mixed.metrics


def test_memory_stands_still_while_trading_is_halted() -> None:
    """A count of the steps in which the group could trade; it hedges in the tenth alone."""

    class Tenth(TenPoints):
        @staticmethod
        def open(numbers: Any, paths: int) -> Any:
            return jnp.zeros(paths)

        @staticmethod
        def trade(numbers: Any, hedge: Any, view: sim.View, x: Any) -> Any:
            return jnp.where(view.state == 9.0, 1e4, 0.0)

        @staticmethod
        def after(numbers: Any, view: sim.View, x: Any, trade: Any) -> Any:
            return view.state + 1.0

    news = (sim.Catalyst("2026-01-28T10:05", -0.09),)
    found = simulate(
        hedging=Tenth(1.0),
        dynamics=sim.GBM(1e-6, catalysts=news),
        market=make_market(halts=True),
        impact=sim.LinearImpact(10.0),
    )
    free = simulate(hedging=Tenth(1.0), dynamics=sim.GBM(1e-6, catalysts=news), impact=sim.LinearImpact(10.0))
    traded = [np.flatnonzero(np.abs(r.step_flow_usd_bn) > 1e-6) for r in (found, free)]
    assert traded[1].tolist() == [9]
    assert traded[0].min() > 9


# --- what is known of normal moves -------------------------------------------------------------------------


def test_a_gbm_of_ones_own_keeps_its_exact_law() -> None:
    ours, own, silent = (
        simulate(dynamics=d) for d in (sim.GBM(0.12), Delegate(), Without(sim.GBM(0.12), "normal_moves"))
    )
    assert ours.law is not None
    assert own.law is not None
    assert own.law.moments() == ours.law.moments()
    assert silent.law is None
    assert silent.metrics == own.metrics == ours.metrics


class Delegate:
    """As a user would write it, with names of its own."""

    def __init__(self) -> None:
        self._own = sim.GBM(0.12)
        for name in ("factors", "drive", "open", "step", "log_range", "bridge_std", "exact", "normal_moves"):
            setattr(self, name, getattr(self._own, name))


def test_the_law_knows_of_scheduled_jumps() -> None:
    """A catalyst is normal: the close is its push-forward too."""
    moves = sim.NormalMoves.of(np.array([0.1, -0.2]), np.array([0.3, 0.4]))
    assert moves.close_std == pytest.approx(0.5)
    assert moves.close_mean == pytest.approx(-0.1)
    news = sim.GBM(0.12, catalysts=(sim.Catalyst("2026-01-28T14:00", 0.006, 0.004),))
    found = simulate(dynamics=news)
    assert found.law is not None
    pin = found["pin_mass"]
    assert abs(found.law.mass(np.log(SPOT)) - pin.value) < 4.0 * pin.stderr
    without = simulate(dynamics=sim.GBM(0.12)).law
    assert without is not None
    assert abs(without.mass(np.log(SPOT)) - pin.value) > 4.0 * pin.stderr
