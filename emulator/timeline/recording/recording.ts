import type { MachineInput } from '../../machine/input';
import type { Moment } from '../api';
import { ChunkType, readChunks, RecordingError, type Chunk, type Flaw } from './chunks';
import { readEntries, type Checkpoint, type DiskBlock, type DiskFailure, type Entry } from './entry';
import { readHeader, type RecordedMachine } from './header';
import { suits } from './input';

/** Input or a comparison, due when the machine stands at `moment`, in this order */
export type Step = { readonly kind: 'input'; readonly moment: Moment; readonly input: MachineInput } | Checkpoint;

/** A recording that was read. Branches that were left are not in it any more. */
export interface Recording {
  readonly machine: RecordedMachine;
  readonly steps: readonly Step[];
  readonly disks: readonly (DiskBlock | DiskFailure)[];
  /** The last moment that is in it */
  readonly end: Moment;
  readonly instructions: number;
  /** It was closed as it should be: nothing is missing at its end */
  readonly complete: boolean;
  /** How the machine had ended: the kind of `Outcome` */
  readonly outcome: string | undefined;
  /** What is missing and why, for the user: "the file ends inside ...". Undefined: nothing */
  readonly loss: string | undefined;
  /** Bytes behind the last part that could be used */
  readonly lostBytes: number;
}

/**
 * Reads a recording as far as it is whole: one that was cut short by the end of its process, or that is damaged behind
 * its beginning, opens up to there and says so in `loss`.
 * @throws RecordingError for a file of another kind, of a newer version, or of which not even the beginning is whole. Its
 * message goes on where the name of the file is put before it
 */
export async function openRecording(bytes: Uint8Array): Promise<Recording> {
  const { chunks, flaw } = readChunks(bytes);
  const header = chunks.findIndex(({ type }) => type !== ChunkType.IMAGE);
  if (header < 0) throw new RecordingError(beginningMissing(flaw));
  const machine = await readHeader(chunks.slice(0, header + 1)).catch((error: unknown) => {
    throw error instanceof RecordingError ? error : new RecordingError(`is damaged in its header: ${String(error)}`);
  });
  const { memory, processors = 1 } = machine.configuration;
  const run = new Reading(machine.disks.length, memory * MIB, processors);
  let damage = flaw;
  for (const one of chunks.slice(header + 1)) {
    const problem = run.take(one);
    if (problem === undefined) continue;
    damage = { kind: 'damaged', at: one.at, text: `what is at byte ${one.at} cannot be: ${problem}` };
    break;
  }
  return { machine, ...run.result(damage), ...lossOf(damage, run, bytes.length) };
}

const MIB = 1 << 20;

/** Takes the parts of a run in their order. */
class Reading {
  private readonly steps: Step[] = [];
  private blocks: DiskBlock[] = [];
  private failures: DiskFailure[] = [];
  end: Moment = 0;
  private instructions = 0;
  ended = false;
  private outcome: string | undefined;

  constructor(
    private readonly disks: number,
    private readonly ramSize: number,
    private readonly vcpus: number,
  ) {}

  /** @returns what is wrong with it: then nothing of it was taken */
  take({ type, payload }: Chunk): string | undefined {
    if (this.ended) return 'something behind the end';
    try {
      if (type === ChunkType.END) return this.takeEnd(JSON.parse(new TextDecoder().decode(payload)));
      if (type !== ChunkType.SEGMENT) return 'a part of the header behind it';
      const entries = readEntries(payload);
      const problem = this.problemOf(entries);
      if (problem === undefined) for (const entry of entries) this.add(entry);
      return problem;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  result(damage: Flaw | undefined) {
    const { steps, end, instructions, outcome, ended } = this;
    const complete = ended && damage === undefined;
    return { steps, end, instructions, outcome, complete, disks: [...this.blocks, ...this.failures] };
  }

  private takeEnd(given: unknown): string | undefined {
    const { moment, outcome } = (given ?? {}) as { moment?: unknown; outcome?: { kind?: unknown } | null };
    if (moment !== this.end) return `an end at another moment than ${this.end}`;
    this.ended = true;
    this.outcome = typeof outcome?.kind === 'string' ? outcome.kind : undefined;
    return undefined;
  }

  /** Moments go back only by a branch. */
  private problemOf(entries: readonly Entry[]): string | undefined {
    let now = this.end;
    for (const entry of entries) {
      if ((entry.kind === 'block' || entry.kind === 'failure') && entry.disk >= this.disks)
        return 'a disk that is not there';
      if (entry.kind === 'input' && !suits(entry.input, this.ramSize, this.vcpus))
        return 'input that the machine cannot take';
      if (entry.kind === 'branch' && entry.moment > now) return 'a branch in the future';
      if ((entry.kind === 'input' || entry.kind === 'checkpoint') && entry.moment < now)
        return 'a moment before the last one';
      if (entry.kind !== 'block' && entry.kind !== 'failure') now = entry.moment;
    }
    return undefined;
  }

  /** How many of the steps are left when what is behind a moment and behind so many inputs is forgotten */
  private keptBy(branch: Moment, inputs: number): number {
    let given = 0;
    const cut = this.steps.findIndex(({ kind, moment }) => moment > branch || (kind === 'input' && ++given > inputs));
    return cut < 0 ? this.steps.length : cut;
  }

  private add(entry: Entry): void {
    switch (entry.kind) {
      case 'block':
        this.blocks.push(entry);
        return;
      case 'failure':
        this.failures.push(entry);
        return;
      case 'branch':
        this.steps.length = this.keptBy(entry.moment, entry.inputs);
        this.failures = this.failures.filter(({ moment }) => moment < entry.moment);
        this.end = entry.moment;
        return;
      case 'input':
      case 'checkpoint':
        this.steps.push(entry);
        this.end = entry.moment;
        if (entry.kind === 'checkpoint') this.instructions = entry.instructions;
    }
  }
}

function beginningMissing(flaw: Flaw | undefined): string {
  if (flaw?.kind === 'damaged') return `is damaged in its beginning, with the images of the machine: ${flaw.text}`;
  return 'ends before the images of the machine are whole: nothing was recorded yet';
}

function lossOf(flaw: Flaw | undefined, run: Reading, length: number): { loss: string | undefined; lostBytes: number } {
  const upTo = `It goes up to moment ${run.end}`;
  if (flaw?.kind === 'damaged')
    return {
      loss: `The file is damaged: ${flaw.text}. ${upTo}; the ${length - flaw.at} bytes from there on are lost.`,
      lostBytes: length - flaw.at,
    };
  if (flaw)
    return {
      loss: `The recording was cut short: ${flaw.text}. ${upTo}; the last ${length - flaw.at} bytes are lost.`,
      lostBytes: length - flaw.at,
    };
  if (!run.ended)
    return {
      loss: `The recording was cut short: the process ended without closing it. ${upTo}; what was run after that, a second at most, is lost.`,
      lostBytes: 0,
    };
  return { loss: undefined, lostBytes: 0 };
}
