// What a kind of MCP server is, as the catalogue holds it. Pure.

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
  readonly created_at: Date;
  readonly updated_at: Date;
}
