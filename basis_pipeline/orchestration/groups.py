"""Names of asset groups that jobs and reports select by."""

ACCOUNTS = "account"
FETCH = "fetch"
