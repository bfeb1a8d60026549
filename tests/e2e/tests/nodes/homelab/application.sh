#!/bin/sh
# Stands in for Plausible, CrowdSec and geoipupdate: connects with the credentials that it has at its start, records the
# start, and keeps a session until it ends.
set -eu

run_sql() {
  psql "$1" -Xq -v ON_ERROR_STOP=1 -c "$2"
}

create_table() {
  run_sql "$1" "CREATE TABLE IF NOT EXISTS starts (login text, acts_as text)"
  # Only the owner of a table can alter it: each user has to act as the owner of the former one's table.
  run_sql "$1" "ALTER TABLE starts ADD COLUMN IF NOT EXISTS at timestamptz DEFAULT now()"
}

until_stopped() {
  trap 'exit 0' TERM
  : > /tmp/ready
  "$@" &
  wait $!
}

serve() {
  run_sql "$1" "INSERT INTO starts (login, acts_as) SELECT session_user, current_user"
  until_stopped psql "$1" -Xq -c "SELECT pg_sleep(86400)"
}

field() {
  while read -r key value; do
    if [ "$key" = "$1:" ]; then
      value=${value#\"}
      echo "${value%\"}"
    fi
  done < /etc/crowdsec/config.yaml.local
}

if [ "$*" = "db migrate" ]; then
  create_table "$DATABASE_URL"
elif [ "$*" = "run" ]; then
  : "${SECRET_KEY_BASE:?}" "${TOTP_VAULT_KEY:?}"
  serve "$DATABASE_URL"
elif [ -e /etc/crowdsec/config.yaml.local ]; then
  url="host=$(field host) port=$(field port) dbname=$(field db_name) user=$(field user) password=$(field password)"
  url="$url sslmode=$(field sslmode)"
  create_table "$url"
  serve "$url"
else
  : "${GEOIPUPDATE_LICENSE_KEY:?}"
  until_stopped sleep 86400
fi
