-- Up Migration

-- As before; and a partition that is there but detached, by hand or by a half-finished DETACH CONCURRENTLY, is attached
-- again with what it holds. Without this every line of its month was refused for as long as it lay there.
CREATE OR REPLACE FUNCTION minimcp_ensure_partition(parent regclass, at timestamptz, step text DEFAULT 'month') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  low timestamptz := date_trunc(step, at, 'UTC');
  high timestamptz := date_trunc(step, (low AT TIME ZONE 'UTC' + ('1 ' || step)::interval) AT TIME ZONE 'UTC', 'UTC');
  child text := format('%s_p%s', parent::text, to_char(low AT TIME ZONE 'UTC', CASE step WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END));
BEGIN
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child) AND inhparent = parent AND NOT inhdetachpending) THEN
    -- Two supervisors may want the same partition at the same moment; the second finds it made.
    PERFORM pg_advisory_xact_lock(hashtextextended('minimcp_partition', 0));
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child) AND inhparent = parent AND inhdetachpending) THEN
      EXECUTE format('ALTER TABLE %s DETACH PARTITION %I FINALIZE', parent, child);
    END IF;
    IF to_regclass(child) IS NULL THEN
      -- Made alone and then attached: readers and writers of the parent go on meanwhile.
      EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', child, parent);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child) AND inhparent = parent) THEN
      EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, low, high);
    END IF;
  END IF;
  RETURN child;
END
$$;

-- Down Migration

CREATE OR REPLACE FUNCTION minimcp_ensure_partition(parent regclass, at timestamptz, step text DEFAULT 'month') RETURNS text
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
