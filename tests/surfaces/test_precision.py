"""The input decides the precision; jax's global settings are read by nobody and changed by nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.precision import compiler_options, concrete_dtype, evaluate, is_traced
from gammawall.surfaces.pricing.black import black_greeks, black_price
from gammawall.surfaces.pricing.implied import implied_vol

WIDE = np.array([6990.0, 7000.0, 7010.0])


def test_float64_stays_float64_with_the_flag_off() -> None:
    assert not jax.config.jax_enable_x64
    price = black_price(WIDE, 7000.0, 0.01, 0.12)
    assert type(price) is np.ndarray
    assert price.dtype == np.float64
    # Parity to 1e-11 points: a float32 step in between would leave 1e-4.
    parity = price - black_price(WIDE, 7000.0, 0.01, 0.12, is_call=False) - (WIDE - 7000.0)
    assert np.abs(parity).max() < 1e-11
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((7000.0, 7000, 0.1, 0.2), np.float64),
        ((WIDE, 7000.0, 0.1, 0.2), np.float64),
        ((WIDE.astype(np.float32), 7000.0, 0.1, 0.2), np.float32),
        ((WIDE.astype(np.float16), 7000.0, 0.1, 0.2), np.float32),
        ((WIDE.astype(np.float32), WIDE, 0.1, 0.2), np.float64),
        ((WIDE.astype(np.float32), 7000.0, np.float64(0.1), 0.2), np.float64),
        ((WIDE.astype(np.float32), WIDE.astype(np.int64), 0.1, 0.2), np.float32),
        ((WIDE.astype(np.int64), 7000, 1, 0.2), np.float64),
        ((pd.Series(WIDE), 7000.0, 0.1, 0.2), np.float64),
        ((pd.Series(WIDE, dtype="Float64"), 7000.0, 0.1, 0.2), np.float64),
        ((pd.Series(WIDE, dtype="Float32"), 7000.0, 0.1, 0.2), np.float32),
        (([6990.0, 7000.0, 7010.0], 7000.0, 0.1, 0.2), np.float64),
    ],
)
def test_dtype_follows_the_input(given: tuple[Any, ...], expected: Any) -> None:
    price = black_price(*given)
    assert isinstance(price, np.ndarray)
    assert price.dtype == expected
    assert {np.asarray(v).dtype for v in black_greeks(*given)} == {np.dtype(expected)}
    assert concrete_dtype(given) == expected
    exact = black_price(*(np.asarray(v, float) for v in given))
    np.testing.assert_allclose(price, exact, rtol=1e-14 if expected == np.float64 else 3e-6)


def test_jax_in_jax_out() -> None:
    single = black_price(jnp.asarray(WIDE, jnp.float32), 7000.0, 0.1, 0.2)
    assert isinstance(single, jax.Array)
    assert single.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = jnp.asarray(WIDE)
    double = black_price(wide, 7000.0, 0.1, 0.2)
    assert isinstance(double, jax.Array)
    assert double.dtype == np.float64
    np.testing.assert_array_equal(np.asarray(double), black_price(WIDE, 7000.0, 0.1, 0.2))
    assert isinstance(implied_vol(double, wide, 7000.0, 0.1).vol, jax.Array)
    mixed = black_price(jnp.asarray(WIDE, jnp.float32), WIDE, 0.1, 0.2)
    assert isinstance(mixed, jax.Array)
    assert mixed.dtype == np.float64
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("wide", [False, True])
def test_inside_a_transformation_the_tracers_decide(wide: bool) -> None:
    seen = []

    def function(forward: Any) -> Any:
        assert is_traced(forward)
        price = black_price(forward, 7000.0, 0.1, 0.2)
        seen.append(price.dtype)
        return price

    with jax.enable_x64(wide):
        jax.jit(function)(jnp.asarray(7000.0))
    assert seen == [np.float64 if wide else np.float32]


def test_plain_numbers_inside_a_transformation_are_constants() -> None:
    expected = float(black_price(7000.0, 7000.0, 0.1, 0.2))

    def product(x: Any) -> Any:
        constant = black_price(7000.0, 7000.0, 0.1, 0.2)
        assert isinstance(constant, np.ndarray)
        return x * constant

    assert jax.jit(product)(2.0) == pytest.approx(2 * expected, rel=1e-6)
    assert jax.grad(product)(2.0) == pytest.approx(expected, rel=1e-6)
    assert jax.vmap(product)(jnp.ones(3)).shape == (3,)


def test_flag_is_as_it_was_even_after_a_failure() -> None:
    def fails(x: Any) -> Any:
        raise RuntimeError("inside the kernel")

    for before in (False, True):
        with jax.enable_x64(before):
            black_price(WIDE, 7000.0, 0.1, 0.2)
            black_price(WIDE.astype(np.float32), 7000.0, 0.1, 0.2)
            with pytest.raises(RuntimeError, match="inside the kernel"):
                evaluate(fails, WIDE)
            assert jax.config.jax_enable_x64 is before


def test_threads_do_not_disturb_each_other() -> None:
    wide, single = black_price(WIDE, 7000.0, 0.1, 0.2), black_price(WIDE.astype(np.float32), 7000.0, 0.1, 0.2)
    wrong: list[Any] = []

    def work(values: np.ndarray, expected: np.ndarray) -> None:
        for _ in range(40):
            got = black_price(values, 7000.0, 0.1, 0.2)
            if got.dtype != expected.dtype or not np.array_equal(got, expected):
                wrong.append(got)
            if jax.config.jax_enable_x64:
                wrong.append("flag")

    jobs = [(WIDE, wide), (WIDE.astype(np.float32), single)] * 4
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def compilations(caplog: pytest.LogCaptureFixture, function: Any) -> int:
    caplog.clear()
    with jax.log_compiles():
        function()
    return sum("Compiling" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("function", [black_price, black_greeks])
def test_a_number_changes_without_a_recompile(caplog: pytest.LogCaptureFixture, function: Any) -> None:
    shape = np.linspace(6000.0, 8000.0, 17 if function is black_price else 19)
    assert compilations(caplog, lambda: function(shape, 7000.0, 0.1, 0.2, 0.01)) > 0
    again = [
        (shape + 1.0, 6900.0, 0.2, 0.3, 0.05),
        (shape, 7000, 0.0, 0.0, 0),
        (shape * 2, 1e-3, 10.0, 2.0, -0.02),
    ]
    for numbers in again:
        for is_call in (True, False):
            assert compilations(caplog, lambda n=numbers, c=is_call: function(*n, is_call=c)) == 0
    assert compilations(caplog, lambda: function(shape[:-1], 7000.0, 0.1, 0.2, 0.01)) > 0


IMPORT_CHECK = """
import json, logging, os, warnings
import jax, numpy, pandas, scipy.stats, optax, pydantic, plotly.subplots, plotly.tools, jinja2

