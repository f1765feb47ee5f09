"""The ledger: a C2SP tlog-tiles transparency log of everything that happened, its exports and its verification."""
