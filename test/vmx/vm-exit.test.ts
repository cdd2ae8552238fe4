import assert from 'node:assert/strict';
import { Cr0, Cr4, Efer } from '../../emulator/arch/control-registers';
import { Entry, Exit, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Vector } from '../../emulator/arch/exceptions';
import { InterruptionType } from '../../emulator/arch/interruption';
import { Boundary, EptFaultKind, ExitKind, noInterrupts } from '../../emulator/cpu/processor';
import { Segment, State } from '../../emulator/memory/layout';
import { GUEST_SEGMENTS } from '../../emulator/vmx/guest-state';
import { readVmcsHeader } from '../../emulator/vmx';
import { hostPhysical } from '../../emulator/memory/address';
import {
  enableEpt,
  GUEST_RIP,
  HOST_RIP,
  HOST_RSP,
  instruction,
  make32BitGuest,
  MSR_AREA,
  PDPT_PAE,
  VMCS_REGION,
  VmxBench,
} from './bench';

function guest(prepare: (bench: VmxBench) => void = () => undefined): VmxBench {
  const bench = VmxBench.ready();
  prepare(bench);
  bench.launch();
  assert.ok(bench.vmx.nonRoot, bench.failures[0]?.rule ?? 'the guest did not start');
  return bench;
}

const cpuid = instruction('CPUID', 'cpuid', {}, 'CPUID');
const leave = (bench: VmxBench): VmxBench => {
  assert.equal(bench.vmx.instruction(cpuid), ExitKind.Taken);
  return bench;
};
const pin = (bits: number) => (bench: VmxBench) => bench.or('PIN_BASED_CONTROLS', bits);
const HARDWARE = InterruptionType.HARDWARE_EXCEPTION;

