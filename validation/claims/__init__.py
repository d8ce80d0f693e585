"""One module per section of the paper; every `Claim` found in them is in the ledger."""
