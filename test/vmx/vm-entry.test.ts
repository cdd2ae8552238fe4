import assert from 'node:assert/strict';
import { Cr0, Efer } from '../../emulator/arch/control-registers';
import { Entry, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { interruptionInformation, InterruptionType } from '../../emulator/arch/interruption';
import { GUEST_SEGMENTS } from '../../emulator/vmx/guest-state';
import { Segment, State } from '../../emulator/memory/layout';
import type { InjectedEvent } from '../../emulator/cpu/processor';
import { enableEpt, GUEST_RIP, GUEST_RSP, HOST_RIP, make32BitGuest, MSR_AREA, PDPT_PAE, VmxBench } from './bench';

const NONE = (1n << 64n) - 1n;

/** Launches, and returns what was given to the processor to inject. */
function launch(prepare: (bench: VmxBench) => void): { bench: VmxBench; injected: InjectedEvent | undefined } {
  const bench = VmxBench.ready();
  prepare(bench);
  let injected: InjectedEvent | undefined;
  bench.cpu.inject = (event) => (injected = event);
  bench.launch();
  assert.ok(bench.vmx.nonRoot, bench.failures[0]?.rule ?? 'the guest did not start');
  return { bench, injected };
}

describe('VM entry: loading guest state (SDM vol. 3, 27.3.2)', () => {
  it('control registers: CR0 keeps ET, NW, CD and reserved bits', () => {
    const { bench } = launch((b) => {
      b.set('GUEST_CR0', Cr0.PE | Cr0.NE | Cr0.PG | Cr0.WP | Cr0.CD | Cr0.NW | (1n << 17n));
      b.set('GUEST_CR3', 0xa000);
      b.set('GUEST_IA32_SYSENTER_CS', 0x1234);
      b.set('GUEST_IA32_SYSENTER_ESP', 0x5678);
      b.set('GUEST_IA32_SYSENTER_EIP', 0x9abc);
    });
    assert.equal(bench.state.cr0, Cr0.PE | Cr0.NE | Cr0.PG | Cr0.WP | Cr0.ET);
    assert.equal(bench.state.cr3, 0xa000n);
    assert.equal(bench.state.get64(State.SYSENTER_CS), 0x1234n);
    assert.equal(bench.state.get64(State.SYSENTER_ESP), 0x5678n);
    assert.equal(bench.state.get64(State.SYSENTER_EIP), 0x9abcn);
  });

  it('DR7 and IA32_DEBUGCTL only with "load debug controls"; bits of DR7 are forced', () => {
    const without = launch((b) => b.set('GUEST_DR7', 0x401)).bench;
    assert.equal(without.state.get64(State.DR + 40), 0x400n);
    const { bench } = launch((b) => {
      b.or('ENTRY_CONTROLS', Entry.LOAD_DEBUG_CONTROLS);
      b.set('GUEST_DR7', 0xffff_d001);
      b.set('GUEST_IA32_DEBUGCTL', 1);
    });
    assert.equal(bench.state.get64(State.DR + 40), 0xffff_0401n);
    assert.equal(bench.state.get64(State.DEBUGCTL), 1n);
  });

  it('EFER: from the field, or LMA and LME by "IA-32e mode guest"', () => {
    const loaded = launch((b) => {
      b.or('ENTRY_CONTROLS', Entry.LOAD_EFER);
      b.set('GUEST_IA32_EFER', Efer.LMA | Efer.LME | Efer.NXE);
    }).bench;
    assert.equal(loaded.state.efer, Efer.LMA | Efer.LME | Efer.NXE);
    const legacy = launch((b) => make32BitGuest(b)).bench;
    assert.equal(legacy.state.efer, Efer.SCE);
    const unpaged = launch((b) => {
      make32BitGuest(b);
      enableEpt(b, Secondary.UNRESTRICTED_GUEST);
      b.clear('GUEST_CR0', Cr0.PG);
    }).bench;
    assert.equal(unpaged.state.efer, Efer.SCE | Efer.LME);
  });

  it('PAT only with "load IA32_PAT"', () => {
    const { bench } = launch((b) => {
      b.or('ENTRY_CONTROLS', Entry.LOAD_PAT);
      b.set('GUEST_IA32_PAT', 0x0606_0606_0606_0606n);
    });
    assert.equal(bench.state.get64(State.PAT), 0x0606_0606_0606_0606n);
  });

  it('segments, descriptor tables, RIP, RSP, RFLAGS', () => {
    const { bench } = launch((b) => {
      b.set('GUEST_FS_BASE', 0x7fff_0000_1000n);
      b.set('GUEST_DS_BASE', 0x8000_1000);
      b.set('GUEST_GDTR_BASE', 0xffff_8000_0000_0000n);
      b.set('GUEST_IDTR_BASE', 0x1000);
      b.set('GUEST_IDTR_LIMIT', 0xfff);
      b.set('GUEST_RFLAGS', 0x246);
    });
    for (const { segment, selector, access, limit } of GUEST_SEGMENTS) {
      const loaded = bench.state.segment(segment);
      assert.equal(loaded.selector, bench.vmcs.get32(selector));
      assert.equal(loaded.access, bench.vmcs.get32(access));
      assert.equal(loaded.limit, bench.vmcs.get32(limit));
    }
    assert.equal(bench.state.segmentBase(Segment.FS), 0x7fff_0000_1000n);
    assert.equal(bench.state.segmentBase(Segment.DS), 0x8000_1000n);
    assert.equal(bench.state.get64(State.GDTR), 0xffff_8000_0000_0000n);
    assert.equal(bench.state.get32(State.IDTR + 8), 0xfff);
    assert.equal(bench.state.rip, GUEST_RIP);
    assert.equal(bench.state.gpr(4), GUEST_RSP);
    assert.equal(bench.state.rflags, 0x246n);
  });

  it('PDPTEs: from the fields with EPT, from memory without', () => {
    const memory = launch((b) => {
      make32BitGuest(b, true);
      b.set('GUEST_CR3', PDPT_PAE);
      b.write64(PDPT_PAE + 8n, 0x20_0001n);
      b.set('GUEST_PDPTE1', 0x30_0001);
    }).bench;
    assert.equal(memory.state.get64(State.PDPTE + 8), 0x20_0001n);
    const fields = launch((b) => {
      make32BitGuest(b, true);
      enableEpt(b);
      b.set('GUEST_PDPTE1', 0x30_0001);
    }).bench;
    assert.equal(fields.state.get64(State.PDPTE + 8), 0x30_0001n);
  });

  it('translation: VPID, EPT pointer, TSC offset; without VPID the mappings of VPID 0 go', () => {
    const { bench } = launch((b) => {
      enableEpt(b, Secondary.ENABLE_VPID);
      b.set('VPID', 7);
      b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TSC_OFFSETTING);
      b.set('TSC_OFFSET', NONE);
      b.flushes.length = 0;
    });
    assert.equal(bench.state.get64(State.VPID), 7n);
    assert.equal(bench.state.get64(State.EPTP), bench.get('EPT_POINTER'));
    assert.equal(bench.cpu.tsc, bench.cpu.now - 1n < 0n ? NONE : bench.cpu.now - 1n);
    assert.deepEqual(bench.flushes, []);
    const without = launch((b) => (b.flushes.length = 0)).bench;
    assert.deepEqual(without.flushes, ['VPID 0']);
    assert.equal(without.state.get64(State.EPTP), 0n);
  });

  it('tells the entry: VMLAUNCH, RIP, VMCS; and the launch state changes', () => {
    const { bench } = launch(() => undefined);
    assert.equal(bench.entries.length, 1);
    assert.equal(bench.entries[0]?.launch, true);
    assert.equal(bench.entries[0]?.rip, GUEST_RIP);
    assert.equal(bench.entries[0]?.n, 1);
    assert.ok(bench.vmcs.launched);
  });
});

