import type { DebugProtocol } from '@vscode/debugprotocol';
import type { AccessHit, Watchpoint } from '../../emulator/machine/watchpoints';
import type { Debuggee } from '../launch/debuggee';
import { messageOf } from '../session/errors';
import { checkedList } from '../session/router';
import type { LateStop, Stop } from '../stepping/driver';
import type { Done } from '../stepping/verb';
import { accessorInWords, changeInWords } from '../watch/access-words';
import { parsePlace, spaceOfPlace, type MemoryPlace } from '../watch/place';
import { Breakpoint } from './breakpoint';
import type { BreakpointStore, Evaluation } from './store';

interface Armed {
  readonly breakpoint: Breakpoint;
  readonly place: MemoryPlace;
  readonly watch: Watchpoint;
}

/** An access that was told and is complete when the machine has stopped. */
interface Pending {
  readonly armed: Armed;
  readonly hit: AccessHit;
  /** All watched bytes before it */
  readonly before: Uint8Array;
}

/**
 * Data breakpoints: as many as wanted, on any bytes of memory. The machine stops after the access, as processors do, and says
 * what the bytes were and became, and who accessed them: an instruction of any layer, a VM exit, a page walk, a device.
 */
export class DataBreakpoints {
  private armed: readonly Armed[] = [];
  private pending: Pending[] = [];
  private stop: Stop | undefined;

  constructor(
    private readonly debuggee: Debuggee,
    private readonly evaluation: Evaluation,
  ) {}

  /** `stop` asks for a stop, when something runs that may stop at all. */
  stopBy(stop: Stop): void {
    this.stop = stop;
  }

  get breakpoints(): readonly Breakpoint[] {
    return this.armed.map(({ breakpoint }) => breakpoint);
  }

  /** setDataBreakpoints: replaces all of them. */
  set(
    args: DebugProtocol.SetDataBreakpointsArguments,
    store: BreakpointStore,
  ): DebugProtocol.SetDataBreakpointsResponse['body'] {
    const shape = { dataId: 'string', accessType: 'string?', condition: 'string?', hitCondition: 'string?' } as const;
    const wanted = checkedList('setDataBreakpoints', 'breakpoints', args.breakpoints, shape);
    this.clear();
    const armed: Armed[] = [];
    const breakpoints = wanted.map((request) => {
      const id = store.newId();
      try {
        const made = this.arm(request, id);
        armed.push(made);
        return made.breakpoint.protocol;
      } catch (error) {
        return { id, verified: false, reason: 'failed' as const, message: messageOf(error) };
      }
    });
    this.armed = armed;
    return { breakpoints };
  }

  clear(): void {
    for (const { watch } of this.armed) watch.remove();
    this.armed = [];
    this.pending = [];
  }

  private arm(request: DebugProtocol.DataBreakpoint, id: number): Armed {
    const { machine } = this.debuggee;
    const place = parsePlace(request.dataId);
    const space = spaceOfPlace(place, machine);
    const access = request.accessType ?? 'write';
    const breakpoint = new Breakpoint(id, 'data breakpoint', [], request, {
      verified: true,
      message: `${place.length} byte${place.length === 1 ? '' : 's'}, ${place.space}`,
    });
    const { address, length } = place;
    const watch = machine.watch({ space, address, length, write: access !== 'read', read: access !== 'write' }, (hit) =>
      this.accessed(armed, hit),
    );
    const armed: Armed = { breakpoint, place, watch };
    return armed;
  }

  private accessed(armed: Armed, hit: AccessHit): void {
    if (this.pending[0]?.hit.moment !== hit.moment) this.pending = [];
    const before = this.read(armed);
    this.pending.push({ armed, hit, before });
    this.stop?.((looking) => this.decide(looking));
  }

  private read({ watch }: Armed): Uint8Array {
    const { machine } = this.debuggee;
    const space = { ...machine.running(0).space, kind: 'host-physical' as const };
    const parts = watch.watched.map(({ address, length }) => [...machine.readMemory(space, BigInt(address), length)]);
    return Uint8Array.from(parts.flat());
  }

  /** The accesses are complete: which of them stop? */
  private decide(looking: boolean): ReturnType<LateStop> {
    const { pending } = this;
    this.pending = [];
    const ids: number[] = [];
    const lines: string[] = [];
    for (const { breakpoint } of this.armed) {
      const hits = pending.filter(({ armed }) => armed.breakpoint === breakpoint);
      const last = hits.findLast(({ hit }) => hit.write) ?? hits.at(-1);
      if (!last) continue;
      const problem = this.refuses(breakpoint, last.hit, looking);
      if (problem === true) continue;
      ids.push(breakpoint.id);
      lines.push(problem || this.inWords(last, hits[0]?.before ?? last.before));
    }
    const vcpu = pending[0]?.hit.vcpu ?? 0;
    if (ids.length === 0) return undefined;
    const text = lines.join('\n');
    const done: Done = { reason: 'data breakpoint', hitBreakpointIds: ids, description: lines[0] ?? '', text };
    return { done, vcpu };
  }

  /** True: it does not stop; a text: it does, because its condition cannot be evaluated; '': it does */
  private refuses(breakpoint: Breakpoint, hit: AccessHit, looking: boolean): true | string {
    const { condition, hitCondition, hits } = breakpoint;
    try {
      const context = this.debuggee.running(hit.vcpu);
      if (condition !== undefined && !this.evaluation.isTrue(condition, context)) return true;
    } catch (error) {
      return `condition "${condition}": ${messageOf(error)}`;
    }
    const { moment } = hit;
    if (hitCondition && !hitCondition(looking ? hits.ordinal(moment) : hits.add(moment))) return true;
    return '';
  }

  private inWords({ armed, hit }: Pending, before: Uint8Array): string {
    const who = accessorInWords(hit, this.debuggee);
    const { name } = armed.place;
    const now = this.read(armed);
    if (!hit.write) return `${name}: ${changeInWords(now, now).replace(' (as before)', '')}, read by ${who}`;
    return `${name}: ${changeInWords(before, now)}, written by ${who}`;
  }
}
