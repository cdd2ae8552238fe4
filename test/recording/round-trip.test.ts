import assert from 'node:assert/strict';
import { memorySource, type BlockSource } from '../../emulator/devices/storage/block-source';
import { openRecording } from '../../emulator/timeline/recording/recording';
import { follow, HOST_PHYSICAL, listener, patterned, recorded, type Rig } from './bench';

const SLICE = 150_000;

/** Runs a while with input of every kind, a checkpoint after each slice. @returns what the machine printed */
function story({ machine, recorder }: Rig, slices = 12): string {
  const said: number[] = [];
  machine.onSerial((byte) => said.push(byte));
  machine.serialInput(Uint8Array.of(1, 2));
  for (let slice = 0; slice < slices; slice++) {
    machine.run(SLICE + slice * 77);
    if (slice % 3 === 0) machine.serialInput(Uint8Array.of(65 + slice));
    if (slice === 4) machine.writeMemory(HOST_PHYSICAL, 0x200ffen, Uint8Array.of(1, 2, 3, 4));
    if (slice === 5) machine.vcpus[0]?.registers.write('rbp', 0x12345678n);
    recorder.checkpoint(slice % 4 === 1);
  }
  return String.fromCharCode(...said);
}

describe('a recording', function () {
  this.timeout(120_000);

  it('gives the same run, input of every kind and disks included', async () => {
    const rig = await recorded(await listener());
    const said = story(rig);
    assert.ok(said.length >= 6, said);
    const { outcome } = endOf(rig);
    rig.recorder.close(outcome);
    assert.ok(rig.sink.closed);
    const recording = await openRecording(rig.sink.bytes);
    assert.equal(recording.complete, true);
    assert.equal(recording.loss, undefined);
    assert.equal(recording.outcome, 'exit-port');
    assert.equal(recording.end, rig.machine.moment);
    assert.equal(recording.instructions, rig.machine.instructions);
    assert.deepEqual(recording.machine.notes, { by: 'a test' });
    assert.equal(recording.machine.configuration.randomSeed, 7);
    assert.ok(recording.disks.length > 3 && recording.disks.every(({ kind }) => kind === 'block'));
    assert.deepEqual(
      recording.steps.flatMap((step) => (step.kind === 'input' ? [step.input.kind] : [])),
      ['serial', 'serial', 'serial', 'memory', 'register', 'serial', 'serial', 'serial'],
    );
    const { machine, playback } = follow(recording);
    assert.equal(playback.divergence, undefined);
    assert.equal(playback.agreement.checkpoints, 13);
    assert.equal(playback.agreement.hashes, 4);
    assert.equal(machine.stateHash(), rig.machine.stateHash());
    assert.deepEqual(machine.run(0), { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
  });

  it('is the same with the translator on and off, and as the machine that is not recorded', async () => {
    const hashes: string[] = [];
    for (const translator of [false, true]) {
      const rig = await recorded(await listener({ translator }));
      story(rig);
      rig.recorder.close();
      const recording = await openRecording(rig.sink.bytes);
      const other = { ...recording.machine.configuration, translator: !translator };
      const { machine, playback } = follow({ ...recording, machine: { ...recording.machine, configuration: other } });
      assert.equal(playback.divergence, undefined);
      hashes.push(rig.machine.stateHash(), machine.stateHash());
    }
    assert.equal(new Set(hashes).size, 1);
  });

  it('tells where another seed, time, disk or program leads the machine away', async () => {
    const rig = await recorded(await listener());
    story(rig);
    rig.recorder.close();
    const recording = await openRecording(rig.sink.bytes);
    const { configuration } = recording.machine;
    for (const other of [
      { ...configuration, randomSeed: 8 },
      { ...configuration, startTime: 1_700_000_030 },
      { ...configuration, memory: 8 },
    ]) {
      const { playback } = follow({ ...recording, machine: { ...recording.machine, configuration: other } });
      assert.match(playback.divergence?.text ?? '', /^The run is not as it was recorded: at moment \d+, /);
      assert.ok((playback.divergence?.after ?? -1) < (playback.divergence?.moment ?? -1));
    }
    const disks = recording.disks.map((entry) => {
      if (entry.kind !== 'block') return entry;
      const bytes = entry.bytes.map((byte) => byte ^ 1);
      return { ...entry, bytes };
    });
    assert.notEqual(follow({ ...recording, disks }).playback.divergence, undefined);
    const first = recording.steps.find(({ kind }) => kind === 'input');
    const steps = recording.steps.filter((step) => step !== first);
    assert.notEqual(follow({ ...recording, steps }).playback.divergence, undefined);
  });

  it('keeps what the disk held when it was first read, whoever changes it then', async () => {
    const bytes = patterned(64);
    const rig = await recorded(await listener(), [memorySource(bytes)]);
    rig.machine.run(2_000_000);
    rig.recorder.checkpoint();
    bytes.fill(0xee);
    rig.machine.run(2_000_000);
    rig.recorder.close();
    const { machine, playback } = follow(await openRecording(rig.sink.bytes));
    assert.equal(playback.divergence, undefined);
    assert.equal(machine.stateHash(), rig.machine.stateHash());
  });

  it('of a disk that is written through follows the machine, not the file', async () => {
    const bytes = patterned(64);
    const before = bytes.slice();
    const rig = await recorded(await listener(), [memorySource(bytes)], 'through');
    rig.machine.run(500_000);
    rig.machine.writeMemory(HOST_PHYSICAL, ORDER, Uint8Array.of('w'.charCodeAt(0)));
    rig.machine.run(1_000_000);
    rig.machine.writeMemory(HOST_PHYSICAL, ORDER, Uint8Array.of(0));
    rig.machine.run(1_000_000);
    rig.recorder.close();
    assert.notDeepEqual(bytes, before, 'the file was written');
    const { machine, playback } = follow(await openRecording(rig.sink.bytes));
    assert.equal(playback.divergence, undefined);
    assert.equal(machine.stateHash(), rig.machine.stateHash());
  });

  it('lets accesses fail again that failed', async () => {
    const bytes = patterned(64);
    const good = memorySource(bytes);
    let count = 0;
    const flaky: BlockSource = {
      ...good,
      read: (offset, target) => {
        if (++count % 3 === 0) throw new Error('a bad sector');
        good.read(offset, target);
      },
    };
    const rig = await recorded(await listener(), [flaky]);
    rig.machine.run(4_000_000);
    rig.recorder.close();
    const recording = await openRecording(rig.sink.bytes);
    assert.ok(recording.disks.some(({ kind }) => kind === 'failure'));
    const { machine, playback } = follow(recording);
    assert.equal(playback.divergence, undefined);
    assert.equal(machine.stateHash(), rig.machine.stateHash());
    const forgiving = follow({ ...recording, disks: recording.disks.filter(({ kind }) => kind === 'block') });
    assert.notEqual(forgiving.playback.divergence, undefined);
  });

  it('ends, and the machine goes on, when the file cannot be written any more', async () => {
    const rig = await recorded(await listener());
    rig.machine.run(SLICE);
    rig.sink.append = () => {
      throw new Error('no space left');
    };
    rig.recorder.checkpoint();
    assert.equal(rig.recorder.problem, 'no space left');
    assert.ok(rig.sink.closed);
    rig.machine.run(SLICE);
    rig.machine.serialInput(Uint8Array.of(1));
    rig.recorder.checkpoint();
    rig.recorder.close();
    const { loss } = await openRecording(rig.sink.bytes);
    assert.match(loss ?? '', /cut short/);
  });
});

/** 'q' ends the program. */
function endOf({ machine }: Rig) {
  machine.serialInput(Uint8Array.of('q'.charCodeAt(0)));
  const end = machine.run(SLICE);
  assert.equal(end.why, 'ended');
  return end;
}

/** Where listener.S has `order` */
const ORDER = 0x10000cn;
