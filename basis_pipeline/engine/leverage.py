"""The leveraged staking position: how much to stake or sell, borrow or repay, in ETH.

A change is two signed amounts: `staked`, collateral added at the redemption rate (negative: sold
at the market rate), and `borrowed`, debt added (negative: repaid). One atomic transaction around a
flash loan carries it out, so the ETH it needs and the ETH it sets free balance:

    eth = a x staked - b x borrowed,    debt + borrowed = ltv x (collateral + staked)

with a = 1 for staking, the sale rate for selling; b = 1/(1 + fee) for borrowing, 1 + fee for
repaying (SEMANTICS 5).
"""

from basis_pipeline.engine.compiled import entry


@entry
def solve_position(
    eth: float, collateral: float, debt: float, ltv: float, flash_fee: float, sale_rate: float
) -> tuple[float, float]:
    """Solve for the change that brings `eth` in (out, when negative) and reaches the target LTV.

    With no position and no fee this is the entry: collateral `eth / (1 - ltv)`. Of the four
    combinations of signs one is consistent. When none is, because collateral sells too low for
    selling to lower the LTV, what comes in is staked and nothing is taken out. All amounts in ETH.
    """
    excess = debt - ltv * collateral
    for stakes in (True, False):
        a = 1.0 if stakes else sale_rate
        for borrows in (True, False):
            b = 1.0 / (1.0 + flash_fee) if borrows else 1.0 + flash_fee
            if a - b * ltv <= 1e-9:
                continue
            staked = (eth - b * excess) / (a - b * ltv)
            borrowed = ltv * staked - excess
            if (staked >= 0.0) == stakes and (borrowed >= 0.0) == borrows:
                if staked < -collateral:
                    return -collateral, -debt
                return staked, borrowed
    return max(eth, 0.0), 0.0


@entry
def released(staked: float, borrowed: float, flash_fee: float, sale_rate: float) -> float:
    """Return the ETH that a change releases; negative when it needs ETH."""
    proceeds = -staked if staked >= 0.0 else -staked * sale_rate
    loan = borrowed / (1.0 + flash_fee) if borrowed >= 0.0 else borrowed * (1.0 + flash_fee)
    return proceeds + loan
