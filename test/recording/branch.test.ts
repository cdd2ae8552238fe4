import assert from 'node:assert/strict';
import { finish } from '../../emulator/timeline/api';
import { readChunks } from '../../emulator/timeline/recording/chunks';
import { openRecording } from '../../emulator/timeline/recording/recording';
import { createTimeline } from '../../emulator/timeline/timeline';
import { follow, HOST_PHYSICAL, listener, recorded } from './bench';

const PLACE = 0x300000n;

describe('a recording of a run that goes back and begins another future', function () {
  this.timeout(120_000);

  it('is that of the last one', async () => {
    const rig = await recorded(await listener(), undefined, undefined, (machine) =>
      createTimeline(machine, { recording: true }),
    );
    const { machine, recorder, sink, timeline } = rig;
    assert.ok(timeline);
    const write = (value: number) => machine.writeMemory(HOST_PHYSICAL, PLACE, Uint8Array.of(value));
    timeline.run(200_000);
    const middle = machine.moment;
    write(1);
    write(2);
    timeline.run(200_000);
    recorder.checkpoint();
    write(3);
    timeline.run(200_000);
    recorder.checkpoint();
    // Forward again over known history: nothing new.
    finish(timeline.seek(middle - 100_000));
    const size = sink.bytes.length;
    timeline.run(50_000);
    recorder.checkpoint();
    assert.equal(sink.bytes.length, size);
    // The two inputs of that moment stay, for they had been given there; the third goes.
    finish(timeline.seek(middle));
    assert.equal(timeline.given, 2);
    write(4);
    timeline.run(100_000);
    recorder.checkpoint();
    // And once more, before any of them.
    finish(timeline.seek(middle - 1));
    assert.equal(timeline.given, 0);
    machine.serialInput(Uint8Array.of(5));
    timeline.run(300_000);
    recorder.close();
    const recording = await openRecording(sink.bytes);
    assert.deepEqual(
      recording.steps.flatMap((step) => (step.kind === 'input' ? [step.input] : [])),
      [{ kind: 'serial', bytes: Uint8Array.of(5) }],
    );
    assert.equal(recording.end, machine.moment);
    const other = follow(recording);
    assert.equal(other.playback.divergence, undefined);
    assert.equal(other.machine.stateHash(), machine.stateHash());

    // The file as it was before the last change of the past opens to that future.
    const { chunks } = readChunks(sink.bytes);
    const earlier = await openRecording(sink.bytes.slice(0, chunks.at(-3)?.end));
    assert.deepEqual(
      earlier.steps.flatMap((step) =>
        step.kind === 'input' && step.input.kind === 'memory' ? [step.input.ranges[0]?.bytes[0]] : [],
      ),
      [1, 2, 4],
    );
    assert.equal(follow(earlier).playback.divergence, undefined);
  });
});
