import type { PortRange } from '../memory/bus';

/**
 * Ends the machine: a write of any size is the program's result. Same place and width as QEMU's `isa-debug-exit`
 * device with `iobase=0xf4,iosize=4` (QEMU's process status is then value * 2 + 1); 0 means success.
 * It has no state of its own, and reads as zero.
 */
export class ExitPort implements PortRange {
  readonly name = 'exit port';
  readonly first = 0xf4;
  readonly count = 4;

  constructor(private readonly onExit: (code: number) => void) {}

  read(): number {
    return 0;
  }

  write(_port: number, _size: number, value: number): void {
    this.onExit(value);
  }
}
