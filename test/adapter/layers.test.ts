import assert from 'node:assert/strict';
import { Breakpoint } from '../../debug-adapter/breakpoints/breakpoint';
import { BreakpointStore } from '../../debug-adapter/breakpoints/store';
import { Debuggee } from '../../debug-adapter/launch/debuggee';
import { Image } from '../../debug-adapter/stack/image';
import { Layers } from '../../debug-adapter/stack/layers';
import { Program } from '../../debug-adapter/symbols/program';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { elfImage } from '../machine/elf-image';
import { StillMachine } from './still-machine';

const AT = 0x10_0000;
const code = (seed: number) => Uint8Array.from({ length: 256 }, (_, index) => (index * seed + seed) & 0xff);

function imageOf(layer: string, bytes: Uint8Array): Image {
  const elf = elfImage({ entry: AT, segments: [{ vaddr: AT, paddr: AT, bytes }] });
  const set = new ProgramSet();
  return new Image(layer, `/${layer}.elf`, set.add(Program.open(elf, `${layer}.elf`)), set);
}

/** Two images at the same linear addresses; contexts: root, and three VMCSs. */
function stack() {
  const machine = new StillMachine([undefined, 0x5000n, 0x6000n, 0x7000n]);
  const images = [imageOf('vmm', code(3)), imageOf('guest', code(5))];
  const [root, first, second, third] = machine.contexts;
  assert.ok(root && first && second && third);
  for (const context of machine.contexts) context.values.set('rip', BigInt(AT + 100));
  return { machine, images, root, first, second, third };
}

describe('layers', () => {
  it('are told apart by what memory holds, not by addresses', () => {
    const { machine, images, root, first } = stack();
    root.put(BigInt(AT), code(3));
    first.put(BigInt(AT), code(5));
    const layers = new Layers(machine, images);
    assert.equal(layers.nameOf(root), 'vmm');
    assert.equal(layers.nameOf(first), 'guest');
    assert.equal(layers.imageAt(first, BigInt(AT + 7)), images[1]);
  });

  it('tell several machines of one image apart, in the order seen', () => {
    const { machine, images, first, second } = stack();
    first.put(BigInt(AT), code(5));
    second.put(BigInt(AT), code(5));
    const layers = new Layers(machine, images);
    assert.equal(layers.nameOf(second), 'guest');
    assert.equal(layers.nameOf(first), 'guest 2');
    assert.equal(layers.nameOf(second), 'guest');
  });

  it('keep their name while they run something unknown', () => {
    const { machine, images, root, first } = stack();
    root.put(BigInt(AT), code(3));
    const layers = new Layers(machine, images);
    assert.equal(layers.nameOf(root), 'vmm');
    root.values.set('rip', 0x9000n);
    assert.equal(layers.nameOf(root), 'vmm');
    assert.equal(layers.nameOf(first), 'VMCS 0x5000');
  });

  it('change with the image that a context runs: the VMM owns root operation until the monitor takes it', () => {
    const { machine, images, root } = stack();
    const layers = new Layers(machine, images);
    assert.equal(layers.nameOf(root), 'vcpu0 root');
    root.put(BigInt(AT), code(3));
    assert.equal(layers.nameOf(root), 'vmm');
    root.put(BigInt(AT), code(5));
    assert.equal(layers.nameOf(root), 'guest');
  });

  it('are not recognised by a part that differs', () => {
    const { machine, images, root } = stack();
    const changed = code(3);
    changed[101] = (changed[101] ?? 0) ^ 1;
    root.put(BigInt(AT), changed);
    assert.equal(new Layers(machine, images).nameOf(root), 'vcpu0 root');
  });
});

