"""The kinds of data: their use, their source, and the effect of wrong values."""

from typing import NamedTuple

from basis_pipeline.config.universe import Kind


class Meaning(NamedTuple):
    """What the values are, who publishes them, and the effect of wrong values."""

    what: str
    source: str
    wrong: str


MEANINGS: dict[Kind, Meaning] = {
    Kind.PERP_BARS: Meaning(
        "The price of a perpetual future. The open of the bar labelled t is the mark at t; the "
        "extreme of the bar before decides liquidations.",
        "hourly candles of the exchange",
        "gains and losses that the market never had: perp_price, margin ratios and liquidations of "
        "every mode hedged at the venue, and the basis in bp.",
    ),
    Kind.SPOT_BARS: Meaning(
        "The price of a coin or token for immediate delivery. The open of the bar labelled t "
        "values the holdings at t; reward tokens are sold at it.",
        "hourly candles of the exchange, or of a pool for the decentralised one",
        "the long leg, the value of collateral and rewards in the share class's currency, and with "
        "them the size of the hedge: equity moves without a trade.",
    ),
    Kind.FUNDING: Meaning(
        "What longs pay to shorts at each settlement, as a share of the notional at that time; "
        "positive is income to a short. Settlements keep their own times, whatever the interval.",
        "settled rates as the exchange publishes them",
        "the main income of modes with perpetuals: a reversed sign turns carry into cost, a "
        "missing row counted as zero hides income, an invented rate creates it.",
    ),
    Kind.LENDING_RATES: Meaning(
        "Daily snapshots of a lending reserve. A balance is its scaled amount times the index; "
        "between two snapshots the index grows geometrically. Only the indices determine income; "
        "the rates are for information.",
        "Aave v3 on Ethereum, at 00:00 UTC",
        "interest earned and owed, and with it the health factor of the levered modes. A falling "
        "index would be a loss that cannot happen, and is rejected.",
    ),
    Kind.ORACLE: Meaning(
        "The ETH that one liquid staking token redeems for, from Aave's price oracle. Its growth "
        "is the staking yield, and only this price decides a liquidation there.",
        "the protocol's oracle, hourly",
        "staking income, the value of collateral, loan to value and health factor: a jump of 1 % "
        "at a loan to value of 93 % may cause a liquidation.",
    ),
    Kind.PEG: Meaning(
        "The market price of one liquid staking token, in ETH. Holdings are valued at the "
        "redemption rate; sales are made at this price.",
        "prices of decentralised exchanges, hourly",
        "the cost of every unwind, and the peg deviation that signals one: a depeg missing "
        "in the data makes an exit look free.",
    ),
    Kind.GAS: Meaning(
        "The price of a unit of gas on Ethereum: base fee and the median priority fee. A "
        "transaction costs its units times their sum; spikes above 800 gwei are real.",
        "block headers, aggregated by hour",
        "the gas component of every mode with transactions on the chain. Filtering a spike makes "
        "rebalancing in a crisis look cheap.",
    ),
    Kind.EXECUTION_COSTS: Meaning(
        "The cost of a trade against its mark, in basis points of notional by pair, day and size "
        "bucket (10k, 100k, 1M USD); above the last bucket the last rate applies, and the run "
        "reports it.",
        "a lookup table derived from order books and pools",
        "the execution_cost component: the entry of a levered position costs more than weeks of "
        "its carry, so that a rate that is too low turns a losing mode into a winning one.",
    ),
    Kind.REWARDS: Meaning(
        "Tokens paid out per unit of eETH for a period, credited at the payout date at that "
        "token's market price and sold into the share class's currency.",
        "the issuer's announcements, entered by hand",
        "the rewards component. A weekly rate mistaken for that of a longer period pays a "
        "multiple; a period paid twice is income that nobody received.",
    ),
    Kind.BENCHMARK: Meaning(
        "A yield to compare modes with, compounded by day into a growth index. No run depends on "
        "it.",
        "the issuer's published rates, by day",
        "excess yield, tracking error and correlation on the tear sheets; equity is unaffected.",
    ),
    Kind.RISK_PARAMS: Meaning(
        "The venue's own risk parameters. They have no effect: the venue's configuration decides, "
        "and a check reports the differences.",
        "documents of the venue or the protocol",
        "nothing is computed from them, so that a wrong file affects only the check that compares "
        "it; a wrong configuration would liquidate too late.",
    ),
}
