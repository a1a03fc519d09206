-- Up Migration

-- Where a type came from, what npm vouched for, and what was learnt by starting its server once.
ALTER TABLE mcp_types
  ADD COLUMN source VARCHAR(1000),
  ADD COLUMN integrity VARCHAR(200),
  ADD COLUMN license VARCHAR(200),
  ADD COLUMN trial JSONB;
COMMENT ON COLUMN mcp_types.integrity IS 'Subresource integrity of the package''s tarball, as npm checked it.';
COMMENT ON COLUMN mcp_types.trial IS 'What starting the server once showed; state waiting: it has not been started yet.';

-- What was installed for a package, to the last dependency: whoever installs it again gets the same, or nothing.
CREATE TABLE mcp_packages (
  name VARCHAR(255) NOT NULL,
  version VARCHAR(100) NOT NULL,
  lock JSONB NOT NULL,
  digests JSONB NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(digests) = 'object'),
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (name, version)
);
COMMENT ON COLUMN mcp_packages.lock IS 'package-lock.json, without addresses.';
COMMENT ON COLUMN mcp_packages.digests IS 'Digest of the stored files, by platform: optional dependencies differ.';

-- Down Migration

DROP TABLE mcp_packages;
ALTER TABLE mcp_types DROP COLUMN source, DROP COLUMN integrity, DROP COLUMN license, DROP COLUMN trial;
