import assert from 'node:assert/strict';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Secondary } from '../../emulator/arch/controls';
import { interruptionInformation, InterruptionType } from '../../emulator/arch/interruption';
import { Vector } from '../../emulator/arch/exceptions';
import type { VmxBench } from './bench';
import { ALL, AREA, EPT, eptGuest, load, LOG, mapPage, PAGE, pte, store, VMCALL } from './ept-guest';
import { CODE, IDT } from './guest-code';

const ACCESSED_DIRTY = 1n << 6n;
const SUPPRESS_VE = 1n << 63n;
const BUSY = 0xffff_ffffn;

describe('EPT-violation #VE (SDM vol. 3, 26.5.7)', () => {
  const violating = (prepare: (bench: VmxBench) => void = () => undefined, flags = 5n) =>
    eptGuest(store(PAGE + 0x10n), Secondary.EPT_VIOLATION_VE, (bench) => {
      mapPage(bench, PAGE, flags);
      bench.set('EPTP_INDEX', 0x77);
      prepare(bench);
    });

  it('is delivered by vector 20 without an error code, and described in the information area', () => {
    const g = violating();
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.handler, Vector.VE);
    const { bench } = g;
    assert.equal(bench.read64(AREA), (BUSY << 32n) | 48n);
    assert.equal(bench.read64(AREA + 8n), 0x7aan);
    assert.equal(bench.read64(AREA + 16n), PAGE + 0x10n);
    assert.equal(bench.read64(AREA + 24n), PAGE + 0x10n);
    assert.equal(bench.read64(AREA + 32n), 0x77n);
    assert.equal(bench.read64(bench.get('GUEST_RSP')), CODE, 'RIP on the stack: a fault, no error code');
  });

  const exits: [string, Parameters<typeof violating>[0], bigint?][] = [
    ['the entry suppresses it', undefined, 5n | SUPPRESS_VE],
    ['the information area is busy', (bench) => bench.write64(AREA, 1n << 32n)],
    ['the control is 0', (bench) => bench.clear('SECONDARY_PROCESSOR_CONTROLS', Secondary.EPT_VIOLATION_VE)],
    ['it is a misconfiguration', (bench) => mapPage(bench, PAGE, 2n)],
  ];
  for (const [what, prepare, flags] of exits) {
    it(`is a VM exit when ${what}`, () => {
      const g = violating(prepare, flags);
      const reason = what.includes('misconf') ? ExitReason.EPT_MISCONFIGURATION : ExitReason.EPT_VIOLATION;
      assert.equal(g.enter(), reason);
      assert.equal(g.bench.get('GUEST_PHYSICAL_ADDRESS'), PAGE + 0x10n);
    });
  }

  it('is a VM exit while an event is being delivered, with IDT-vectoring information', () => {
    const g = eptGuest(VMCALL, Secondary.EPT_VIOLATION_VE, (bench) => {
      mapPage(bench, IDT, 0n);
      bench.set(
        'ENTRY_INTERRUPTION_INFORMATION',
        interruptionInformation(0x30, InterruptionType.EXTERNAL_INTERRUPT, false),
      );
    });
    assert.equal(g.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(g.bench.get('IDT_VECTORING_INFORMATION') & 0xffn, 0x30n);
    assert.equal(g.bench.read64(AREA), 0n);
  });

  it('is caught by bit 20 of the exception bitmap', () => {
    const g = violating((bench) => bench.set('EXCEPTION_BITMAP', 1 << 20));
    assert.equal(g.enter(), ExitReason.EXCEPTION_OR_NMI);
    assert.equal(g.bench.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0314n);
    assert.equal(g.bench.read64(AREA) >> 32n, BUSY);
  });

  it('becomes a double fault when its own delivery raises a fault', () => {
    const g = violating((bench) => {
      bench.write64(IDT + BigInt(Vector.VE) * 16n + 8n, 0n);
      bench.write64(IDT + BigInt(Vector.VE) * 16n, 0n);
    });
    // An empty gate raises #GP: contributory after #VE, which counts as a page fault (table 6-5).
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.handler, Vector.DF);
  });
});

describe('page-modification logging (SDM vol. 3, 29.3.6)', () => {
  const logging = (code: readonly number[], index: number) =>
    eptGuest([...code, ...VMCALL], Secondary.ENABLE_PML, (bench) => {
      bench.or('EPT_POINTER', ACCESSED_DIRTY);
      bench.set('PML_INDEX', index);
      for (let at = 0n; at < 0x10_0000n; at += 0x1000n)
        if (at !== PAGE && at !== PAGE + 0x1000n) mapPage(bench, at, ALL | 0x300n);
      for (const table of [EPT, EPT + 0x1000n, EPT + 0x2000n]) bench.write64(table, bench.read64(table) | 0x100n);
    });

  it('writes each page once, from the index downwards, as its dirty flag is set', () => {
    const g = logging([...store(PAGE + 8n), ...store(PAGE + 0x10n), ...store(PAGE + 0x1008n)], 5);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.read64(LOG + 40n), PAGE);
    assert.equal(g.bench.read64(LOG + 32n), PAGE + 0x1000n);
    assert.equal(g.bench.get('PML_INDEX'), 3n);
    assert.equal(g.bench.read64(pte(PAGE)) & 0x300n, 0x300n);
  });

  it('exits when an entry is needed and the index left 0 to 511, before the access', () => {
    const g = logging([...store(PAGE), ...store(PAGE + 0x1000n)], 0);
    assert.equal(g.enter(), ExitReason.PML_FULL);
    assert.equal(g.bench.get('PML_INDEX'), 0xffffn);
    assert.equal(g.bench.get('GUEST_RIP'), CODE + 7n);
    assert.equal(g.bench.get('EXIT_QUALIFICATION'), 0n);
    assert.equal(g.bench.read64(pte(PAGE + 0x1000n)) & 0x300n, 0n);
    g.bench.set('PML_INDEX', 511);
    assert.equal(g.enter(), ExitReason.VMCALL);
    assert.equal(g.bench.read64(LOG + 511n * 8n), PAGE + 0x1000n);
  });

  it('exits also when only an accessed flag would be set', () => {
    const g = logging(load(PAGE), 0x200);
    assert.equal(g.enter(), ExitReason.PML_FULL);
    g.bench.write64(pte(PAGE), g.bench.read64(pte(PAGE)) | 0x100n);
    assert.equal(g.enter(), ExitReason.VMCALL);
  });
});

describe('mode-based execute control (SDM vol. 3, 29.3.3)', () => {
  it('judges fetches by the linear address, not by the privilege level', () => {
    const USER_EXECUTE = 1n << 10n;
    const executing = (flags: bigint) =>
      eptGuest(VMCALL, Secondary.MODE_BASED_EXECUTE_CONTROL, (bench) => {
        for (const table of [EPT, EPT + 0x1000n, EPT + 0x2000n])
          bench.write64(table, bench.read64(table) | USER_EXECUTE);
        mapPage(bench, CODE, flags);
      });
    // The guest's tables make every page a user page, although it runs at CPL 0.
    const denied = executing(ALL);
    assert.equal(denied.enter(), ExitReason.EPT_VIOLATION);
    assert.equal(denied.bench.get('EXIT_QUALIFICATION'), 0x7bcn);
    assert.equal(executing(3n | USER_EXECUTE).enter(), ExitReason.VMCALL);
  });
});