describe('VM exit: saving guest state (SDM vol. 3, 28.3)', () => {
  it('control registers, segments, tables, RIP, RSP', () => {
    const bench = guest();
    bench.state.cr3 = 0xb000n;
    bench.state.setGpr(4, 0x7777n);
    bench.state.rip = 0x20_1234n;
    bench.state.setSegment(Segment.DS, { selector: 0x33, access: 0xc0f3, limit: 0xfffff, base: 0x1000n });
    bench.state.set64(State.IDTR, 0xffff_8000_0000_0000n);
    const before = GUEST_SEGMENTS.map(({ segment }) => bench.state.segment(segment));
    leave(bench);
    assert.equal(bench.get('GUEST_CR3'), 0xb000n);
    assert.equal(bench.get('GUEST_RSP'), 0x7777n);
    assert.equal(bench.get('GUEST_RIP'), 0x20_1234n);
    assert.equal(bench.get('GUEST_IDTR_BASE'), 0xffff_8000_0000_0000n);
    GUEST_SEGMENTS.forEach(({ selector, base, limit, access }, i) => {
      assert.equal(bench.vmcs.get32(selector), before[i]?.selector);
      assert.equal(bench.vmcs.get64(base), before[i]?.base);
      assert.equal(bench.vmcs.get32(limit), before[i]?.limit);
      assert.equal(bench.vmcs.get32(access), before[i]?.access);
    });
  });

  it('RFLAGS: RF is cleared for instructions, set for faults and EPT violations, kept for events', () => {
    const saved = (exit: (bench: VmxBench) => void, rf: boolean): bigint => {
      const bench = guest();
      bench.set('EXCEPTION_BITMAP', 0xffff_ffff);
      bench.state.rflags = rf ? 0x1_0202n : 0x202n;
      exit(bench);
      return bench.get('GUEST_RFLAGS');
    };
    assert.equal(saved(leave, true), 0x202n);
    assert.equal(
      saved((b) => b.vmx.exception(Vector.GP, 0, 0n, HARDWARE, 0), false),
      0x1_0202n,
    );
    assert.equal(
      saved((b) => b.vmx.exception(Vector.BP, undefined, 0n, 6, 1), false),
      0x202n,
    );
    const fault = {
      kind: EptFaultKind.Violation,
      convertible: false,
      guestPhysical: 0x5000n,
      linear: 0x5000n,
      qualification: 0x181n,
    };
    assert.equal(
      saved((b) => b.vmx.eptFault(fault), false),
      0x1_0202n,
    );
    assert.equal(
      saved((b) => b.vmx.tripleFault(), true),
      0x1_0202n,
    );
    const duringInterrupt = (b: VmxBench) => {
      b.vmx.beginDelivery(0x30, InterruptionType.EXTERNAL_INTERRUPT, undefined, 0);
      b.vmx.eptFault(fault);
    };
    assert.equal(saved(duringInterrupt, false), 0x202n);
  });

  it('debug controls, PAT and EFER only by their controls', () => {
    const change = (bench: VmxBench) => {
      bench.state.set64(State.DR + 40, 0x401n);
      bench.state.set64(State.PAT, 6n);
      bench.state.efer |= Efer.NXE;
    };
    const without = guest();
    change(without);
    leave(without);
    assert.equal(without.get('GUEST_DR7'), 0x400n);
    assert.equal(without.get('GUEST_IA32_PAT'), 0n);
    assert.equal(without.get('GUEST_IA32_EFER'), 0n);
    const bench = guest((b) => b.or('EXIT_CONTROLS', Exit.SAVE_DEBUG_CONTROLS | Exit.SAVE_PAT | Exit.SAVE_EFER));
    change(bench);
    leave(bench);
    assert.equal(bench.get('GUEST_DR7'), 0x401n);
    assert.equal(bench.get('GUEST_IA32_PAT'), 6n);
    assert.equal(bench.get('GUEST_IA32_EFER'), Efer.LMA | Efer.LME | Efer.SCE | Efer.NXE);
  });

  it('"IA-32e mode guest" follows EFER.LMA', () => {
    const bench = guest();
    bench.state.efer &= ~(Efer.LMA | Efer.LME);
    leave(bench);
    assert.equal(bench.get('ENTRY_CONTROLS') & BigInt(Entry.IA32E_MODE_GUEST), 0n);
  });

  it('activity, interruptibility and pending debug exceptions', () => {
    const bench = guest(pin(Pin.EXTERNAL_INTERRUPT_EXITING));
    bench.state.set32(State.ACTIVITY, 1);
    bench.state.set32(State.INTERRUPTIBILITY, 8);
    bench.state.set64(State.PENDING_DEBUG, 0x4000n);
    bench.vmx.boundary(Boundary.ExternalInterrupt);
    assert.equal(bench.get('GUEST_ACTIVITY_STATE'), 1n);
    assert.equal(bench.get('GUEST_INTERRUPTIBILITY'), 8n);
    assert.equal(bench.get('GUEST_PENDING_DEBUG_EXCEPTIONS'), 0x4000n);
    assert.equal(bench.state.get32(State.ACTIVITY), 0);
    assert.equal(bench.state.get64(State.PENDING_DEBUG), 0n);
  });

  it('PDPTEs of a PAE guest under EPT', () => {
    const bench = guest((b) => {
      make32BitGuest(b, true);
      enableEpt(b);
    });
    bench.state.set64(State.PDPTE + 16, 0x12_3001n);
    leave(bench);
    assert.equal(bench.get('GUEST_PDPTE2'), 0x12_3001n);
  });

  it('the preemption timer by its control', () => {
    const run = (save: boolean): bigint => {
      const bench = guest((b) => {
        b.or('PIN_BASED_CONTROLS', Pin.ACTIVATE_PREEMPTION_TIMER);
        if (save) b.or('EXIT_CONTROLS', Exit.SAVE_PREEMPTION_TIMER);
        b.set('PREEMPTION_TIMER_VALUE', 100);
      });
      bench.state.set64(State.RETIRED, 32n * 30n + 5n);
      leave(bench);
      return bench.get('PREEMPTION_TIMER_VALUE');
    };
    assert.equal(run(true), 70n);
    assert.equal(run(false), 100n);
  });
});

