-- Two databases on one PostgreSQL server, each with an owner of its own: the homeserver's and the hub's.
-- Can be run again: it makes what is missing, and sets the owners' passwords to what their files say.
-- Run by psql as a superuser; the environment names the files with the passwords.
\set ON_ERROR_STOP on
\set synapse_password `cat "$SYNAPSE_PASSWORD_FILE"`
\set conclave_password `cat "$CONCLAVE_PASSWORD_FILE"`

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES ('synapse'), ('conclave')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE synapse PASSWORD :'synapse_password';
ALTER ROLE conclave PASSWORD :'conclave_password';

-- Synapse refuses any other collation than C.
SELECT format('CREATE DATABASE %I OWNER %I ENCODING UTF8 LC_COLLATE ''C'' LC_CTYPE ''C'' TEMPLATE template0', name, name)
FROM (VALUES ('synapse'), ('conclave')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE CONNECT, TEMPORARY ON DATABASE synapse, conclave, postgres FROM PUBLIC;
