-- Up Migration

-- What each supervisor has let through in a minute, by API token and by address, for the others to count along. It is of
-- use for minutes only: nothing is lost with it, so it is not logged. The API role has no rights here.
CREATE UNLOGGED TABLE rate_counters (
  window_start TIMESTAMPTZ NOT NULL,
  key VARCHAR(100) NOT NULL,
  node_id VARCHAR(255) NOT NULL,
  hits INTEGER NOT NULL CHECK (hits >= 0),
  PRIMARY KEY (window_start, key, node_id)
);

INSERT INTO system_settings (key, value, description) VALUES
  ('mcp.max_creations_per_hour', '600', 'Instances one user may create within an hour')
ON CONFLICT (key) DO NOTHING;

-- Down Migration

DELETE FROM system_settings WHERE key = 'mcp.max_creations_per_hour';
DROP TABLE rate_counters;
