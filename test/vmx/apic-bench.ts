import { Exit, Pin, Primary, Secondary } from '../../emulator/arch/controls';
import type { InterruptSource } from '../../emulator/cpu/processor';
import type { VmxBench } from './bench';
import { GuestBench } from './guest-code';

/** Places of the pages that APIC virtualization uses; RAM is identity-mapped for guest and host. */
export const ACCESS_PAGE = 0x7_0000n;
export const VIRTUAL_PAGE = 0x7_1000n;
export const DESCRIPTOR = 0x7_2000n;
export const NOTIFICATION_VECTOR = 0xf2;

const bytesOf = (value: number | bigint, size: number): number[] =>
  Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(i * 8)) & 0xffn));

/** Machine code of a 64-bit guest */
export const Code = {
  vmcall: [0x0f, 0x01, 0xc1],
  nop: [0x90],
  hlt: [0xf4],
  sti: [0xfb],
  cli: [0xfa],
  /** MOV EAX, [address] */
  load: (address: bigint) => [0x8b, 0x04, 0x25, ...bytesOf(address, 4)],
  loadByte: (address: bigint) => [0x8a, 0x04, 0x25, ...bytesOf(address, 4)],
  /** MOV RAX, [address] */
  load64: (address: bigint) => [0x48, 0x8b, 0x04, 0x25, ...bytesOf(address, 4)],
  /** MOV DWORD [address], value */
  store: (address: bigint, value: number) => [0xc7, 0x04, 0x25, ...bytesOf(address, 4), ...bytesOf(value >>> 0, 4)],
  storeByte: (address: bigint, value: number) => [0xc6, 0x04, 0x25, ...bytesOf(address, 4), value],
  /** OR DWORD [address], value */
  or: (address: bigint, value: number) => [0x81, 0x0c, 0x25, ...bytesOf(address, 4), ...bytesOf(value >>> 0, 4)],
  /** XCHG [address], EAX */
  exchange: (address: bigint) => [0x87, 0x04, 0x25, ...bytesOf(address, 4)],
  /** JMP [rip] to an absolute address */
  jump: (address: bigint) => [0xff, 0x25, 0, 0, 0, 0, ...bytesOf(address, 8)],
  moveEax: (value: number) => [0xb8, ...bytesOf(value >>> 0, 4)],
  moveRsp: (value: bigint) => [0x48, 0xbc, ...bytesOf(value, 8)],
  toCr8: [0x44, 0x0f, 0x22, 0xc0],
  fromCr8: [0x44, 0x0f, 0x20, 0xc0],
  writeMsr: (index: number, value: bigint) => [
    ...[0xb9, ...bytesOf(index, 4)],
    ...[0xb8, ...bytesOf(value, 4)],
    ...[0xba, ...bytesOf(value >> 32n, 4)],
    ...[0x0f, 0x30],
  ],
  readMsr: (index: number) => [0xb9, ...bytesOf(index, 4), 0x0f, 0x32],
  int: (vector: number) => [0xcd, vector],
} as const;

export interface ApicControls {
  readonly primary?: number;
  readonly secondary?: number;
  readonly pin?: number;
  readonly exit?: number;
}

/** "Virtual-interrupt delivery" and what it needs */
export const DELIVERY: ApicControls = {
  pin: Pin.EXTERNAL_INTERRUPT_EXITING,
  secondary: Secondary.VIRTUAL_INTERRUPT_DELIVERY,
};
export const POSTED: ApicControls = {
  pin: Pin.EXTERNAL_INTERRUPT_EXITING | Pin.PROCESS_POSTED_INTERRUPTS,
  secondary: Secondary.VIRTUAL_INTERRUPT_DELIVERY,
  exit: Exit.ACKNOWLEDGE_INTERRUPT,
};

/** A guest whose APIC is virtualized: "use TPR shadow", and what `controls` add; MSR bitmaps let every access pass. */
export function apicGuest(
  code: readonly (readonly number[])[],
  controls: ApicControls = {},
  interrupts?: InterruptSource,
): GuestBench {
  return new GuestBench(code.flat(), (bench) => useVirtualApic(bench, controls), interrupts);
}

function useVirtualApic(bench: VmxBench, { primary = 0, secondary = 0, pin = 0, exit = 0 }: ApicControls): void {
  bench.or(
    'PRIMARY_PROCESSOR_CONTROLS',
    Primary.USE_TPR_SHADOW | Primary.ACTIVATE_SECONDARY_CONTROLS | Primary.USE_MSR_BITMAPS | primary,
  );
  bench.or('SECONDARY_PROCESSOR_CONTROLS', secondary);
  bench.or('PIN_BASED_CONTROLS', pin);
  bench.or('EXIT_CONTROLS', exit);
  bench.set('VIRTUAL_APIC_ADDRESS', VIRTUAL_PAGE);
  bench.set('APIC_ACCESS_ADDRESS', ACCESS_PAGE);
  bench.set('POSTED_INTERRUPT_DESCRIPTOR_ADDRESS', DESCRIPTOR);
  bench.set('POSTED_INTERRUPT_NOTIFICATION_VECTOR', NOTIFICATION_VECTOR);
  bench.set('MSR_BITMAPS', 0x8_0000n);
}

/** A local APIC as far as posted interrupts need one: a queue of vectors that are accepted, and EOIs counted. */
export class QueuedInterrupts implements InterruptSource {
  readonly queue: number[] = [];
  taskPriority = 0;
  ended = 0;
  readonly localApic = {
    baseChanged: () => undefined,
    readMsr: () => undefined,
    writeMsr: () => false,
    endOfInterrupt: () => void this.ended++,
  };

  pendingVector(): number {
    return this.queue[0] ?? -1;
  }

  acknowledge(): number {
    return this.queue.shift() ?? -1;
  }

  nextDeadline(): number {
    return Infinity;
  }

  advance(): void {}
}
