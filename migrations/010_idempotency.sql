-- Up Migration

-- Answers to POST requests that carried an Idempotency-Key. An answer may hold an access token, which is stored nowhere
-- in the open: it is sealed under a key derived from the caller's API token and the Idempotency-Key, and this table
-- holds neither. The API role has no rights here.
CREATE TABLE idempotency_keys (
  token_id UUID NOT NULL REFERENCES api_tokens(id) ON DELETE CASCADE,
  key_hash BYTEA NOT NULL CHECK (octet_length(key_hash) = 32),
  request_mac BYTEA NOT NULL CHECK (octet_length(request_mac) = 32),
  sealed_answer BYTEA,
  runs_until TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (token_id, key_hash)
);
CREATE INDEX idx_idempotency_keys_expires_at ON idempotency_keys(expires_at);
COMMENT ON COLUMN idempotency_keys.runs_until IS 'After this a request without an answer was cut off; its outcome is unknown.';

-- Down Migration

DROP TABLE idempotency_keys;