describe('breakpoints', () => {
  it('stop only in the layer that they were set for', () => {
    const { machine, images, root, first } = stack();
    root.put(BigInt(AT), code(3));
    first.put(BigInt(AT), code(5));
    const debuggee = new Debuggee(machine, images, '/');
    const store = new BreakpointStore(debuggee, { isTrue: () => true, text: () => '', log: () => undefined });
    const linear = BigInt(AT + 100);
    const shown = { verified: true };
    store.replace('a', [new Breakpoint(1, 'breakpoint', [{ linear, image: images[1] }], {}, shown)]);
    assert.equal(store.decide(root, linear), undefined);
    assert.deepEqual(store.decide(first, linear), { reason: 'breakpoint', hitBreakpointIds: [1] });
    assert.equal(store.decide(first, linear + 1n), undefined);
  });

  it('count hits only where the condition holds, and log instead of stopping', () => {
    const { machine, images, first } = stack();
    first.put(BigInt(AT), code(5));
    const debuggee = new Debuggee(machine, images, '/');
    const logged: string[] = [];
    let truth = false;
    const store = new BreakpointStore(debuggee, {
      isTrue: () => truth,
      text: (expression) => `<${expression}>`,
      log: (text) => logged.push(text),
    });
    const linear = BigInt(AT);
    const location = { linear, image: images[1] };
    const shown = { verified: true };
    const counted = new Breakpoint(1, 'breakpoint', [location], { condition: 'x', hitCondition: '2' }, shown);
    const log = new Breakpoint(2, 'breakpoint', [location], { logMessage: 'v {v}' }, shown);
    store.replace('a', [counted, log]);
    assert.equal(store.decide(first, linear), undefined);
    truth = true;
    machine.instructions = 10;
    assert.equal(store.decide(first, linear), undefined);
    machine.instructions = 20;
    assert.deepEqual(store.decide(first, linear), { reason: 'breakpoint', hitBreakpointIds: [1] });
    assert.deepEqual(logged, ['v <v>', 'v <v>', 'v <v>']);
    // The same arrival again, after going back, is the same hit; looking for one in the past counts and writes nothing.
    const second = { reason: 'breakpoint', hitBreakpointIds: [1] };
    for (const looking of [true, false]) {
      machine.instructions = 10;
      assert.equal(store.decide(first, linear, looking), undefined);
      machine.instructions = 20;
      assert.deepEqual(store.decide(first, linear, looking), second);
      assert.equal(logged.length, looking ? 3 : 5);
    }
    // What was behind a change of the past does not count.
    store.cut(15);
    machine.instructions = 30;
    assert.deepEqual(store.decide(first, linear), second);
  });

  it('stop and say why when their condition cannot be evaluated', () => {
    const { machine, images, first } = stack();
    first.put(BigInt(AT), code(5));
    const debuggee = new Debuggee(machine, images, '/');
    const store = new BreakpointStore(debuggee, {
      isTrue: () => {
        throw new Error('no symbol "y"');
      },
      text: () => '',
      log: () => undefined,
    });
    const conditions = { condition: 'y' };
    store.replace('a', [new Breakpoint(1, 'breakpoint', [{ linear: 1n }], conditions, { verified: true })]);
    assert.equal(store.decide(first, 1n)?.text, 'condition "y": no symbol "y"');
  });
});

describe('running over breakpoints and probes', () => {
  it('reports an arrival once and steps over it the next time', () => {
    const { machine, root } = stack();
    const debuggee = new Debuggee(machine, [], '/');
    debuggee.setStops(new Set([0x10n]));
    assert.deepEqual([...machine.breakpoints], [0x10n]);
    const overs: boolean[] = [];
    root.values.set('rip', 0xen);
    machine.script = [
      (_limit, over) => {
        overs.push(over);
        machine.instructions = 2;
        root.values.set('rip', 0x10n);
        return { why: 'breakpoint', vcpu: 0, linear: 0x10n };
      },
      (limit, over) => {
        overs.push(over);
        machine.instructions += limit;
        root.values.set('rip', 0x20n);
        return { why: 'limit' };
      },
      (limit, over) => {
        overs.push(over);
        machine.instructions += limit;
        return { why: 'limit' };
      },
    ];
    assert.equal(debuggee.advance(10).why, 'breakpoint');
    assert.equal(debuggee.advance(5).why, 'limit');
    assert.equal(debuggee.advance(5).why, 'limit');
    assert.deepEqual(overs, [false, true, false]);
  });
});
