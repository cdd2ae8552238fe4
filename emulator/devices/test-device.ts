import { hostPhysical } from '../memory/address';
import type { MmioRange, PortRange } from '../memory/bus';
import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';

// Register map: QEMU, hw/misc/pc-testdev.c. Test programs for virtual machines expect it (QEMU's `-device pc-testdev`).
const SCRATCH = 0xe0;
const FLUSH = 0xe4;
const SCRATCH_BYTES = 0xe8;
const LINES = 0x2000;
const LINE_COUNT = 24;
const MEMORY_BASE = 0xff000000n;
const MEMORY_SIZE = 0x10000;
const SCRATCH_SIZE = 4;

/**
 * The test device: four scratch bytes at ports 0xe0 and 0xe8, a port for each interrupt input that sets its level, and
 * 64 KiB at 0xff000000 that keep what is written. Its flush port asks the host to forget a page, which changes
 * nothing that a program could see.
 */
export class TestDevice implements MmioRange, Device {
  readonly name = 'test device';
  readonly base = hostPhysical(MEMORY_BASE);
  readonly size = BigInt(MEMORY_SIZE);
  readonly ports: readonly PortRange[];
  private readonly scratch = new Uint8Array(SCRATCH_SIZE);
  private readonly memory = new Uint8Array(MEMORY_SIZE);
  /** Beyond it there are zeros */
  private reach = 0;

  /** @param line an input of the interrupt controllers, 0 to 23 */
  constructor(line: (number: number) => InterruptLine) {
    const lines = Array.from({ length: LINE_COUNT }, (_, number) => line(number));
    const at = (first: number, count: number, read: PortRange['read'], write: PortRange['write']): PortRange => ({
      name: this.name,
      first,
      count,
      read,
      write,
    });
    const read = (port: number, size: number) => this.readScratch(port, size);
    const write = (port: number, size: number, value: number) => this.writeScratch(port, size, value);
    this.ports = [
      at(SCRATCH, SCRATCH_SIZE, read, write),
      at(
        FLUSH,
        4,
        () => 0xffffffff,
        () => undefined,
      ),
      at(SCRATCH_BYTES, SCRATCH_SIZE, read, write),
      at(
        LINES,
        LINE_COUNT,
        () => 0xffffffff,
        (port, _size, value) => lines[port - LINES]?.set((value & 0xff) !== 0),
      ),
    ];
  }

  read(offset: bigint, size: number): bigint {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.memory[Number(offset) + i] ?? 0xff);
    return value;
  }

  write(offset: bigint, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) this.memory[Number(offset) + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    this.reach = Math.max(this.reach, Math.min(MEMORY_SIZE, Number(offset) + size));
  }

  save(out: StateWriter): void {
    out.blob(this.scratch);
    while (this.reach > 0 && this.memory[this.reach - 1] === 0) this.reach--;
    out.blob(this.memory.subarray(0, this.reach));
  }

  restore(from: StateReader): void {
    this.scratch.set(from.blob());
    const used = from.blob();
    this.memory.fill(0);
    this.memory.set(used);
    this.reach = used.length;
  }

  private readScratch(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.scratch[(port + i) & 3] ?? 0) << (8 * i);
    return value >>> 0;
  }

  private writeScratch(port: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.scratch[(port + i) & 3] = (value >>> (8 * i)) & 0xff;
  }
}
