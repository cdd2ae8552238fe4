/**
 * The one wasm32 memory: what lies where. Byte offsets.
 *
 * The state of the running vCPU lives at fixed addresses from 0, so that generated code reaches it with constant
 * addresses; switching vCPUs copies STATE_SIZE bytes. Everything architectural is inside that block or in RAM, so a
 * snapshot of a vCPU is a copy of it. Offsets inside the block are `State`.
 */
export const STATE_BASE = 0;
export const STATE_SIZE = 0x1000;
/** The engine's own scratch words; never part of a snapshot. */
export const ENGINE_SCRATCH = 0x1000;
export const ENGINE_SCRATCH_SIZE = 0xf000;

/**
 * Software TLB: TLB_BANK_COUNT banks of TLB_ENTRIES entries of 32 bytes, direct-mapped by linear page number.
 * A bank caches the combined mappings of one tag (see memory/tlb.ts). The running bank's byte address is in
 * `State.TLB_BANK`.
 *
 * Entry: +0 i64 read tag, +8 i64 write tag, +16 i64 execute tag: the page's linear address, or -1 when that access
 * must take the slow path. +24 i32 addend: wasm address = low 32 bits of linear address + addend.
 * +28 i32 the engine's code page (decoded records), 0 when there is none.
 */
export const TLB_BASE = 0x10000;
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_SIZE = 32;
export const TLB_BANK_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
export const TLB_BANK_COUNT = 16;
export const TLB_READ = 0;
export const TLB_WRITE = 8;
export const TLB_EXECUTE = 16;
export const TLB_ADDEND = 24;
export const TLB_CODE = 28;

/** Jump cache, decoded records and their maps: the engine's, up to RAM. */
export const JUMP_CACHE = 0x90000;
/** VT-x: fields of VMCSs as VM entry last accepted them (vmx/entry-checks/remembered.ts). A cache, never state. */
export const ACCEPTED_FIELDS = 0xa0000;
export const ACCEPTED_FIELDS_SIZE = 0x10000;
/** How VMREAD and VMWRITE reach each field: u16 by encoding, `VmcsAccess`, 0 where there is no such field */
export const VMCS_FIELD_TABLE = 0xb0000;
export const VMCS_FIELD_ENCODINGS = 0x8000;
/** Bits of an entry: byte offset in the region; all 64 bits are accessed; only 16 bits are written */
export const VmcsAccess = { OFFSET: 0xfff, WIDE: 0x1000, NARROW: 0x2000 } as const;
/**
 * Secrecy tracking (engine/secrecy/). SHADOW mirrors the state block of the running vCPU: a set bit is a bit of a register
 * or flag that depends on a secret. SHADOW_SOURCES has for each 8 bytes of the block what they come from, while they are
 * secret: `Source`. Both have room for all that records may name as a register: up to the engine's scratch. SHADOW_ACCESS: words that generated code and the tracker hand each other, `ShadowAccess`.
 */
export const SHADOW = 0xc0000;
export const SHADOW_SOURCES = 0xd0000;
export const SHADOW_ACCESS = 0xe0000;
/** i32 each: where it was last, in the tracker's numbering; whose it is, a bit for each owner */
export const Source = { ORIGIN: 0, LABELS: 4 } as const;
export const ShadowAccess = {
  /** i64: secret bits of the value that was loaded; set by who serves the load */
  LOADED: 0,
  /** i64: secret bits of the value that is stored */
  STORED: 8,
  /** Source of what the running instruction has read so far */
  SOURCE: 16,
} as const;
export const CODE_BASE = 0x100000;
/** Maps from code offset to region entry, for indirect jumps inside a translated region: the top of the engine's part. */
export const ENTRY_MAPS = 0x3000000;
export const ENTRY_MAPS_END = 0x4000000;
/**
 * What the processors remember of translations (memory/tlb.ts): an area for each vCPU, with its banks (those of vCPU 0
 * are at TLB_BASE), what the banks' entries mean, the banks' tags, and the caches of guest-physical mappings and of
 * paging structures.
 */