describe('VM exit: loading host state (SDM vol. 3, 28.5)', () => {
  it('a 64-bit host', () => {
    const bench = guest((b) => {
      b.set('HOST_FS_BASE', 0x1000);
      b.set('HOST_GS_BASE', 0x2000);
      b.set('HOST_TR_BASE', 0x3000);
      b.set('HOST_GDTR_BASE', 0x4000);
      b.set('HOST_IDTR_BASE', 0x5000);
      b.set('HOST_IA32_SYSENTER_CS', 8);
      b.set('HOST_FS_SELECTOR', 0);
      b.set('HOST_CR0', Cr0.PE | Cr0.NE | Cr0.PG | Cr0.WP | Cr0.CD);
    });
    bench.state.set64(State.DR + 40, 0x4ffn);
    bench.state.set64(State.DEBUGCTL, 1n);
    bench.state.rflags = 0xd5n;
    leave(bench);
    const { state } = bench;
    assert.equal(state.cr0, Cr0.PE | Cr0.NE | Cr0.PG | Cr0.WP | Cr0.ET);
    assert.equal(state.cr4, Cr4.PAE | Cr4.VMXE);
    assert.equal(state.efer & (Efer.LMA | Efer.LME), Efer.LMA | Efer.LME);
    assert.equal(state.get64(State.DR + 40), 0x400n);
    assert.equal(state.get64(State.DEBUGCTL), 0n);
    assert.equal(state.rflags, 2n);
    assert.equal(state.rip, HOST_RIP);
    assert.equal(state.gpr(4), HOST_RSP);
    assert.deepEqual(state.segment(Segment.CS), { selector: 8, access: 0xa09b, limit: 0xffff_ffff, base: 0n });
    assert.deepEqual(state.segment(Segment.SS), { selector: 16, access: 0xc093, limit: 0xffff_ffff, base: 0n });
    assert.equal(state.segmentAccess(Segment.FS) & 0x1_0000, 0x1_0000);
    assert.equal(state.segmentBase(Segment.FS), 0x1000n);
    assert.equal(state.segmentBase(Segment.GS), 0x2000n);
    assert.deepEqual(state.segment(Segment.TR), { selector: 24, access: 0x8b, limit: 0x67, base: 0x3000n });
    assert.equal(state.segmentAccess(Segment.LDTR), 0x1_0000);
    assert.equal(state.get64(State.GDTR), 0x4000n);
    assert.equal(state.get32(State.GDTR + 8), 0xffff);
    assert.equal(state.get64(State.IDTR), 0x5000n);
    assert.equal(state.get64(State.SYSENTER_CS), 8n);
  });

  it('a 32-bit host with PAE loads its PDPTEs, and aborts with 2 when they are bad', () => {
    const host32 = (entry: bigint): VmxBench => {
      const bench = guest((b) => {
        make32BitGuest(b);
        b.clear('EXIT_CONTROLS', Exit.HOST_ADDRESS_SPACE_SIZE);
        b.set('HOST_CR3', PDPT_PAE);
        b.state.efer &= ~(Efer.LMA | Efer.LME);
        b.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
        b.write64(PDPT_PAE + 24n, entry);
        // The root runs unmapped here: identity by its own PDPTEs is not needed, operands are read before.
      });
      return leave(bench);
    };
    const bench = host32(0x20_0001n);
    assert.equal(bench.state.get64(State.PDPTE + 24), 0x20_0001n);
    assert.equal(bench.state.segmentAccess(Segment.CS), 0xc09b);
    assert.equal(bench.state.efer & Efer.LMA, 0n);
    const aborted = host32(0x20_0021n);
    assert.deepEqual(aborted.cpu.run(1), { why: 'vmx-abort', code: 2 });
    assert.equal(readVmcsHeader(aborted.physical, hostPhysical(VMCS_REGION))?.abortIndicator, 2);
  });

  it('leaves VPID, EPT and TSC offset; without VPID the mappings of VPID 0 go', () => {
    const bench = guest((b) => {
      enableEpt(b, Secondary.ENABLE_VPID);
      b.set('VPID', 9);
      b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TSC_OFFSETTING);
      b.set('TSC_OFFSET', 5);
    });
    bench.flushes.length = 0;
    leave(bench);
    for (const at of [State.VPID, State.EPTP, State.TSC_OFFSET]) assert.equal(bench.state.get64(at), 0n);
    assert.deepEqual(bench.flushes, []);
    const without = guest();
    without.flushes.length = 0;
    leave(without);
    assert.deepEqual(without.flushes, ['VPID 0']);
  });

  it('aborts with 6 when a 64-bit guest would be left to a 32-bit host', () => {
    const bench = guest();
    bench.clear('EXIT_CONTROLS', Exit.HOST_ADDRESS_SPACE_SIZE);
    leave(bench);
    assert.deepEqual(bench.cpu.run(1), { why: 'vmx-abort', code: 6 });
  });
});