def state():
    loggers = [logging.getLogger(name) for name in (None, "jax", "py.warnings")]
    return {
        "config": {k: repr(v) for k, v in jax.config.values.items()},
        "environment": dict(os.environ),
        "filters": [repr(f) for f in warnings.filters],
        "logging": [(len(x.handlers), x.level, x.disabled) for x in loggers],
        "numpy": numpy.geterr(),
        "pandas": pandas.get_option("display.max_rows"),
    }

before = state()
import gammawall.surfaces, gammawall.sim
from gammawall.scenarios.cli import main as cli
from gammawall.scenarios.spec import load as files
from gammawall.scenarios.runs import runner, report
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""


def test_an_import_changes_nothing_global() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_CHECK], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="options of the CPU's compiler")
def test_compiler_options_widen_the_loops_and_keep_the_numbers() -> None:
    options, strikes = compiler_options(), np.linspace(6500.0, 7500.0, 1001)
    with jax.enable_x64(True):
        wide = jax.jit(black_price, compiler_options=options)(7000.0, strikes, 0.02, 0.15)
        plain = jax.jit(black_price)(7000.0, strikes, 0.02, 0.15)
    assert options == {"xla_cpu_prefer_vector_width": "512"}
    np.testing.assert_allclose(wide, plain, rtol=1e-14)
    np.testing.assert_array_equal(black_price(7000.0, strikes, 0.02, 0.15), wide)
