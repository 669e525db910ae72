"""The BTC basis in other people's engines: `python -m benchmarks.peers`. It downloads them.

Long BTC spot, short BTC perpetual, over the same hours and the same points of leverage, band, fee
and capital: by our sweep, by fractal-defi and by vectorbt. Each peer is installed into a virtual
environment of its own and runs there, on arrays it reads from a file. Final equities must agree to
1e-9 and rebalances to the last one; the command fails when they do not.

What is made equal
    Prices: both see one array a leg, a price an hour; a data directory gives closes.
    Entry: at the first hour, leverage/(1 + leverage) of the capital buys spot and what was received
    is shorted; the rest is margin. Ours says it as the weight of the spot.
    Funding: rate × size × mark on the position held before the trades of its hour, before the
    band is looked at.
    Fees: a share of what a leg trades, the same for both legs. A purchase pays it out of the amount
    spent, a sale out of the proceeds, the perpetual out of margin.
    Rebalance: when the short's notional over its margin leaves [least, most], the spot is brought
    to its weight of the equity before costs, the short to the quantity of the spot, the rest is
    margin. Ours says the band as the margin ratio's, 1/most to 1/least. This is fractal-defi's own
    `HyperliquidBasis`, unchanged; in vectorbt it is an order function.
    Funding in vectorbt: it has none, and no margin account. The short's price there is the mark
    less the funding received so far by a unit short; fees and band still use the mark.

What is not, and is switched off in ours
    Liquidation: fractal-defi takes all margin, ours closes at the price and leaves the rest,
    vectorbt knows none. The maintenance margin is 5 % in both, and a point that is
    liquidated is refused: it would compare nothing.
    Gas, size buckets of costs, intrabar extremes, several venues, deposits, other triggers: neither
    peer has them.
    What comes out: ours counts all figures of SEMANTICS 11, the peers the final equity alone.

Seconds are those of the points, with imports, compilation, installation and the preparation of the
market left out for all. Processor seconds are of one thread for both peers.
"""
