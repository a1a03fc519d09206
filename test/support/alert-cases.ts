// What each alert of config/prometheus-rules.yml fires on, and what comes close and must not. Series are in the notation of
// Prometheus' rule tests, a value a minute: "0x5" is 0 six times, "0+10x30" grows by 10 a minute.

export interface AlertCase {
  readonly alert: string;
  readonly fires: boolean;
  readonly series: Readonly<Record<string, string>>;
  /** When it is looked at. */
  readonly at: string;
}

const fires = (alert: string, at: string, series: Readonly<Record<string, string>>): AlertCase => ({
  ...{ alert, at, series, fires: true },
});
const quiet = (alert: string, at: string, series: Readonly<Record<string, string>>): AlertCase => ({
  ...{ alert, at, series, fires: false },
});

export const alertCases: readonly AlertCase[] = [
  fires('MiniMcpDown', '3m', { 'up{job="minimcp"}': '0x5' }),
  quiet('MiniMcpDown', '3m', { 'up{job="minimcp"}': '0 0 1 0', 'up{job="other"}': '0x5' }),
  fires('MiniMcpDatabaseDown', '2m', { minimcp_database_up: '0x5' }),
  quiet('MiniMcpDatabaseDown', '2m', { minimcp_database_up: '1 0 1' }),
  fires('MiniMcpNoPortFree', '3m', {
    'minimcp_ports{node="a",state="free"}': '0x5',
    'minimcp_ports{node="a",state="held"}': '10x5',
  }),
  fires('MiniMcpNoPortFree', '3m', { 'minimcp_ports{node="a",state="held"}': '10x5' }),
  quiet('MiniMcpNoPortFree', '3m', {
    'minimcp_ports{node="a",state="free"}': '1x5',
    'minimcp_ports{node="a",state="held"}': '10x5',
  }),
  fires('MiniMcpFewPortsFree', '11m', {
    'minimcp_ports{node="a",state="free"}': '9x15',
    'minimcp_ports{node="a",state="held"}': '91x15',
  }),
  quiet('MiniMcpFewPortsFree', '11m', {
    'minimcp_ports{node="a",state="free"}': '10x15',
    'minimcp_ports{node="a",state="held"}': '90x15',
  }),
  fires('MiniMcpInstancesFailing', '25m', {
    'minimcp_instance_ends_total{reason="crash_loop"}': '0+3x30',
    'minimcp_instance_starts_total{mcp_type="a",result="started"}': '0+10x30',
  }),
  quiet('MiniMcpInstancesFailing', '25m', {
    'minimcp_instance_ends_total{reason="crash_loop"}': '0+1x30',
    'minimcp_instance_ends_total{reason="expired"}': '0+9x30',
    'minimcp_instance_starts_total{mcp_type="a",result="started"}': '0+10x30',
  }),
  fires('MiniMcpLaunchesRefused', '11m', {
    'minimcp_instance_starts_total{mcp_type="a",result="failed"}': '0+1x15',
  }),
  quiet('MiniMcpLaunchesRefused', '11m', {
    'minimcp_instance_starts_total{mcp_type="a",result="failed"}': '0x5 2x10',
    'minimcp_instance_starts_total{mcp_type="a",result="started"}': '0+9x15',
  }),
  fires('MiniMcpLogsBehind', '6m', { minimcp_log_lag_seconds: '61x10' }),
  quiet('MiniMcpLogsBehind', '6m', { minimcp_log_lag_seconds: '61 61 61 5 61 61 61' }),
  fires('MiniMcpLogsDropped', '7m', { minimcp_log_lines_dropped_total: '0x5 7x5' }),
  quiet('MiniMcpLogsDropped', '7m', { minimcp_log_lines_dropped_total: '7x10' }),
  fires('MiniMcpLeaseRenewalsFail', '2m', { 'minimcp_node_lease_seconds{node="a"}': '4x5' }),
  quiet('MiniMcpLeaseRenewalsFail', '2m', { 'minimcp_node_lease_seconds{node="a"}': '12x5' }),
  fires('MiniMcpShimMemory', '6m', { 'minimcp_shim_memory_bytes{of="largest"}': '160000000x10' }),
  quiet('MiniMcpShimMemory', '6m', {
    'minimcp_shim_memory_bytes{of="largest"}': '150000000x10',
    'minimcp_shim_memory_bytes{of="all"}': '9000000000x10',
  }),
  fires('MiniMcpQueueBehind', '6m', { minimcp_queue_oldest_job_seconds: '61x10' }),
  quiet('MiniMcpQueueBehind', '6m', { minimcp_queue_oldest_job_seconds: '59x10' }),
  fires('MiniMcpPoolExhausted', '6m', { 'minimcp_database_connections{state="waiting"}': '1x10' }),
  quiet('MiniMcpPoolExhausted', '6m', {
    'minimcp_database_connections{state="waiting"}': '0x10',
    'minimcp_database_connections{state="total"}': '16x10',
  }),
  fires('MiniMcpEventLoopLag', '11m', { nodejs_eventloop_lag_p99_seconds: '0.3x15' }),
  quiet('MiniMcpEventLoopLag', '11m', { nodejs_eventloop_lag_p99_seconds: '0.2x15' }),
];

/** The cases as "promtool test rules" wants them: each asks how many alerts of the name are firing. */
export function ruleTests(rulesFile: string): unknown {
  return {
    rule_files: [rulesFile],
    evaluation_interval: '1m',
    tests: alertCases.map(({ alert, at, series, fires: isFiring }) => ({
      name: `${alert} ${isFiring ? 'fires' : 'is quiet'}`,
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
          eval_time: at,
          exp_samples: isFiring ? [{ labels: '{}', value: 1 }] : [],
        },
      ],
    })),
  };
}
