import { Cr0, Cr4, Efer } from '../../emulator/arch/control-registers';
import { Entry, Exit, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import { interruptionInformation, InterruptionType } from '../../emulator/arch/interruption';
import type { VmcsFieldSymbol } from '../../emulator/arch/vmcs-fields';
import { SHADOW_INDICATOR, VMCS_REVISION } from '../../emulator/vmx/vmcs';
import {
  BITMAP_A,
  enableEpt,
  make32BitGuest,
  makeVirtual8086Guest,
  MSR_AREA,
  OPERAND,
  OTHER_VMCS,
  PDPT_PAE,
  VMCS_REGION,
  type VmxBench,
} from './bench';

/** How to break one entry check, starting from a VMCS that can be entered. */
export interface Violation {
  readonly break: (bench: VmxBench) => void;
}

const set = (symbol: VmcsFieldSymbol, value: bigint | number, prepare?: (bench: VmxBench) => void): Violation => ({
  break: (bench) => {
    prepare?.(bench);
    bench.set(symbol, value);
  },
});
const or = (symbol: VmcsFieldSymbol, bits: bigint | number, prepare?: (bench: VmxBench) => void): Violation => ({
  break: (bench) => {
    prepare?.(bench);
    bench.or(symbol, bits);
  },
});
const clear = (symbol: VmcsFieldSymbol, bits: bigint | number, prepare?: (bench: VmxBench) => void): Violation => ({
  break: (bench) => {
    prepare?.(bench);
    bench.clear(symbol, bits);
  },
});

const NON_CANONICAL = 0x8000_0000_0000n;
const BEYOND_PHYSICAL = 1n << 45n;
const BAD_PAT = 0x0006_0402_0600_0406n;
const CODE_AND_DATA = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const;
const DATA = ['DS', 'ES', 'FS', 'GS'] as const;

const event = (vector: number, type: number, errorCode = false): number =>
  interruptionInformation(vector, type, errorCode);
const inject = (information: number) => (bench: VmxBench) => bench.set('ENTRY_INTERRUPTION_INFORMATION', information);

const primary = (bits: number) => (bench: VmxBench) => bench.or('PRIMARY_PROCESSOR_CONTROLS', bits);
const secondaryOn = primary(Primary.ACTIVATE_SECONDARY_CONTROLS);
const secondaries = (bits: number) => (bench: VmxBench) => {
  secondaryOn(bench);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', bits);
};
const loads = (bits: number) => (bench: VmxBench) => bench.or('ENTRY_CONTROLS', bits);
const exits = (bits: number) => (bench: VmxBench) => bench.or('EXIT_CONTROLS', bits);
const ept = (bench: VmxBench) => enableEpt(bench);
const unrestricted = (bench: VmxBench) => enableEpt(bench, Secondary.UNRESTRICTED_GUEST);
const legacy = (bench: VmxBench) => make32BitGuest(bench);
const pae = (bench: VmxBench) => {
  make32BitGuest(bench, true);
  bench.set('GUEST_CR3', PDPT_PAE);
};
const paeUnderEpt = (bench: VmxBench) => {
  pae(bench);
  enableEpt(bench);
};
const steps =
  (...all: ((bench: VmxBench) => void)[]) =>
  (bench: VmxBench) =>
    all.forEach((step) => step(bench));
/** RAM that holds 0 where the bench starts */
const VIRTUAL_APIC = 0x7000n;
const tprShadow = (bench: VmxBench) => {
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.USE_TPR_SHADOW);
  bench.set('VIRTUAL_APIC_ADDRESS', VIRTUAL_APIC);
};
const postedInterrupts = steps(tprShadow, secondaries(Secondary.VIRTUAL_INTERRUPT_DELIVERY), (bench) => {
  bench.or('PIN_BASED_CONTROLS', Pin.EXTERNAL_INTERRUPT_EXITING | Pin.PROCESS_POSTED_INTERRUPTS);
  bench.or('EXIT_CONTROLS', Exit.ACKNOWLEDGE_INTERRUPT);
});
/** A 32-bit host: the processor leaves IA-32e mode, so that 32-bit host state is what it needs. */
const host32 = (bench: VmxBench) => {
  make32BitGuest(bench);
  bench.clear('EXIT_CONTROLS', Exit.HOST_ADDRESS_SPACE_SIZE);
  bench.set('HOST_CR4', Cr4.VMXE);
  bench.state.efer &= ~(Efer.LMA | Efer.LME);
};

