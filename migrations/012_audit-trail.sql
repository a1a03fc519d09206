-- Up Migration

-- The audit trail outlives what it is about: an instance that is removed for good keeps its events, so the column is
-- no reference any more. Nobody changes or deletes an event. Two things make them less: retention, which drops whole
-- partitions, and the erasure of a person, which says so for its transaction and may only take away what names them.
ALTER TABLE mcp_events DROP CONSTRAINT mcp_events_mcp_instance_id_fkey;

-- Serves the export and the erasure of what a person has done to others' things.
CREATE INDEX idx_mcp_events_actor ON mcp_events(actor_id, created_at DESC, id DESC) WHERE actor_id IS NOT NULL;
-- Serves the question whether somebody was erased.
CREATE INDEX idx_mcp_events_erased ON mcp_events((event_data->>'subject')) WHERE event_type = 'user_erased';

CREATE FUNCTION mcp_events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND coalesce(current_setting('minimcp.erasing', true), '') = 'on' THEN
    IF (NEW.id, NEW.created_at, NEW.event_type, NEW.mcp_instance_id)
         IS NOT DISTINCT FROM (OLD.id, OLD.created_at, OLD.event_type, OLD.mcp_instance_id)
       AND (NEW.user_id IS NULL OR NEW.user_id = OLD.user_id) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
REVOKE EXECUTE ON FUNCTION mcp_events_guard() FROM PUBLIC;
-- Partitions have it too, from the moment they are attached.
CREATE TRIGGER mcp_events_append_only BEFORE UPDATE OR DELETE ON mcp_events
  FOR EACH ROW EXECUTE FUNCTION mcp_events_guard();
CREATE TRIGGER mcp_events_keep BEFORE TRUNCATE ON mcp_events
  FOR EACH STATEMENT EXECUTE FUNCTION mcp_events_guard();
COMMENT ON COLUMN mcp_events.mcp_instance_id IS 'No foreign key: the trail outlives the instance.';

-- Down Migration

DROP TRIGGER mcp_events_keep ON mcp_events;
DROP TRIGGER mcp_events_append_only ON mcp_events;
DROP FUNCTION mcp_events_guard();
DROP INDEX idx_mcp_events_erased;
DROP INDEX idx_mcp_events_actor;
COMMENT ON COLUMN mcp_events.mcp_instance_id IS NULL;
DELETE FROM mcp_events e WHERE mcp_instance_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM mcp_instances i WHERE i.id = e.mcp_instance_id);
ALTER TABLE mcp_events ADD FOREIGN KEY (mcp_instance_id) REFERENCES mcp_instances(id) ON DELETE CASCADE;
