import type { BootImage, RawPlace } from '../api';
import type { MemoryPlan } from './memory-plan';

/** What every boot protocol works with. */
export interface BootRequest {
  readonly kernel: BootImage;
  readonly modules: readonly BootImage[];
  readonly commandLine: string;
  readonly raw: RawPlace;
  readonly plan: MemoryPlan;
  /** RAM from host-physical 0, zero but for what was placed in it */
  readonly ram: Uint8Array;
  /** ACPI's root pointer: physical address (0 = none) and its bytes */
  readonly rsdp: RootPointer;
}

export interface RootPointer {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Where and how the boot processor starts. Registers that are not named are zero, interrupts are off. */
export interface Entry {
  /** `real`: CS = 0 where it reaches. `flat`: 32-bit, segments over all memory, no paging. `long`: 64-bit, identity map */
  readonly mode: 'real' | 'flat' | 'long';
  /** Physical */
  readonly address: bigint;
  readonly registers: EntryRegisters;
  /** A GDT and a 16 KiB stack lie in memory */
  readonly stack: boolean;
}

export interface EntryRegisters {
  readonly rax?: number;
  readonly rbx?: number;
  readonly rdx?: number;
  readonly rdi?: number;
}
