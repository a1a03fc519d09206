-- Up Migration

-- Who is logged in to the dashboard. The cookie's secret is kept as a hash; what the session may do is what the API token
-- behind it may, read at every request: with the token or its user the session is gone.
CREATE TABLE sessions (
  id UUID PRIMARY KEY,
  user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token_id UUID NOT NULL REFERENCES api_tokens(id) ON DELETE CASCADE,
  secret_hash BYTEA NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_used_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_sessions_user ON sessions(user_id, last_used_at DESC);
CREATE INDEX idx_sessions_token ON sessions(token_id);
CREATE INDEX idx_sessions_expires_at ON sessions(expires_at);

-- One-time codes that open a session. Spending one deletes it: of two who try, one finds it.
CREATE TABLE login_codes (
  code_hash BYTEA PRIMARY KEY CHECK (octet_length(code_hash) = 32),
  token_id UUID NOT NULL REFERENCES api_tokens(id) ON DELETE CASCADE,
  expires_at TIMESTAMPTZ NOT NULL,
  session_ends_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_login_codes_token ON login_codes(token_id, created_at DESC);
CREATE INDEX idx_login_codes_expires_at ON login_codes(expires_at);
COMMENT ON COLUMN login_codes.session_ends_at IS 'End of the session that made the code, which the next one may not outlive; null: an API token made it.';

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY supervisor ON sessions TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY own ON sessions FOR SELECT TO minimcp_api
  USING (user_id = (SELECT minimcp_user_id()) OR (SELECT minimcp_is_admin()));
-- Without the hash. The API role has no rights on login_codes.
GRANT SELECT (id, user_id, token_id, created_at, last_used_at, expires_at) ON sessions TO minimcp_api;

-- Down Migration

DROP TABLE login_codes, sessions;
