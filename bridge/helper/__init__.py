"""The helper: an encrypted direct chat of the hub with each enrolled person."""
