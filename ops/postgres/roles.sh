#!/usr/bin/env bash
# Run once by the PostgreSQL image when it makes the database: the extension and the two logins.
#
# assistant_owner    owns the tables; `assistant migrate` connects as it
# assistant_service  the service; row-level security binds it, and it owns nothing
#
# Neither is a superuser. The owner makes the service's role, so that it may grant it to itself.
set -euo pipefail

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set database="$POSTGRES_DB" \
  --set owner_password="$DATABASE_OWNER_PASSWORD" \
  --set service_password="$DATABASE_SERVICE_PASSWORD" <<'SQL'
CREATE EXTENSION IF NOT EXISTS vector;

CREATE ROLE assistant_owner LOGIN CREATEROLE PASSWORD :'owner_password';
SET ROLE assistant_owner;
CREATE ROLE assistant_service LOGIN PASSWORD :'service_password';
RESET ROLE;

ALTER DATABASE :"database" OWNER TO assistant_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO assistant_service;
SQL
