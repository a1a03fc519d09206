// Reads JSON without building it: whether it is valid, how deep and how complex it is, and where its outer members
// lie. For documents too large to be parsed into objects in a process that shall stay small, and for changing one
// member of a document while leaving every other byte as it is.

/** Where a member's value lies: bytes [start, end). */
export interface Member {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

export interface Scan {
  /** Members of the outermost object. Null when it is no object. */
  readonly members: readonly Member[] | null;
  /** Members of objects that are members of the outermost, by that one's key. */
  readonly inner: ReadonlyMap<string, readonly Member[]>;
  /** Values in all, at any depth. */
  readonly values: number;
  /** A name stands twice in the outermost object, or in one of `inner`; parsers differ in which they take. */
  readonly isAmbiguous: boolean;
}

export type ScanFailure = 'invalid' | 'deep';

/** Members that are listed of one object; one with more counts as ambiguous. */
const membersMax = 256;

const isWhite = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** Scans a JSON document, UTF-8. It accepts exactly what JSON.parse accepts, down to `depthMax` levels. */
export function scan(bytes: Buffer, depthMax: number): Scan | ScanFailure {
  return new Scanner(bytes, depthMax).run();
}

class Scanner {
  private readonly bytes: Buffer;
  private readonly depthMax: number;
  private readonly inner = new Map<string, Member[]>();
  private members: Member[] | null = null;
  private values = 0;
  private isAmbiguous = false;
  private isDeep = false;
  private key = '';

  constructor(bytes: Buffer, depthMax: number) {
    this.bytes = bytes;
    this.depthMax = depthMax;
  }

  run(): Scan | ScanFailure {
    const end = this.value(this.skip(0), 1);
    if (this.isDeep) return 'deep';
    if (end === -1 || this.skip(end) !== this.bytes.length) return 'invalid';
    const { members, inner, values, isAmbiguous } = this;
    return { members, inner, values, isAmbiguous };
  }

  private skip(at: number): number {
    let next = at;
    while (isWhite(this.bytes[next])) next += 1;
    return next;
  }

  /** The end of the value that starts at `at`; -1 when there is none. */
  private value(at: number, depth: number): number {
    this.values += 1;
    switch (this.bytes[at]) {
      case 0x7b:
        return this.object(at, depth);
      case 0x5b:
        return this.array(at, depth);
      case 0x22:
        return this.string(at);
      case 0x74:
        return this.word(at, 'true');
      case 0x66:
        return this.word(at, 'false');
      case 0x6e:
        return this.word(at, 'null');
      default:
        return this.number(at);
    }
  }

  private object(at: number, depth: number): number {
    if (depth > this.depthMax) return this.tooDeep();
    const listed = depth === 1 || (depth === 2 && this.members !== null) ? ([] as Member[]) : null;
    if (depth === 1) this.members = listed;
    else if (listed !== null) this.inner.set(this.key, listed);
    let next = this.skip(at + 1);
    if (this.bytes[next] === 0x7d) return next + 1;
    for (;;) {
      if (this.bytes[next] !== 0x22) return -1;
      const keyEnd = this.string(next);
      if (keyEnd === -1) return -1;
      const key = listed === null ? '' : this.keyAt(next, keyEnd);
      if (depth === 1) this.key = key;
      next = this.skip(keyEnd);
      if (this.bytes[next] !== 0x3a) return -1;
      const start = this.skip(next + 1);
      const end = this.value(start, depth + 1);
      if (end === -1) return -1;
      if (listed !== null) this.list(listed, key, start, end);
      next = this.skip(end);
      if (this.bytes[next] === 0x7d) return next + 1;
      if (this.bytes[next] !== 0x2c) return -1;
      next = this.skip(next + 1);
    }
  }

  private list(listed: Member[], key: string, start: number, end: number): void {
    if (listed.length >= membersMax || listed.some((member) => member.key === key)) this.isAmbiguous = true;
    else listed.push({ key, start, end });
  }

  private keyAt(start: number, end: number): string {
    // Long names are none of ours.
    return end - start > 1_024 ? '' : (JSON.parse(this.bytes.toString('utf8', start, end)) as string);
  }

  private array(at: number, depth: number): number {
    if (depth > this.depthMax) return this.tooDeep();
    let next = this.skip(at + 1);
    if (this.bytes[next] === 0x5d) return next + 1;
    for (;;) {
      next = this.value(next, depth + 1);
      if (next === -1) return -1;
      next = this.skip(next);
      if (this.bytes[next] === 0x5d) return next + 1;
      if (this.bytes[next] !== 0x2c) return -1;
      next = this.skip(next + 1);
    }
  }

  private tooDeep(): number {
    this.isDeep = true;
    return -1;
  }

  private string(at: number): number {
    const { bytes } = this;
    const { length } = bytes;
    for (let next = at + 1; next < length; next += 1) {
      const byte = bytes[next] as number;
      if (byte === 0x22) return next + 1;
      if (byte < 0x20) return -1;
      if (byte !== 0x5c) continue;
      next += 1;
      const escaped = bytes[next];
      if (escaped === 0x75) {
        if (!this.isHex(next + 1)) return -1;
        next += 4;
      } else if (escaped === undefined || !'"\\/bfnrt'.includes(String.fromCharCode(escaped))) return -1;
    }
    return -1;
  }

  private isHex(at: number): boolean {
    for (let next = at; next < at + 4; next += 1) {
      const byte = (this.bytes[next] ?? 0) | 0x20;
      if (!isDigit(this.bytes[next]) && !(byte >= 0x61 && byte <= 0x66)) return false;
    }
    return true;
  }

  private word(at: number, word: string): number {
    for (let index = 0; index < word.length; index += 1)
      if (this.bytes[at + index] !== word.charCodeAt(index)) return -1;
    return at + word.length;
  }

  private number(at: number): number {
    const { bytes } = this;
    let next = bytes[at] === 0x2d ? at + 1 : at;
    if (!isDigit(bytes[next])) return -1;
    if (bytes[next] === 0x30) next += 1;
    else next = this.digits(next);
    if (bytes[next] === 0x2e) {
      if (!isDigit(bytes[next + 1])) return -1;
      next = this.digits(next + 1);
    }
    if (bytes[next] === 0x65 || bytes[next] === 0x45) {
      next += 1;
      if (bytes[next] === 0x2b || bytes[next] === 0x2d) next += 1;
      if (!isDigit(bytes[next])) return -1;
      next = this.digits(next);
    }
    return next;
  }

  private digits(at: number): number {
    let next = at;
    while (isDigit(this.bytes[next])) next += 1;
    return next;
  }
}