const rows: Record<string, Violation> = {
  'control.pin.allowed-0': clear('PIN_BASED_CONTROLS', 2),
  'control.pin.allowed-1': or('PIN_BASED_CONTROLS', 1 << 8),
  'control.primary.allowed-0': clear('PRIMARY_PROCESSOR_CONTROLS', 1 << 26),
  'control.primary.allowed-1': or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_TERTIARY_CONTROLS),
  'control.secondary.allowed-1': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.INSTRUCTION_TIMEOUT, secondaryOn),
  'control.cr3-target-count': set('CR3_TARGET_COUNT', 5),
  'control.io-bitmap-a': set('IO_BITMAP_A', 0x6008, primary(Primary.USE_IO_BITMAPS)),
  'control.io-bitmap-b': set('IO_BITMAP_B', BEYOND_PHYSICAL, primary(Primary.USE_IO_BITMAPS)),
  'control.msr-bitmaps': set('MSR_BITMAPS', 0x6800, primary(Primary.USE_MSR_BITMAPS)),
  'control.virtual-apic-address': set('VIRTUAL_APIC_ADDRESS', VIRTUAL_APIC + 8n, tprShadow),
  'control.tpr-threshold.reserved': set('TPR_THRESHOLD', 0x10, tprShadow),
  'control.tpr-threshold.vtpr': {
    break: (bench) => {
      tprShadow(bench);
      bench.write32(VIRTUAL_APIC + 0x80n, 0x3f);
      bench.set('TPR_THRESHOLD', 4);
    },
  },
  'control.virtual-nmis': or('PIN_BASED_CONTROLS', Pin.VIRTUAL_NMIS),
  'control.nmi-window': or('PRIMARY_PROCESSOR_CONTROLS', Primary.NMI_WINDOW_EXITING),
  'control.apic-access-address': set(
    'APIC_ACCESS_ADDRESS',
    BEYOND_PHYSICAL,
    secondaries(Secondary.VIRTUALIZE_APIC_ACCESSES),
  ),
  'control.tpr-shadow-off': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.APIC_REGISTER_VIRTUALIZATION, secondaryOn),
  'control.x2apic-mode': or(
    'SECONDARY_PROCESSOR_CONTROLS',
    Secondary.VIRTUALIZE_X2APIC_MODE,
    steps(tprShadow, secondaries(Secondary.VIRTUALIZE_APIC_ACCESSES)),
  ),
  'control.virtual-interrupt-delivery': or(
    'SECONDARY_PROCESSOR_CONTROLS',
    Secondary.VIRTUAL_INTERRUPT_DELIVERY,
    steps(tprShadow, secondaryOn),
  ),
  'control.posted.delivery': clear(
    'SECONDARY_PROCESSOR_CONTROLS',
    Secondary.VIRTUAL_INTERRUPT_DELIVERY,
    postedInterrupts,
  ),
  'control.posted.acknowledge': clear('EXIT_CONTROLS', Exit.ACKNOWLEDGE_INTERRUPT, postedInterrupts),
  'control.posted.vector': set('POSTED_INTERRUPT_NOTIFICATION_VECTOR', 0x100, postedInterrupts),
  'control.posted.descriptor': set('POSTED_INTERRUPT_DESCRIPTOR_ADDRESS', VIRTUAL_APIC + 32n, postedInterrupts),
  'control.vpid': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.ENABLE_VPID, secondaryOn),
  'control.eptp.memory-type': set('EPT_POINTER', 0x9001n | (3n << 3n), ept),
  'control.eptp.walk-length': set('EPT_POINTER', 0x9006n | (2n << 3n), ept),
  'control.eptp.reserved': set('EPT_POINTER', 0x9006n | (3n << 3n) | (1n << 8n), ept),
  'control.vm-functions.reserved': set('VM_FUNCTION_CONTROLS', 2, secondaries(Secondary.ENABLE_VM_FUNCTIONS)),
  'control.vm-functions.ept': set('VM_FUNCTION_CONTROLS', 1, secondaries(Secondary.ENABLE_VM_FUNCTIONS)),
  'control.vm-functions.eptp-list': set('EPTP_LIST_ADDRESS', 8, (bench) => {
    enableEpt(bench, Secondary.ENABLE_VM_FUNCTIONS);
    bench.set('VM_FUNCTION_CONTROLS', 1);
  }),
  'control.tsc-multiplier': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.USE_TSC_SCALING, secondaryOn),
  'control.shadowing.vmread-bitmap': set('VMREAD_BITMAP', 8, secondaries(Secondary.VMCS_SHADOWING)),
  'control.shadowing.vmwrite-bitmap': set('VMWRITE_BITMAP', BEYOND_PHYSICAL, secondaries(Secondary.VMCS_SHADOWING)),
  'control.pml': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.ENABLE_PML, secondaryOn),
  'control.pml-address': set('PML_ADDRESS', 0x6008, (bench) => enableEpt(bench, Secondary.ENABLE_PML)),
  'control.mode-based-execute': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.MODE_BASED_EXECUTE_CONTROL, secondaryOn),
  'control.virtualization-exception-address': set(
    'VIRTUALIZATION_EXCEPTION_ADDRESS',
    BEYOND_PHYSICAL,
    steps(secondaryOn, (bench) => bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.EPT_VIOLATION_VE)),
  ),
  'control.unrestricted-guest': or('SECONDARY_PROCESSOR_CONTROLS', Secondary.UNRESTRICTED_GUEST, secondaryOn),
  'control.exit.allowed-0': clear('EXIT_CONTROLS', 1),
  'control.exit.allowed-1': or('EXIT_CONTROLS', Exit.CLEAR_BNDCFGS),
  'control.save-preemption-timer': or('EXIT_CONTROLS', Exit.SAVE_PREEMPTION_TIMER),
  'control.entry.allowed-0': clear('ENTRY_CONTROLS', 1),
  'control.entry.allowed-1': or('ENTRY_CONTROLS', Entry.LOAD_BNDCFGS),
  'control.event.type': set('ENTRY_INTERRUPTION_INFORMATION', event(0, 1)),
  'control.event.vector': set('ENTRY_INTERRUPTION_INFORMATION', event(32, InterruptionType.HARDWARE_EXCEPTION)),
  'control.event.deliver-error-code': set(
    'ENTRY_INTERRUPTION_INFORMATION',
    event(14, InterruptionType.HARDWARE_EXCEPTION),
  ),
  'control.event.reserved': set(
    'ENTRY_INTERRUPTION_INFORMATION',
    event(6, InterruptionType.HARDWARE_EXCEPTION) | (1 << 12),
  ),
  'control.event.error-code': set(
    'ENTRY_EXCEPTION_ERROR_CODE',
    0x1_0000,
    inject(event(13, InterruptionType.HARDWARE_EXCEPTION, true)),
  ),
  'control.event.instruction-length': set(
    'ENTRY_INSTRUCTION_LENGTH',
    16,
    inject(event(3, InterruptionType.SOFTWARE_EXCEPTION)),
  ),
  'control.smm': or('ENTRY_CONTROLS', Entry.ENTRY_TO_SMM),

  'host.cr0': clear('HOST_CR0', Cr0.NE),
  'host.cr4': clear('HOST_CR4', Cr4.VMXE),
  'host.cr3': or('HOST_CR3', BEYOND_PHYSICAL),
  'host.sysenter-esp': set('HOST_IA32_SYSENTER_ESP', NON_CANONICAL),
  'host.sysenter-eip': set('HOST_IA32_SYSENTER_EIP', NON_CANONICAL),
  'host.pat': set('HOST_IA32_PAT', BAD_PAT, exits(Exit.LOAD_PAT)),
  'host.efer.reserved': set('HOST_IA32_EFER', Efer.LMA | Efer.LME | 2n, exits(Exit.LOAD_EFER)),
  'host.efer.lma': set('HOST_IA32_EFER', Efer.LME, exits(Exit.LOAD_EFER)),
  'host.efer.lme': set('HOST_IA32_EFER', Efer.LMA, exits(Exit.LOAD_EFER)),
  'host.cs-null': set('HOST_CS_SELECTOR', 0),
  'host.tr-null': set('HOST_TR_SELECTOR', 0),
  'host.ss-null': set('HOST_SS_SELECTOR', 0, host32),
  'host.address-space.long-mode': {
    break: (bench) => {
      make32BitGuest(bench);
      bench.clear('EXIT_CONTROLS', Exit.HOST_ADDRESS_SPACE_SIZE);
    },
  },
  'host.address-space.guest': {
    break: (bench) => {
      host32(bench);
      bench.or('ENTRY_CONTROLS', Entry.IA32E_MODE_GUEST);
      bench.or('GUEST_CR4', Cr4.PAE);
    },
  },
  'host.address-space.pcide': or('HOST_CR4', Cr4.PCIDE, host32),
  'host.address-space.rip-32': or('HOST_RIP', 1n << 32n, host32),
  'host.address-space.pae': clear('HOST_CR4', Cr4.PAE),
  'host.address-space.rip-64': set('HOST_RIP', NON_CANONICAL),

  'guest.cr0.fixed': clear('GUEST_CR0', Cr0.NE),
  'guest.cr0.pg-pe': clear('GUEST_CR0', Cr0.PE, steps(legacy, unrestricted)),
  'guest.cr4.fixed': or('GUEST_CR4', Cr4.SMXE),
  'guest.debugctl': set('GUEST_IA32_DEBUGCTL', 1 << 3, loads(Entry.LOAD_DEBUG_CONTROLS)),
  'guest.long-mode.paging': clear('GUEST_CR0', Cr0.PG, unrestricted),
  'guest.long-mode.pae': clear('GUEST_CR4', Cr4.PAE),
  'guest.cr4.pcide': or('GUEST_CR4', Cr4.PCIDE, legacy),
  'guest.cr3': or('GUEST_CR3', BEYOND_PHYSICAL),
  'guest.dr7': set('GUEST_DR7', 1n << 32n, loads(Entry.LOAD_DEBUG_CONTROLS)),
  'guest.sysenter-esp': set('GUEST_IA32_SYSENTER_ESP', NON_CANONICAL),
  'guest.sysenter-eip': set('GUEST_IA32_SYSENTER_EIP', NON_CANONICAL),
  'guest.pat': set('GUEST_IA32_PAT', BAD_PAT, loads(Entry.LOAD_PAT)),
  'guest.efer.reserved': set('GUEST_IA32_EFER', Efer.LMA | Efer.LME | 2n, loads(Entry.LOAD_EFER)),
  'guest.efer.lma': set('GUEST_IA32_EFER', 0, loads(Entry.LOAD_EFER)),
  'guest.efer.lme': set('GUEST_IA32_EFER', Efer.LMA, loads(Entry.LOAD_EFER)),

  'guest.tr.ti': or('GUEST_TR_SELECTOR', 4),
  'guest.ldtr.ti': {
    break: (bench) => {
      bench.set('GUEST_LDTR_ACCESS_RIGHTS', 0x82);
      bench.set('GUEST_LDTR_SELECTOR', 0x2c);
    },
  },
  'guest.ss.rpl-cs': set('GUEST_CS_SELECTOR', 9),
  'guest.tr.base': set('GUEST_TR_BASE', NON_CANONICAL),
  'guest.fs.base': set('GUEST_FS_BASE', NON_CANONICAL),
  'guest.gs.base': set('GUEST_GS_BASE', NON_CANONICAL),
  'guest.ldtr.base': {
    break: (bench) => {
      bench.set('GUEST_LDTR_ACCESS_RIGHTS', 0x82);
      bench.set('GUEST_LDTR_BASE', NON_CANONICAL);
    },
  },
  'guest.cs.type': set('GUEST_CS_ACCESS_RIGHTS', 0xa09a),
  'guest.ss.type': set('GUEST_SS_ACCESS_RIGHTS', 0xc091),
  'guest.cs.dpl': set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb),
  'guest.ss.dpl-rpl': set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3, (bench) => bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa09f)),
  'guest.ss.dpl': {
    break: (bench) => {
      make32BitGuest(bench);
      unrestricted(bench);
      bench.clear('GUEST_CR0', Cr0.PE | Cr0.PG);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xc0fb);
      bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
    },
  },
  'guest.cs.d-l': or('GUEST_CS_ACCESS_RIGHTS', 1 << 14),
  'guest.tr.type': set('GUEST_TR_ACCESS_RIGHTS', 0x83),
  'guest.tr.s': or('GUEST_TR_ACCESS_RIGHTS', 1 << 4),
  'guest.tr.usable': or('GUEST_TR_ACCESS_RIGHTS', 1 << 16),
  'guest.ldtr.type': set('GUEST_LDTR_ACCESS_RIGHTS', 0x83),
  'guest.ldtr.s': set('GUEST_LDTR_ACCESS_RIGHTS', 0x92),

  'guest.gdtr.base': set('GUEST_GDTR_BASE', NON_CANONICAL),
  'guest.idtr.base': set('GUEST_IDTR_BASE', NON_CANONICAL),
  'guest.gdtr.limit': set('GUEST_GDTR_LIMIT', 0x1_0000),
  'guest.idtr.limit': set('GUEST_IDTR_LIMIT', 0x1_0000),
  'guest.rip.high': set('GUEST_RIP', 1n << 32n, legacy),
  'guest.rip.width': set('GUEST_RIP', 1n << 50n),
  'guest.rflags.reserved': or('GUEST_RFLAGS', 1n << 63n),
  'guest.rflags.fixed': clear('GUEST_RFLAGS', 2),
  'guest.rflags.vm': {
    break: (bench) => {
      makeVirtual8086Guest(bench);
      unrestricted(bench);
      bench.clear('GUEST_CR0', Cr0.PE | Cr0.PG);
    },
  },
  'guest.rflags.if': clear('GUEST_RFLAGS', 0x200, inject(event(0x30, InterruptionType.EXTERNAL_INTERRUPT))),

  'guest.activity.supported': set('GUEST_ACTIVITY_STATE', 4),
  'guest.activity.hlt-dpl': {
    break: (bench) => {
      bench.set('GUEST_ACTIVITY_STATE', 1);
      bench.set('GUEST_CS_SELECTOR', 11);
      bench.set('GUEST_SS_SELECTOR', 19);
      bench.set('GUEST_CS_ACCESS_RIGHTS', 0xa0fb);
      bench.set('GUEST_SS_ACCESS_RIGHTS', 0xc0f3);
    },
  },
  'guest.activity.blocking': set('GUEST_ACTIVITY_STATE', 1, (bench) => bench.set('GUEST_INTERRUPTIBILITY', 1)),
  'guest.activity.event': set('GUEST_ACTIVITY_STATE', 2, inject(event(0x30, InterruptionType.EXTERNAL_INTERRUPT))),
  'guest.interruptibility.reserved': set('GUEST_INTERRUPTIBILITY', 0x20),
  'guest.interruptibility.both': set('GUEST_INTERRUPTIBILITY', 3),
  'guest.interruptibility.sti-if': set('GUEST_INTERRUPTIBILITY', 1, (bench) => bench.clear('GUEST_RFLAGS', 0x200)),
  'guest.interruptibility.external-interrupt': set(
    'GUEST_INTERRUPTIBILITY',
    2,
    inject(event(0x30, InterruptionType.EXTERNAL_INTERRUPT)),
  ),
  'guest.interruptibility.nmi-mov-ss': set('GUEST_INTERRUPTIBILITY', 2, inject(event(2, InterruptionType.NMI))),
  'guest.interruptibility.smi': set('GUEST_INTERRUPTIBILITY', 4),
  'guest.interruptibility.nmi-sti': set('GUEST_INTERRUPTIBILITY', 1, inject(event(2, InterruptionType.NMI))),
  'guest.interruptibility.virtual-nmi': set(
    'GUEST_INTERRUPTIBILITY',
    8,
    steps(inject(event(2, InterruptionType.NMI)), (bench) =>
      bench.or('PIN_BASED_CONTROLS', Pin.NMI_EXITING | Pin.VIRTUAL_NMIS),
    ),
  ),
  'guest.pending-debug.reserved': set('GUEST_PENDING_DEBUG_EXCEPTIONS', 1 << 13),
  'guest.pending-debug.single-step': or('GUEST_RFLAGS', 0x100, (bench) => bench.set('GUEST_INTERRUPTIBILITY', 2)),
  'guest.link-pointer.address': set('VMCS_LINK_POINTER', OTHER_VMCS + 8n),
  'guest.link-pointer.revision': set('VMCS_LINK_POINTER', OPERAND),
  'guest.link-pointer.shadow': set('VMCS_LINK_POINTER', BITMAP_A, (bench) =>
    bench.write32(BITMAP_A, (VMCS_REVISION | SHADOW_INDICATOR) >>> 0),
  ),
  'guest.link-pointer.current': set('VMCS_LINK_POINTER', VMCS_REGION),
  'guest.pdptes-in-memory': {
    break: (bench) => {
      pae(bench);
      bench.write64(PDPT_PAE + 16n, 0x20_0001n | 2n);
    },
  },
};

