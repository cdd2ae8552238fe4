import type { AccessWatch } from './access-watch';
import { Actor } from './actor';
import { RAM_BASE } from './layout';
import {
  askAll,
  askAllOfLoads,
  tellAll,
  type MayLoad,
  type MayStore,
  type WriteWatcher,
  type Writing,
} from './write-watchers';

const WASM_PAGE = 65536;

/** The first byte of the page around a wasm address; addresses go beyond 2 GiB, where `&` alone turns negative. */
export const pageOf = (wasmAddress: number): number => (wasmAddress & ~0xfff) >>> 0;

/**
 * The wasm memory that holds everything, and the views on it. RAM is committed by the host as it is touched.
 * Views stay valid for the machine's life: the memory never grows.
 */
export class MachineMemory {
  readonly wasm: WebAssembly.Memory;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly view: DataView;
  readonly ramSize: number;
  /** To be called before every write to RAM that uses no write tag: wasm address, bytes. Undefined: nobody listens. */
  writing: Writing | undefined;
  /** Whether generated code may get a write tag, or its like, for a RAM page. Undefined: for every page */
  mayStore: MayStore | undefined;
  /** False while generated code runs more than one instruction: RIP and the count of instructions are not known. */
  exact = true;
  /** Who wants stores to be told when they are exact (`WriteWatcher.storesAlone`) */
  exacting: WriteWatcher | undefined;
  /** mayStore without the one who lets single stores pass (`WriteWatcher.mayStoreAt`): to be asked after that one */
  private mayStoreElsewhere: MayStore | undefined;
  private letting: WriteWatcher | undefined;
  /** Who reads or writes RAM now, and what there is to say of it */
  actor: Actor = Actor.Instruction;
  actorDetail = 0;
  /** Undefined: no bytes are watched */
  accessWatch: AccessWatch | undefined;
  /** Whether it may get a read tag. Undefined: for every page */
  mayLoad: MayLoad | undefined;
  private watchers: readonly WriteWatcher[] = [];

  /**
   * @param ramSize bytes, a multiple of 64 KiB, at most 3 GiB
   * @param vcpus at most MAXIMUM_VCPUS
   */
  constructor(
    ramSize: number,
    readonly vcpus = 1,
  ) {
    const pages = (RAM_BASE + ramSize) / WASM_PAGE;
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.u8 = new Uint8Array(this.wasm.buffer);
    this.i32 = new Int32Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
    this.ramSize = ramSize;
  }

  /**
   * From now on this watcher is told of writes; what generated code was given before stays until it is withdrawn. The one
   * that was added last is asked first.
   * @returns ends it
   */
  watchWrites(watcher: WriteWatcher): () => void {
    this.setWatchers([watcher, ...this.watchers]);
    return () => this.setWatchers(this.watchers.filter((other) => other !== watcher));
  }

  /**
   * Whether generated code may make a single store to a page for which `mayStore` says no: then nobody is told of it. It does
   * not cross a page.
   */
  mayStoreAt(wasmAddress: number, length: number): boolean {
    const { letting, mayStoreElsewhere } = this;
    if (!letting?.mayStoreAt?.(wasmAddress, length)) return false;
    return mayStoreElsewhere === undefined || mayStoreElsewhere(pageOf(wasmAddress), true);
  }

  private setWatchers(watchers: readonly WriteWatcher[]): void {
    this.watchers = watchers;
    this.writing = tellAll(watchers);
    this.mayStore = askAll(watchers);
    this.mayLoad = askAllOfLoads(watchers);
    this.exacting = watchers.find((watcher) => watcher.storesAlone !== undefined);
    this.letting = watchers.find((watcher) => watcher.mayStoreAt !== undefined);
    this.mayStoreElsewhere = askAll(watchers.filter((watcher) => watcher !== this.letting));
  }
}
