import assert from 'node:assert/strict';
import type { VmExitRecord } from '../../emulator/cpu/taps';
import { guestPhysical, hostPhysical, linear } from '../../emulator/memory/address';
import { ExitLog } from '../../debug-adapter/watch/exit-log';
import { PageLog } from '../../debug-adapter/watch/page-log';
import { SerialLines } from '../../debug-adapter/watch/serial-lines';

const record = (n: number): VmExitRecord => ({
  n,
  instruction: 2 ** 40 + n,
  vcpu: 0,
  vmcs: hostPhysical(0x5000n),
  reason: 0x8000_0021,
  qualification: 0xffff_ffff_ffff_fff0n + BigInt(n % 16),
  guestLinear: linear(0xffff_8000_0000_0000n + BigInt(n)),
  guestPhysical: guestPhysical(0x1234n),
  interruptionInformation: 0x8000_0b0e,
  interruptionErrorCode: 0xffff_ffff,
  instructionLength: 3,
  rip: 0xffff_ffff_8000_0000n,
  csBase: 0n,
});

describe('exit log', () => {
  it('keeps every bit of a record', () => {
    const log = new ExitLog();
    log.add(record(1), 7, 0xffff_ffff_0000_0001n, 2 ** 40);
    assert.deepEqual(log.get(0), { ...record(1), layer: 7, operand: 0xffff_ffff_0000_0001n, moment: 2 ** 40 });
    assert.equal(log.get(1), undefined);
    assert.equal(log.get(-1), undefined);
  });

  it('forgets what is behind a moment, and knows what was up to it', () => {
    const log = new ExitLog(8192);
    const total = 2 * 8192;
    for (let n = 1; n <= total; n++) log.add(record(n), n % 3, 0n, n * 10);
    assert.equal(log.upTo(total * 10), total);
    assert.equal(log.upTo(total * 10 - 1), total - 1);
    assert.equal(log.upTo(0), log.first);
    const { vcpu, vmcs } = record(1);
    assert.equal(log.lastOf(vcpu, vmcs, 100_005)?.n, 10_000);
    assert.equal(log.lastOf(vcpu + 1, vmcs, 100_005), undefined);
    const { generation, first } = log;
    log.cut(total * 10);
    assert.equal(log.generation, generation);
    log.cut(100_005);
    assert.deepEqual([log.total, log.first], [10_000, first]);
    assert.notEqual(log.generation, generation);
    // Dropped records stay dropped, although there is room again.
    assert.equal(log.get(first - 1), undefined);
    assert.equal(
      [...log.kinds.values()].reduce((sum, count) => sum + count, 0),
      10_000,
    );
    log.add(record(10_001), 0, 0n, 100_010);
    assert.equal(log.get(10_000)?.moment, 100_010);
  });

  it('keeps the newest and says how many there were', () => {
    const log = new ExitLog(3 * 8192);
    const total = 5 * 8192 + 100;
    for (let n = 1; n <= total; n++) log.add(record(n), 0);
    assert.equal(log.total, total);
    assert.equal(log.get(log.first - 1), undefined);
    assert.equal(log.get(log.first)?.n, log.first + 1);
    assert.equal(log.get(total - 1)?.n, total);
    assert.deepEqual(
      log.slice(total - 2, 100).map(({ n }) => n),
      [total - 1, total],
    );
    assert.deepEqual(
      log.slice(0, log.first + 2).map(({ n }) => n),
      [log.first + 1, log.first + 2],
    );
  });
});

describe('page log', () => {
  const event = (hpa: bigint) => ({
    instruction: 1,
    moment: 0,
    decision: 'owner' as const,
    hpa,
    gpa: 0n,
    vm: 1,
    why: '',
    symbol: '',
  });

  it('pages through all decisions, or those about one page', () => {
    const log = new PageLog();
    for (let i = 0; i < 10; i++) log.add(event(BigInt(i % 2) * 0x1000n + BigInt(i)));
    assert.deepEqual(
      log.slice(8, 5).rows.map(({ n }) => n),
      [9, 10],
    );
    const one = log.slice(1, 2, 0x1fffn);
    assert.equal(one.total, 5);
    assert.deepEqual(
      one.rows.map(({ n }) => n),
      [4, 6],
    );
  });

  it('forgets what is behind a moment', () => {
    const log = new PageLog();
    for (let i = 0; i < 10; i++) log.add({ ...event(0n), moment: i });
    log.cut(4);
    assert.equal(log.total, 5);
    assert.equal(log.add(event(0n)).n, 6);
  });

  it('drops the oldest when it is full', () => {
    const log = new PageLog(4);
    for (let i = 0; i < 9; i++) log.add(event(0n));
    assert.equal(log.total, 9);
    assert.deepEqual(
      log.slice(0, 100).rows.map(({ n }) => n),
      [5, 6, 7, 8, 9],
    );
  });
});

describe('serial lines', () => {
  it('keep the bytes of two layers apart', () => {
    const lines: string[] = [];
    const serial = new SerialLines((layer, text) => lines.push(`${layer}: ${text}`));
    const write = (layer: string, text: string) => {
      for (const byte of new TextEncoder().encode(text)) serial.add(byte, layer);
    };
    write('guest', 'hel');
    write('vmm', 'tick\r\n');
    write('guest', 'lo ü\nrest');
    serial.flush();
    serial.flush();
    assert.deepEqual(lines, ['vmm: tick', 'guest: hello ü', 'guest: rest']);
  });
});
