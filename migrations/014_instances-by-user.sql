-- Up Migration

-- Serves the export and the erasure of a person, who owns removed instances too; the other indexes leave those out.
CREATE INDEX idx_mcp_instances_user_all ON mcp_instances(user_id, id);

-- Down Migration

DROP INDEX idx_mcp_instances_user_all;
