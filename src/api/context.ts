// What the API is given, room by room, and nothing more of each than it uses. Types only.
import type { Registry } from 'prom-client';
import type { Accounts } from '../accounts/accounts.ts';
import type { Settings } from '../accounts/settings.ts';
import type { Logger } from '../base/log.ts';
import type { TypeWish } from '../catalog/outside.ts';
import type { ChangeFeed } from '../db/listen.ts';
import type { Db, Principal } from '../db/pool.ts';
import type { LogFilter } from '../db/queries/log-looks.ts';
import type { LogRow } from '../db/queries/logs.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Actor, Manager } from '../instances/types.ts';
import type { ReportDetails } from './contract.ts';

export interface Health {
  readonly ready: boolean;
  /** Each check by name: "ok", or what is wrong in words. */
  readonly checks: Readonly<Record<string, string>>;
}

export interface ApiKeyEntry {
  readonly mcp_type: string;
  readonly key_hint: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly expires_at: Date | null;
}

interface ApiVault {
  put(
    userId: string,
    typeId: string,
    typeName: string,
    plaintext: string,
    expiresAt: Date | null,
  ): Promise<ApiKeyEntry>;
  list(userId: string): Promise<readonly ApiKeyEntry[]>;
  /** @returns false when there was none */
  remove(userId: string, typeId: string): Promise<boolean>;
  /** Seals everything again under the active master key; stops between batches when the signal aborts. */
  rotate(signal: AbortSignal): Promise<{ readonly moved: number; readonly failed: number }>;
}

interface ApiKeyring {
  /** Makes a master key that seals from now on. @returns its id */
  add(): Promise<string>;
  /** Takes a master key out for good; illegal_in_status while it is in use. */
  retire(keyId: string): Promise<void>;
}

interface ApiCatalog {
  get(name: string): Promise<ServerType | undefined>;
  list(): Promise<readonly ServerType[]>;
  add(document: unknown, actor: Actor): Promise<ServerType>;
  addFromOutside(wish: TypeWish, actor: Actor): Promise<ServerType>;
  retry(name: string, actor: Actor): Promise<ServerType>;
  tried(name: string, signal: AbortSignal): Promise<void>;
  remove(name: string, actor: Actor): Promise<void>;
  patch(name: string, patch: TypePatch, actor: Actor): Promise<ServerType>;
  available(type: ServerType): Promise<boolean> | boolean;
}

interface TypePatch {
  readonly is_active?: boolean | undefined;
  readonly display_name?: string | undefined;
  readonly description?: string | undefined;
  readonly max_duration_minutes?: number | undefined;
  readonly idle_minutes?: number | null | undefined;
  readonly legacy_sse?: boolean | undefined;
}

interface ApiLogs {
  /** Lines as they are stored, after a line or from now on; ends with the signal. Reads under the principal's rights. */
  follow(options: {
    readonly principal: Principal;
    /** The id of the last line seen; null: from the filter's `since`, or from now on. */
    readonly afterId: string | null;
    readonly filter: LogFilter;
    readonly signal: AbortSignal;
  }): AsyncIterable<LogRow>;
}

/** How much is let through. Rates hold over all supervisors together, about; the rest is per process. */
export interface ApiLimits {
  /** Requests a minute of a token that has no rate of its own. */
  readonly tokenPerMinute: number;
  /** Requests a minute from one address, whoever asks. */
  readonly addressPerMinute: number;
  /** Refused logins a minute from one address before they are answered with 429. */
  readonly refusedLoginsPerMinute: number;
  readonly connectionsMax: number;
  readonly streamsMax: number;
  readonly streamsPerCallerMax: number;
  /** Between two signs of life on a stream, and between two checks that its caller may still see it. */
  readonly heartbeatMs: number;
  /** How long a reader of a stream may take nothing before it is let go. */
  readonly stallMs: number;
}

export const defaultLimits: ApiLimits = {
  tokenPerMinute: 6_000,
  addressPerMinute: 12_000,
  refusedLoginsPerMinute: 60,
  connectionsMax: 4_096,
  streamsMax: 500,
  streamsPerCallerMax: 20,
  heartbeatMs: 15_000,
  stallMs: 60_000,
};

/** What the ingester of this process has done since its start, and how far it is behind. */
export interface LogFigures {
  readonly spools: number;
  readonly stored: number;
  readonly storedBytes: number;
  readonly dropped: number;
  readonly lagMs: number;
}

/** What the process knows of itself without asking anybody. */
type Inside = Pick<ReportDetails, 'isolation' | 'admission'> & {
  readonly logProblem: string | null;
  readonly keyProblem: string | null;
};

export interface ApiOptions {
  readonly db: Db;
  readonly manager: Manager;
  readonly accounts: Accounts;
  readonly settings: Settings;
  readonly vault: ApiVault;
  readonly keyring: ApiKeyring;
  readonly catalog: ApiCatalog;
  readonly logs: ApiLogs;
  /** Announcements of changed instances, from whichever process made them. */
  readonly changes: ChangeFeed;
  readonly health: () => Promise<Health>;
  /** What the process knows of itself. */
  readonly inside: () => Inside;
  /** From now on this node takes no new work; with `endInstances` every instance on it is ended, and then the daemon. */
  readonly requestDrain: (options: { readonly endInstances: boolean }) => Promise<void>;
  readonly registry: Registry;
  readonly logFigures: () => LogFigures;
  /** Where the dashboard's files are, once they are built. */
  readonly pageDir: string;
  readonly node: { readonly id: string; readonly version: string };
  readonly log: Logger;
  /** The base users see when a proxy stands in front; forwarded addresses are then believed from loopback. */
  readonly publicUrl?: string | undefined;
  readonly limits?: Partial<ApiLimits> | undefined;
}
