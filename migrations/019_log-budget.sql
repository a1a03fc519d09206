-- Up Migration

-- What of a spool was stored on one UTC day, so that a later generation of the instance goes on counting where the one
-- before it stopped.
ALTER TABLE log_offsets ADD COLUMN day DATE, ADD COLUMN day_bytes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX idx_log_offsets_instance ON log_offsets(mcp_instance_id);

INSERT INTO system_settings (key, value, description) VALUES
  ('logs.max_mb_per_day', '256', 'Log one instance may write on one UTC day, in MB; the rest is counted')
ON CONFLICT (key) DO NOTHING;

-- Down Migration

DELETE FROM system_settings WHERE key = 'logs.max_mb_per_day';
DROP INDEX idx_log_offsets_instance;
ALTER TABLE log_offsets DROP COLUMN day, DROP COLUMN day_bytes;
