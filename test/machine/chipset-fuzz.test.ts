import { strict as assert } from 'node:assert';
import { PortBus } from '../../emulator/devices/port-bus';
import { FwCfg } from '../../emulator/devices/fw-cfg';
import { Chipset } from '../../emulator/machine/board/chipset';
import { RamPort } from '../../emulator/machine/board/ram-port';
import { hostPhysical } from '../../emulator/memory/address';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { PhysicalMemory } from '../../emulator/memory/physical';
import { copyState, saved } from './saved';

/** Ports of the chipset and fw-cfg */
const PORTS = [
  0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xcf9, 0x510,
  0x511, 0x514, 0x518, 0x600, 0x602, 0x604, 0x608,
];
const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);
const ROUNDS = 60_000;
/** So many deadlines of a step are met one by one */
const MOST_STOPS = 20;

function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
}

function board() {
  const time = { now: 0 };
  const ports = new PortBus();
  const physical = new PhysicalMemory(new MachineMemory(1 << 20, 1));
  const chipset = new Chipset({
    ports,
    physical,
    clock: () => time.now,
    intr: { set: () => undefined },
    messages: { send: () => undefined },
    ramSize: 64 << 20,
    processors: 1,
    startTime: 1_000_000_000,
    reset: () => undefined,
    powerOff: () => undefined,
  });
  const files = new Map([['etc/x', new Uint8Array(100)]]);
  const ram = new RamPort(physical, () => undefined);
  const fwCfg = new FwCfg(new Map(), files, ram);
  ports.addRange(fwCfg);
  return { time, ports, physical, chipset, fwCfg };
}

describe('chipset under random accesses', () => {
  it(`never throws, never stops time, and saves all of its state (SEED=${seed})`, function () {
    this.timeout(120_000);
    const next = random(seed);
    const pick = (below: number) => next() % below;
    const { time, ports, physical, chipset, fwCfg } = board();
    for (let round = 0; round < ROUNDS; round++) {
      const size = 1 << pick(3);
      const value = pick(3) === 0 ? next() : pick(256);
      const port = PORTS[pick(PORTS.length)] ?? 0;
      const mmio = hostPhysical(
        (pick(2) ? 0xfec00000n : 0xfed00000n) + BigInt(pick(pick(2) ? 0x400 : 0x120) & ~(size - 1)),
      );
      switch (pick(5)) {
        case 0:
          ports.read(port, size);
          break;
        case 1:
        case 2:
          ports.write(port, size, value);
          break;
        case 3:
          physical.read(mmio, size === 1 ? 8 : size);
          break;
        default:
          physical.write(mmio, size === 1 ? 8 : size, BigInt(value));
      }
      time.now += pick(8) === 0 ? pick(2_000_000_000) : pick(1000);
      for (let stops = 0; chipset.nextDeadline() <= time.now; stops++) {
        const deadline = chipset.nextDeadline();
        assert.ok(!Number.isNaN(deadline));
        assert.ok(stops < 2_000_000, `no deadline lies in the future, round ${round}`);
        // The rest of a long time is passed at once, as by a vCPU whose clock is ahead.
        chipset.advance(stops < MOST_STOPS ? Math.max(deadline, 0) : time.now);
      }
      if (round % 5000 === 4999) {
        const other = board();
        other.time.now = time.now;
        copyState(chipset, other.chipset);
        copyState(fwCfg, other.fwCfg);
        assert.deepEqual(saved(other.chipset), saved(chipset));
        assert.equal(other.chipset.nextDeadline(), chipset.nextDeadline());
      }
    }
  });
});
