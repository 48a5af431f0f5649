"""The claims of the paper: the `ledger`, and how a measurement is judged."""
