import type { Cpu } from '../cpu/cpu';
import { AccessWatch, Watched, type WatchedBytes } from '../memory/access-watch';
import { Actor } from '../memory/actor';
import type { MachineMemory } from '../memory/machine-memory';
import type { PhysicalMemory } from '../memory/physical';
import type { AddressSpace } from './api';
import type { Translations } from './translations';

/** Who accessed watched bytes. `detail`: the exit reason of a VM exit, the PCI requester ID of a device (-1: it has none) */
export type AccessedBy = 'instruction' | 'delivery' | 'vm-exit' | 'vm-entry' | 'walk' | 'device' | 'debugger';

const NAMES: Readonly<Record<Actor, AccessedBy>> = {
  [Actor.Instruction]: 'instruction',
  [Actor.Delivery]: 'delivery',
  [Actor.VmExit]: 'vm-exit',
  [Actor.VmEntry]: 'vm-entry',
  [Actor.Walk]: 'walk',
  [Actor.Device]: 'device',
  [Actor.Debugger]: 'debugger',
};

/** An access to watched bytes, told before it takes place. */
export interface AccessHit {
  readonly write: boolean;
  readonly by: AccessedBy;
  readonly detail: number;
  /** The state before the access has this moment, and the next one has the state after it. */
  readonly moment: number;
  /** The vCPU whose turn it was, and its context then */
  readonly vcpu: number;
  readonly context: number;
  /** Of the instruction under way; what comes next when there is none */
  readonly rip: bigint;
  /** What of the watched bytes is accessed, with what they hold before it */
  readonly hostPhysical: number;
  readonly before: Uint8Array;
}

/**
 * Bytes to be watched. Addresses other than host-physical are translated by the tables of `space` as they are in memory,
 * and again whenever an entry on the way is written: what is watched is memory, whoever accesses it by whatever address.
 */
export interface WatchRequest {
  readonly space: AddressSpace;
  readonly address: bigint;
  readonly length: number;
  readonly write: boolean;
  readonly read: boolean;
  /** Told between two instructions when the addresses lead elsewhere than before, or are mapped now, or no longer */
  readonly moved?: () => void;
}

export interface Watchpoint {
  /** Host-physical ranges that are watched now, in the order of the request's bytes; what is not mapped is absent */
  readonly watched: readonly { readonly address: number; readonly length: number }[];
  remove(): void;
}

const PAGE = 4096n;

/** The watches of a machine's memory. Without any, nothing is slower. */
export class Watchpoints {
  private watch: AccessWatch | undefined;
  private readonly moved = new Set<ArmedWatch>();
  /** Those whose addresses tables translate */
  readonly translated = new Set<ArmedWatch>();
  private stopWatching: (() => void) | undefined;

  constructor(
    readonly memory: MachineMemory,
    readonly physical: PhysicalMemory,
    readonly translations: Translations,
    private readonly host: {
      readonly moment: () => number;
      readonly current: () => Cpu;
      readonly context: (vcpu: number) => number;
      /** Takes back all tags of all vCPUs, and DIRECT_VMCS. */
      readonly withdraw: () => void;
    },
  ) {}

  add(request: WatchRequest, listener: (hit: AccessHit) => void): Watchpoint {
    if (!Number.isSafeInteger(request.length) || request.length < 1)
      throw new RangeError(`a watch of ${request.length} bytes: give a whole number from 1`);
    return new ArmedWatch(this, request, listener);
  }

  arm(range: WatchedBytes): void {
    if (!this.watch) {
      this.watch = new AccessWatch(this.memory, this.host.withdraw);
      this.watch.settle = () => this.settle();
      this.memory.accessWatch = this.watch;
      this.stopWatching = this.memory.watchWrites(this.watch);
    }
    this.watch.add(range);
  }

  disarm(range: WatchedBytes): void {
    this.watch?.remove(range);
    if (!this.watch?.empty) return;
    this.stopWatching?.();
    this.memory.accessWatch = this.watch = undefined;
  }

  /** RAM is that of another moment: addresses may lead elsewhere. */
  restored(): void {
    for (const watch of this.translated) this.moved.add(watch);
  }

  /** An entry on the way to a watch's bytes is being written. */
  move(watch: ArmedWatch): void {
    this.moved.add(watch);
  }

  forget(watch: ArmedWatch): void {
    this.moved.delete(watch);
  }

  private settle(): void {
    if (this.moved.size === 0) return;
    const moved = [...this.moved];
    this.moved.clear();
    for (const watch of moved) watch.place();
  }

  hit(write: boolean, address: number, length: number): AccessHit {
    const { memory, host } = this;
    const cpu = host.current();
    const at = this.physical.ramAddress(address);
    return {
      write,
      by: NAMES[memory.actor],
      detail: memory.actorDetail,
      moment: host.moment() - (this.watch?.stepOver ? 1 : 0),
      vcpu: cpu.index,
      context: host.context(cpu.index),
      rip: cpu.state.rip,
      hostPhysical: address,
      before: memory.u8.slice(at, at + length),
    };
  }
}

class ArmedWatch implements Watchpoint {
  private bytes: WatchedBytes[] = [];
  private entries: WatchedBytes[] = [];
  private where: string | undefined;

  constructor(
    private readonly owner: Watchpoints,
    private readonly request: WatchRequest,
    private readonly listener: (hit: AccessHit) => void,
  ) {
    if (request.space.kind !== 'host-physical') owner.translated.add(this);
    this.place();
  }

  get watched(): readonly { readonly address: number; readonly length: number }[] {
    return this.bytes;
  }

  remove(): void {
    this.owner.translated.delete(this);
    this.owner.forget(this);
    for (const range of [...this.bytes, ...this.entries]) this.owner.disarm(range);
    this.bytes = [];
    this.entries = [];
  }

  /** Arms what the addresses lead to now. */
  place(): void {
    const { owner, request } = this;
    const old = [...this.bytes, ...this.entries];
    const entries = new Map<number, WatchedBytes>();
    this.bytes = [];
    for (let done = 0; done < request.length;) {
      const address = BigInt.asUintN(64, request.address + BigInt(done));
      const size = Math.min(request.length - done, Number(PAGE - (address % PAGE)));
      const { hostPhysical, steps } = owner.translations.walk(request.space, address);
      for (const { entryAddress } of steps) {
        const at = Number(entryAddress);
        if (owner.physical.ramAddress(at) >= 0)
          entries.set(at, { address: at, length: 8, access: Watched.WRITE, accessed: () => owner.move(this) });
      }
      if (hostPhysical !== undefined && owner.physical.ramAddress(Number(hostPhysical)) >= 0)
        this.bytes.push(this.rangeAt(Number(hostPhysical), size));
      done += size;
    }
    this.entries = [...entries.values()];
    for (const range of [...this.bytes, ...this.entries]) owner.arm(range);
    for (const range of old) owner.disarm(range);
    const where = this.bytes.map(({ address, length }) => `${address}+${length}`).join();
    if (this.where !== undefined && where !== this.where) request.moved?.();
    this.where = where;
  }

  private rangeAt(address: number, length: number): WatchedBytes {
    const { request, owner, listener } = this;
    return {
      address,
      length,
      access: (request.write ? Watched.WRITE : 0) | (request.read ? Watched.READ : 0),
      accessed: (access, at, size) => listener(owner.hit(access === Watched.WRITE, at, size)),
    };
  }
}
