"""The conclave command: a client of the HTTP API, and the commands that run a hub."""
