-- Up Migration

-- The supervisor owns the tables and steps down into one of two roles. minimcp_api reads what a person may see: the
-- person is named by minimcp.user_id and minimcp.role, which are set for one transaction only, and nothing is seen
-- where they are missing. minimcp_shipper inserts log lines and moves offsets. Neither has any right on a partition,
-- whose rows no policy of the parent guards.

CREATE FUNCTION minimcp_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('minimcp.user_id', true), '')::uuid $$;
CREATE FUNCTION minimcp_is_admin() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT coalesce(current_setting('minimcp.role', true) = 'admin' AND minimcp_user_id() IS NOT NULL, false) $$;
REVOKE EXECUTE ON FUNCTION minimcp_user_id(), minimcp_is_admin() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION minimcp_user_id(), minimcp_is_admin() TO minimcp_api;

-- FORCE binds the owner too, so the owner has a policy of its own and is not simply passed over. mcp_logs is without
-- FORCE: PostgreSQL refuses COPY to whomever a policy applies to, and where the owner is no superuser it is the owner
-- who copies.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['users', 'api_tokens', 'api_keys', 'crypto_keys', 'mcp_instances', 'mcp_logs', 'mcp_events',
                              'log_offsets', 'nodes', 'port_allocations', 'system_settings'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    IF name <> 'mcp_logs' THEN EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name); END IF;
    EXECUTE format('CREATE POLICY supervisor ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
  END LOOP;
END
$$;

-- An admin sees everyone's; anyone else their own.
CREATE POLICY own ON users FOR SELECT TO minimcp_api
  USING (id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
CREATE POLICY own ON api_tokens FOR SELECT TO minimcp_api
  USING (user_id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
CREATE POLICY own ON api_keys FOR SELECT TO minimcp_api
  USING (user_id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
CREATE POLICY own ON mcp_instances FOR SELECT TO minimcp_api
  USING (user_id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
CREATE POLICY own ON mcp_events FOR SELECT TO minimcp_api
  USING (user_id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
-- Whose instance it is, the policy of mcp_instances decides. A scalar subquery, and not EXISTS, which PostgreSQL would
-- answer from a hash of all instances there are, made for every page of lines.
CREATE POLICY own ON mcp_logs FOR SELECT TO minimcp_api
  USING ((SELECT minimcp_is_admin()) OR (SELECT true FROM mcp_instances i WHERE i.id = mcp_instance_id));
-- The machines and the settings are the admins' business.
CREATE POLICY admins ON nodes FOR SELECT TO minimcp_api USING ((SELECT minimcp_is_admin()));
CREATE POLICY admins ON port_allocations FOR SELECT TO minimcp_api USING ((SELECT minimcp_is_admin()));
CREATE POLICY admins ON system_settings FOR SELECT TO minimcp_api USING ((SELECT minimcp_is_admin()));

GRANT SELECT ON mcp_types, mcp_instances, mcp_logs, mcp_events, nodes, port_allocations, system_settings TO minimcp_api;
-- What nobody needs to read cannot be read: password hashes, token hashes, sealed keys.
GRANT SELECT (id, email, name, is_active, email_verified, role, disabled_at, max_instances, created_at, updated_at, deleted_at)
  ON users TO minimcp_api;
GRANT SELECT (id, user_id, name, prefix, scopes, allowed_cidrs, rate_limit_per_minute, expires_at, last_used_at, revoked_at, created_at)
  ON api_tokens TO minimcp_api;
GRANT SELECT (id, user_id, mcp_type_id, key_hint, is_active, created_at, updated_at, expires_at)
  ON api_keys TO minimcp_api;

GRANT INSERT ON mcp_logs TO minimcp_shipper;
GRANT SELECT, INSERT, UPDATE ON log_offsets TO minimcp_shipper;
CREATE POLICY shipping ON log_offsets TO minimcp_shipper USING (true) WITH CHECK (true);
-- COPY is for those no policy applies to. Only a superuser can say so; without one, the owner copies.
DO $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
     AND NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'minimcp_shipper') THEN
    ALTER ROLE minimcp_shipper BYPASSRLS;
  END IF;
END
$$;

-- Down Migration

REVOKE ALL ON mcp_logs, log_offsets FROM minimcp_shipper;
REVOKE ALL ON mcp_types, mcp_instances, mcp_logs, mcp_events, nodes, port_allocations, system_settings, users, api_tokens, api_keys
  FROM minimcp_api;
DO $$
DECLARE
  policy record;
BEGIN
  FOR policy IN SELECT polname, polrelid::regclass AS parent FROM pg_policy JOIN pg_class c ON c.oid = polrelid
                WHERE c.relnamespace = 'public'::regnamespace LOOP
    EXECUTE format('DROP POLICY %I ON %s', policy.polname, policy.parent);
    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', policy.parent);
    EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', policy.parent);
  END LOOP;
END
$$;
DROP FUNCTION minimcp_is_admin();
DROP FUNCTION minimcp_user_id();