describe('VM entry: MSR-load area (SDM vol. 3, 27.4)', () => {
  const area = (bench: VmxBench, ...entries: [index: bigint, value: bigint][]) => {
    entries.forEach(([index, value], i) => {
      bench.write64(MSR_AREA + BigInt(i) * 16n, index);
      bench.write64(MSR_AREA + BigInt(i) * 16n + 8n, value);
    });
    bench.set('ENTRY_MSR_LOAD_ADDRESS', MSR_AREA);
    bench.set('ENTRY_MSR_LOAD_COUNT', entries.length);
  };

  it('loads MSRs in order', () => {
    const { bench } = launch((b) => area(b, [0xc000_0082n, 0x1000n], [0xc000_0082n, 0x2000n]));
    assert.equal(bench.state.get64(State.LSTAR), 0x2000n);
  });

  for (const [what, index, value] of [
    ['FS.base', 0xc000_0100n, 0n],
    ['GS.base', 0xc000_0101n, 0n],
    ['an MSR that does not exist', 0x4567n, 0n],
    ['reserved bits in the entry', 0x1_c000_0082n, 0n],
    ['a value that WRMSR refuses', 0xc000_0082n, 1n << 50n],
    ['a read-only MSR', 0x480n, 0n],
  ] as const)
    it(`fails with reason 34 and the entry's number for ${what}`, () => {
      const bench = VmxBench.ready();
      area(bench, [0xc000_0082n, 0x1000n], [index, value]);
      assert.deepEqual(bench.launch(), { kind: 'exit' });
      assert.equal(bench.get('EXIT_REASON'), 0x8000_0022n);
      assert.equal(bench.get('EXIT_QUALIFICATION'), 2n);
      assert.equal(bench.state.rip, HOST_RIP);
      assert.ok(bench.vmx.core.root && !bench.vmcs.launched);
      assert.equal(bench.failures[0]?.check, 'entry.msr-load');
    });
});