export const TLB_AREA = 0x4000000;
export const TLB_AREA_SIZE = 0x100000;
export const MAXIMUM_VCPUS = 8;
/** Offsets in an area */
export const TlbArea = {
  BANKS: 0,
  ENTRIES: 0x80000,
  TAGS: 0xc0000,
  GUEST_PHYSICAL: 0xc4000,
  STRUCTURES: 0xc8000,
} as const;
/** The first bank of a vCPU */
export const tlbBase = (vcpu: number): number =>
  vcpu === 0 ? TLB_BASE : TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.BANKS;

/** Guest RAM: host-physical address 0 is here, contiguous. */
export const RAM_BASE = TLB_AREA + MAXIMUM_VCPUS * TLB_AREA_SIZE;

/** Offsets in the state block of the running vCPU. Sizes in bytes in the comments. */
export const State = {
  /** 16 x 8: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
  GPR: 0x000,
  /** 8: always zero; the "no register" of an effective address */
  ZERO: 0x100,
  /** 8: instruction pointer (offset in CS; equals the linear address in 64-bit mode) */
  RIP: 0x108,
  /**
   * Arithmetic flags, normalised: FLAGS_RESULT i64 sign-extended result, FLAGS_AUX i32.
   * ZF = result == 0; SF = (result >> 63 ^ aux) & 1; PF = even parity of (result ^ aux >> 8) & 0xff;
   * CF = aux >>> 31; OF = (aux ^ aux << 1) >>> 31; AF = aux >> 3 & 1.
   */
  FLAGS_RESULT: 0x110,
  FLAGS_AUX: 0x118,
  /** 4: every other RFLAGS bit (TF IF DF IOPL NT RF VM AC VIF VIP ID), at its place; bit 1 is added on reading */
  FLAGS_SYSTEM: 0x11c,
  /** 8: the same flags kept unevaluated by translated code: kind i32, a i64, b i64. Engine only. */
  LAZY_KIND: 0x120,
  LAZY_A: 0x128,
  LAZY_B: 0x130,
  /** 8: instructions retired by this vCPU, exact whenever generated code is not running */
  RETIRED: 0x138,
  /** 4: byte address of the running TLB bank */
  TLB_BANK: 0x140,
  /** 4: non-zero when the slow path recorded a fault or an exit that the instruction must not commit over */
  FAULT: 0x144,
  /** Pending fault recorded by the slow path, delivered by cpu/: kind, vector, error code i32; address i64 x 2 */
  FAULT_KIND: 0x148,
  FAULT_VECTOR: 0x14c,
  FAULT_ERROR: 0x150,
  FAULT_LINEAR: 0x158,
  FAULT_PHYSICAL: 0x160,
  FAULT_QUALIFICATION: 0x168,

  /** 8: clock ticks that passed while halted; the virtual clock is RETIRED + CLOCK_IDLE */
  CLOCK_IDLE: 0x170,

  /**
   * 8 x 32: ES CS SS DS FS GS LDTR TR. +0 u16 selector, +4 u32 access rights in VMCS format (bit 16 = unusable),
   * +8 u32 limit in bytes, +16 u64 base.
   */
  SEGMENTS: 0x180,
  /** base u64, limit u32 */
  GDTR: 0x280,
  IDTR: 0x290,
  CR0: 0x2a0,
  CR2: 0x2a8,
  CR3: 0x2b0,
  CR4: 0x2b8,
  EFER: 0x2c0,
  XCR0: 0x2c8,
  /** 4 x 8: PAE page-directory-pointer-table entries as loaded */
  PDPTE: 0x2d0,
  /** DR0..DR3, DR6, DR7: 6 x 8 */
  DR: 0x2f0,

  /** MSRs kept by the processor, 8 bytes each */
  STAR: 0x320,
  LSTAR: 0x328,
  CSTAR: 0x330,
  FMASK: 0x338,
  KERNEL_GS_BASE: 0x340,
  SYSENTER_CS: 0x348,
  SYSENTER_ESP: 0x350,
  SYSENTER_EIP: 0x358,
  PAT: 0x360,
  TSC_AUX: 0x368,
  TSC_ADJUST: 0x370,
  DEBUGCTL: 0x378,
  FEATURE_CONTROL: 0x380,
  APIC_BASE: 0x388,
  MISC_ENABLE: 0x390,
  MTRR_DEF_TYPE: 0x398,

  /** 4: 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI (VMCS encoding) */
  ACTIVITY: 0x3a0,
  /** 4: VMCS interruptibility bits: 0 STI, 1 MOV SS, 2 SMI, 3 NMI */
  INTERRUPTIBILITY: 0x3a4,
  /** 8: VMCS pending-debug-exceptions format */
  PENDING_DEBUG: 0x3a8,
  /** 4: bit per pending event: 0 NMI, 1 INIT, 2 SIPI, 3 MTF, 4 the end of a virtualized APIC operation, 5 a virtual interrupt */
  PENDING_EVENTS: 0x3b0,

  /** VMX operation. ON: 4, 1 after VMXON. ROOT: 4, 1 while in root operation. Pointers: 8, all ones = none. */
  VMX_ON: 0x3c0,
  VMX_ROOT: 0x3c4,
  VMXON_POINTER: 0x3c8,
  CURRENT_VMCS: 0x3d0,
  /** 8: TSC offset in force (0 outside non-root or without the control) */
  TSC_OFFSET: 0x3d8,
  /** 8: EPT pointer in force, 0 when EPT is not in use */
  EPTP: 0x3e0,
  /** 2: VPID in force (0 in root operation or without the control) */
  VPID: 0x3e8,
  /** 4: EptControl of memory/paging-context.ts, 0 when EPT is not in use */
  EPT_CONTROLS: 0x3ec,
  /** 8: retired count at which the VMX-preemption timer expires, all ones = not running */
  PREEMPTION_DEADLINE: 0x3f0,

  /** 16 x 32: vector registers, reserved */
  VECTOR: 0x400,
  /** MTRRs: 8 variable pairs, 11 fixed; 27 x 8 */
  MTRR: 0x600,
  /** Free for rooms above: vmx 0x700..0x7ff, engine 0x800..0x8ff (mode word and the like) */
  VMX_PRIVATE: 0x700,
  /** 8: state of the generator behind RDRAND and RDSEED */
  RANDOM: 0x720,
  /** 4: 1 while MONITOR's address range is armed for MWAIT */
  MONITOR_ARMED: 0x728,
  /** 4: vector of the pending SIPI (PENDING_EVENTS bit 2) */
  SIPI_VECTOR: 0x72c,
  /** 8: TSC multiplier in force, 0 = the counter is not scaled */
  TSC_MULTIPLIER: 0x730,
  /** 4: APIC virtualization in force, bits of `Virtualized`; 0 in root operation and without its controls */
  APIC_VIRTUALIZATION: 0x760,
  /** 2: guest interrupt status in non-root operation: RVI, then SVI */
  GUEST_INTERRUPT_STATUS: 0x764,
  /** 8: physical addresses of the APIC-access page and the virtual-APIC page in force */
  APIC_ACCESS_PAGE: 0x768,
  VIRTUAL_APIC_PAGE: 0x770,
  /** 4: a write to the APIC-access page that waits for its emulation; 4: the trap-like VM exit that is due */
  APIC_WRITE: 0x778,
  APIC_TRAP: 0x77c,
  /** 8: IA32_MCG_STATUS */
  MCG_STATUS: 0x780,
  ENGINE_PRIVATE: 0x800,
  /** 4: SMX: bits of `SaferMode` in arch/safer-mode.ts */
  SAFER_MODE: 0xa00,
  /** 512: x87 and SSE registers as FXSAVE writes them (cpu/extended-state.ts) */
  LEGACY_STATE: 0xb00,
  /** 4: wasm address of the VMCS that VMREAD and VMWRITE access at once, without the helper: in root operation the current one; else 0 */
  DIRECT_VMCS: 0x900,
  /** 8: RIP after the instruction that a helper executes; nothing between two instructions */
  NEXT_RIP: 0x908,
  /** 8: transitions of this vCPU that retired no instruction: see `Cpu.transitions` */
  EVENTS: 0x910,

  /** 8: clock at which the turn of this vCPU ends; 0 when it does not run or there is no other (machine/scheduler.ts) */
  TURN_END: 0x980,
  /** 4: low half of RETIRED + 1 at the latest delivery of an event, 0 before the first: see Cpu.deliver */
  DELIVERED_AT: 0x988,
} as const;

export const enum Segment {
  ES,
  CS,
  SS,
  DS,
  FS,
  GS,
  LDTR,
  TR,
}
