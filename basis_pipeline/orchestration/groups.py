"""Groups of assets: their checks and jobs are selected by them."""

ACCOUNTS = "account"
FETCH = "fetch"
