// Local APIC register map: SDM vol. 3, 11.4.1, table "Local APIC Register Address Map". Offsets in the 4 KiB page; in
// x2APIC mode the register is MSR 800H + offset / 16 (11.12.1.2).
export const enum ApicRegister {
  Id = 0x20,
  Version = 0x30,
  TaskPriority = 0x80,
  ArbitrationPriority = 0x90,
  ProcessorPriority = 0xa0,
  EndOfInterrupt = 0xb0,
  RemoteRead = 0xc0,
  LogicalDestination = 0xd0,
  DestinationFormat = 0xe0,
  SpuriousVector = 0xf0,
  InService = 0x100,
  TriggerMode = 0x180,
  InterruptRequest = 0x200,
  ErrorStatus = 0x280,
  CommandLow = 0x300,
  CommandHigh = 0x310,
  LvtTimer = 0x320,
  LvtThermal = 0x330,
  LvtPerformance = 0x340,
  LvtLint0 = 0x350,
  LvtLint1 = 0x360,
  LvtError = 0x370,
  InitialCount = 0x380,
  CurrentCount = 0x390,
  DivideConfiguration = 0x3e0,
  /** x2APIC mode only */
  SelfIpi = 0x3f0,
}

/** Version 0x14 (integrated), highest LVT index 5 at bits 23:16, EOI broadcasts can be suppressed at bit 24 */
export const APIC_VERSION = 0x01050014;
/** Bits of the spurious-interrupt vector register; focus checking (9) does not exist in this family */
export const SOFTWARE_ENABLE = 0x100;
export const SUPPRESS_EOI_BROADCAST = 0x1000;
export const SPURIOUS_WRITABLE = 0x11ff;
export const LVT_MASKED = 0x10000;
export const LVT_VECTOR = 0xff;
export const LVT_REMOTE_IRR = 0x4000;
export const LVT_LEVEL = 0x8000;
export const LVT_ACTIVE_LOW = 0x2000;
/** Writable bits of each LVT entry; delivery status (bit 12) and remote IRR (bit 14) read as zero. */
export const LVT_WRITABLE: Readonly<Record<number, number>> = {
  [ApicRegister.LvtTimer]: 0x700ff,
  [ApicRegister.LvtThermal]: 0x107ff,
  [ApicRegister.LvtPerformance]: 0x107ff,
  [ApicRegister.LvtLint0]: 0x1a7ff,
  [ApicRegister.LvtLint1]: 0x1a7ff,
  [ApicRegister.LvtError]: 0x100ff,
};

/** Delivery modes of ICR and LVT, bits 10:8 */
export const enum Delivery {
  Fixed,
  LowestPriority,
  Smi,
  Reserved,
  Nmi,
  Init,
  StartUp,
  ExtInt,
}

/** ICR bits 19:18 */
export const enum Shorthand {
  None,
  Self,
  AllIncludingSelf,
  AllExcludingSelf,
}

export const ESR_SEND_ILLEGAL_VECTOR = 0x20;
export const ESR_RECEIVE_ILLEGAL_VECTOR = 0x40;
export const ESR_ILLEGAL_REGISTER = 0x80;
