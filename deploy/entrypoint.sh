#!/bin/sh
# Dagster takes the place of its storage from the environment; the password is a file.
if [ -r /run/secrets/postgres_password ]; then
    DAGSTER_POSTGRES_URL="postgresql+psycopg2://basis:$(cat /run/secrets/postgres_password)@postgres:5432/dagster"
    export DAGSTER_POSTGRES_URL
fi
exec "$@"
