// A port that is taken: the refusal says by whom.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { findPortHolder } from '../../src/runtime/port-holder.ts';
import { offlineApi } from '../support/offline-api.ts';

it.runIf(existsSync('/proc/net/tcp'))(
  'names the process that listens, and nobody once it does not',
  async () => {
    const server = createServer().listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(findPortHolder(port)).toMatchObject({
      pid: process.pid,
      command: expect.stringContaining('node'),
    });
    const api = await offlineApi();
    await expect(api.listen({ host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringMatching(
        new RegExp(`^process ${process.pid} \\(.+\\) already listens on 127.0.0.1:${port}$`),
      ),
    });
    await api.close();
    server.close();
    await once(server, 'close');
    expect(findPortHolder(port)).toBeUndefined();
  },
);
