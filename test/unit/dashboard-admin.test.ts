// What the screens of the dashboard conclude from what they read: the state of a port, what is wrong with an
// installation, what a typed setting means.
import { describe, expect, it } from 'vitest';
import type { PortView } from '../../src/api/contract.ts';
import { type HealthReport, troublesOf } from '../../src/dashboard/screens/health/report.ts';
import { stateOf } from '../../src/dashboard/screens/ports/port-state.ts';
import { typedValue, wordOf } from '../../src/dashboard/screens/settings/setting-words.ts';

const nowMs = Date.parse('2026-01-01T12:00:00Z');
const free: PortView = {
  node_id: 'n',
  port: 3_001,
  is_available: true,
  mcp_instance_id: null,
  allocated_at: null,
  released_at: null,
  quarantined_until: null,
  quarantine_reason: null,
};

describe('the state of a port', () => {
  it('is held while an instance has it, and in quarantine until that is over', () => {
    expect(stateOf(free, nowMs)).toBe('free');
    expect(stateOf({ ...free, is_available: false, mcp_instance_id: 'x' }, nowMs)).toBe('held');
    expect(stateOf({ ...free, quarantined_until: '2026-01-01T12:00:01Z' }, nowMs)).toBe('quarantined');
    expect(stateOf({ ...free, quarantined_until: '2026-01-01T11:59:59Z' }, nowMs)).toBe('free');
  });
});

const well: HealthReport = {
  ready: true,
  version: '1.0.0',
  uptime_s: 5,
  server_time: '2026-01-01T12:00:00Z',
  database: { ok: true, latency_ms: 1 },
  details: {
    queue: { depth: 0, active: 0, oldest_s: 0 },
    logs: { spools: 0, lag_ms: 0, problem: null },
    keys: { ok: true, problem: null },
    isolation: { level: 'L4', missing: [] },
    admission: { running: 0, waiting: 0 },
    nodes: [],
    event_loop: { mean_ms: 1, p99_ms: 2 },
    database_connections: { total: 1, idle: 1, waiting: 0 },
  },
};
const details = well.details as NonNullable<HealthReport['details']>;

describe('what is wrong with an installation', () => {
  it('is nothing when all is well, also for those who are told no details', () => {
    expect(troublesOf(well)).toEqual([]);
    expect(troublesOf({ ...well, details: null })).toEqual([]);
  });

  it('is told one by one, the database first', () => {
    const troubles = troublesOf({
      ...well,
      database: { ok: false, latency_ms: null },
      details: {
        ...details,
        queue: { depth: 3, active: 0, oldest_s: 61 },
        logs: { spools: 1, lag_ms: 30_001, problem: null },
        keys: { ok: false, problem: 'the key file is gone' },
      },
    });
    expect(troubles.map((trouble) => trouble.split(/[.:]/, 1)[0])).toEqual([
      'The database does not answer',
      'Secrets cannot be opened',
      'Logs are 30s behind',
      'A job has waited for 1m 01s',
    ]);
  });
});

describe('a setting', () => {
  it('is read with its unit', () => {
    expect(wordOf('mcp.max_lease_minutes', 1_440)).toBe('1 d');
    expect(wordOf('process.max_memory_mb', 512)).toBe('512 MB');
    expect(wordOf('mcp.min_isolation', 'L0')).toBe('L0');
  });

  it('is sent as what it was: text stays text, a number a number, anything else as it was typed', () => {
    expect(typedValue(' 12 ', 5)).toBe(12);
    expect(typedValue('12', 'text')).toBe('12');
    expect(typedValue('many', 5)).toBe('many');
  });
});
