"""The edges and the only composition root: Matrix, HTTP, CLI, the Synapse module, the embedded homeserver."""
