-- Owner roles and databases of the homelab. Run it once as a superuser, before OpenBao creates users:
--   psql --set=editor=PASSWORD --set=pgbouncer=PASSWORD --file=postgresql.sql
\set ON_ERROR_STOP on

CREATE ROLE pgbouncer LOGIN PASSWORD :'pgbouncer';
CREATE ROLE credentials_editor LOGIN CREATEROLE PASSWORD :'editor';

\c postgres
\ir pgbouncer.sql

CREATE ROLE webapp_role;
CREATE ROLE erp_role;
CREATE ROLE cms_role;
CREATE ROLE crowdsec_role;
CREATE ROLE plausible_role;
GRANT webapp_role, erp_role, cms_role, crowdsec_role, plausible_role TO credentials_editor WITH ADMIN OPTION;

CREATE DATABASE webapp OWNER webapp_role;
CREATE DATABASE erp OWNER erp_role;
CREATE DATABASE cms OWNER cms_role;
CREATE DATABASE crowdsec OWNER crowdsec_role;
CREATE DATABASE plausible OWNER plausible_role;

-- By default, every user of the server may connect to every database.
REVOKE ALL ON DATABASE webapp, erp, cms, crowdsec, plausible FROM PUBLIC;
GRANT CONNECT ON DATABASE webapp, erp, cms, crowdsec, plausible TO pgbouncer;

\c webapp
\ir pgbouncer.sql
\c erp
\ir pgbouncer.sql
\c cms
\ir pgbouncer.sql
\c crowdsec
\ir pgbouncer.sql
\c plausible
\ir pgbouncer.sql
