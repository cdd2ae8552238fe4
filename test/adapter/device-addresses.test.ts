import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { TranslateResponse } from '../../debug-adapter/protocol/requests';
import { Client } from '../golden/client';
import { elfImage } from '../machine/elf-image';

const AT = 0x10_0000;
const word = (value: number) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
/** mov dword [at], value */
const store = (at: number, value: number) => [0xc7, 0x05, ...word(at), ...word(value)];
/** Switches the IOMMU on with a root table at 2 MiB, whose first entry leads to an empty context table; then jmp $. */
const CODE = [
  ...store(0x200000, 0x201001),
  ...store(0xfed90020, 0x200000),
  ...store(0xfed90018, 0x40000000),
  ...store(0xfed90018, 0x80000000),
  0xeb,
  0xfe,
];

describe('the address of a device', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-devices-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is translated by the tables of the IOMMU', async () => {
    const program = path.join(folder, 'iommu.elf');
    writeFileSync(program, elfImage({ entry: AT, pvh: AT, bits: 32, segments: [{ paddr: AT, bytes: CODE }] }));
    const client = new Client(nodeEnvironment);
    const ask = (args: object) =>
      client.request<TranslateResponse>('undervisor/translate', { address: '0x1234', ...args });
    try {
      await client.request('initialize', {});
      await client.request('launch', { program, stopOnEntry: true, iommu: true });
      await client.request('configurationDone');
      await client.event('stopped');
      const off = await ask({ requester: 9 });
      assert.deepEqual([off.hostPhysical, off.steps], ['0x1234', []]);
      await client.request('continue', { threadId: 1 });
      await client.request('pause', { threadId: 1 });
      await client.event('stopped');
      const on = await ask({ requester: 9 });
      assert.equal(on.hostPhysical, undefined);
      assert.deepEqual(
        on.steps.map(({ name, table, entry }) => [name, table, entry]),
        [
          ['Root entry', 'iommu', '0x201001'],
          ['Context entry', 'iommu', '0x0'],
        ],
      );
      assert.match(on.failure ?? '', /context entry not present \(fault reason 0x2\)/);
      await assert.rejects(ask({ requester: 70000 }), /"requester" must be a PCI requester ID/);
    } finally {
      client.dispose();
    }
  });
});
