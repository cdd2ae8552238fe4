import assert from 'node:assert/strict';
import path from 'node:path';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { guestPhysical, hostPhysical, linear } from '../../emulator/memory/address';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { ExitKindsResponse, ExitsArguments, ExitsResponse } from '../../debug-adapter/protocol/requests';
import { ExitFilter } from '../../debug-adapter/watch/exit-filter';
import { ExitLog } from '../../debug-adapter/watch/exit-log';
import { Client } from '../golden/client';

describe('undervisor/exits', () => {
  const client = new Client(nodeEnvironment);
  const ask = (args: Partial<ExitsArguments>) =>
    client.request<ExitsResponse>('undervisor/exits', { start: 0, count: 10_000, ...args });
  let all: ExitsResponse;
  before(async function () {
    this.timeout(120_000);
    await client.request('initialize', {});
    await client.request('launch', { program: path.resolve('samples/cloudvisor') });
    await client.request('configurationDone');
    await client.event('terminated');
    all = await ask({});
    // An answer has 10,000 rows at most.
    while (all.rows.length < all.total) all.rows.push(...(await ask({ start: all.rows.length })).rows);
  });
  after(() => client.dispose());

  it('narrows the list to layers and reasons, counts and pages what matches', async () => {
    const wanted = all.rows.filter(({ layer, reason }) => layer === 'guest' && reason === ExitReason.EPT_VIOLATION);
    assert.ok(wanted.length > 2 && wanted.length < all.total);
    const filter = { layers: ['guest'], reasons: [ExitReason.EPT_VIOLATION] };
    assert.deepEqual(await ask(filter), { total: wanted.length, rows: wanted });
    assert.deepEqual((await ask({ ...filter, start: 1, count: 1 })).rows, [wanted[1]]);
    assert.deepEqual((await ask({ ...filter, start: wanted.length })).rows, []);
    const vmm = all.rows.filter(({ layer }) => layer === 'vmm');
    assert.equal((await ask({ layers: ['vmm'] })).total, vmm.length);
    assert.deepEqual(await ask({ layers: ['nobody'] }), { total: 0, rows: [] });
  });

  it('says where in the sources an exit happened', () => {
    const sources = new Set(all.rows.map(({ layer, source }) => `${layer} ${source && path.basename(source.path)}`));
    assert.ok(sources.has('guest secret.c'), [...sources].join(', '));
    for (const { source } of all.rows) assert.ok(!source || (path.isAbsolute(source.path) && source.line >= 1));
  });

  it('counts the exits of each layer and reason', async () => {
    const { kinds } = await client.request<ExitKindsResponse>('undervisor/exitKinds');
    assert.equal(
      kinds.reduce((sum, { count }) => sum + count, 0),
      all.total,
    );
    for (const { layer, reason, name, count } of kinds) {
      const { total, rows } = await ask({ layers: [layer], reasons: [reason] });
      assert.equal(total, count);
      assert.equal(rows[0]?.name, name);
    }
  });

  it('refuses a filter that is none', async () => {
    for (const [args, message] of [
      [{ layers: [7] }, /layers must be names/],
      [{ reasons: ['EPT_VIOLATION'] }, /reasons must be numbers/],
      [{ layers: 'guest' }, /layers/],
    ] as const) {
      const response = await client.response('undervisor/exits', { start: 0, count: 1, ...args });
      assert.equal(response.success, false);
      assert.match(response.message ?? '', message);
    }
  });
});

describe('exit filter', () => {
  const add = (log: ExitLog, reason: number, layer: number) =>
    log.add(
      {
        n: log.total + 1,
        instruction: 0,
        vcpu: 0,
        vmcs: hostPhysical(0n),
        reason,
        qualification: 0n,
        guestLinear: linear(0n),
        guestPhysical: guestPhysical(0n),
        interruptionInformation: 0,
        interruptionErrorCode: 0,
        instructionLength: 0,
        rip: 0n,
        csBase: 0n,
      },
      layer,
    );
  const filtered = (exits: ExitLog) =>
    new ExitFilter({ exits, exitKind: (kind) => ({ layer: `layer ${kind >> 16}`, reason: kind & 0xffff }) });
  const numbers = ({ records }: ReturnType<ExitFilter['slice']>) => records.map(({ n }) => n);

  it('follows the log as it grows, without reading the old part again', () => {
    const log = new ExitLog();
    for (let n = 1; n <= 120_000; n++) add(log, n % 1000 === 0 ? 48 : 10, n % 2);
    const filter = filtered(log);
    let read = 0;
    const kind = log.kind.bind(log);
    log.kind = (index) => (read++, kind(index));
    assert.equal(filter.slice({ start: 0, count: 0, reasons: [48] }).total, 120);
    assert.equal(read, 120_000);
    add(log, 48, 0);
    const newest = filter.slice({ start: 119, count: 5, reasons: [48] });
    assert.deepEqual([newest.total, ...numbers(newest)], [121, 120_000, 120_001]);
    assert.equal(read, 120_001);
    assert.equal(filter.slice({ start: 0, count: 0, layers: ['layer 1'] }).total, 60_000);
  });

  it('takes a failed VM entry by its basic reason', () => {
    const log = new ExitLog();
    add(log, 0x8000_0021, 3);
    assert.equal(filtered(log).slice({ start: 0, count: 1, layers: ['layer 3'], reasons: [0x21] }).total, 1);
  });

  it('keeps the positions of rows when the log drops the oldest', () => {
    const log = new ExitLog(8192);
    const filter = filtered(log);
    const even = (start: number, count: number) => filter.slice({ start, count, layers: ['layer 0'] });
    for (let n = 1; n <= 400_000; n++) {
      add(log, 10, n % 2);
      if (n % 5000 === 0) assert.equal(even(0, 0).total, n / 2);
    }
    assert.deepEqual(numbers(even(199_998, 9)), [399_998, 400_000]);
    const oldest = numbers(even(0, 200_000));
    assert.equal(oldest.length, 4096);
    assert.deepEqual(numbers(even(200_000 - 4097, 2)), [oldest[0]]);
  });
});
