-- Up Migration

-- Makes the monthly (or daily) partition of a parent that holds a moment, if there is none. A row that arrives for a
-- moment without one goes nowhere silently: there is no default partition, the insert fails and the caller makes it.
CREATE FUNCTION minimcp_ensure_partition(parent regclass, at timestamptz, step text DEFAULT 'month') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  low timestamptz := date_trunc(step, at, 'UTC');
  high timestamptz := date_trunc(step, (low AT TIME ZONE 'UTC' + ('1 ' || step)::interval) AT TIME ZONE 'UTC', 'UTC');
  child text := format('%s_p%s', parent::text, to_char(low AT TIME ZONE 'UTC', CASE step WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END));
BEGIN
  IF to_regclass(child) IS NULL THEN
    -- Two supervisors may want the same partition at the same moment; the second finds it made.
    PERFORM pg_advisory_xact_lock(hashtextextended('minimcp_partition', 0));
    IF to_regclass(child) IS NULL THEN
      -- Made alone and then attached: readers and writers of the parent go on meanwhile.
      EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', child, parent);
      EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, low, high);
    END IF;
  END IF;
  RETURN child;
END
$$;

REVOKE EXECUTE ON FUNCTION minimcp_ensure_partition(regclass, timestamptz, text) FROM PUBLIC;

SELECT minimcp_ensure_partition(parent, CURRENT_TIMESTAMP + make_interval(months => ahead))
FROM unnest(ARRAY['mcp_logs', 'mcp_events']::regclass[]) AS parent, generate_series(0, 2) AS ahead;

-- Down Migration

DROP FUNCTION minimcp_ensure_partition(regclass, timestamptz, text);