describe('VM entry: events (SDM vol. 3, 27.6 and 27.7)', () => {
  const event = (vector: number, type: number, errorCode = false) => interruptionInformation(vector, type, errorCode);

  it('injects an exception with its error code', () => {
    const { injected, bench } = launch((b) => {
      b.set('ENTRY_INTERRUPTION_INFORMATION', event(14, InterruptionType.HARDWARE_EXCEPTION, true));
      b.set('ENTRY_EXCEPTION_ERROR_CODE', 6);
    });
    assert.deepEqual(injected, { type: 3, vector: 14, errorCode: 6, instructionLength: 0 });
    assert.equal(bench.entries[0]?.injected, 0x8000_0b0e);
  });

  it('injects a software interrupt with its instruction length', () => {
    const { injected } = launch((b) => {
      b.set('ENTRY_INTERRUPTION_INFORMATION', event(0x80, InterruptionType.SOFTWARE_INTERRUPT));
      b.set('ENTRY_INSTRUCTION_LENGTH', 2);
    });
    assert.deepEqual(injected, { type: 4, vector: 0x80, errorCode: undefined, instructionLength: 2 });
  });

  it('passes over an instruction length that an earlier event left behind', () => {
    const { injected } = launch((b) => {
      b.set('ENTRY_INTERRUPTION_INFORMATION', 0x8000_0050);
      b.set('ENTRY_INSTRUCTION_LENGTH', 2);
      b.set('GUEST_RFLAGS', 0x202);
    });
    assert.deepEqual(injected, { type: 0, vector: 0x50, errorCode: undefined, instructionLength: 0 });
  });

  it('wakes the guest for a vectored event, and keeps HLT without one', () => {
    const woken = launch((b) => {
      b.set('GUEST_ACTIVITY_STATE', 1);
      b.set('ENTRY_INTERRUPTION_INFORMATION', event(2, InterruptionType.NMI));
    });
    assert.equal(woken.bench.state.get32(State.ACTIVITY), 0);
    const asleep = launch((b) => b.set('GUEST_ACTIVITY_STATE', 1));
    assert.equal(asleep.injected, undefined);
    assert.equal(asleep.bench.state.get32(State.ACTIVITY), 1);
  });

  it('type 7 makes a pending MTF VM exit, and so does an event under the monitor trap flag', () => {
    const other = launch((b) => b.set('ENTRY_INTERRUPTION_INFORMATION', event(0, InterruptionType.OTHER_EVENT)));
    assert.equal(other.injected, undefined);
    assert.equal(other.bench.state.get32(State.PENDING_EVENTS) & 8, 8);
    const trapped = launch((b) => {
      b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.MONITOR_TRAP_FLAG);
      b.set('ENTRY_INTERRUPTION_INFORMATION', event(6, InterruptionType.HARDWARE_EXCEPTION));
    });
    assert.ok(trapped.injected);
    assert.equal(trapped.bench.state.get32(State.PENDING_EVENTS) & 8, 8);
    assert.ok(trapped.bench.vmx.monitorTrap);
    const plain = launch((b) => b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.MONITOR_TRAP_FLAG));
    assert.equal(plain.bench.state.get32(State.PENDING_EVENTS) & 8, 0);
  });

  it('pending debug exceptions stay without an event, and are lost with a hardware exception or without a cause', () => {
    const pending = (value: number, information = 0, blocking = 0) =>
      launch((b) => {
        b.set('GUEST_PENDING_DEBUG_EXCEPTIONS', value);
        b.set('ENTRY_INTERRUPTION_INFORMATION', information);
        b.set('GUEST_INTERRUPTIBILITY', blocking);
      }).bench.state.get64(State.PENDING_DEBUG);
    assert.equal(pending(0x4000), 0x4000n);
    assert.equal(pending(0x1001), 0x1001n);
    assert.equal(pending(0x0001), 0n);
    assert.equal(pending(0x4000, event(6, InterruptionType.HARDWARE_EXCEPTION)), 0n);
    assert.equal(pending(0x4000, event(0x80, InterruptionType.SOFTWARE_INTERRUPT)), 0n);
    assert.equal(pending(0x1001, event(3, InterruptionType.SOFTWARE_EXCEPTION), 2), 0x1001n);
  });

  it('interruptibility is loaded', () => {
    const { bench } = launch((b) => b.set('GUEST_INTERRUPTIBILITY', 9));
    assert.equal(bench.state.get32(State.INTERRUPTIBILITY), 9);
  });
});

describe('VMX-preemption timer (SDM vol. 3, 26.5.1)', () => {
  const timed = (value: number, now: bigint, adjust = 0n) =>
    launch((b) => {
      b.or('PIN_BASED_CONTROLS', Pin.ACTIVATE_PREEMPTION_TIMER);
      b.set('PREEMPTION_TIMER_VALUE', value);
      b.state.set64(State.RETIRED, now);
      b.state.set64(State.TSC_ADJUST, adjust);
    }).bench.vmx.nextDeadline();

  it('expires after the bit of the TSC changed so often', () => {
    assert.equal(timed(1, 1000n), 1024);
    assert.equal(timed(10, 1024n), 1344);
    assert.equal(timed(1, 1000n, 30n), 1026);
  });

  it('has expired at once with value 0', () => assert.ok(timed(0, 1000n) <= 1000));

  it('does not run without the control', () =>
    assert.equal(launch(() => undefined).bench.vmx.nextDeadline(), Infinity));
});
