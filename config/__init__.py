"""Settings, database, migrations, clock, logging, base errors."""
