import assert from 'node:assert/strict';
import {
  ChunkType,
  chunk,
  PREAMBLE,
  preamble,
  readChunks,
  RecordingError,
  VERSION,
} from '../../emulator/timeline/recording/chunks';
import { openRecording, type Recording } from '../../emulator/timeline/recording/recording';
import { follow, listener, recorded } from './bench';

const SLICES = 10;

/** A small recording with input and disk blocks, and its parts */
async function sample() {
  const { machine, recorder, sink } = await recorded(await listener({ memory: 2 }));
  for (let slice = 0; slice < SLICES; slice++) {
    machine.serialInput(Uint8Array.of(slice));
    machine.run(60_000);
    recorder.checkpoint(slice === 3);
  }
  recorder.close();
  const { bytes } = sink;
  return { bytes, ...readChunks(bytes) };
}

const refusal = async (bytes: Uint8Array): Promise<string> => {
  try {
    await openRecording(bytes);
  } catch (error) {
    assert.ok(error instanceof RecordingError, String(error));
    return error.message;
  }
  throw new assert.AssertionError({ message: 'it was opened' });
};

/** Steps up to a moment are those of the whole recording. */
function isBeginningOf(part: Recording, whole: Recording): void {
  assert.deepEqual(part.steps, whole.steps.slice(0, part.steps.length));
  assert.deepEqual(part.disks, whole.disks.slice(0, part.disks.length));
  assert.equal(part.end, part.steps.at(-1)?.moment ?? 0);
}

