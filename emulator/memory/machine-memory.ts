import { RAM_BASE } from './layout';

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
}
