import { strict as assert } from 'node:assert';
import { BASE, gather, inLine, le, machineWith, physical } from './programs';

const DATA = 0x300000;
const HLT = 0xf4;
/** mov $value, %rax (sign-extended 32 bits), and so on */
const movRax = (value: number) => [0x48, 0xc7, 0xc0, ...le(value, 4)];
const movRsi = (value: number) => [0x48, 0xc7, 0xc6, ...le(value, 4)];
const movRdi = (value: number) => [0x48, 0xc7, 0xc7, ...le(value, 4)];
const movRcx = (value: number) => [0x48, 0xc7, 0xc1, ...le(value, 4)];
const movRsp = (value: number) => [0x48, 0xc7, 0xc4, ...le(value, 4)];
/** mov %rax, address */
const storeRax = (address: number) => [0x48, 0x89, 0x04, 0x25, ...le(address, 4)];
/** mov address, %rbx */
const loadRbx = (address: number) => [0x48, 0x8b, 0x1c, 0x25, ...le(address, 4)];
/** addq $1, address */
const increment = (address: number) => [0x48, 0x83, 0x04, 0x25, ...le(address, 4), 1];

const both = [false, true];

describe('watch: accesses by instructions', () => {
  for (const translator of both) {
    const options = { translator, translatorThreshold: 1 };
    const name = translator ? 'translated' : 'interpreted';

    it(`tells of a store before it takes place, with its instruction (${name})`, () => {
      const code = [...movRax(0x1234), ...storeRax(DATA), ...storeRax(DATA + 64), ...movRax(7), ...storeRax(DATA), HLT];
      const machine = machineWith(code, options);
      const hits = gather(machine, DATA, 8);
      machine.run(100);
      assert.deepEqual(
        hits.map((hit) => [hit.by, hit.write, hit.rip, hit.moment, hit.vcpu]),
        [
          ['instruction', true, BigInt(BASE + 7), 1, 0],
          ['instruction', true, BigInt(BASE + 7 + 8 + 8 + 7), 4, 0],
        ],
      );
      assert.deepEqual(
        hits.map(({ before }) => before[0]),
        [0, 0x34],
      );
      assert.equal(machine.readMemory(physical(machine), BigInt(DATA), 1)[0], 7);
    });

    it(`tells only of accesses that touch the bytes, of their part, and of the kind that is watched (${name})`, () => {
      const code = [
        ...movRax(-1), ...storeRax(DATA), ...storeRax(DATA + 6), ...storeRax(DATA + 14), ...loadRbx(DATA + 8), ...increment(DATA + 8), HLT,
      ]; // prettier-ignore
      const writes = machineWith(code, options);
      const written = gather(writes, DATA + 8, 4);
      writes.run(100);
      assert.deepEqual(written.map(({ hostPhysical, before }) => [hostPhysical - DATA, before.length]), [[8, 4], [8, 4]]); // prettier-ignore
      const reads = machineWith(code, options);
      const read = gather(reads, DATA + 8, 4, 'read');
      reads.run(100);
      assert.deepEqual(
        read.map(({ moment }) => moment),
        [4, 5],
        'a load, and the load of a read-modify-write',
      );
      const any = machineWith(code, options);
      const accessed = gather(any, DATA + 8, 4, 'both');
      any.run(100);
      assert.deepEqual(accessed.map(({ moment, write }) => `${moment}${write}`), ['2true', '4false', '5false', '5true']); // prettier-ignore
    });

    it(`stops right after the access when the listener asks for it (${name})`, () => {
      // 1: inc %rax; mov %rax, DATA; jmp 1b
      const machine = machineWith([...movRax(0), 0x48, 0xff, 0xc0, ...storeRax(DATA), 0xeb, 0xf3], options);
      machine.run(1000);
      const space = physical(machine);
      let moment = -1;
      machine.watch({ space, address: BigInt(DATA), length: 1, write: true, read: false }, (hit) => {
        moment = hit.moment;
        machine.requestStop();
      });
      for (let i = 0; i < 5; i++) {
        assert.deepEqual(machine.run(1000), { why: 'requested' });
        assert.equal(machine.instructions, moment + 1);
        const rax = machine.vcpus[0]!.registers.read('rax')!;
        assert.equal(machine.readMemory(space, BigInt(DATA), 1)[0], Number(rax & 0xffn));
      }
    });

    it(`tells of each iteration of a repeated move, and of pushes (${name})`, () => {
      const code = [
        ...movRsi(BASE), ...movRdi(DATA), ...movRcx(16), 0xf3, 0x48, 0xa5, // rep movsq
        ...movRsp(DATA + 16), 0x50, HLT,
      ]; // prettier-ignore
      const machine = machineWith(code, options);
      const hits = gather(machine, DATA + 8, 16);
      machine.run(100);
      assert.deepEqual(hits.map(({ moment, hostPhysical }) => [moment, hostPhysical - DATA]), [[4, 8], [5, 16], [20, 8]]); // prettier-ignore
      assert.deepEqual(new Set(hits.slice(0, 2).map(({ rip }) => rip)), new Set([BigInt(BASE + 21)]));
    });

    it(`tells of an access that crosses pages once for each page that is watched (${name})`, () => {
      const code = [...movRax(-1), ...storeRax(DATA + 0xffc), ...loadRbx(DATA + 0xffc), HLT];
      const machine = machineWith(code, options);
      const first = gather(machine, DATA + 0xfff, 1, 'both');
      const second = gather(machine, DATA + 0x1003, 4, 'both');
      machine.run(100);
      for (const hits of [first, second]) {
        assert.deepEqual(
          hits.map(({ moment, write }) => `${moment}${write}`),
          ['1true', '2false'],
        );
        assert.equal(hits[1]?.before[0], 0xff, 'the store was complete');
      }
      assert.equal(machine.vcpus[0]!.registers.read('rbx'), 0xffff_ffff_ffff_ffffn);
    });
  }

  it('goes away without a trace', () => {
    const code = [...movRcx(50), ...increment(DATA), 0xff, 0xc9, 0x75, 0xf3, HLT];
    const machine = machineWith(code, { translator: true, translatorThreshold: 1 });
    let count = 0;
    const watch = machine.watch(
      { space: physical(machine), address: BigInt(DATA), length: 8, write: true, read: true },
      () => count++,
    );
    machine.run(31);
    assert.equal(count, 20);
    watch.remove();
    machine.run(1000);
    assert.equal(count, 20);
    assert.equal(machine.readMemory(physical(machine), BigInt(DATA), 1)[0], 50);
    const other = machineWith(code, { translator: true, translatorThreshold: 1 });
    other.run(31);
    other.run(1000);
    assert.equal(machine.stateHash(), other.stateHash());
  });

  it('follows a linear address to another page when its table changes', () => {
    const far = 0x400000;
    const { space } = machineWith([HLT], { memory: 8 }).running(0);
    const { entry, entryAddress } = machineWith([HLT], { memory: 8 }).walk(space, BigInt(far)).steps.at(-1)!;
    // The program makes the entry lead to address 0, loads CR3 anew, and stores by the old address.
    const machine = machineWith(
      [
        ...movRax(Number(entry & 0xfffn)), ...storeRax(Number(entryAddress)), 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8,
        ...movRax(5), ...storeRax(far), HLT,
      ],
      { memory: 8 },
    ); // prettier-ignore
    const told: number[] = [];
    const watch = machine.watch({ space, address: BigInt(far), length: 4, write: true, read: false }, (hit) =>
      told.push(hit.hostPhysical),
    );
    assert.deepEqual(
      watch.watched.map(({ address }) => address),
      [far],
    );
    machine.run(100);
    assert.deepEqual(
      watch.watched.map(({ address }) => address),
      [0],
    );
    assert.deepEqual(told, [0]);
  });

  it('tells of accessed and dirty flags that a page walk writes', () => {
    const machine = machineWith([...movRax(1), ...storeRax(DATA), HLT]);
    const entry = machine.walk(machine.running(0).space, BigInt(DATA)).steps.at(-1)!;
    const hits = gather(machine, Number(entry.entryAddress), 8);
    machine.run(100);
    const after = machine.walk(machine.running(0).space, BigInt(DATA)).steps.at(-1)!;
    assert.notEqual(entry.entry, after.entry, 'flags were set');
    assert.ok(hits.length > 0);
    assert.ok(
      hits.every(({ by }) => by === 'walk'),
      hits.map(inLine).join('\n'),
    );
  });

  it('tells of what a debugger writes, and refuses a watch without bytes', () => {
    const machine = machineWith([HLT]);
    const hits = gather(machine, DATA, 4);
    machine.writeMemory(physical(machine), BigInt(DATA + 2), Uint8Array.of(1, 2, 3));
    assert.deepEqual(hits.map(({ by, hostPhysical, before }) => [by, hostPhysical - DATA, before.length]), [['debugger', 2, 2]]); // prettier-ignore
    assert.throws(() => gather(machine, DATA, 0), RangeError);
  });
});
