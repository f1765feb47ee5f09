"""A witness of other parties' logs, and the hub's own witnesses."""