describe('VM exit: MSR areas (SDM vol. 3, 28.4 and 28.6)', () => {
  it('stores guest values, loads host values', () => {
    const bench = guest((b) => {
      b.write64(MSR_AREA, 0xc000_0082n);
      b.write64(MSR_AREA + 16n, 0xc000_0082n);
      b.write64(MSR_AREA + 24n, 0x9000n);
      b.set('EXIT_MSR_STORE_ADDRESS', MSR_AREA);
      b.set('EXIT_MSR_STORE_COUNT', 1);
      b.set('EXIT_MSR_LOAD_ADDRESS', MSR_AREA + 16n);
      b.set('EXIT_MSR_LOAD_COUNT', 1);
    });
    bench.state.set64(State.LSTAR, 0x1234n);
    leave(bench);
    assert.equal(bench.read64(MSR_AREA + 8n), 0x1234n);
    assert.equal(bench.state.get64(State.LSTAR), 0x9000n);
  });

  for (const [field, code] of [
    ['EXIT_MSR_STORE', 1],
    ['EXIT_MSR_LOAD', 4],
  ] as const)
    it(`${field}: an MSR that does not exist aborts with ${code}`, () => {
      const bench = guest((b) => {
        b.write64(MSR_AREA, 0x4567n);
        b.set(`${field}_ADDRESS`, MSR_AREA);
        b.set(`${field}_COUNT`, 1);
      });
      leave(bench);
      assert.deepEqual(bench.cpu.run(1), { why: 'vmx-abort', code });
    });
});

