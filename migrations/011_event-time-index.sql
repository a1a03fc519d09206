-- Up Migration

-- Serves GET /events: the newest events of everybody, page by page.
CREATE INDEX idx_mcp_events_created_at ON mcp_events(created_at DESC, id DESC);

-- Down Migration

DROP INDEX idx_mcp_events_created_at;