for (const area of ['exit-msr-store', 'exit-msr-load', 'entry-msr-load'] as const) {
  const name = area.replaceAll('-', '_').toUpperCase() as 'EXIT_MSR_STORE' | 'EXIT_MSR_LOAD' | 'ENTRY_MSR_LOAD';
  const count = (bench: VmxBench) => bench.set(`${name}_COUNT`, 1);
  rows[`control.${area}.aligned`] = set(`${name}_ADDRESS`, MSR_AREA + 8n, count);
  rows[`control.${area}.width`] = set(`${name}_ADDRESS`, BEYOND_PHYSICAL, count);
}
for (const name of ['CS', 'SS', 'DS', 'ES', 'FS', 'GS', 'TR'] as const)
  rows[`host.${name.toLowerCase()}-selector`] = or(`HOST_${name}_SELECTOR`, name === 'DS' ? 4 : 1);
for (const name of ['FS', 'GS', 'GDTR', 'IDTR', 'TR'] as const)
  rows[`host.${name.toLowerCase()}-base`] = set(`HOST_${name}_BASE`, NON_CANONICAL);
for (const name of CODE_AND_DATA) {
  const id = `guest.${name.toLowerCase()}`;
  rows[`${id}.base-virtual-8086`] = set(`GUEST_${name}_BASE`, 0x1_0010, makeVirtual8086Guest);
  rows[`${id}.limit-virtual-8086`] = set(`GUEST_${name}_LIMIT`, 0xfffe, makeVirtual8086Guest);
  rows[`${id}.access-virtual-8086`] = set(`GUEST_${name}_ACCESS_RIGHTS`, 0x93, makeVirtual8086Guest);
  rows[`${id}.s`] = clear(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 4);
  rows[`${id}.present`] = clear(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 7);
  rows[`${id}.reserved-low`] = or(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 9);
  rows[`${id}.reserved-high`] = or(`GUEST_${name}_ACCESS_RIGHTS`, 1n << 31n);
  rows[`${id}.granularity`] = set(`GUEST_${name}_LIMIT`, 0xffff_fffe);
  if (name !== 'FS' && name !== 'GS') rows[`${id}.base-high`] = set(`GUEST_${name}_BASE`, 1n << 32n);
}
for (const name of DATA) {
  rows[`guest.${name.toLowerCase()}.type`] = set(`GUEST_${name}_ACCESS_RIGHTS`, name === 'DS' ? 0xc092 : 0xc099);
  rows[`guest.${name.toLowerCase()}.dpl`] = or(`GUEST_${name}_SELECTOR`, 3);
}
for (const [name, rights, limit] of [
  ['TR', 0x8b, 0x67],
  ['LDTR', 0x82, 0x67],
] as const) {
  const id = `guest.${name.toLowerCase()}`;
  const usable = (bench: VmxBench) => {
    bench.set(`GUEST_${name}_ACCESS_RIGHTS`, rights);
    bench.set(`GUEST_${name}_LIMIT`, limit);
  };
  rows[`${id}.present`] = clear(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 7, usable);
  rows[`${id}.reserved-low`] = or(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 8, usable);
  rows[`${id}.reserved-high`] = or(`GUEST_${name}_ACCESS_RIGHTS`, 1 << 17, usable);
  rows[`${id}.granularity`] = or(`GUEST_${name}_LIMIT`, 0x10_0000, usable);
}
for (const i of [0, 1, 2, 3] as const)
  rows[`guest.pdpte${i}`] = set(`GUEST_PDPTE${i}`, 0x20_0001n | 0x20n, paeUnderEpt);

/** By the id of the row. */
export const VIOLATIONS: Readonly<Record<string, Violation>> = rows;