describe('exceptions (SDM vol. 3, 25.6.3 and 28.2.2)', () => {
  it('exit by their bit of the exception bitmap, with information and error code', () => {
    const bench = guest((b) => b.set('EXCEPTION_BITMAP', 1 << Vector.GP));
    assert.equal(bench.vmx.exception(Vector.UD, undefined, 0n, HARDWARE, 0), ExitKind.None);
    assert.equal(bench.vmx.exception(Vector.GP, 0x18, 0n, HARDWARE, 0), ExitKind.Taken);
    assert.equal(bench.get('EXIT_REASON'), 0n);
    assert.equal(bench.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0b0dn);
    assert.equal(bench.get('EXIT_INTERRUPTION_ERROR_CODE'), 0x18n);
    assert.equal(bench.get('IDT_VECTORING_INFORMATION'), 0n);
    assert.equal(bench.get('GUEST_RIP'), GUEST_RIP);
  });

  for (const [bit, mask, match, code, exits] of [
    [1, 0, 0, 2, true],
    [1, 1, 1, 2, false],
    [1, 1, 1, 3, true],
    [0, 1, 1, 2, true],
    [0, 1, 1, 3, false],
    [0, 0, 0xffff_ffff, 2, true],
    [1, 0, 0xffff_ffff, 2, false],
  ] as const)
    it(`page fault ${code}: bit ${bit}, mask ${mask}, match ${match} -> ${exits ? 'exits' : 'stays'}`, () => {
      const bench = guest((b) => {
        b.set('EXCEPTION_BITMAP', bit << Vector.PF);
        b.set('PAGE_FAULT_ERROR_CODE_MASK', mask);
        b.set('PAGE_FAULT_ERROR_CODE_MATCH', match);
      });
      const taken = bench.vmx.exception(Vector.PF, code, 0x1234_5000n, HARDWARE, 0);
      assert.equal(taken === ExitKind.Taken, exits);
      if (exits) assert.equal(bench.get('EXIT_QUALIFICATION'), 0x1234_5000n);
    });

  it('debug exceptions have their conditions in the qualification; software exceptions their length', () => {
    const bench = guest((b) => b.set('EXCEPTION_BITMAP', 0xffff_ffff));
    bench.vmx.exception(Vector.DB, undefined, 0x4001n, HARDWARE, 0);
    assert.equal(bench.get('EXIT_QUALIFICATION'), 0x4001n);
    const bp = guest((b) => b.set('EXCEPTION_BITMAP', 0xffff_ffff));
    bp.vmx.exception(Vector.BP, undefined, 0n, InterruptionType.SOFTWARE_EXCEPTION, 1);
    assert.equal(bp.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0603n);
    assert.equal(bp.get('EXIT_INSTRUCTION_LENGTH'), 1n);
  });

  it('during delivery of another event record it in the IDT-vectoring fields; a double fault does not', () => {
    const during = (vector: number): VmxBench => {
      const bench = guest((b) => b.set('EXCEPTION_BITMAP', 0xffff_ffff));
      bench.vmx.beginDelivery(0x80, InterruptionType.SOFTWARE_INTERRUPT, undefined, 2);
      bench.vmx.exception(vector, 0, 0n, HARDWARE, 0);
      return bench;
    };
    const bench = during(Vector.NP);
    assert.equal(bench.get('IDT_VECTORING_INFORMATION'), 0x8000_0480n);
    assert.equal(bench.get('EXIT_INSTRUCTION_LENGTH'), 2n);
    assert.equal(during(Vector.DF).get('IDT_VECTORING_INFORMATION'), 0n);
    const after = guest((b) => b.set('EXCEPTION_BITMAP', 0xffff_ffff));
    after.vmx.beginDelivery(14, HARDWARE, 2, 0);
    after.vmx.endDelivery();
    after.vmx.exception(Vector.NP, 0, 0n, HARDWARE, 0);
    assert.equal(after.get('IDT_VECTORING_INFORMATION'), 0n);
  });

  it('a triple fault exits without IDT-vectoring information', () => {
    const bench = guest();
    bench.vmx.beginDelivery(Vector.DF, HARDWARE, 0, 0);
    assert.equal(bench.vmx.tripleFault(), ExitKind.Taken);
    assert.equal(bench.get('EXIT_REASON'), 2n);
    assert.equal(bench.get('IDT_VECTORING_INFORMATION'), 0n);
  });

  it('the event injected by VM entry is made invalid by any VM exit, not by a failed entry', () => {
    const bench = guest((b) => b.set('ENTRY_INTERRUPTION_INFORMATION', 0x8000_0306));
    leave(bench);
    assert.equal(bench.get('ENTRY_INTERRUPTION_INFORMATION'), 0x306n);
    const failed = VmxBench.ready();
    failed.set('ENTRY_INTERRUPTION_INFORMATION', 0x8000_0306);
    failed.set('GUEST_RFLAGS', 0);
    failed.launch();
    assert.equal(failed.get('ENTRY_INTERRUPTION_INFORMATION'), 0x8000_0306n);
    assert.equal(failed.get('GUEST_RFLAGS'), 0n);
  });
});

