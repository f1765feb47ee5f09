"""The ledger's signer as a process of its own, and the hub's side of it."""
