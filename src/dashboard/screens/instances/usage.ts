// The recent course of what instances use, as GET /usage answers it: columns of equal length, oldest first.

export interface InstanceUsage {
  readonly instance_id: string;
  readonly at: readonly string[];
  readonly cpu_percent: readonly (number | null)[];
  readonly memory_bytes: readonly (number | null)[];
}
