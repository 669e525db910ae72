"""What each kind of data is for: where it comes from, and what goes wrong when it is wrong."""

from typing import NamedTuple

from basis_pipeline.config.universe import Kind


class Meaning(NamedTuple):
    """In sentences: what the values are, who published them, what a wrong value does."""

    what: str
    source: str
    wrong: str


MEANINGS: dict[Kind, Meaning] = {
    Kind.PERP_BARS: Meaning(
        "The price of a perpetual future. The open of the bar labelled t is the mark at t; the "
        "extreme of the bar before is what a liquidation looks at.",
        "hourly candles of the exchange",
        "the perpetual gains or loses what the market never moved: perp_price, margin ratios and "
        "liquidations of every mode hedged at the venue, and the basis in bp.",
    ),
    Kind.SPOT_BARS: Meaning(
        "The price of a coin or token for immediate delivery. The open of the bar labelled t "
        "values what is held at t; reward tokens are sold at it.",
        "hourly candles of the exchange, or of a pool for the decentralised one",
        "the long leg, the value of collateral and of rewards in the share class's currency, and "
        "with them the hedge's size: equity moves without a trade.",
    ),
    Kind.FUNDING: Meaning(
        "What longs pay to shorts at each settlement, as a share of the notional at that time; "
        "positive is income to a short. Settlements keep their own times, whatever the interval.",
        "settled rates as the exchange publishes them",
        "the main income of modes with perpetuals: a flipped sign turns carry into cost, a missing "
        "row taken for zero hides income, an invented rate makes it.",
    ),
    Kind.LENDING_RATES: Meaning(
        "Daily snapshots of a lending reserve. A balance is its scaled amount times the index; "
        "between two snapshots the index grows geometrically. Only the indices earn, the rates are "
        "for people.",
        "Aave v3 on Ethereum, at 00:00 UTC",
        "interest earned and owed, and with it the health factor of the levered modes. An index "
        "that falls would be a loss that cannot happen, and is rejected.",
    ),
    Kind.ORACLE: Meaning(
        "How much ETH one liquid staking token redeems for, as Aave's price oracle tells it. Its "
        "growth is the staking yield, and only this price decides a liquidation there.",
        "the protocol's oracle, hourly",
        "staking income, the value of collateral, loan to value and health factor: a jump of 1 % "
        "at a loan to value of 93 % decides between safety and liquidation.",
    ),
    Kind.PEG: Meaning(
        "What the market pays for one liquid staking token, in ETH. Holdings stay at the "
        "redemption rate; whoever sells, sells at this one.",
        "prices of decentralised exchanges, hourly",
        "the cost of every unwind, and the peg deviation that warns of one: a depeg that is not in "
        "the data is an exit that looks free.",
    ),
    Kind.GAS: Meaning(
        "The price of a unit of gas on Ethereum: base fee and the median priority fee. What a "
        "transaction costs is its units times their sum; spikes above 800 gwei are real.",
        "block headers, summed up by hour",
        "the gas component of every mode that touches the chain. A spike that is filtered out "
        "makes rebalancing in a crisis look cheap.",
    ),
    Kind.EXECUTION_COSTS: Meaning(
        "What a trade costs against its mark, in basis points of notional by pair, day and size "
        "bucket (10k, 100k, 1M USD); above the last bucket the last rate holds, and the run says "
        "so.",
        "a lookup table made from order books and pools",
        "the execution_cost component: the entry of a levered position costs more than weeks of "
        "its carry, so that a rate too low turns a losing mode into a winning one.",
    ),
    Kind.REWARDS: Meaning(
        "Tokens paid out per unit of eETH for a period, credited at the payout date at that "
        "token's market price and sold into the share class's currency.",
        "the issuer's announcements, written down by hand",
        "the rewards component. A weekly rate taken for that of a longer period pays a multiple; "
        "a period paid twice is income nobody received.",
    ),
    Kind.BENCHMARK: Meaning(
        "A yield to stand beside the modes that need no position, compounded by day into a growth "
        "index. No run depends on it.",
        "the issuer's published rates, by day",
        "excess yield, tracking error and correlation on the tear sheets; equity stays as it is.",
    ),
    Kind.RISK_PARAMS: Meaning(
        "The venue's own risk parameters. They decide nothing here: the venue's configuration "
        "does, and a check says what differs.",
        "documents of the venue or the protocol",
        "nothing is computed from it, so that a wrong file misleads only the check that compares "
        "it; a wrong configuration would liquidate too late.",
    ),
}
