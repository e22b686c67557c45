from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import NEW_YORK, to_new_york
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.errors import InputError
from tests.helpers.synthetic import AS_OF, EXPIRIES, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
SPOT = 6485.0
UTC = to_new_york(AS_OF).tz_convert("UTC")
QUOTES = make_quotes(expiries=EXPIRIES[1:5], strikes=[6350.0, 6450.0, 6475.0, 6500.0, 6525.0, 6600.0])
# What a table without symbols can hold: one listing per date, under the root that its date implies.
NO_TWINS = QUOTES[~((QUOTES["root"] == "SPXW") & (QUOTES["expiry"].dt.day == 19))].reset_index(drop=True)
GREEKS = "delta=vendor_delta gamma=vendor_gamma "


def _renamed(quotes: pd.DataFrame, names: str, **constants: Any) -> pd.DataFrame:
    # Pairs theirs=ours; expiry:FORMAT and kind:CALL/PUT write a date and a word.
    columns: dict[str, Any] = {}
    for theirs, ours in (pair.split("=") for pair in names.split()):
        name, _, form = ours.partition(":")
        written = quotes["expiry"].dt.strftime(form or "%Y-%m-%d") if name == "expiry" else quotes.get(name)
        columns[theirs] = (
            np.where(quotes["is_call"], *form.split("/")) if name == "kind" else written.to_numpy()
        )
    return pd.DataFrame(columns).assign(**constants)


def _sides(quotes: pd.DataFrame, pattern: str, names: str, common: str) -> pd.DataFrame:
    parts = [_renamed(quotes[quotes["is_call"]], common)]
    for is_call, letter in ((True, "c"), (False, "p")):
        side = _renamed(quotes[quotes["is_call"] == is_call], names)
        parts.append(side.rename(columns=lambda name, letter=letter: pattern.format(letter, name)))
    return pd.concat(parts, axis=1)


def cboe_json(quotes: pd.DataFrame) -> str:
    names = "option=symbol bid=bid ask=ask iv=vendor_vol open_interest=open_interest volume=volume "
    options = _renamed(quotes, names + GREEKS + "last_trade_price=last").to_dict("records")
    stamp = f"{UTC + pd.Timedelta(minutes=15):%Y-%m-%d %H:%M:%S}"
    return json.dumps({"timestamp": stamp, "data": {"options": options, "current_price": SPOT}}, indent=1)


def yfinance(quotes: pd.DataFrame) -> pd.DataFrame:
    names = "contractSymbol=symbol strike=strike lastPrice=last bid=bid ask=ask volume=volume "
    names += "openInterest=open_interest impliedVolatility=vendor_vol"
    return _renamed(quotes, names, lastTradeDate="2025-09-04 18:05:00+00:00", spotPrice=SPOT)


def yahoo_json(quotes: pd.DataFrame) -> str:
    options, table = [], yfinance(quotes).drop(columns=["lastTradeDate", "spotPrice"])
    for date, group in table.groupby(quotes["expiry"].dt.strftime("%Y-%m-%d").to_numpy()):
        is_call = group["contractSymbol"].str[-9] == "C"
        sides = {"calls": group[is_call].to_dict("records"), "puts": group[~is_call].to_dict("records")}
        options.append({"expirationDate": int(pd.Timestamp(str(date)).timestamp()), **sides})
    quote = {"regularMarketPrice": SPOT, "regularMarketTime": int(UTC.timestamp())}
    result = {"underlyingSymbol": "^SPX", "quote": quote, "options": options}
    return json.dumps({"optionChain": {"result": [result], "error": None}}, indent=1)


def optionmetrics(quotes: pd.DataFrame) -> pd.DataFrame:
    names = "exdate=expiry:%Y%m%d cp_flag=kind:C/P best_bid=bid best_offer=ask volume=volume "
    names += "open_interest=open_interest impl_volatility=vendor_vol root=root date=expiry:%y%m%d " + GREEKS
    table = _renamed(
        quotes, names, strike_price=(quotes["strike"] * 1000).astype(int).to_numpy(), secid=108105
    )
    table["symbol"] = (
        table["root"] + " " + table["date"] + table["cp_flag"] + table["strike_price"].astype(str)
    )
    table["am_settlement"] = (table["root"] == "SPX").astype(int)
    return table.drop(columns="root").assign(date="2025-09-04")


