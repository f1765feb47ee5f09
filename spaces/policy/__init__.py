"""The pure policy: the guard runs it inside Synapse, the reconciler and the API run the same code."""