describe('EPT faults and task switches', () => {
  it('EPT violation: qualification and both addresses', () => {
    const bench = guest();
    const fault = {
      kind: EptFaultKind.Violation,
      convertible: false,
      guestPhysical: 0x5008n,
      linear: 0x7008n,
      qualification: 0x182n,
    };
    assert.equal(bench.vmx.eptFault(fault), ExitKind.Taken);
    assert.equal(bench.get('EXIT_REASON'), BigInt(ExitReason.EPT_VIOLATION));
    assert.equal(bench.get('EXIT_QUALIFICATION'), 0x182n);
    assert.equal(bench.get('GUEST_PHYSICAL_ADDRESS'), 0x5008n);
    assert.equal(bench.get('GUEST_LINEAR_ADDRESS'), 0x7008n);
    assert.equal(bench.exits[0]?.guestPhysical, 0x5008n);
    assert.equal(bench.exits[0]?.n, 1);
    assert.equal(bench.exits[0]?.rip, GUEST_RIP);
  });

  it('EPT misconfiguration: the address, no qualification', () => {
    const bench = guest();
    bench.vmx.eptFault({
      kind: EptFaultKind.Misconfiguration,
      convertible: false,
      guestPhysical: 0x5000n,
      linear: undefined,
      qualification: 0x1n,
    });
    assert.equal(bench.get('EXIT_REASON'), 49n);
    assert.equal(bench.get('EXIT_QUALIFICATION'), 0n);
    assert.equal(bench.get('GUEST_PHYSICAL_ADDRESS'), 0x5000n);
  });

  it('task switch: selector and source', () => {
    const bench = guest();
    assert.equal(bench.vmx.taskSwitch(0x28, 2), ExitKind.Taken);
    assert.equal(bench.get('EXIT_REASON'), 9n);
    assert.equal(bench.get('EXIT_QUALIFICATION'), 0x8000_0028n);
  });

  it('nothing exits in root operation', () => {
    const bench = VmxBench.ready();
    assert.equal(bench.vmx.tripleFault(), ExitKind.None);
    assert.equal(bench.vmx.taskSwitch(0x28, 0), ExitKind.None);
    const fault = {
      kind: EptFaultKind.Violation,
      convertible: false,
      guestPhysical: 0n,
      linear: 0n,
      qualification: 0n,
    };
    assert.equal(bench.vmx.eptFault(fault), ExitKind.None);
  });
});