def orats(quotes: pd.DataFrame) -> pd.DataFrame:
    names = "Opra=symbol Volu=volume Oi=open_interest BidPx=bid AskPx=ask MidIv=vendor_vol"
    table = _sides(quotes, "{}{}", names, GREEKS + "expirDate=expiry:%m/%d/%Y strike=strike")
    return table.assign(ticker="SPX", stkPx=SPOT + 9, spot_px=SPOT, trade_date="09/04/2025")


def optionsdx(quotes: pd.DataFrame) -> pd.DataFrame:
    names = "DELTA=vendor_delta GAMMA=vendor_gamma IV=vendor_vol VOLUME=volume LAST=last BID=bid ASK=ask"
    table = _sides(quotes, "{}_{}", names, "EXPIRE_DATE=expiry STRIKE=strike")
    table = table.assign(QUOTE_READTIME=AS_OF, UNDERLYING_LAST=SPOT, C_SIZE="20 x 40")
    return table.rename(columns=lambda name: f" [{name.upper()}]")


def databento(quotes: pd.DataFrame) -> pd.DataFrame:
    table = _renamed(quotes, "symbol=symbol bid_px_00=bid ask_px_00=ask", publisher_id=30)
    table["symbol"] = table["symbol"].str.replace(r"^([A-Z]+)", lambda m: f"{m[1]:<6}", regex=True)
    table["bid_px_00"] = table["bid_px_00"].where(table["bid_px_00"] > 0)
    table.index = pd.DatetimeIndex([UTC] * len(table), name="ts_recv")
    return table.assign(ts_event=UTC - pd.Timedelta(seconds=30))


def _nested(table: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name, cells in table.items():
        outer, _, inner = str(name).rpartition(".")
        for record, cell in zip(records, cells.tolist(), strict=True):
            (record.setdefault(outer, {}) if outer else record)[inner] = cell
    return records


def polygon(quotes: pd.DataFrame) -> str:
    names = "details.ticker=symbol details.contract_type=kind:call/put details.strike_price=strike "
    names += (
        "details.expiration_date=expiry last_quote.bid=bid last_quote.ask=ask open_interest=open_interest "
    )
    names += "greeks.delta=vendor_delta greeks.gamma=vendor_gamma implied_volatility=vendor_vol"
    table = _renamed(quotes.assign(symbol="O:" + quotes["symbol"]), names)
    return json.dumps({"results": _nested(table.assign(**{"underlying_asset.value": SPOT}))}, indent=1)


def tradier(quotes: pd.DataFrame) -> str:
    names = "symbol=symbol root_symbol=root strike=strike expiration_date=expiry option_type=kind:call/put "
    names += "bid=bid ask=ask last=last volume=volume open_interest=open_interest greeks.mid_iv=vendor_vol "
    names += "greeks.delta=vendor_delta greeks.gamma=vendor_gamma"
    table = _renamed(quotes, names, type="option", underlying="SPX", trade_date=int(UTC.timestamp() * 1000))
    return json.dumps({"options": {"option": _nested(table)}}, indent=1)


def long_table(quotes: pd.DataFrame) -> pd.DataFrame:
    names = "Root=root Expiration=expiry:%d%b%Y Strike=strike Call/Put=kind:Call/Put Bid=bid Ask=ask "
    table = _renamed(quotes, names + "OI=open_interest", Symbol="SPX", Quote_DateTime=AS_OF)
    return table.assign(IV=(quotes["vendor_vol"] * 100).astype(str).to_numpy() + "%", Spot=SPOT)


def cboe_eod(quotes: pd.DataFrame) -> pd.DataFrame:
    table = long_table(quotes).rename(columns={"Bid": "bid_1545", "Ask": "ask_1545", "Root": "root"})
    return table.drop(columns="Quote_DateTime").assign(quote_date="2025-09-04", bid_eod=0.0, ask_eod=0.0)


class Vendor(NamedTuple):
    write: Callable[[pd.DataFrame], Any]
    lacks: tuple[str, ...] = ()
    as_of: str | None = None  # given where the table does not say
    close: str = "14:15"
    quotes: pd.DataFrame = QUOTES


NO_GREEKS = ("vendor_delta", "vendor_gamma")
VENDORS = [
    Vendor(cboe_json),
    Vendor(yahoo_json, NO_GREEKS),
    Vendor(yfinance, NO_GREEKS, AS_OF),
    Vendor(optionmetrics, ("spot",), close="16:00"),
    Vendor(orats, ("put delta",), close="16:00"),
    Vendor(optionsdx, ("open_interest",), quotes=NO_TWINS),
    Vendor(databento, ("spot", *NO_GREEKS, "open_interest", "volume", "vendor_vol")),
    Vendor(polygon, ("volume",), AS_OF),
    Vendor(tradier, ("spot",), AS_OF),
    Vendor(long_table, (*NO_GREEKS, "volume")),
    Vendor(cboe_eod, (*NO_GREEKS, "volume"), close="15:45"),
]
NUMBERS = ("strike", "bid", "ask", "volume", "open_interest", "vendor_vol", "vendor_delta", "vendor_gamma")
each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=[v.write.__name__ for v in VENDORS])


