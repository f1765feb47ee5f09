"""What ``/metrics`` counts."""

from prometheus_client import Counter, Gauge

FEED_EVENTS = Counter("conclave_feed_events_total", "Events taken from the homeserver's transactions")
FEED_RECOVERED = Counter("conclave_feed_recovered_total", "Events that were not delivered and had to be fetched")
FEED_LAG = Gauge("conclave_feed_lag_seconds", "Age of the newest event when it was taken")
GUARD_REFUSALS = Counter("conclave_guard_refusals_total", "Refusals that the guard delivered")
LEDGER_ENTRIES = Gauge("conclave_ledger_entries", "Entries in the ledger")
LEDGER_BACKLOG = Gauge("conclave_ledger_backlog", "Entries that wait for their place in the ledger")
LEDGER_LAG = Gauge("conclave_ledger_lag_seconds", "Age of the oldest entry that waits")
HTTP_REQUESTS = Counter("conclave_http_requests_total", "Requests answered", ["operation", "status"])
HTTP_SECONDS = Counter("conclave_http_seconds_total", "Seconds spent answering", ["operation"])
HELPER_MAIL = Counter("conclave_helper_mail_total", "What the helper dealt with", ["kind", "outcome"])
HELPER_WAITING = Gauge("conclave_helper_waiting", "What waits for the helper")
HELPER_FAILURES = Counter("conclave_helper_failures_total", "Times that the helper had to begin anew")
HELPER_UNREACHED = Counter("conclave_helper_unreached_devices_total", "Devices without one-time keys, not written to")
HUB_DEVICES_FOUND = Counter("conclave_hub_devices_found_total", "Devices on the hub's accounts that must not be there")
COSIGNED_AGE = Gauge("conclave_cosigned_age_seconds", "Age of the newest checkpoint that enough witnesses cosigned")
CHECKPOINTS_POSTED = Counter("conclave_checkpoints_posted_total", "Checkpoints posted into a Space")
TIMESTAMP_AGE = Gauge("conclave_timestamp_age_seconds", "Age of the newest timestamp by an authority")
TIMESTAMP_LAG = Gauge("conclave_timestamp_lag_seconds", "Age of the oldest entry that no timestamp covers")
TIMESTAMP_FAILURES = Counter("conclave_timestamp_failures_total", "Times that the authority gave no timestamp")
WITNESS_FAILURES = Counter("conclave_witness_failures_total", "Times that a witness did not cosign", ["witness"])