describe('events at instruction boundaries (SDM vol. 3, 26.2)', () => {
  const point = (where: Boundary, prepare?: (bench: VmxBench) => void, blocking = 0): VmxBench | undefined => {
    const bench = guest(prepare);
    bench.state.set32(State.INTERRUPTIBILITY, blocking);
    return bench.vmx.boundary(where) === ExitKind.Taken ? bench : undefined;
  };
  const NMI_BLOCKING = 8;

  it('INIT and MTF exit always', () => {
    assert.equal(point(Boundary.Init)?.get('EXIT_REASON'), 3n);
    assert.equal(point(Boundary.MonitorTrap)?.get('EXIT_REASON'), 37n);
  });

  it('NMI: by "NMI exiting"; blocked without virtual NMIs, never with them; NMIs are blocked afterwards', () => {
    assert.equal(point(Boundary.Nmi), undefined);
    const bench = point(Boundary.Nmi, pin(Pin.NMI_EXITING));
    assert.equal(bench?.get('EXIT_REASON'), 0n);
    assert.equal(bench?.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0202n);
    assert.equal(bench?.state.get32(State.INTERRUPTIBILITY), 8);
    assert.equal(point(Boundary.Nmi, pin(Pin.NMI_EXITING), NMI_BLOCKING), undefined);
    assert.ok(point(Boundary.Nmi, pin(Pin.NMI_EXITING | Pin.VIRTUAL_NMIS), NMI_BLOCKING));
  });

  it('blocking by NMI survives an exit without virtual NMIs, virtual-NMI blocking does not', () => {
    const after = (prepare?: (bench: VmxBench) => void): number => {
      const bench = guest(prepare);
      bench.state.set32(State.INTERRUPTIBILITY, NMI_BLOCKING);
      leave(bench);
      assert.equal(bench.get('GUEST_INTERRUPTIBILITY'), 8n);
      return bench.state.get32(State.INTERRUPTIBILITY);
    };
    assert.equal(after(), NMI_BLOCKING);
    assert.equal(after(pin(Pin.NMI_EXITING | Pin.VIRTUAL_NMIS)), 0);
  });

  it('NMI window and interrupt window', () => {
    const window = (bench: VmxBench) => {
      pin(Pin.NMI_EXITING | Pin.VIRTUAL_NMIS)(bench);
      bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.NMI_WINDOW_EXITING);
    };
    assert.equal(point(Boundary.NmiWindow), undefined);
    assert.equal(point(Boundary.NmiWindow, window)?.get('EXIT_REASON'), 8n);
    assert.equal(point(Boundary.NmiWindow, window, NMI_BLOCKING), undefined);
    assert.equal(point(Boundary.InterruptWindow), undefined);
    const interrupts = (b: VmxBench) => b.or('PRIMARY_PROCESSOR_CONTROLS', Primary.INTERRUPT_WINDOW_EXITING);
    assert.equal(point(Boundary.InterruptWindow, interrupts)?.get('EXIT_REASON'), 7n);
  });

  it('preemption timer', () => {
    assert.equal(point(Boundary.PreemptionTimer), undefined);
    assert.equal(point(Boundary.PreemptionTimer, pin(Pin.ACTIVATE_PREEMPTION_TIMER))?.get('EXIT_REASON'), 52n);
  });

  it('external interrupt: stays pending, or is acknowledged and recorded', () => {
    assert.equal(point(Boundary.ExternalInterrupt), undefined);
    const plain = point(Boundary.ExternalInterrupt, pin(Pin.EXTERNAL_INTERRUPT_EXITING));
    assert.equal(plain?.get('EXIT_REASON'), 1n);
    assert.equal(plain?.get('EXIT_INTERRUPTION_INFORMATION'), 0n);
    let acknowledged = 0;
    const source = { ...noInterrupts, acknowledge: () => (acknowledged++, 0x41) };
    const bench = VmxBench.ready(source);
    pin(Pin.EXTERNAL_INTERRUPT_EXITING)(bench);
    bench.or('EXIT_CONTROLS', Exit.ACKNOWLEDGE_INTERRUPT);
    bench.launch();
    bench.vmx.boundary(Boundary.ExternalInterrupt);
    assert.equal(acknowledged, 1);
    assert.equal(bench.get('EXIT_INTERRUPTION_INFORMATION'), 0x8000_0041n);
  });

  it('IRET: unblocks NMIs, virtual NMIs, or nothing, by the pin-based controls', () => {
    const iret = (prepare?: (bench: VmxBench) => void): [boolean, number] => {
      const bench = guest(prepare);
      bench.state.set32(State.INTERRUPTIBILITY, NMI_BLOCKING);
      return [bench.vmx.iretUnblocksNmi(), bench.state.get32(State.INTERRUPTIBILITY)];
    };
    assert.deepEqual(iret(), [false, NMI_BLOCKING]);
    assert.deepEqual(iret(pin(Pin.NMI_EXITING)), [true, NMI_BLOCKING]);
    assert.deepEqual(iret(pin(Pin.NMI_EXITING | Pin.VIRTUAL_NMIS)), [true, 0]);
  });
});
