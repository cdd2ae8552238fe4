import assert from 'node:assert/strict';
import type { Machine } from '../../emulator/machine/api';
import type { Processors } from '../../emulator/machine/processors';
import { RAM_BASE } from '../../emulator/memory/layout';
import type { MachineMemory } from '../../emulator/memory/machine-memory';

/** What of a machine is no business of its users */
interface Inside {
  readonly memory: MachineMemory;
  readonly processors: Processors;
}

const insideOf = (machine: Machine): Inside => machine as unknown as Inside;
const PAGE = 4096;
const CHUNK = 1 << 16;

/**
 * Judges announcements of writes by RAM itself: keeps a copy, and at each `check` every byte that changed must have been
 * announced, or lie in a page that generated code was given a free way to.
 */
export class WrittenBytes {
  private readonly processors: Processors;
  private readonly ram: Uint8Array;
  private readonly copy: Uint8Array;
  private readonly announced: Uint8Array;
  /** How many bytes have changed by announced writes alone */
  changes = 0;

  /** @param free whether generated code gets free ways at all; otherwise every byte is to be announced */
  constructor(
    machine: Machine,
    private readonly free: boolean,
  ) {
    const { memory, processors } = insideOf(machine);
    this.processors = processors;
    this.ram = memory.u8.subarray(RAM_BASE, RAM_BASE + memory.ramSize);
    this.copy = this.ram.slice();
    this.announced = new Uint8Array(memory.ramSize);
    memory.watchWrites({
      writing: (at, length) => {
        assert.ok(at >= RAM_BASE && at + length <= RAM_BASE + memory.ramSize, 'only RAM is announced');
        this.announced.fill(1, at - RAM_BASE, at - RAM_BASE + length);
      },
      mayStore: (page, stores) => {
        assert.equal(page % PAGE, 0);
        if (!this.free || !stores) return false;
        this.announced.fill(1, page - RAM_BASE, page - RAM_BASE + PAGE);
        return true;
      },
    });
    this.processors.withdrawWrites();
  }

  /** @throws AssertionError naming a byte that changed silently */
  check(when: string): void {
    for (let at = 0; at < this.ram.length; at += CHUNK) {
      const now = this.ram.subarray(at, at + CHUNK);
      const before = this.copy.subarray(at, at + CHUNK);
      if (Buffer.compare(now, before) === 0) continue;
      for (let i = 0; i < CHUNK; i++) {
        if (now[i] === before[i]) continue;
        this.changes++;
        if (this.announced[at + i] !== 1)
          assert.fail(`${when}: RAM at 0x${(at + i).toString(16)} changed silently, ${before[i]} to ${now[i]}`);
      }
      before.set(now);
    }
    this.announced.fill(0);
    this.processors.withdrawWrites();
  }
}
