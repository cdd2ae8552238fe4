/** Why a request was blocked: VT-d specification, "Fault Reason Encodings" and the conditions of legacy mode. */
export const enum FaultReason {
  RootNotPresent = 0x01,
  ContextNotPresent = 0x02,
  ContextInvalid = 0x03,
  AddressTooWide = 0x04,
  NotWritable = 0x05,
  NotReadable = 0x06,
  PagingAccess = 0x07,
  RootAccess = 0x08,
  ContextAccess = 0x09,
  RootReserved = 0x0a,
  ContextReserved = 0x0b,
  PagingReserved = 0x0c,
  InterruptAddress = 0x0e,
  RequestReserved = 0x20,
  IndexTooLarge = 0x21,
  EntryNotPresent = 0x22,
  InterruptTableAccess = 0x23,
  EntryReserved = 0x24,
  CompatibilityBlocked = 0x25,
  SourceRefused = 0x26,
}

export interface FaultReasonRow {
  readonly name: string;
  readonly text: string;
  /** "Qualified": not recorded when the fault-processing-disable bit of the entry is set */
  readonly qualified: boolean;
}

export const FAULT_REASONS: Readonly<Record<FaultReason, FaultReasonRow>> = {
  [FaultReason.RootNotPresent]: {
    name: 'root entry not present',
    text: 'the root entry of the bus has P = 0',
    qualified: false,
  },
  [FaultReason.ContextNotPresent]: {
    name: 'context entry not present',
    text: 'the context entry of the device and function has P = 0',
    qualified: true,
  },
  [FaultReason.ContextInvalid]: {
    name: 'context entry invalid',
    text: 'the context entry has an address width (AW) or translation type (TT) that this unit does not support',
    qualified: true,
  },
  [FaultReason.AddressTooWide]: {
    name: 'address too wide',
    text: 'the address is beyond the address width of the context entry',
    qualified: true,
  },
  [FaultReason.NotWritable]: {
    name: 'not writable',
    text: 'a write to a page whose second-stage entries do not all have W = 1',
    qualified: true,
  },
  [FaultReason.NotReadable]: {
    name: 'not readable',
    text: 'a read of a page whose second-stage entries do not all have R = 1',
    qualified: true,
  },
  [FaultReason.PagingAccess]: {
    name: 'second-stage table out of reach',
    text: 'a second-stage table lies where there is no RAM',
    qualified: true,
  },
  [FaultReason.RootAccess]: {
    name: 'root table out of reach',
    text: 'the root table lies where there is no RAM',
    qualified: false,
  },
  [FaultReason.ContextAccess]: {
    name: 'context table out of reach',
    text: 'the context table lies where there is no RAM',
    qualified: false,
  },
  [FaultReason.RootReserved]: {
    name: 'reserved bits in root entry',
    text: 'a reserved field of a present root entry is not zero',
    qualified: false,
  },
  [FaultReason.ContextReserved]: {
    name: 'reserved bits in context entry',
    text: 'a reserved field of a present context entry is not zero',
    qualified: true,
  },
  [FaultReason.PagingReserved]: {
    name: 'reserved bits in second-stage entry',
    text: 'a reserved field of a second-stage entry is not zero',
    qualified: true,
  },
  [FaultReason.InterruptAddress]: {
    name: 'translated into the interrupt range',
    text: 'the tables lead to 0xfee00000-0xfeefffff, which no translation may produce',
    qualified: true,
  },
  [FaultReason.RequestReserved]: {
    name: 'reserved bits in interrupt request',
    text: 'a reserved field of an interrupt request in remappable format is not zero',
    qualified: false,
  },
  [FaultReason.IndexTooLarge]: {
    name: 'interrupt index too large',
    text: 'the interrupt index is beyond the size of the interrupt remapping table',
    qualified: false,
  },
  [FaultReason.EntryNotPresent]: {
    name: 'interrupt entry not present',
    text: 'the interrupt remapping table entry has P = 0',
    qualified: true,
  },
  [FaultReason.InterruptTableAccess]: {
    name: 'interrupt table out of reach',
    text: 'the interrupt remapping table lies where there is no RAM',
    qualified: false,
  },
  [FaultReason.EntryReserved]: {
    name: 'reserved bits in interrupt entry',
    text: 'a reserved field of a present interrupt remapping table entry is not zero',
    qualified: true,
  },
  [FaultReason.CompatibilityBlocked]: {
    name: 'compatibility format blocked',
    text: 'an interrupt request in compatibility format, while CFI is off or extended interrupt mode is on',
    qualified: false,
  },
  [FaultReason.SourceRefused]: {
    name: 'source refused',
    text: 'the requester is not the one that the interrupt remapping table entry (SID, SQ, SVT) admits',
    qualified: true,
  },
};
