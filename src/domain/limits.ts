// The limits a type asks for, within those of the installation. Pure. Quantities are written as in the seed schema:
// cpu in cores ("0.5"), memory and disk in bytes with an optional k, m or g ("512m").
import type { ServerType } from './server-type.ts';

export interface ProcessLimits {
  readonly memoryBytesMax: number;
  /** Hundredths of one core. */
  readonly cpuPercentMax: number;
  readonly processesMax: number;
  readonly openFilesMax: number;
  readonly diskBytesMax: number;
}

/** The most any process may have, from system_settings. */
export interface Ceiling {
  readonly memoryMbMax: number;
  readonly cpuPercentMax: number;
}

const mebibyte = 1024 * 1024;
const defaults = { processes: 64, openFiles: 1_024, diskBytes: 1_024 * mebibyte };

/** What a type's resource_limits come to; what cannot be read counts as not said. */
export function limitsOf(said: ServerType['resource_limits'], ceiling: Ceiling): ProcessLimits {
  const memoryCeiling = ceiling.memoryMbMax * mebibyte;
  const cpu = Number(said.cpu) * 100;
  return {
    memoryBytesMax: Math.min(bytesOf(said.memory) ?? memoryCeiling, memoryCeiling),
    cpuPercentMax: Math.min(cpu > 0 ? cpu : ceiling.cpuPercentMax, ceiling.cpuPercentMax),
    processesMax: said.processes ?? defaults.processes,
    openFilesMax: said.open_files ?? defaults.openFiles,
    diskBytesMax: bytesOf(said.disk) ?? defaults.diskBytes,
  };
}

const units: Readonly<Record<string, number>> = { '': 1, k: 1024, m: mebibyte, g: 1024 * mebibyte };

/** Bytes of "512m", "1.5g", "4096"; undefined for anything else. */
function bytesOf(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)i?b?$/i.exec(text ?? '');
  const unit = units[match?.[2]?.toLowerCase() ?? '?'];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
