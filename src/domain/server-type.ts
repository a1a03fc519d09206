// What a kind of MCP server is, as the catalogue holds it. Pure.
import type { IsolationLevel } from './instance.ts';

export const eras = ['unknown', 'legacy', 'dual', 'modern'] as const;
export type Era = (typeof eras)[number];
export type Transport = 'stdio' | 'streamable-http';
export type Egress = 'none' | 'allow-list' | 'open';

/** One thing a type wants to be told, as the registry format declares it. */
export interface TypeInput {
  readonly name: string;
  readonly description?: string | undefined;
  readonly is_required: boolean;
  readonly is_secret: boolean;
  readonly default?: string | undefined;
  readonly choices?: readonly string[] | undefined;
}

export const trialStates = ['waiting', 'passed', 'failed', 'skipped'] as const;

/** A tool as its server describes it. */
export interface TrialTool {
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  /** What the server says of it, for example readOnlyHint. Not proof of anything. */
  readonly annotations: Readonly<Record<string, boolean>>;
}

/** What starting the server of a type once showed. */
export interface Trial {
  readonly state: (typeof trialStates)[number];
  /** When it ended; null while it is waited for. */
  readonly at: string | null;
  readonly isolation: IsolationLevel | null;
  readonly duration_ms: number | null;
  readonly protocol_version: string | null;
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly tools: readonly TrialTool[];
  /** Of all it offers; `tools` holds the first of them. */
  readonly tools_total: number;
  /** Why it failed or was not started. */
  readonly problem: string | null;
  /** Last lines of its standard error, when it failed. */
  readonly last_lines: readonly string[];
}

export const waitingTrial: Trial = {
  state: 'waiting',
  at: null,
  isolation: null,
  duration_ms: null,
  protocol_version: null,
  server: null,
  tools: [],
  tools_total: 0,
  problem: null,
  last_lines: [],
};

/** A row of mcp_types. */
export interface ServerType {
  readonly id: string;
  readonly name: string;
  readonly display_name: string;
  readonly description: string | null;
  readonly icon_url: string | null;
  /** The file inside the package that is started, for example dist/index.js. */
  readonly server_script: string;
  readonly config_template: Record<string, unknown>;
  readonly required_scopes: readonly string[];
  readonly resource_limits: {
    readonly cpu?: string | undefined;
    readonly memory?: string | undefined;
    readonly processes?: number | undefined;
    readonly open_files?: number | undefined;
    readonly disk?: string | undefined;
  };
  readonly max_duration_minutes: number;
  readonly is_active: boolean;
  readonly origin: 'shipped' | 'admin';
  readonly registry_name: string | null;
  readonly package_name: string;
  readonly package_version: string;
  readonly transport: Transport;
  /** Arguments after the script. `${HOME}` stands for the instance's home; nothing else is replaced. */
  readonly arguments: readonly string[];
  /** Fixed environment of the child, no secrets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly inputs: readonly TypeInput[];
  readonly key_variable: string | null;
  readonly era: Era;
  readonly egress: Egress;
  readonly egress_hosts: readonly string[];
  readonly read_only_paths: readonly string[];
  readonly idle_minutes: number | null;
  readonly restart_policy: {
    readonly tries?: number | undefined;
    readonly backoff_seconds?: number | undefined;
    readonly backoff_seconds_max?: number | undefined;
    readonly reset_after_seconds?: number | undefined;
  };
  readonly start_timeout_seconds: number;
  readonly legacy_sse: boolean;
  /** Where it came from, as whoever added it gave it; null for those that are shipped. */
  readonly source: string | null;
  /** Subresource integrity of the package, as npm checked it. */
  readonly integrity: string | null;
  readonly license: string | null;
  /** Null: its server was never started to see what it is. */
  readonly trial: Trial | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}
