-- Up Migration

-- What instances used, one sample a minute at most: the key holds the whole minute, and the sweep's later ones of the same
-- minute find it taken. Samples go with their instance. Older than two days one in ten is kept, older than the retention
-- none: an instance that runs for 30 days has 2 x 1440 + 28 x 144, about 6900.
CREATE TABLE instance_usage (
  instance_id UUID NOT NULL REFERENCES mcp_instances(id) ON DELETE CASCADE,
  at TIMESTAMPTZ NOT NULL,
  generation INTEGER NOT NULL,
  cpu_percent REAL,
  memory_bytes BIGINT,
  requests BIGINT NOT NULL DEFAULT 0,
  in_flight INTEGER NOT NULL DEFAULT 0,
  sessions INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (instance_id, at)
);
COMMENT ON COLUMN instance_usage.at IS 'The minute the sample stands for.';
COMMENT ON COLUMN instance_usage.requests IS 'Counted by the shim since it began: a new generation begins at 0.';
-- Rows arrive in the order of time and are thinned in it: a few pages of index are enough to find the old ones.
CREATE INDEX idx_instance_usage_at ON instance_usage USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

ALTER TABLE instance_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE instance_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY supervisor ON instance_usage TO CURRENT_USER USING (true) WITH CHECK (true);
-- Whose instance it is, the policy of mcp_instances decides, as for mcp_logs.
CREATE POLICY own ON instance_usage FOR SELECT TO minimcp_api
  USING ((SELECT minimcp_is_admin()) OR (SELECT true FROM mcp_instances i WHERE i.id = instance_id));
GRANT SELECT ON instance_usage TO minimcp_api;

-- Down Migration

DROP TABLE instance_usage;
