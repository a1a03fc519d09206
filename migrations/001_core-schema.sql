-- Up Migration

-- Roles are of the whole cluster, so another database of it may have them already. None can log in: the supervisor
-- steps down into one inside a transaction (SET LOCAL ROLE).
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['minimcp_api', 'minimcp_shipper'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    -- A superuser needs no membership. Anyone else has it by making the role, or is given it beforehand.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
      BEGIN
        EXECUTE format('GRANT %I TO CURRENT_USER', name);
      EXCEPTION WHEN insufficient_privilege THEN NULL;
      END;
    END IF;
  END LOOP;
END
$$;

CREATE TABLE users (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  email VARCHAR(255) UNIQUE NOT NULL,
  password_hash VARCHAR(255) NOT NULL,
  name VARCHAR(255) NOT NULL,
  is_active BOOLEAN DEFAULT true,
  email_verified BOOLEAN DEFAULT false,
  role VARCHAR(10) NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
  disabled_at TIMESTAMPTZ,
  max_instances INTEGER CHECK (max_instances >= 0),
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  deleted_at TIMESTAMPTZ
);
CREATE INDEX idx_users_email ON users(email) WHERE deleted_at IS NULL;
COMMENT ON COLUMN users.max_instances IS 'Overrides mcp.max_instances_per_user; null: the setting applies.';

CREATE TABLE api_tokens (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  name VARCHAR(100) NOT NULL DEFAULT '',
  token_hash BYTEA NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  prefix VARCHAR(16) NOT NULL,
  scopes TEXT[] NOT NULL DEFAULT '{}',
  allowed_cidrs CIDR[],
  rate_limit_per_minute INTEGER CHECK (rate_limit_per_minute > 0),
  expires_at TIMESTAMPTZ,
  last_used_at TIMESTAMPTZ,
  revoked_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_api_tokens_user ON api_tokens(user_id) WHERE revoked_at IS NULL;

CREATE TABLE mcp_types (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  name VARCHAR(50) UNIQUE NOT NULL,
  display_name VARCHAR(100) NOT NULL,
  description TEXT,
  icon_url VARCHAR(500),
  server_script VARCHAR(255) NOT NULL,
  config_template JSONB NOT NULL DEFAULT '{}',
  required_scopes JSONB DEFAULT '[]',
  resource_limits JSONB DEFAULT '{"cpu": "0.5", "memory": "512m"}',
  max_duration_minutes INTEGER DEFAULT 60 CHECK (max_duration_minutes > 0),
  is_active BOOLEAN DEFAULT true,
  origin VARCHAR(10) NOT NULL DEFAULT 'admin' CHECK (origin IN ('shipped', 'admin')),
  registry_name VARCHAR(255),
  package_name VARCHAR(255) NOT NULL,
  package_version VARCHAR(100) NOT NULL,
  transport VARCHAR(20) NOT NULL DEFAULT 'stdio' CHECK (transport IN ('stdio', 'streamable-http')),
  arguments JSONB NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(arguments) = 'array'),
  environment JSONB NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(environment) = 'object'),
  inputs JSONB NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(inputs) = 'array'),
  key_variable VARCHAR(100),
  era VARCHAR(10) NOT NULL DEFAULT 'unknown' CHECK (era IN ('unknown', 'legacy', 'dual', 'modern')),
  egress VARCHAR(10) NOT NULL DEFAULT 'none' CHECK (egress IN ('none', 'allow-list', 'open')),
  egress_hosts JSONB NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(egress_hosts) = 'array'),
  read_only_paths JSONB NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(read_only_paths) = 'array'),
  idle_minutes INTEGER CHECK (idle_minutes > 0),
  restart_policy JSONB NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(restart_policy) = 'object'),
  start_timeout_seconds INTEGER NOT NULL DEFAULT 30 CHECK (start_timeout_seconds > 0),
  legacy_sse BOOLEAN NOT NULL DEFAULT false,
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON COLUMN mcp_types.key_variable IS 'Environment variable the API key goes into; null: the type needs none.';
COMMENT ON COLUMN mcp_types.era IS 'Verdict on package_version; reset to unknown when the version changes.';

