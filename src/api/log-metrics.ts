// The figures of the log path, as the ingester of this process knows them. Nothing is asked of the database: how far
// the lines are behind is told also while it is away.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { LogFigures } from './context.ts';

/** Registers the figures. Once per registry. */
export function registerLogFigures(registry: Registry, read: () => LogFigures): void {
  const registers = [registry];
  const total = (name: string, help: string, of: (figures: LogFigures) => number): void => {
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset();
        this.inc(of(read()));
      },
    });
  };
  const level = (name: string, help: string, of: (figures: LogFigures) => number): void => {
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(of(read()));
      },
    });
  };
  total('minimcp_log_lines_total', 'Log lines stored by this process', ({ stored }) => stored);
  total(
    'minimcp_log_bytes_total',
    'Bytes of log lines, as they lay on disk, stored by this process',
    ({ storedBytes }) => storedBytes,
  );
  total(
    'minimcp_log_lines_dropped_total',
    'Log lines that could not be kept; in the log a marker stands for them',
    ({ dropped }) => dropped,
  );
  level(
    'minimcp_log_lag_seconds',
    'How far stored log lines are behind what was written; 0 when nothing waits',
    ({ lagMs }) => lagMs / 1_000,
  );
  level('minimcp_log_spools_waiting', 'Spools with lines that are not stored yet', ({ spools }) => spools);
}
