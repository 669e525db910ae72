"""Groups of assets whose checks and jobs are told apart by them."""

ACCOUNTS = "account"
FETCH = "fetch"