CREATE TABLE crypto_keys (
  key_id VARCHAR(32) PRIMARY KEY,
  check_value TEXT NOT NULL,
  state VARCHAR(10) NOT NULL CHECK (state IN ('active', 'decrypt', 'retired')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  retired_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX idx_crypto_keys_one_active ON crypto_keys(state) WHERE state = 'active';

CREATE TABLE api_keys (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID REFERENCES users(id) ON DELETE CASCADE,
  mcp_type_id UUID NOT NULL REFERENCES mcp_types(id) ON DELETE CASCADE,
  encrypted_key TEXT NOT NULL,
  key_hint VARCHAR(20),
  encryption_iv VARCHAR(32) NOT NULL,
  key_id VARCHAR(32) NOT NULL REFERENCES crypto_keys(key_id),
  is_active BOOLEAN DEFAULT true,
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  expires_at TIMESTAMPTZ,
  UNIQUE (user_id, mcp_type_id)
);
CREATE INDEX idx_api_keys_user_type ON api_keys(user_id, mcp_type_id) WHERE is_active = true;
CREATE INDEX idx_api_keys_key_id ON api_keys(key_id);

CREATE TABLE nodes (
  id VARCHAR(255) PRIMARY KEY,
  epoch BIGINT NOT NULL DEFAULT 0,
  state VARCHAR(10) NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'lost')),
  lease_until TIMESTAMPTZ,
  streak_since TIMESTAMPTZ,
  holder JSONB NOT NULL DEFAULT '{}',
  capacity JSONB NOT NULL DEFAULT '{}',
  version VARCHAR(50) NOT NULL DEFAULT '',
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON COLUMN nodes.holder IS 'Process that holds the node: pid, start time, boot id, host, since; proves death without waiting out the lease.';

CREATE TABLE mcp_instances (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID REFERENCES users(id) ON DELETE CASCADE,
  mcp_type_id UUID NOT NULL REFERENCES mcp_types(id),
  api_key_id UUID REFERENCES api_keys(id) ON DELETE SET NULL,
  process_id INTEGER,
  access_token VARCHAR(255) UNIQUE NOT NULL,
  access_url VARCHAR(500) NOT NULL,
  assigned_port INTEGER,
  status VARCHAR(20) NOT NULL DEFAULT 'pending',
  expires_at TIMESTAMPTZ NOT NULL,
  config JSONB DEFAULT '{}',
  error_message TEXT,
  last_accessed TIMESTAMPTZ,
  stats JSONB DEFAULT '{}',
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  deleted_at TIMESTAMPTZ,
  name VARCHAR(63) NOT NULL,
  node_id VARCHAR(255) NOT NULL REFERENCES nodes(id),
  generation INTEGER NOT NULL DEFAULT 1 CHECK (generation > 0),
  stop_reason VARCHAR(20),
  exit_code INTEGER,
  health VARCHAR(20) NOT NULL DEFAULT 'unknown' CHECK (health IN ('unknown', 'starting', 'healthy', 'restarting', 'unresponsive')),
  isolation VARCHAR(2) CHECK (isolation IN ('L0', 'L1', 'L2', 'L3', 'L4')),
  handle JSONB,
  lease_started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  warned_at TIMESTAMPTZ,
  started_at TIMESTAMPTZ,
  ready_at TIMESTAMPTZ,
  stopped_at TIMESTAMPTZ,
  restarts INTEGER NOT NULL DEFAULT 0 CHECK (restarts >= 0),
  next_start_at TIMESTAMPTZ,
  idle_minutes DOUBLE PRECISION CHECK (idle_minutes > 0),
  CONSTRAINT check_status CHECK (status IN ('pending', 'running', 'stopping', 'expired', 'disconnected', 'error')),
  CONSTRAINT check_port_range CHECK (assigned_port BETWEEN 3001 AND 65535),
  CONSTRAINT check_lease CHECK (expires_at > created_at),
  CONSTRAINT check_at_rest_holds_no_port CHECK (
    assigned_port IS NULL
    OR status IN ('pending', 'running', 'stopping')
    OR (status = 'disconnected' AND stop_reason = 'idle')
  ),
  CONSTRAINT check_at_work_holds_a_port CHECK (assigned_port IS NOT NULL OR status NOT IN ('pending', 'running', 'stopping')),
  CONSTRAINT check_deleted_is_at_rest CHECK (deleted_at IS NULL OR status IN ('expired', 'disconnected', 'error'))
);
COMMENT ON COLUMN mcp_instances.access_token IS 'SHA-256 of the access token, hex. The token itself is shown once and never stored.';
COMMENT ON COLUMN mcp_instances.idle_minutes IS 'Without a request for this long its processes are stopped, and the next request wakes it; null: never.';
COMMENT ON COLUMN mcp_instances.next_start_at IS 'When a crashed instance is launched again; null when nothing waits.';
COMMENT ON COLUMN mcp_instances.lease_started_at IS 'When the current lease began: creation or the last renewal; the cap on extensions counts from it.';

CREATE INDEX idx_mcp_instances_status ON mcp_instances(status) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_expires_at ON mcp_instances(expires_at) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_access_token ON mcp_instances(access_token) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_port ON mcp_instances(assigned_port) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_process_id ON mcp_instances(process_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_user_status ON mcp_instances(user_id, status) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_type ON mcp_instances(mcp_type_id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX idx_mcp_instances_port_at_work ON mcp_instances(node_id, assigned_port) WHERE assigned_port IS NOT NULL;
CREATE UNIQUE INDEX idx_mcp_instances_name ON mcp_instances(user_id, name) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_user_created ON mcp_instances(user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_created ON mcp_instances(created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_mcp_instances_at_work ON mcp_instances(node_id, expires_at) WHERE status IN ('pending', 'running', 'stopping');

CREATE FUNCTION mcp_instances_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.generation < OLD.generation THEN
    RAISE EXCEPTION 'generation of instance % may not shrink from % to %', OLD.id, OLD.generation, NEW.generation
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER mcp_instances_generation_grows BEFORE UPDATE OF generation ON mcp_instances
  FOR EACH ROW EXECUTE FUNCTION mcp_instances_guard();

CREATE TABLE mcp_logs (
  id UUID NOT NULL DEFAULT gen_random_uuid(),
  mcp_instance_id UUID NOT NULL REFERENCES mcp_instances(id) ON DELETE CASCADE,
  timestamp TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  level VARCHAR(10) NOT NULL DEFAULT 'info',
  source VARCHAR(50) DEFAULT 'process',
  message TEXT NOT NULL,
  metadata JSONB DEFAULT '{}',
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  seq BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (mcp_instance_id, id, timestamp),
  CONSTRAINT check_level CHECK (level IN ('debug', 'info', 'warn', 'error'))
) PARTITION BY RANGE (timestamp);
CREATE INDEX idx_mcp_logs_instance_timestamp ON mcp_logs(mcp_instance_id, timestamp DESC);
CREATE INDEX idx_mcp_logs_timestamp ON mcp_logs(timestamp DESC);
CREATE INDEX idx_mcp_logs_level ON mcp_logs(level) WHERE level IN ('warn', 'error');
COMMENT ON COLUMN mcp_logs.id IS 'UUIDv7, made when the line is stored: within an instance, in the order of storing. Who follows a log goes on from an id.';
COMMENT ON COLUMN mcp_logs.seq IS 'Order of the line within its instance and source; a gap is always explained by a drop marker. 0: not numbered.';

CREATE TABLE log_offsets (
  spool TEXT PRIMARY KEY,
  mcp_instance_id UUID REFERENCES mcp_instances(id) ON DELETE CASCADE,
  segment BIGINT NOT NULL DEFAULT 0,
  offset_bytes BIGINT NOT NULL DEFAULT 0,
  seq BIGINT NOT NULL DEFAULT 0,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE mcp_events (
  id UUID NOT NULL DEFAULT gen_random_uuid(),
  mcp_instance_id UUID REFERENCES mcp_instances(id) ON DELETE CASCADE,
  user_id UUID REFERENCES users(id) ON DELETE SET NULL,
  event_type VARCHAR(50) NOT NULL,
  event_data JSONB DEFAULT '{}',
  ip_address INET,
  user_agent TEXT,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  actor_id UUID,
  PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_mcp_events_instance ON mcp_events(mcp_instance_id, created_at DESC);
CREATE INDEX idx_mcp_events_user ON mcp_events(user_id, created_at DESC);
COMMENT ON COLUMN mcp_events.user_id IS 'Whose thing the event is about.';
COMMENT ON COLUMN mcp_events.actor_id IS 'Who did it; null: the supervisor itself. No foreign key: the trail outlives the person.';

CREATE TABLE port_allocations (
  node_id VARCHAR(255) NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,
  port INTEGER NOT NULL CHECK (port BETWEEN 3001 AND 65535),
  mcp_instance_id UUID REFERENCES mcp_instances(id) ON DELETE SET NULL,
  allocated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  released_at TIMESTAMPTZ,
  is_available BOOLEAN DEFAULT false,
  last_health_check TIMESTAMPTZ,
  quarantined_until TIMESTAMPTZ,
  quarantine_reason TEXT,
  PRIMARY KEY (node_id, port),
  CONSTRAINT check_available_is_unheld CHECK (NOT is_available OR mcp_instance_id IS NULL)
);
CREATE INDEX idx_port_allocations_available ON port_allocations(is_available, port);
CREATE UNIQUE INDEX idx_port_allocations_mcp ON port_allocations(mcp_instance_id) WHERE mcp_instance_id IS NOT NULL;
CREATE INDEX idx_port_allocations_lru ON port_allocations(node_id, released_at NULLS FIRST, port) WHERE is_available;

CREATE TABLE system_settings (
  key VARCHAR(100) PRIMARY KEY,
  value JSONB NOT NULL,
  description TEXT,
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO system_settings (key, value, description) VALUES
  ('encryption.algorithm', '"aes-256-gcm"', 'Encryption algorithm for API keys'),
  ('mcp.default_duration_minutes', '60', 'Default MCP instance duration'),
  ('mcp.max_instances_per_user', '10', 'Maximum concurrent MCP instances per user'),
  ('mcp.max_lease_minutes', '1440', 'Longest a lease may become through extensions, counted from its start'),
  ('mcp.warn_before_minutes', '5', 'How long before the end of a lease its owner is warned'),
  ('mcp.drain_seconds', '5', 'Grace for calls in flight when an instance ends'),
  ('mcp.min_isolation', '"L0"', 'Lowest isolation level at which instances may start'),
  ('cleanup.retention_days', '30', 'Days to retain logs and expired instances'),
  ('port.range_start', '3001', 'Starting port for MCP instances'),
  ('port.range_end', '3100', 'Ending port for MCP instances'),
  ('process.max_memory_mb', '512', 'Maximum memory per MCP process in MB'),
  ('process.max_cpu_percent', '50', 'Maximum CPU usage per MCP process');

-- Down Migration

DROP TABLE system_settings, port_allocations, mcp_events, log_offsets, mcp_logs, mcp_instances, nodes, api_keys,
  crypto_keys, mcp_types, api_tokens, users;
DROP FUNCTION mcp_instances_guard();
