import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { placeAcpi, tableOf } from '../../emulator/machine/acpi/place';
import { createMachine } from '../../emulator/machine/machine';
import type { MachineConfiguration } from '../../emulator/machine/api';
import { elfImage } from './elf-image';

const OUT = path.resolve('.cache/acpi');
const AREA = 0xe0000;
const AT = 0x100000;
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const text = (bytes: Uint8Array, at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));

/** The first MiB of a machine as a program finds it, and its tables by signature */
function tablesOf(options: Partial<MachineConfiguration> = {}) {
  const bytes = elfImage({ entry: AT, pvh: AT, bits: 32, segments: [{ paddr: AT, bytes: [0xf4] }] });
  const kernel = { name: 'kernel', bytes };
  const machine = createMachine({ memory: 16, kernel, modules: [], commandLine: '', translator: false, ...options });
  const info = machine.vcpus[0]?.registers.read('rbx') ?? 0n;
  const space = { ...machine.running(0).space, kind: 'host-physical' as const };
  const low = machine.readMemory(space, 0n, 0x100000);
  const view = new DataView(low.buffer);
  const tables = new Map<string, Uint8Array>();
  const rsdt = view.getUint32(AREA + 16, true);
  const collect = (at: number) => {
    const table = low.subarray(at, at + view.getUint32(at + 4, true));
    tables.set(text(table, 0, 4), table);
    return table;
  };
  collect(Number(view.getBigUint64(AREA + 24, true)));
  const roots = collect(rsdt);
  for (let at = 36; at < roots.length; at += 4) collect(view.getUint32(rsdt + at, true));
  const fadt = tables.get('FACP') ?? assert.fail('no FADT');
  collect(new DataView(fadt.buffer, fadt.byteOffset).getUint32(40, true));
  return { low, view, tables, info, machine, space };
}

describe('ACPI tables', () => {
  before(() => {
    rmSync(OUT, { recursive: true, force: true });
    mkdirSync(OUT, { recursive: true });
  });

  it('are found by their root pointer: in the firmware area, in the extended BIOS data area, by PVH', () => {
    const { low, view, info } = tablesOf();
    assert.equal(text(low, AREA, 8), 'RSD PTR ');
    assert.equal(sum(low.subarray(AREA, AREA + 20)), 0);
    assert.equal(sum(low.subarray(AREA, AREA + 36)), 0);
    const ebda = view.getUint16(0x40e, true) << 4;
    assert.deepEqual(low.subarray(ebda + 16, ebda + 52), low.subarray(AREA, AREA + 36));
    assert.equal(view.getBigUint64(Number(info) + 32, true), BigInt(AREA));
  });

  it('have right lengths and sums, and RSDT and XSDT name the same ones', () => {
    const { tables } = tablesOf({ iommu: true, tpm: true, processors: 3 });
    assert.deepEqual([...tables.keys()].sort(), [
      'APIC',
      'DMAR',
      'DSDT',
      'FACP',
      'HPET',
      'MCFG',
      'RSDT',
      'TPM2',
      'XSDT',
    ]);
    for (const [name, table] of tables) assert.equal(sum(table), 0, name);
    const entries = (name: string, size: number) => {
      const table = tables.get(name) ?? assert.fail(name);
      const view = new DataView(table.buffer, table.byteOffset, table.length);
      return Array.from({ length: (table.length - 36) / size }, (_, i) => view.getUint32(36 + i * size, true));
    };
    assert.deepEqual(entries('RSDT', 4), entries('XSDT', 8));
  });

  it('list every processor', () => {
    const { tables } = tablesOf({ processors: 3 });
    const madt = tables.get('APIC') ?? assert.fail('no MADT');
    const ids: (number | undefined)[] = [];
    for (let at = 44; at < madt.length; at += madt[at + 1] ?? 1) if (madt[at] === 0) ids.push(madt[at + 3]);
    assert.deepEqual(ids, [0, 1, 2]);
  });

  it('are disassembled by ACPICA without an error or warning, and say what they should', function () {
    this.timeout(60_000);
    const { tables } = tablesOf({ iommu: true, tpm: true, processors: 2 });
    const texts = new Map<string, string>();
    for (const [name, table] of tables) {
      const file = path.join(OUT, `${name.toLowerCase()}.dat`);
      writeFileSync(file, table);
      const run = spawnSync('iasl', ['-d', file], { encoding: 'utf8' });
      assert.equal(run.status, 0, run.stdout + run.stderr);
      assert.doesNotMatch(run.stdout + run.stderr, /error|warning|invalid|incorrect/i, name);
      texts.set(name, readFileSync(file.replace('.dat', '.dsl'), 'utf8'));
    }
    const dsl = texts.get('DSDT') ?? '';
    assert.match(dsl, /Name \(_S5/);
    assert.match(dsl, /EisaId \("PNP0A08"\)/);
    assert.match(texts.get('FACP') ?? '', /SCI Interrupt : 0009/);
    assert.match(texts.get('FACP') ?? '', /PM Timer Block Address : 00000608/);
    assert.match(texts.get('APIC') ?? '', /Interrupt Source Override/);
    assert.match(texts.get('HPET') ?? '', /8086A201/);
    // What it disassembled to compiles again to the same bytes of code.
    const compiled = spawnSync('iasl', ['-p', path.join(OUT, 'again'), path.join(OUT, 'dsdt.dsl')], {
      encoding: 'utf8',
    });
    assert.equal(compiled.status, 0, compiled.stdout + compiled.stderr);
    assert.match(compiled.stdout + compiled.stderr, /0 Errors, 0 Warnings/);
    assert.deepEqual(
      new Uint8Array(readFileSync(path.join(OUT, 'again.aml'))).subarray(36),
      Uint8Array.from((tables.get('DSDT') ?? new Uint8Array()).subarray(36)),
    );
  });

  it('take AML that a device contributes', () => {
    const ram = new Uint8Array(0x100000);
    const name = Uint8Array.from([8, 0x54, 0x45, 0x53, 0x54, 0]); // Name (TEST, Zero)
    placeAcpi(ram, [{ signature: 'TEST', revision: 1, body: () => new Uint8Array(4), aml: () => name }]);
    const found = Buffer.from(ram).indexOf(Buffer.from(name));
    assert.ok(found > AREA);
    assert.equal(sum(tableOf('TEST', 1, Uint8Array.of(1, 2, 3))), 0);
  });
});
