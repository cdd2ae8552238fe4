/**
 * Who is to know of writes to RAM before they take place. Generated code writes by itself only where it was given a free
 * way: write tags of the TLB, and State.DIRECT_VMCS. Everything else announces each write. So whoever refuses the free
 * way for a page, and has had it withdrawn (`Processors.withdrawWrites`), is told of every single write to it.
 */
export interface WriteWatcher {
  /**
   * RAM at this wasm address is about to be written, perhaps with what it holds already; may reach into further pages.
   * `marks`: only accessed and dirty flags are set there.
   */
  writing(wasmAddress: number, length: number, marks: boolean): void;
  /**
   * Generated code is about to get the free way to a page (wasm address of its first byte): whether it may. `stores`: for
   * a write that follows; otherwise the way would only be ready for one. Absent: it may always.
   */
  mayStore?(ramPage: number, stores: boolean): boolean;
  /**
   * Where `mayStore` says no: whether one store by generated code to these bytes is of no interest all the same. At most one
   * watcher has this.
   */
  mayStoreAt?(wasmAddress: number, length: number): boolean;
  /**
   * Whether a store to these bytes is to be made by an instruction that is executed alone, so that RIP and the count of
   * instructions are exact when it is told. Of pages for which `mayStore` says no. At most one watcher has this.
   */
  storesAlone?(wasmAddress: number): boolean;
  /** Likewise for loads, which the slow path tells of. Absent: it may always. */
  mayLoad?(ramPage: number): boolean;
}

/** `marks`: only accessed and dirty flags are set there; absent: no. */
export type Writing = (wasmAddress: number, length: number, marks?: boolean) => void;
export type MayLoad = (ramPage: number) => boolean;
export type MayStore = (ramPage: number, stores: boolean) => boolean;

/** One call that tells all, or undefined: nothing is allocated when it is called. */
export function tellAll(watchers: readonly WriteWatcher[]): Writing | undefined {
  const [only, second] = watchers;
  if (!only) return undefined;
  if (!second) return (wasmAddress, length, marks = false) => only.writing(wasmAddress, length, marks);
  if (watchers.length === 2)
    return (wasmAddress, length, marks = false) => {
      only.writing(wasmAddress, length, marks);
      second.writing(wasmAddress, length, marks);
    };
  return (wasmAddress, length, marks = false) => {
    for (const watcher of watchers) watcher.writing(wasmAddress, length, marks);
  };
}

/** As askAll, for loads */
export function askAllOfLoads(watchers: readonly WriteWatcher[]): MayLoad | undefined {
  const asked = watchers.flatMap((watcher) => (watcher.mayLoad ? [watcher.mayLoad.bind(watcher)] : []));
  const [only] = asked;
  return asked.length < 2 ? only : (ramPage) => asked.every((mayLoad) => mayLoad(ramPage));
}

/** All are asked, until one refuses. */
export function askAll(watchers: readonly WriteWatcher[]): MayStore | undefined {
  const asked = watchers.flatMap((watcher) => (watcher.mayStore ? [watcher.mayStore.bind(watcher)] : []));
  const [only] = asked;
  if (asked.length < 2) return only;
  return (ramPage, stores) => {
    for (const mayStore of asked) if (!mayStore(ramPage, stores)) return false;
    return true;
  };
}
