-- Lets PgBouncer look up password hashes in the current database: of users that are not superusers and whose password is
-- valid.
CREATE SCHEMA pgbouncer AUTHORIZATION pgbouncer;
CREATE FUNCTION pgbouncer.get_auth(name text) RETURNS TABLE (usename name, passwd text)
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
  AS $$
    SELECT usename, passwd FROM pg_shadow
    WHERE usename = get_auth.name AND NOT usesuper AND (valuntil IS NULL OR valuntil > now())
  $$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;
