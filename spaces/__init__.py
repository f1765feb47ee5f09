"""Engagements, charters, the pure policy, and provisioning by plan and apply."""