describe('a recording that is not whole', function () {
  this.timeout(300_000);
  let bytes: Uint8Array;
  let whole: Recording;
  let chunks: ReturnType<typeof readChunks>['chunks'];
  before(async () => {
    ({ bytes, chunks } = await sample());
    whole = await openRecording(bytes);
    assert.equal(whole.complete, true);
    assert.deepEqual(
      chunks.map(({ type }) => type),
      [
        ChunkType.IMAGE,
        ChunkType.HEADER,
        ...Array.from({ length: SLICES + 1 }, () => ChunkType.SEGMENT),
        ChunkType.END,
      ],
    );
  });

  it('opens, cut at any boundary of its parts, up to there, and says how', async () => {
    for (const [index, { end }] of chunks.entries()) {
      const cut = bytes.slice(0, end);
      if (chunks[index]?.type === ChunkType.IMAGE) {
        assert.match(await refusal(cut), /ends before the images of the machine are whole/);
        continue;
      }
      const part = await openRecording(cut);
      isBeginningOf(part, whole);
      assert.equal(part.complete, index === chunks.length - 1);
      if (!part.complete)
        assert.match(part.loss ?? '', /cut short: the process ended without closing it.*up to moment/);
    }
  });

  it('opens, cut at any place, up to the last whole part; replays, and loses no more', async () => {
    let replayed = 0;
    for (let length = 0; length < bytes.length; length += 61) {
      const cut = bytes.slice(0, length);
      const kept = chunks.filter(({ end }) => end <= length);
      if (!kept.some(({ type }) => type === ChunkType.HEADER)) {
        assert.match(await refusal(cut), length === 0 ? /^is empty/ : /^ends (after|before)/);
        continue;
      }
      const part = await openRecording(cut);
      isBeginningOf(part, whole);
      const segments = kept.filter(({ type }) => type === ChunkType.SEGMENT).length;
      assert.equal(part.steps.filter(({ kind }) => kind === 'checkpoint').length, segments);
      assert.match(part.loss ?? '', /cut short/);
      assert.equal(part.lostBytes, length - (kept.at(-1)?.end ?? 0));
      if (segments === 0 || replayed++ % 40 !== 0) continue;
      const { machine, playback } = follow(part);
      assert.equal(playback.divergence, undefined);
      assert.equal(machine.moment, part.end);
    }
    assert.ok(replayed > 40);
  });

  it('with flipped bits is refused or opens up to there, and never replays as another run', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.log(`      seed ${seed}`);
    const random = randomOf(seed);
    let [refused, opened] = [0, 0];
    for (let round = 0; round < 400; round++) {
      const damaged = bytes.slice();
      // Half of them in the machine's description, half in what it did
      const [from, to] = round % 2 === 0 ? [0, chunks[1]!.end] : [chunks[1]!.end, damaged.length];
      for (let flips = 1 + random(3); flips > 0; flips--) {
        const at = from + random(to - from);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << random(8));
      }
      let part: Recording;
      try {
        part = await openRecording(damaged);
      } catch (error) {
        assert.ok(error instanceof RecordingError, `seed ${seed}, round ${round}: ${String(error)}`);
        refused++;
        continue;
      }
      opened++;
      isBeginningOf(part, whole);
      if (!part.complete) assert.match(part.loss ?? '', /damaged.*up to moment/);
      if (round % 8 !== 1) continue;
      const { machine, playback } = follow(part);
      assert.equal(playback.divergence, undefined, `seed ${seed}, round ${round}`);
      assert.equal(machine.moment, part.end);
    }
    assert.ok(refused > 50 && opened > 50, `${refused} refused, ${opened} opened`);
  });

  it('whose checksums agree with nonsense is refused or opens up to there', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.log(`      seed ${seed}`);
    const random = randomOf(seed);
    for (let round = 0; round < 120; round++) {
      const victim = random(chunks.length);
      const parts = [preamble()];
      for (const [index, { type, payload }] of chunks.entries()) {
        const changed = payload.slice();
        if (index === victim)
          for (let flips = 1 + random(4); flips > 0; flips--) changed[random(changed.length)] = random(256);
        parts.push(chunk(type, index, changed));
      }
      try {
        const recording = await openRecording(Buffer.concat(parts));
        // It may be another run now: that is found by replaying it.
        if (victim > 1 && round % 4 === 0) follow(recording);
      } catch (error) {
        assert.ok(
          error instanceof RecordingError || isOfTheMachine(error),
          `seed ${seed}, round ${round}: ${String(error)}`,
        );
      }
    }
  });

  it('is refused when it is of another kind or version', async () => {
    assert.match(await refusal(new Uint8Array()), /^is empty/);
    assert.match(await refusal(new TextEncoder().encode('#!/bin/sh\n')), /^is not a recording/);
    assert.match(await refusal(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 1, 1, 1)), /^is not a recording/);
    assert.match(await refusal(bytes.slice(0, PREAMBLE - 1)), /^ends after 11 bytes/);
    const newer = bytes.slice();
    new DataView(newer.buffer).setUint16(PREAMBLE - 2, VERSION + 1, true);
    assert.match(
      await refusal(newer),
      /has format 2, and this version of Undervisor reads up to format 1\. Use a newer/,
    );
  });

  it('has no part taken from its middle, or put there twice, unseen', async () => {
    const [third, fourth] = [chunks[3]!, chunks[4]!];
    for (const spliced of [
      Buffer.concat([bytes.subarray(0, third.at), bytes.subarray(third.end)]),
      Buffer.concat([bytes.subarray(0, fourth.at), bytes.subarray(third.at)]),
    ]) {
      const part = await openRecording(spliced);
      isBeginningOf(part, whole);
      assert.match(part.loss ?? '', /damaged/);
    }
  });

  it('says what is behind its end', async () => {
    const more = Buffer.concat([bytes, chunk(ChunkType.END, chunks.length, new TextEncoder().encode('{}'))]);
    const part = await openRecording(more);
    assert.equal(part.complete, false);
    assert.match(part.loss ?? '', /something behind the end/);
    isBeginningOf(part, whole);
  });
});

function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A header that asks for what no machine has */
const isOfTheMachine = (error: unknown): boolean =>
  error instanceof Error && ['MachineError', 'ElfError'].includes(error.name);