def _text(table: Any) -> str:
    return table if isinstance(table, str) else table.to_csv(index=table.index.name is not None)


def _save(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def _expect(chain: OptionChain, vendor: Vendor) -> None:
    expected = read_chain(vendor.quotes, spot=SPOT, as_of=AS_OF).quotes
    assert chain.report.format == vendor.write.__name__
    assert chain.quotes["symbol"].tolist() == expected["symbol"].tolist()
    assert (chain.quotes["expiry"] == expected["expiry"]).all()
    for name in NUMBERS:
        ours, theirs = chain.quotes[name].to_numpy(float), expected[name].to_numpy(float)
        if name == "vendor_delta" and "put delta" in vendor.lacks:
            theirs = np.where(expected["is_call"], theirs, np.nan)
        theirs = np.full_like(theirs, np.nan) if name in vendor.lacks else theirs
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=name)
    assert chain.as_of == pd.Timestamp(f"2025-09-04 {vendor.close}", tz=NEW_YORK)
    assert chain.spot == pytest.approx(SPOT, abs=0.5 if "spot" in vendor.lacks else 1e-9)
    assert ("spot" in vendor.lacks) == any("implied by put-call parity" in n for n in chain.report.notes)


@each_vendor
def test_every_vendor_gives_the_chain_it_was_written_from(vendor, tmp_path):
    table = vendor.write(vendor.quotes)
    path = _save(tmp_path, "spx_eod.csv", _text(table))
    _expect(read_chain(path, as_of=vendor.as_of), vendor)
    packed = _save(tmp_path, "spx_eod.csv.gz", gzip.compress(path.read_bytes()))
    _expect(read_chain(packed, as_of=vendor.as_of), vendor)
    if isinstance(table, pd.DataFrame):
        _expect(read_chain(table[::-1], as_of=vendor.as_of, underlying="SPX"), vendor)
    if "open_interest" in vendor.lacks:
        with pytest.raises(InputError, match="open_interest is unusable: only 0%"):
            dealer_book(read_chain(path))


