"""The guard: a Synapse module that lets no event through that a charter forbids. Only this package imports Synapse."""