# Given as_of, spot, as_of, contracts, expiry dates and expired ones, as that folder describes them.
REAL = {
    "cboe_json_rut_2023-09-20.json": (None, 1806.12, "2023-09-20 23:02:42", 6680, 26, {"expired": 338}),
    "yahoo_json_spx_2026-05-14.json.gz": ("2026-05-14 14:00", 7444.25, "2026-05-14 14:00", 19_153, 52, {}),
    "yfinance_spx_2026-03-13.csv": ("2026-03-13 16:00", 6632.19, "2026-03-13 16:00", 1507, 22, {}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name):
    given_time, spot, as_of, contracts, dates, dropped = REAL[name]
    path = CHAINS / name
    if not path.exists():
        pytest.skip("the folder of real chains is not beside the project")
    assert {p.name for p in CHAINS.glob("*_*") if "cboe_csv" not in p.name} == set(REAL)
    if given_time is not None:
        hint = "; its latest trade is of 2026-03-16 07:47 New York" if "yfinance" in name else ""
        with pytest.raises(
            InputError, match=f"{name} has no date line that can be read{hint}; give the date: as_of="
        ):
            read_chain(path)
    chain = read_chain(path, as_of=given_time)
    assert chain.spot == pytest.approx(spot, abs=5e-3)
    assert chain.as_of == pd.Timestamp(as_of, tz=NEW_YORK)
    assert (chain.report.rows_read, chain.report.dropped) == (contracts, dropped)
    assert chain.report.rows_kept == len(chain.quotes) == contracts - sum(dropped.values())
    assert chain.quotes["expiry"].dt.date.nunique() == dates - len(dropped)
    assert ("yfinance" in name) == any("is after as_of" in note for note in chain.report.notes)
    if "yahoo" in name:
        assert chain.report.open_interest_coverage < 0.03
        assert chain.report.quality["open interest unknown"] == 12
        with pytest.raises(InputError, match="open_interest is unusable: only 3%"):
            dealer_book(chain)


def test_without_symbols_the_settlement_flag_or_the_date_tells_twins_apart():
    table = optionmetrics(QUOTES).drop(columns="symbol").assign(ticker="SPX")
    assert set(read_chain(table).quotes["symbol"]) == set(QUOTES["symbol"])
    chain = read_chain(table.drop(columns="am_settlement"))
    assert chain.report.dropped == {"duplicate": 12}
    assert any("36 contracts of third Fridays could be either" in note for note in chain.report.notes)


def test_a_table_of_many_days_asks_for_one_and_reads_it():
    day = optionmetrics(QUOTES)
    both = pd.concat([day, day.assign(date="2025-09-05", open_interest=7)], ignore_index=True)
    with pytest.raises(InputError, match=r"quotes of 2 times from 2025-09-04 16:00 to 2025-09-05.*as_of="):
        read_chain(both)
    with pytest.raises(InputError, match="none on the day of as_of"):
        read_chain(both, as_of="2025-09-03")
    chain = read_chain(both, as_of="2025-09-05")
    assert chain.report.dropped == {"other time": len(day)}
    assert chain.as_of == pd.Timestamp("2025-09-05 16:00", tz=NEW_YORK)
    assert set(chain.quotes["open_interest"]) == {7}


def test_several_underlyings_or_none_ask_for_one():
    other = optionmetrics(NO_TWINS).replace({"symbol": "SPXW?"}, "NDX", regex=True)
    both = pd.concat([optionmetrics(QUOTES), other], ignore_index=True)
    with pytest.raises(InputError, match=r"options on NDX, SPX; choose .*underlying="):
        read_chain(both)
    assert set(read_chain(both, underlying="^SPX").quotes["root"]) == {"SPX", "SPXW"}
    with pytest.raises(InputError, match="no option on RUT"):
        read_chain(both, underlying="RUT")
    with pytest.raises(InputError, match="no column says which underlying"):
        read_chain(optionsdx(NO_TWINS))


def test_the_latest_of_repeated_quotes_counts():
    late, early = databento(QUOTES), databento(QUOTES).assign(ask_px_00=9e5)
    early.index = early.index - pd.Timedelta(minutes=1)
    chain = read_chain(pd.concat([early, late]))
    assert chain.report.dropped == {"duplicate": len(QUOTES)}
    assert chain.quotes["ask"].max() < 1e4
    before = read_chain(pd.concat([early, late]), as_of="2025-09-04 14:14:30", spot=SPOT)
    assert (before.quotes["ask"] == 9e5).all()
    for side in ("bid_px_00", "ask_px_00"):  # as stored: billionths, the largest integer for no price
        early[side] = [2**63 - 1 if np.isnan(p) else round(p * 1e9) for p in late[side]]
    np.testing.assert_allclose(read_chain(early).quotes["ask"], chain.quotes["ask"], atol=1e-8)


REFUSED = {
    "words": ("best_bid", "cheap", "line 4: the bid is 'cheap'"),
    "infinite": ("open_interest", "inf", "line 4: the open interest is 'inf'"),
    "huge": ("best_bid", "1e300", "line 4: the bid is '1e300'"),
    "strike": ("strike_price", "0", "line 4: the strike is '0'"),
    "other strike": ("strike_price", "6360000", "line 4: the strike is '6360000'; the symbol's own"),
    "type": ("cp_flag", "X", "line 4: the option's type is 'X'"),
    "other expiry": ("exdate", "20251219", "line 4: the expiry is '20251219'; the symbol's own"),
    "symbol": ("symbol", "SPX", "line 4: the option symbol is 'SPX'"),
    "calendar": ("symbol", "SPXW 250231C6350000", "line 4: the option symbol is .*calendar"),
    "stamp": ("date", "yesterday", "line 4: the time of the quotes is 'yesterday'"),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_a_bad_cell_is_refused_with_its_line(damage, tmp_path):
    column, cell, message = REFUSED[damage]
    table = optionmetrics(QUOTES).astype(str)
    table.loc[2, column] = cell
    with pytest.raises(InputError, match=rf"om\.csv.*{message}"):
        read_chain(_save(tmp_path, "om.csv", _text(table)))
    with pytest.raises(InputError, match=message.replace("line 4", "row 2")):
        read_chain(table)


def test_an_unwritten_quote_is_said_and_never_a_silent_zero():
    table = optionmetrics(QUOTES).astype(str)
    table.loc[[2, 5], "best_bid"], table.loc[3, "open_interest"] = "", ""
    chain = read_chain(table)
    assert any("2 quotes have no bid written" in note for note in chain.report.notes)
    assert any("1 contracts have no open interest: unknown" in note for note in chain.report.notes)
    assert chain.quotes["open_interest"].isna().sum() == 1
    with pytest.raises(InputError, match="the bid is ''; a price in at least one row"):
        read_chain(table.assign(best_bid=""))
    for lacking, renamed in (("open_i", {"open_interest": "x"}), ("a single", {"secid": "best_bid"})):
        with pytest.raises(InputError, match=f"lacks {lacking}"):
            read_chain(table.rename(columns=renamed))


BAD_JSON = {
    yahoo_json(QUOTES).replace('"bid": 1', '"bid": {}, "x": 1', 1): r"s\[0\]\.calls\[\d\]: the bid is \{\}",
    '{"a": 1,\n "b"': "line 2",
    "[" * 100_000: "nested too deeply|line 1",
    '{"data": {"options": [1]}}': r"at data\.options\[0\]",
    '[{"bid": ' + "9" * 5000 + "}]": "number in its JSON",
    '[{"bid": 1, "ask": 2}]': r"at \[0\]: the contracts lack open_interest, strike, expiry",
    "[" + "1," * 600 + "1]": "MiB of JSON",
}


def test_bad_json_bombs_and_broken_archives_are_refused(tmp_path, monkeypatch):
    for text, message in BAD_JSON.items():
        limit = 1000 if "MiB" in message else 10**6
        monkeypatch.setattr("gammawall.surfaces.chains.readers.json_text.LARGEST_CHARACTERS", limit)
        with pytest.raises(InputError, match=rf"q\.json.*({message})"):
            read_chain(_save(tmp_path, "q.json", text))
    good = gzip.compress(cboe_json(QUOTES).encode())
    for data in (good[:-9], good[:40] + b"junk" + good[44:], b"\x1f\x8b" + b"\0" * 9):
        with pytest.raises(InputError, match=r"q\.json\.gz"):
            read_chain(_save(tmp_path, "q.json.gz", data))
    with pytest.raises(InputError, match="unpacks to more than 32 MiB"):
        read_chain(_save(tmp_path, "bomb.csv.gz", gzip.compress(b" " * (40 * 2**20))))


JUNK = [b"", b",", b'"', b"\n", b"-", b"9", b"{", b"[", b"]", b"nan", b"1e999", b"\xff", b"\0", b"0", b"null"]
CELLS = ["", "nan", "abc", "-1", "0", "1e400", "1_0", "\ud83d", "20250230", "true", "{}", "\u0661"]
THINGS = [*CELLS, None, -1, True, [], {}, 10**400, 0.5, float("inf")]


def _try(folder: Any, vendor: Vendor, content: str | bytes) -> None:
    path, chain, refusal = _save(folder.getbasetemp(), "spx_eod.csv", content), None, ""
    try:
        chain = read_chain(path, as_of=AS_OF)
    except InputError as error:
        refusal = str(error)
    assert (chain is None) == (path.name in refusal)
    if chain is not None:
        assert chain.quotes[["bid", "ask", "strike"]].ge(0).all(axis=None)
        both = chain.quotes.merge(QUOTES, on="symbol")
        assert (both["strike_x"] == both["strike_y"]).all()


def _bytes_replaced(table: Any, draw: Any) -> bytes:
    raw = bytearray(_text(table).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=6) | st.sampled_from(JUNK))
    return bytes(raw[: draw(st.integers(0, 2 * len(raw)))])


def _cells_replaced(table: Any, draw: Any) -> str:
    if isinstance(table, str):
        objects: list[dict[str, Any]] = []
        document = json.loads(table, object_hook=lambda found: objects.append(found) or found)
        parent = draw(st.sampled_from(objects))
        parent[draw(st.sampled_from(list(parent)))] = draw(st.sampled_from(THINGS))
        return json.dumps(document)
    frame = (table.reset_index() if table.index.name else table).astype(object)
    row, column = (st.integers(0, size - 1) for size in frame.shape)
    frame.iloc[draw(row), draw(column)] = draw(st.sampled_from(CELLS))
    order = draw(st.permutations(range(frame.shape[1])))
    return frame.iloc[draw(st.lists(row, min_size=1, max_size=20)), order].to_csv(index=False)


@pytest.mark.parametrize("damage", [_bytes_replaced, _cells_replaced])
@each_vendor
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_damage_ends_in_a_chain_or_an_input_error(vendor, damage, data, tmp_path_factory):
    _try(tmp_path_factory, vendor, damage(vendor.write(vendor.quotes[:16]), data.draw))
